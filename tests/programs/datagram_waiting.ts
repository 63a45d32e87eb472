/**
 * Waits for room at a receiver that is full. Argument: what to do.
 *
 * `cpu` and a way to send: prints as JSON how much processor time, in percent, two seconds of waiting
 * took, and how many tries to send.
 * `ref`: a sending that waits keeps the process alive until it is done. `unref`: it does not.
 */

import process from "node:process";
import { native } from "../../ffi/mod.ts";
import { SendBatch, UnixDatagram } from "../../mod.ts";
import { ample } from "../support/queue.ts";

const [what, how] = process.argv.slice(2);
const message = new TextEncoder().encode("x");
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const name = `\0afunix-datagram-waiting-${process.pid}`;
const receiver = UnixDatagram.bind(name);
const sender = UnixDatagram.unbound();
const filler = ample(UnixDatagram.unbound());
try {
  for (;;) await filler.sendTo(message, name, { dontWait: true });
} catch {
  // Full.
}
filler.close();

const ways: Record<string, () => Promise<unknown>> = {
  "send": () => sender.connect(name).send(message),
  "sendTo": () => sender.sendTo(message, name),
  "many sendTo": () => Promise.all(Array.from({ length: 50 }, () => sender.sendTo(message, name))),
  "sendMany to addresses": () => {
    const batch = new SendBatch();
    batch.add(message, name);
    return sender.sendMany(batch);
  },
};

if (what === "cpu") {
  ways[how!]!().catch(() => {});
  // The runtime itself is still compiling.
  await pause(500);
  const libc = native().libc as unknown as Record<string, (...args: unknown[]) => unknown>;
  let calls = 0;
  for (const name of ["send", "sendto", "sendmmsg"]) {
    const original = libc[name]!;
    libc[name] = (...args) => {
      calls++;
      return original(...args);
    };
  }
  const before = process.cpuUsage();
  await pause(2000);
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify({ percent: (user + system) / 20_000, calls }));
  process.exit();
}

if (what === "unref") sender.unref();
ways[how!]!().then(() => console.log("sent"), () => console.log("failed"));
setTimeout(() => {
  console.log("still alive");
  receiver.receiveSync();
  receiver.receiveSync();
}, 300).unref();
