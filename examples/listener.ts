/**
 * Prints each message and answers it. Ctrl-C, SIGTERM or the message "terminate" ends it, and
 * leaves no socket and no path behind. A message is a line.
 *
 *     deno run --allow-ffi examples/listener.ts /tmp/listener.sock
 *     bun examples/listener.ts /tmp/listener.sock
 *     node examples/listener.ts /tmp/listener.sock
 */

import process from "node:process";
import { UnixListener, type UnixStream } from "../mod.ts";
import { readLines, writeLine } from "./lines.ts";

const [path, ...rest] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || rest.length > 0) {
  console.error("Usage: listener.ts PATH");
  process.exit(2);
}

const clients = new Set<UnixStream>();

async function answer(client: UnixStream, terminate: () => void): Promise<void> {
  clients.add(client);
  try {
    for await (const message of readLines(client)) {
      console.log(message);
      await writeLine(client, "Got your message");
      if (message === "terminate") terminate();
    }
  } catch (error) {
    if (!client.closed) console.error((error as Error).message);
  } finally {
    client.close();
    clients.delete(client);
  }
}

try {
  using listener = UnixListener.listen(path);
  const stop = () => {
    listener.close();
    for (const client of clients) client.close();
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);

  console.log(`Listening on ${path}`);
  for await (const client of listener) answer(client, stop);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
