/**
 * Receives descriptors, loses them, and collects garbage. Says "ok" when they are closed, or are not
 * where they had been given away. Argument: what to lose.
 */

import { readdirSync } from "node:fs";
import process from "node:process";
import { type Fd, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { collectedUntil } from "../support/garbage.ts";
import { openForSignals } from "../support/descriptor_table.ts";

openForSignals();

const count = () => readdirSync("/proc/self/fd").length;

const [stream, from] = UnixStream.pair();
const [packets, fromPackets] = UnixSeqpacket.pair();
const data = new Uint8Array(1);
const given: number[] = [];

/** Receives a message of two descriptors. */
async function receive() {
  await stream.sendMessage(data, { fds: [stream, packets] });
  return (await from.receiveMessage())!;
}

const ways: Record<string, () => Promise<unknown>> = {
  messages: receive,
  async descriptors() {
    const fds = (await receive()).fds.splice(0);
    return fds.map((fd: Fd) => fd.closed);
  },
  async "messages of a loop"() {
    await packets.sendMessage(data, { fds: [stream, packets] });
    await fromPackets.receiveMessage();
  },
  async pidfds() {
    packets.sendSync(data);
    const { pidfd } = (await fromPackets.receiveMessage())!;
    if (pidfd === null) throw new Error("no pidfd came");
  },
  async "an unfinished receipt"() {
    const receiving = from.receiveMessage();
    await stream.sendMessage(data, { fds: [stream, packets] });
    // Nobody looks at what it comes to.
    receiving.then(() => {});
    await new Promise((resolve) => setImmediate(resolve));
  },
  async "what was given away"() {
    const { fds } = await receive();
    given.push(...fds.map((fd) => fd.intoFd()));
  },
};

const what = process.argv[2]!;
if (what === "pidfds") fromPackets.passPidfd = true;
for (let i = 0; i < 3; i++) await ways[what]!();
const before = count();
const rounds = what === "what was given away" ? 20 : 200;
for (let i = 0; i < rounds; i++) await ways[what]!();
if (what === "what was given away") {
  await collectedUntil(() => false);
  const open = new Set(readdirSync("/proc/self/fd"));
  console.log(given.every((fd) => open.has(String(fd))) ? "ok" : "a number was closed");
} else {
  const few = 15;
  const closed = await collectedUntil(() => count() <= before + few);
  console.log(closed ? "ok" : `${count() - before} are still open`);
}
process.exit(0);
