/** Leaves things open, or does not, and ends. Argument: what to do. */

import { readdirSync } from "node:fs";
import process from "node:process";
import { Fd, UnixListener, UnixStream } from "../../mod.ts";
import { collect } from "../support/garbage.ts";

const what = process.argv[2]!;

function open(): number {
  return readdirSync("/proc/self/fd").length;
}

function makePair() {
  return UnixStream.pair();
}

/** What is left open and not lost, whenever garbage is collected. */
const kept: unknown[] = [];
process.on("exit", () => void kept);

const programs: Record<string, () => unknown> = {
  "nothing"() {
    for (const stream of makePair()) stream.close();
    using reader = Fd.open("/dev/null");
    void reader;
  },
  "pairs"() {
    for (let i = 0; i < 3; i++) kept.push(makePair());
  },
  "unref"() {
    const listener = UnixListener.listen({ kind: "unnamed" });
    listener.unref();
    kept.push(listener);
  },
  "given away"() {
    makePair().map((stream) => stream.intoFd());
  },
  "standard input"() {
    kept.push(Fd.adopt(0));
  },
  async "waiting"() {
    // What waiting needs stays, and is nobody's loss.
    const [a, b] = makePair();
    setTimeout(() => a.writeAll(new Uint8Array(4)), 1);
    await b.read(new Uint8Array(4));
    a.close();
    b.close();
  },
  async "lost"() {
    const before = open();
    (() => {
      for (let i = 0; i < 50; i++) Fd.pipe();
    })();
    // The collector may hold on to a few.
    while (open() > before + 10) await collect();
  },
  "exit"() {
    kept.push(makePair());
    process.exit(0);
  },
  "another status"() {
    kept.push(makePair());
    process.exitCode = 7;
  },
};

await programs[what]!();
console.log("done");
