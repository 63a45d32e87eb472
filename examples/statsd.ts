/**
 * A client of StatsD (with DogStatsD's tags) over a datagram socket. As a module it gives the class
 * `StatsD`; as a program it sends the metrics that come as lines on the standard input:
 *
 *     deno run --allow-ffi examples/statsd.ts /tmp/statsd.sock < METRICS
 *     bun examples/statsd.ts /tmp/statsd.sock --prefix shop. < METRICS
 *     node examples/statsd.ts /tmp/statsd.sock --size 1432 --interval 500 < METRICS
 *
 * A line is `KIND NAME VALUE [TAG...]`, for instance `count page.views 1 env:dev`; the kinds are
 * count, gauge, timing, histogram and set.
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { clearInterval, setInterval } from "node:timers";
import { SendBatch, UnixDatagram } from "../mod.ts";

/** Options of {@linkcode StatsD}. */
export interface StatsDOptions {
  /** Put before each name. */
  prefix?: string;
  /** Tags of every metric, `name:value`. */
  tags?: readonly string[];
  /** The most bytes of a datagram; 8,192 without it, as DogStatsD reads by default. */
  size?: number;
  /** Milliseconds between flushes; 1,000 without it. */
  interval?: number;
  /** How many datagrams are kept while the agent's queue is full; 64 without it. */
  capacity?: number;
}

/** Metrics that leave together. */
interface Datagram {
  bytes: Uint8Array;
  metrics: number;
}

const TYPES = { count: "c", gauge: "g", timing: "ms", histogram: "h", set: "s" } as const;

/** The kinds of metrics. */
export type Kind = keyof typeof TYPES;

/** At the end, an agent that is slow gets so many milliseconds. */
const LAST_FLUSH_MS = 1000;

/**
 * Collects metrics and sends them. It never waits for the agent: where that is away, or does not
 * keep up, metrics are dropped and counted.
 */
export class StatsD implements Disposable {
  readonly #path: string;
  readonly #prefix: string;
  readonly #tags: readonly string[];
  readonly #capacity: number;
  readonly #timer: NodeJS.Timeout;
  /** What goes out by one sendmmsg(2). */
  readonly #batch: SendBatch;
  /** The datagram that is being filled. */
  readonly #current: Uint8Array;
  #used = 0;
  #metrics = 0;
  #waiting: Datagram[] = [];
  #socket: UnixDatagram | null = null;
  #sent = 0;
  #dropped = 0;

  constructor(path: string, options: StatsDOptions = {}) {
    const { prefix = "", tags = [], size = 8192, interval = 1000, capacity = 64 } = options;
    this.#path = path;
    this.#prefix = prefix;
    this.#tags = tags;
    this.#capacity = capacity;
    this.#current = new Uint8Array(size);
    this.#batch = new SendBatch({ messages: capacity, size });
    // Metrics are no reason for a process to live on.
    this.#timer = setInterval(() => this.flush(), interval).unref();
  }

  /** How many metrics the agent got. */
  get sent(): number {
    return this.#sent;
  }

  /** How many metrics got lost. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Adds to a counter. */
  count(name: string, value = 1, ...tags: string[]): void {
    this.add("count", name, value, tags);
  }

  /** Sets a value. */
  gauge(name: string, value: number, ...tags: string[]): void {
    this.add("gauge", name, value, tags);
  }

  /** Tells a duration in milliseconds. */
  timing(name: string, milliseconds: number, ...tags: string[]): void {
    this.add("timing", name, milliseconds, tags);
  }

  /** Tells a value whose distribution is of interest. */
  histogram(name: string, value: number, ...tags: string[]): void {
    this.add("histogram", name, value, tags);
  }

  /** Tells a member of a set, whose different members the agent counts. */
  set(name: string, member: string | number, ...tags: string[]): void {
    this.add("set", name, member, tags);
  }

