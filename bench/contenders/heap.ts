/**
 * ROUNDS: what one operation of a stream allocates on the JavaScript heap once it runs steadily, in
 * bytes. The other end works by the bare FFI, and what that allocates is taken off; so is the promise
 * that the caller asked for, and for what waits one turn of the event loop.
 *
 * V8 counts what it ever allocated. JavaScriptCore does not, so Bun is started without a collector
 * (BUN_JSC_useGC=0) and the growth of its heap is what counts.
 * @module
 */

import { native } from "../../ffi/mod.ts";
import { UnixStream } from "../../mod.ts";
import { globals } from "./runtimes.ts";

const SIZE = 64;
const data = new Uint8Array(SIZE);
const into = new Uint8Array(SIZE);
const [a, b] = UnixStream.pair();
const [writer, reader] = [a.fd, b.fd];
const { libc } = native();
const send = () => libc.send(writer, data, SIZE, 0x4000);
const receive = () => libc.recv(reader, into, SIZE, 0);

const ways: Record<string, () => unknown> = {
  nothing() {
    send();
    receive();
  },
  async "nothing, a promise"() {
    send();
    await Promise.resolve(SIZE);
    receive();
  },
  async "nothing, a turn"() {
    send();
    await new Promise<void>((resolve) => setImmediate(resolve));
    receive();
  },
  readSync() {
    send();
    b.readSync(into);
  },
  writeAllSync() {
    a.writeAllSync(data);
    receive();
  },
  async read() {
    send();
    await b.read(into);
  },
  async writeAll() {
    await a.writeAll(data);
    receive();
  },
  async "read, waiting"() {
    const reading = b.read(into);
    send();
    await reading;
  },
};

async function allocated(): Promise<number> {
  if (globals.Bun !== undefined) {
    const { heapStats } = await import("bun:jsc" as string);
    return heapStats().heapCapacity;
  }
  const { getHeapStatistics } = await import("node:v8");
  const statistics = getHeapStatistics() as { total_allocated_bytes?: number };
  if (statistics.total_allocated_bytes === undefined) throw new Error("V8 does not count this");
  return statistics.total_allocated_bytes;
}

async function bytes(way: () => unknown, rounds: number): Promise<number> {
  const waits = way() instanceof Promise;
  const run = async () => {
    if (!waits) { for (let i = 0; i < rounds; i++) way(); }
    else for (let i = 0; i < rounds; i++) await way();
  };
  await run();
  const before = await allocated();
  await run();
  return ((await allocated()) - before) / rounds;
}

export async function contend(api: string, args: string[]): Promise<number> {
  const rounds = Number(args[0]);
  const nothing = api.endsWith("Sync")
    ? "nothing"
    : api.endsWith("waiting")
    ? "nothing, a turn"
    : "nothing, a promise";
  const least = await bytes(ways[nothing]!, rounds);
  return Math.max(0, Math.round(await bytes(ways[api]!, rounds) - least));
}
