/**
 * Sends messages to the datagram server and prints what it answers. To be answered, the client needs
 * an address of its own: it binds to a path beside the server's, which is removed at the end.
 *
 *     deno run --allow-ffi examples/datagram_client.ts /tmp/datagram.sock hello "how are you"
 *     bun examples/datagram_client.ts /tmp/datagram.sock hello "how are you"
 *     node examples/datagram_client.ts /tmp/datagram.sock hello "how are you"
 */

import process from "node:process";
import { UnixDatagram } from "../mod.ts";

const [path, ...messages] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || messages.length === 0) {
  console.error("Usage: datagram_client.ts PATH MESSAGE...");
  process.exit(2);
}

/** A datagram socket does not notice that its peer is gone while it only waits. */
const PATIENCE = 30_000;

try {
  using socket = UnixDatagram.bind(`${path}.${process.pid}`);
  const stop = () => {
    socket.close();
    process.exit(1);
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);

  socket.connect(path); // From now on, only the server can send to this socket.
  for (const message of messages) {
    await socket.send(new TextEncoder().encode(message));
    const { data } = await socket.receive({ signal: AbortSignal.timeout(PATIENCE) });
    console.log(new TextDecoder().decode(data));
  }
} catch (error) {
  const { name, message } = error as Error;
  console.error(name === "TimeoutError" ? "The server does not answer" : message);
  process.exit(1);
}
