/**
 * Asks for pidfds while no descriptor is free. Prints as JSON what came of it.
 */

import { Fd, UnixDatagram, UnixSocketError, UnixStream } from "../../mod.ts";
import { openForSignals } from "../support/descriptor_table.ts";

openForSignals();

const [a, b] = UnixStream.pair();
const [c, d] = UnixDatagram.pair();
b.passPidfd = b.passCredentials = true;
d.passPidfd = d.passCredentials = true;
a.writeSync(new Uint8Array([1]));
c.sendSync(new Uint8Array([2]));

// Loads all code before there is no room for it.
a.peerPidfd()!.close();
using first = b.receiveMessageSync()!;
using second = d.receiveMessageSync();
const before = [first.pidfd !== null, second.pidfd !== null];

a.writeSync(new Uint8Array([3]));
c.sendSync(new Uint8Array([4]));
const taken: Fd[] = [];
try {
  for (;;) taken.push(Fd.open("/dev/null"));
} catch (error) {
  if ((error as UnixSocketError).code !== "EMFILE") throw error;
}
let peer: unknown = "succeeded";
try {
  a.peerPidfd();
} catch (error) {
  if (!(error instanceof UnixSocketError)) throw error;
  peer = [error.code, error.syscall];
}
const messages = [b.receiveMessageSync()!, d.receiveMessageSync()].map((message) => ({
  data: [...message.data],
  pidfd: message.pidfd === null ? null : "a descriptor",
  credentials: message.credentials !== null,
  controlTruncated: message.controlTruncated,
}));
for (const fd of taken) fd.close();
console.log(JSON.stringify({ before, peer, messages }));
