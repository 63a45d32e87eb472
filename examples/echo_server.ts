/**
 * Serves many clients at once and sends each of them back what it sends. Ctrl-C ends it.
 *
 *     deno run --allow-ffi examples/echo_server.ts /tmp/echo.sock
 *     bun examples/echo_server.ts /tmp/echo.sock
 *     node examples/echo_server.ts /tmp/echo.sock
 */

import process from "node:process";
import { UnixListener, type UnixStream } from "../mod.ts";

const [path, ...rest] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || rest.length > 0) {
  console.error("Usage: echo_server.ts PATH");
  process.exit(2);
}

const clients = new Set<UnixStream>();

async function echo(client: UnixStream): Promise<void> {
  clients.add(client);
  try {
    for await (const chunk of client) await client.writeAll(chunk);
  } catch (error) {
    // One client that vanishes is no reason to end. A closed one was closed by stop().
    if (!client.closed) console.error((error as Error).message);
  } finally {
    client.close();
    clients.delete(client);
  }
}

try {
  using listener = UnixListener.listen(path);
  const stop = () => {
    listener.close(); // Removes the path too, and ends the loop below.
    for (const client of clients) client.close();
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);

  console.log(`Listening on ${path}`);
  for await (const client of listener) echo(client);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
