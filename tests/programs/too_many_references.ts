/**
 * Sends descriptors that nobody receives until the kernel refuses more, then fails with them a
 * thousand times in every way, and says "ok" where no descriptor is left behind. For a process that
 * is not root's and has a low limit of descriptors.
 */

import { readdirSync } from "node:fs";
import process from "node:process";
import { Fd, UnixSeqpacket, UnixSocketError, UnixStream } from "../../mod.ts";
import { openForSignals } from "../support/descriptor_table.ts";

openForSignals();

const data = new Uint8Array(1);
const pairs = [UnixStream.pair(), UnixSeqpacket.pair()] as const;
const fd = Fd.open("/dev/null");
const fds = Array.from({ length: 100 }, () => fd);

async function attempt(socket: UnixStream | UnixSeqpacket, blocking: boolean): Promise<string> {
  try {
    if (blocking) socket.sendMessageSync(data, { fds, timeout: 10_000 });
    else await socket.sendMessage(data, { fds });
    return "sent";
  } catch (error) {
    return error instanceof UnixSocketError ? `${error.code} of ${error.syscall}` : String(error);
  }
}

const count = () => readdirSync("/proc/self/fd").length;

async function main(): Promise<string> {
  const [[stream, reader], [packets]] = pairs;
  let sent = 0;
  let more = 0;
  for (; await attempt(stream, false) === "sent"; sent++) if (sent === 1000) return "no end";
  if (sent === 0) return "nothing could be sent";
  for (const socket of [stream, packets]) await attempt(socket, true);
  const before = count();
  for (let round = 0; round < 1000; round++) {
    for (const socket of [stream, packets]) {
      const code = await attempt(socket, round % 2 === 0);
      if (code === "ETOOMANYREFS of sendmsg") continue;
      // Others of the same user may have received some of theirs meanwhile.
      if (code !== "sent" || more++ === 100) return `${code} in round ${round}`;
      if (socket === stream) sent++;
    }
  }
  // Bytes alone are taken all the same.
  await stream.writeAll(new Uint8Array(5));
  if (count() > before + 5) return `${count()} are open, of ${before}`;
  if (fd.closed || fd.kind !== "character-device") return "the descriptor was closed";
  // What was refused was not sent in part.
  for (let i = 0; i < sent; i++) {
    using message = reader.receiveMessageSync({ size: 1 })!;
    if (message.fds.length !== 100) return `${message.fds.length} came`;
  }
  using rest = reader.receiveMessageSync()!;
  if (rest.fds.length !== 0 || rest.data.length !== 5) return "more came than was sent";
  return await attempt(stream, false) === "sent" ? "ok" : "still refused";
}

console.log(await main());
process.exit(0);
