/**
 * Prints each message and acknowledges it to its sender: one socket serves all clients. Ctrl-C ends
 * it. A message is one datagram, so none has to be found in a stream of bytes.
 *
 *     deno run --allow-ffi examples/datagram_server.ts /tmp/datagram.sock
 *     bun examples/datagram_server.ts /tmp/datagram.sock
 *     node examples/datagram_server.ts /tmp/datagram.sock
 */

import process from "node:process";
import { formatAddress, type Message, UnixDatagram } from "../mod.ts";

const [path, ...rest] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || rest.length > 0) {
  console.error("Usage: datagram_server.ts PATH");
  process.exit(2);
}

/** In bytes: short messages take some 768 each. */
const SEND_BUFFER = 4 << 20;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function answer(socket: UnixDatagram, { data, from }: Message): Promise<void> {
  const message = decoder.decode(data);
  console.log(`${formatAddress(from)}: ${message}`);
  if (from.kind === "unnamed") return; // It did not bind, so it has no address to answer to.
  try {
    // Where a client's queue is full, it goes without: it must not hold up the others.
    await socket.sendTo(encoder.encode(`ACK ${message}`), from, { dontWait: true });
  } catch (error) {
    console.error((error as Error).message);
  }
}

try {
  using socket = UnixDatagram.bind(path);
  // What all clients together leave unread counts against this one buffer, and one client's queue can
  // take more than it has room for at first. The kernel grants up to twice net.core.wmem_max.
  socket.sendBufferSize = SEND_BUFFER;
  const stop = () => socket.close(); // Removes the path too, and ends the loop below.
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);

  console.log(`Listening on ${path}`);
  for await (const message of socket) await answer(socket, message);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
