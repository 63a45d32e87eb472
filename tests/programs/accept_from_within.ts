/**
 * Accepts from within `authorize` while `accept` waits; then waits for a read on another socket, whose
 * byte comes from a timer that keeps nothing alive. Has to say "read 1", and to end by itself.
 * Arguments: the name of a listener's class, and whether the error is "caught" or "not caught".
 */

import process from "node:process";
import { setTimeout } from "node:timers";
import {
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  type UnixSocketError,
  UnixStream,
} from "../../mod.ts";

const [name, what] = process.argv.slice(2) as [string, string];
const [listeners, sockets] = name === "UnixListener"
  ? [UnixListener, UnixStream] as const
  : [UnixSeqpacketListener, UnixSeqpacket] as const;

const listener: UnixListener | UnixSeqpacketListener = listeners.listen({ kind: "unnamed" }, {
  authorize() {
    try {
      listener.acceptSync({ timeout: 0 });
    } catch (error) {
      if (what !== "caught") throw error;
    }
    return true;
  },
});
const accepting = listener.accept();
const clients = [await sockets.connect(listener.addr), await sockets.connect(listener.addr)];
let server: unknown;
try {
  server = await accepting;
  console.log("accepted");
} catch (error) {
  console.log((error as UnixSocketError).code);
}

// Kept, so that no collection closes them.
(globalThis as { kept?: unknown }).kept = [listener, clients, server];
const [a, b] = UnixStream.pair();
setTimeout(() => a.writeSync(new Uint8Array(1)), 100).unref();
console.log(`read ${await b.read(new Uint8Array(1))}`);
setTimeout(() => {
  console.log("still alive");
  process.exit(1);
}, 10_000).unref();
