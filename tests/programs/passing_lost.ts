/**
 * Receives descriptors, loses them, and collects garbage. Says "ok" when what had to happen did, and
 * what did not otherwise. Argument: what to lose.
 */

import { readdirSync, readlinkSync } from "node:fs";
import process from "node:process";
import { Fd, UnixDatagram, UnixSeqpacket, UnixStream } from "../../mod.ts";

interface Globals {
  Bun?: { gc(force: boolean): void };
  gc?: () => void;
}
const globals = globalThis as Globals;

const COUNT = 200;
const data = new Uint8Array(1);
const [a, b] = UnixStream.pair();
const file = Fd.memfd("lost");

/** How many descriptors of the file are open. */
function open(): number {
  return readdirSync("/proc/self/fd").filter((number) => {
    try {
      return readlinkSync(`/proc/self/fd/${number}`).startsWith("/memfd:lost");
    } catch {
      return false;
    }
  }).length;
}

/** Overwrites what calls have left on the stack: Bun's collector keeps what looks like a pointer there. */
function scrub(depth = 200): number {
  return depth === 0 ? 0 : 1 + scrub(depth - 1);
}

async function collect(): Promise<void> {
  scrub();
  if (globals.Bun !== undefined) globals.Bun.gc(true);
  else globals.gc!();
  // Finalizers run in a turn of their own, and on Deno after a pause.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Collects until no more than so many are open. */
async function closedBut(kept: number): Promise<string> {
  // What is left on a stack or in a register may keep a few.
  for (let round = 0; open() > kept + 8; round++) {
    if (round === 300) return `${open() - kept} are still open`;
    await collect();
  }
  return "ok";
}

const programs: Record<string, () => Promise<string>> = {
  async "messages"() {
    for (const [from, to] of [[a, b], UnixDatagram.pair(), UnixSeqpacket.pair()] as const) {
      await (async () => {
        for (let i = 0; i < COUNT; i++) {
          await from.sendMessage(data, { fds: [file, file] });
          if (i % 2 === 0) await to.receiveMessage();
          else to.receiveMessageSync();
        }
      })();
      const result = await closedBut(1);
      if (result !== "ok") return result;
    }
    return "ok";
  },

  async "messages nobody waits for"() {
    await (async () => {
      for (let i = 0; i < COUNT; i++) {
        void b.receiveMessage();
        await a.sendMessage(data, { fds: [file, file] });
      }
      // This one comes after all of them.
      const last = b.receiveMessage();
      await a.sendMessage(data, { fds: [file] });
      (await last)!.close();
    })();
    return await closedBut(1);
  },

  async "messages of which one descriptor was taken"() {
    const taken: Fd[] = [];
    await (async () => {
      for (let i = 0; i < COUNT; i++) {
        await a.sendMessage(data, { fds: [file, file] });
        taken.push((await b.receiveMessage())!.fds.shift()!);
      }
    })();
    const result = await closedBut(1 + COUNT);
    for (let round = 0; round < 20; round++) await collect();
    if (taken.some((fd) => fd.closed || fd.stat().kind !== "file")) return "one was closed";
    return result;
  },

  async "pidfds"() {
    b.passPidfd = true;
    const pidfds = () =>
      readdirSync("/proc/self/fd").filter((number) => {
        try {
          return readlinkSync(`/proc/self/fd/${number}`) === "anon_inode:[pidfd]";
        } catch {
          return false;
        }
      }).length;
    await (async () => {
      for (let i = 0; i < COUNT; i++) {
        await a.sendMessage(data);
        await b.receiveMessage();
      }
    })();
    for (let round = 0; pidfds() > 8; round++) {
      if (round === 300) return `${pidfds()} are still open`;
      await collect();
    }
    return "ok";
  },
};

console.log(await programs[process.argv[2]!]!());
process.exit(0);
