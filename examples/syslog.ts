/**
 * Sends messages to the system's log (RFC 5424), from the arguments or the lines of the standard
 * input.
 *
 *     deno run --allow-ffi examples/syslog.ts --tag backup "It is done"
 *     bun examples/syslog.ts --socket /dev/log --severity warning < FILE
 *     node examples/syslog.ts --tag backup "It is done"
 *
 * While the log's queue is full it waits. When the log daemon restarts, it connects again; only what
 * stood in the old daemon's queue is lost. Where the path is a stream socket, each message goes out
 * with its length in front (octet counting, RFC 6587).
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { UnixDatagram, UnixSocketError, UnixStream } from "../mod.ts";

const SEVERITIES = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
const USER_FACILITY = 1;

/** How long a daemon that was there before may be away, in milliseconds. */
const PATIENCE = 30_000;

/** What sending fails with when the daemon went away, or has not come back yet. */
const AWAY = ["ECONNREFUSED", "ENOENT", "ECONNRESET", "EPIPE", "ENOTCONN"];

function codeOf(error: unknown): string | undefined {
  return error instanceof UnixSocketError ? error.code : undefined;
}

/** A connection to the log daemon, made anew when it is lost. */
class Log implements Disposable {
  readonly #path: string;
  #socket: UnixDatagram | UnixStream | null = null;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Connects for the first time: fails where there is no daemon. */
  static async open(path: string): Promise<Log> {
    const log = new Log(path);
    log.#socket = await log.#connect();
    return log;
  }

  async send(record: Uint8Array): Promise<void> {
    const deadline = performance.now() + PATIENCE;
    for (let pause = 10;; pause = Math.min(pause * 2, 1000)) {
      try {
        this.#socket ??= await this.#connect();
        return await this.#put(this.#socket, record);
      } catch (error) {
        if (!AWAY.includes(codeOf(error)!)) throw error;
        this.#socket?.close();
        this.#socket = null;
        if (performance.now() > deadline) throw error;
      }
      await setTimeout(pause);
    }
  }

  [Symbol.dispose](): void {
    this.#socket?.close();
  }

  async #connect(): Promise<UnixDatagram | UnixStream> {
    const socket = UnixDatagram.unbound();
    try {
      // Connected, the socket learns of room in a full queue at once.
      return socket.connect(this.#path);
    } catch (error) {
      socket.close();
      if (codeOf(error) !== "EPROTOTYPE") throw error;
      return await UnixStream.connect(this.#path);
    }
  }

  async #put(socket: UnixDatagram | UnixStream, record: Uint8Array): Promise<void> {
    if (socket instanceof UnixDatagram) return await socket.send(record);
    const length = new TextEncoder().encode(`${record.length} `);
    const framed = new Uint8Array(length.length + record.length);
    framed.set(length);
    framed.set(record, length.length);
    await socket.writeAll(framed);
  }
}

/** `<priority>version time host name process message-id structured-data message` */
function format(severity: number, tag: string, message: string): Uint8Array {
  const priority = USER_FACILITY * 8 + severity;
  const time = new Date().toISOString();
  return new TextEncoder().encode(
    `<${priority}>1 ${time} - ${tag} ${process.pid} - - ${message}`,
  );
}

function usage(): never {
  console.error(
    "Usage: syslog.ts [--socket PATH] [--tag NAME] [--severity NAME] [MESSAGE...]\n" +
      `Severities: ${SEVERITIES.join(", ")}`,
  );
  process.exit(2);
}

const options = { socket: "/dev/log", tag: "afunix", severity: "info" };
const messages = process.argv.slice(2);
while (messages[0]?.startsWith("--")) {
  const name = messages.shift()!.slice(2);
  const value = messages.shift();
  if (!Object.hasOwn(options, name) || value === undefined) usage();
  options[name as keyof typeof options] = value;
}
const severity = SEVERITIES.indexOf(options.severity);
if (severity === -1 || !/^[!-~]{1,48}$/.test(options.tag)) usage();

try {
  using log = await Log.open(options.socket);
  const lines = messages.length > 0 ? messages : createInterface({ input: process.stdin });
  for await (const line of lines) await log.send(format(severity, options.tag, line));
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