  /** Any metric: `name:value|type|#tag,tag` */
  add(kind: Kind, name: string, value: number | string, tags: readonly string[] = []): void {
    const all = [...this.#tags, ...tags].map(cleaned).join(",");
    const start = `${cleaned(this.#prefix + name).replaceAll(":", "_")}:${cleaned(String(value))}`;
    const line = `${start}|${TYPES[kind]}${all === "" ? "" : `|#${all}`}`;
    const bytes = new TextEncoder().encode(line);
    if (bytes.length > this.#current.length) {
      this.#dropped++;
      return;
    }
    // A newline stands between two metrics.
    if (this.#used > 0 && this.#used + 1 + bytes.length > this.#current.length) this.#seal();
    if (this.#used > 0) this.#current[this.#used++] = 0x0a;
    this.#current.set(bytes, this.#used);
    this.#used += bytes.length;
    this.#metrics++;
  }

  /** Sends what is there, as far as the agent takes it now. */
  flush(): void {
    this.#seal();
    this.#send(0);
  }

  /** Sends what is there and ends. */
  close(): void {
    clearInterval(this.#timer);
    this.#seal();
    this.#send(LAST_FLUSH_MS);
    this.#drop(this.#waiting.length);
    this.#socket?.close();
    this.#socket = null;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Ends the current datagram, which then waits for its departure. */
  #seal(): void {
    if (this.#used === 0) return;
    if (this.#waiting.length === this.#capacity) this.#send(0);
    // Where the queue does not move, the oldest go: the newest say more.
    if (this.#waiting.length === this.#capacity) this.#drop(1);
    this.#waiting.push({ bytes: this.#current.slice(0, this.#used), metrics: this.#metrics });
    this.#used = this.#metrics = 0;
  }

  #send(timeout: number): void {
    if (this.#waiting.length === 0) return;
    this.#batch.clear();
    for (const { bytes } of this.#waiting) this.#batch.add(bytes);
    let failure: unknown = null;
    try {
      this.#socket ??= this.#connect();
      const { sent, error } = this.#socket.sendManySync(this.#batch, { timeout });
      for (const { metrics } of this.#waiting.splice(0, sent)) this.#sent += metrics;
      failure = error;
    } catch (error) {
      failure = error;
    }
    // ETIMEDOUT: the agent's queue is full. What waits stays for the next time.
    if (failure === null || (failure as { code?: string }).code === "ETIMEDOUT") return;
    this.#drop(this.#waiting.length);
    this.#socket?.close();
    this.#socket = null;
  }

  #connect(): UnixDatagram {
    const socket = UnixDatagram.unbound();
    try {
      return socket.connect(this.#path);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  #drop(datagrams: number): void {
    for (const { metrics } of this.#waiting.splice(0, datagrams)) this.#dropped += metrics;
  }
}

/** Text without what would end it too early. */
function cleaned(text: string): string {
  return text.replace(/[|,#@\n\r]/g, "_");
}

function usage(): never {
  console.error(
    "Usage: statsd.ts PATH [--prefix TEXT] [--size BYTES] [--interval MILLISECONDS]" +
      " [--capacity DATAGRAMS] < METRICS",
  );
  process.exit(2);
}

function parse(args: string[]): { path: string; options: StatsDOptions } {
  const [path, ...rest] = args;
  if (path === undefined || path.startsWith("-")) usage();
  const options: StatsDOptions = {};
  for (let i = 0; i < rest.length; i += 2) {
    const name = rest[i]!.slice(2);
    const value = rest[i + 1];
    if (value === undefined) usage();
    if (name === "prefix") options.prefix = value;
    else if (name === "size" || name === "interval" || name === "capacity") {
      if (!/^[1-9][0-9]*$/.test(value)) usage();
      options[name] = Number(value);
    } else usage();
  }
  return { path, options };
}

async function main(): Promise<void> {
  const { path, options } = parse(process.argv.slice(2));
  const statsd = new StatsD(path, options);
  try {
    for await (const line of createInterface({ input: process.stdin })) {
      const [kind = "", name, value, ...tags] = line.split(" ");
      if (!Object.hasOwn(TYPES, kind) || !name || !value) {
        console.error(`Cannot understand "${line}"`);
        process.exitCode = 1;
      } else statsd.add(kind as Kind, name, value, tags);
    }
  } finally {
    statsd.close();
  }
  console.log(`${statsd.sent} metrics sent, ${statsd.dropped} dropped`);
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error((error as Error).message);
    process.exit(1);
  }
}
