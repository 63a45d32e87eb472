/**
 * Replaces the runtime's timers and clock, as test frameworks do, and then waits in every way that there
 * is. Prints "ok", or what is wrong.
 */

import process from "node:process";
import {
  abstract,
  UnixDatagram,
  UnixListener,
  type UnixSocketError,
  UnixStream,
} from "../../mod.ts";

const never = () => 0;
// An imitation of another runtime, as packages bring it that were written for that.
const other = "Deno" in globalThis ? "Bun" : "Deno";
Object.assign(globalThis, { [other]: { version: "0" } });
Object.assign(globalThis, {
  setTimeout: never,
  setInterval: never,
  setImmediate: never,
  queueMicrotask: never,
});

function timesOut(what: string, call: () => unknown): void {
  const before = Date.now();
  try {
    call();
  } catch (error) {
    if ((error as UnixSocketError).code !== "ETIMEDOUT") throw error;
    const took = Date.now() - before;
    if (took < 25) throw new Error(`${what} timed out after ${took} ms`);
    return;
  }
  throw new Error(`${what} did not time out`);
}

const buffer = new Uint8Array(1);
const name = `afunix-own-clock-${process.pid}`;

for (const time of [0, 1e9]) {
  performance.now = () => time;
  const [a, b] = UnixStream.pair();
  timesOut("readSync", () => a.readSync(buffer, { timeout: 30 }));
  const reading = a.read(buffer);
  await b.write(buffer);
  await reading;

  const address = abstract(`${name}-${time}`);
  const listener = UnixListener.listen(address, { backlog: 0 });
  const first = await UnixStream.connect(address);
  timesOut("connectSync", () => UnixStream.connectSync(address, { timeout: 30 }));
  const connecting = UnixStream.connect(address);
  await listener.accept();
  await connecting;
  first.close();

  const receiver = UnixDatagram.bind(abstract(`${name}-${time}`));
  const sender = UnixDatagram.unbound();
  const send = () => sender.sendTo(buffer, receiver.localAddr, { dontWait: true });
  for (let full = false; !full;) await send().catch(() => full = true);
  timesOut("sendToSync", () => sender.sendToSync(buffer, receiver.localAddr, { timeout: 30 }));
  const sending = sender.sendTo(buffer, receiver.localAddr);
  receiver.receiveSync();
  await sending;
}
console.log("ok");
process.exit(0);
