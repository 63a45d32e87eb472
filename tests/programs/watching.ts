/**
 * Watches a descriptor that never becomes readable, or one at the descriptor limit.
 * Arguments: what to do, and perhaps what the kernel refuses, for another way to wait, or "macos" for
 * waiting as there.
 */

import { readdirSync } from "node:fs";
import process from "node:process";
import { setTimeout } from "node:timers";
import { native } from "../../ffi/mod.ts";
import { UnixSocketError, UnixStream } from "../../mod.ts";
import { becomeMac } from "../support/mac/mod.ts";
import { refuse, type Refused } from "../support/refuse.ts";
import { openForSignals } from "../support/descriptor_table.ts";

openForSignals();

const [what, way] = process.argv.slice(2);
if (way === "macos") becomeMac();
else refuse(way as Refused | undefined);
const say = (text: string) => console.log(text);
const sayIfAlive = () =>
  setTimeout(() => {
    say("still alive");
    process.exit();
  }, 200).unref();
/** The peers of what waits: one that is lost would be collected and closed. */
const kept: UnixStream[] = [];
const byte = () => new Uint8Array(1);

/** Takes every descriptor that is left. */
function exhaust(): UnixStream[] {
  const taken: UnixStream[] = [];
  try {
    for (;;) taken.push(...UnixStream.pair());
  } catch (error) {
    if (!(error instanceof UnixSocketError) || error.code !== "EMFILE") throw error;
  }
  // A pair takes two: one may be left.
  try {
    for (;;) taken.push(UnixStream.fromFd(duplicateOf(taken[0]!)));
  } catch (error) {
    if (!(error instanceof UnixSocketError) || error.code !== "EMFILE") throw error;
  }
  return taken;
}

function duplicateOf(stream: UnixStream): number {
  const { libc, abi } = native();
  const fd = libc.fcntl(stream.fd, abi.constants.F_DUPFD_CLOEXEC, 0);
  if (fd >= 0) return fd;
  throw new UnixSocketError({ action: "Cannot dup", code: "EMFILE", errno: 24, syscall: "fcntl" });
}

async function exchange(a: UnixStream, b: UnixStream, times: number): Promise<void> {
  const buffer = new Uint8Array(4);
  for (let i = 0; i < times; i++) {
    const reading = b.read(buffer);
    // The read has to wait, and the runtime with it.
    await new Promise((resolve) => setImmediate(resolve));
    a.writeSync(Uint8Array.of(i & 255));
    if (await reading !== 1 || buffer[0] !== (i & 255)) {
      throw new Error(`round ${i} gave ${buffer}`);
    }
  }
}

const programs: Record<string, () => unknown> = {
  async "exchange"() {
    const [a, b] = UnixStream.pair();
    await exchange(a, b, 10);
    const before = readdirSync("/proc/self/fd").length;
    await exchange(a, b, 1000);
    const opened = readdirSync("/proc/self/fd").length - before;
    // One, perhaps, that the runtime is just about to close.
    if (opened > 1) throw new Error(`${opened} descriptors were left open`);
    a.unref();
    a.read(byte());
    say("ok");
  },
  /** The first wait of all, with others that want to be the first as well. */
  async "first of many"() {
    const pairs = Array.from({ length: 5 }, () => UnixStream.pair());
    await new Promise((resolve) => setTimeout(resolve, 1));
    const waits = await new Promise<Promise<number | null>[]>((resolve) => {
      setTimeout(() => {
        const waits: Promise<number | null>[] = [];
        for (const [, b] of pairs.slice(1)) {
          queueMicrotask(() => waits.push(b.read(byte())));
        }
        waits.push(pairs[0]![1].read(byte()));
        setImmediate(() => resolve(waits));
      }, 1);
    });
    for (const [a] of pairs) a.writeSync(byte());
    if ((await Promise.all(waits)).join() !== "1,1,1,1,1") throw new Error("A read went wrong");
    await exchange(...pairs[0]!, 3);
    say("ok");
  },
  "pending"() {
    const [a, b] = UnixStream.pair();
    kept.push(b);
    a.read(byte());
    sayIfAlive();
  },
  "unref"() {
    const [a, b] = UnixStream.pair();
    kept.push(b);
    a.read(byte());
    setTimeout(() => a.unref(), 20);
  },
  "ref again"() {
    const [a, b] = UnixStream.pair();
    kept.push(b);
    a.unref();
    a.read(byte());
    setImmediate(() => {
      a.ref();
      sayIfAlive();
    });
  },
  async "limit"() {
    const [a, b] = UnixStream.pair();
    await exchange(a, b, 3);
    // Nothing waits now, and when something does, no descriptor is left.
    const taken = exhaust();
    await exchange(a, b, 5);
    for (const stream of taken) stream.close();
    await exchange(a, b, 5);
    b.unref();
    b.read(byte());
    say("ok");
  },
  async "limit while waiting"() {
    const [a, b] = UnixStream.pair();
    await exchange(a, b, 1);
    const reading = b.read(byte());
    await new Promise((resolve) => setImmediate(resolve));
    const taken = exhaust();
    a.writeSync(byte());
    if (await reading !== 1) throw new Error("The read went wrong");
    await exchange(a, b, 5);
    for (const stream of taken) stream.close();
    await exchange(a, b, 5);
    say("ok");
  },
  async "limit, unref"() {
    const [a, b] = UnixStream.pair();
    await exchange(a, b, 1);
    kept.push(a, b, ...exhaust());
    b.unref();
    b.read(byte()).catch(() => {});
    setTimeout(() => say("ok"), 20);
  },
  async "limit from the start"() {
    const [a, b] = UnixStream.pair();
    const taken = exhaust();
    try {
      await b.read(byte());
    } catch (error) {
      say((error as UnixSocketError).code);
    }
    a.writeSync(byte());
    // What blocks needs no descriptor.
    if (b.readSync(byte()) !== 1) throw new Error("The read went wrong");
    for (const stream of taken) stream.close();
    await exchange(a, b, 5);
    say("ok");
  },
};

await programs[what!]!();
