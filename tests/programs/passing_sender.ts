/**
 * Sends descriptors and ends at once, in a hard way. Arguments: what, the kind of socket, its path or
 * number; for "number" the number of the descriptor to send. Prints the code of an error.
 */

import process from "node:process";
import { Fd, UnixDatagram, UnixSeqpacket, UnixSocketError, UnixStream } from "../../mod.ts";

const [what, kind, target] = process.argv.slice(2) as [string, string, string];

function connected(): UnixStream | UnixDatagram | UnixSeqpacket {
  if (kind === "UnixStream") return UnixStream.connectSync(target);
  if (kind === "UnixDatagram") return UnixDatagram.unbound().connect(target);
  return UnixSeqpacket.connectSync(target);
}

if (what === "exit") {
  const socket = connected();
  const file = Fd.memfd("from another process");
  file.pwriteSync(new TextEncoder().encode(`file of ${process.pid}`), 0);
  const [reader, writer] = Fd.pipe();
  writer.writeSync(new TextEncoder().encode("in the pipe"));
  const fds = [file, reader];
  const options = { fds, credentials: true };
  socket.sendMessageSync(new TextEncoder().encode("last words"), options);
  process.kill(process.pid, "SIGKILL");
} else {
  const [a, b] = UnixStream.pair();
  try {
    a.sendMessageSync(new Uint8Array(1), { fds: [Number(target)] });
    console.log(b.receiveMessageSync()!.fds.length);
  } catch (error) {
    if (!(error instanceof UnixSocketError)) throw error;
    console.log(error.code, error.syscall);
  }
}
