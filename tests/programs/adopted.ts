/**
 * Takes over a descriptor that its parent made: `adopted.ts stream FD` or `adopted.ts listener FD`.
 * Says first what it is, as a line of JSON, and then echoes: one stream, or two connections at once.
 */

import process from "node:process";
import { UnixListener, UnixStream } from "../../mod.ts";

async function echo(stream: UnixStream): Promise<void> {
  for await (const chunk of stream) await stream.writeAll(chunk);
  stream.close();
}

const [kind, number] = process.argv.slice(2);
const fd = Number(number);

if (kind === "stream") {
  const stream = UnixStream.fromFd(fd);
  const { localAddr, remoteAddr } = stream;
  const about = { localAddr, remoteAddr, peer: stream.peerCredentials() };
  await stream.writeAll(new TextEncoder().encode(`${JSON.stringify(about)}\n`));
  await echo(stream);
} else {
  const listener = UnixListener.fromFd(fd);
  console.log(JSON.stringify(listener.addr));
  const streams = [await listener.accept(), await listener.accept()];
  listener.close();
  await Promise.all(streams.map(echo));
}
