/**
 * Receives descriptors, loses them, and collects garbage. Says "ok" when what had to happen did, and
 * what did not otherwise. Argument: what to lose.
 */

import process from "node:process";
import { Fd, UnixDatagram, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { countDescriptors, openForSignals } from "../support/descriptor_table.ts";
import { collect, collectedUntil } from "../support/garbage.ts";

openForSignals();

const COUNT = 200;
const data = new Uint8Array(1);
const [a, b] = UnixStream.pair();
const file = Fd.memfd("lost");

/** How many descriptors of the file are open. */
const open = () => countDescriptors(/^\/memfd:lost/);

/** Collects until no more than so many are open. */
async function closedBut(kept: number): Promise<string> {
  // What is left on a stack or in a register may keep a few.
  const closed = await collectedUntil(() => open() <= kept + 8);
  return closed ? "ok" : `${open() - kept} are still open`;
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
    const pidfds = () => countDescriptors(/^anon_inode:\[pidfd\]$/);
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
