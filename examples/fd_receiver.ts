/**
 * Prints files that it never opened: the sender passes each as an open descriptor. Ctrl-C ends it.
 *
 *     deno run --allow-ffi examples/fd_receiver.ts /tmp/fd.sock
 *     bun examples/fd_receiver.ts /tmp/fd.sock
 *     node examples/fd_receiver.ts /tmp/fd.sock
 */

import process from "node:process";
import { UnixListener, type UnixStream } from "../mod.ts";

const [path, ...rest] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || rest.length > 0) {
  console.error("Usage: fd_receiver.ts PATH");
  process.exit(2);
}

/** Writes, and waits until that is done, so that a large file does not pile up in memory. */
function print(text: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => process.stdout.write(text, () => resolve()));
}

async function receive(client: UnixStream): Promise<void> {
  // The descriptors that are in a message when its scope ends are closed with it.
  using message = await client.receiveMessage({ maxFds: 1 });
  const file = message?.fds[0];
  if (!message || !file) {
    throw new Error(message?.controlTruncated ? "A descriptor was lost" : "No descriptor came");
  }
  const { kind, size } = file.stat();
  if (kind !== "file") throw new Error(`This is no file: ${kind}`); // Reading it might never end.

  const name = new TextDecoder().decode(message.data);
  await print(`Process ${client.peerCredentials()?.pid} passed ${name}, ${size} bytes\n`);
  // Sender and receiver share one position, wherever the sender left it: so this tells its own.
  const buffer = new Uint8Array(65536);
  for (let at = 0, count; (count = await file.pread(buffer, at)) !== null; at += count) {
    await print(buffer.slice(0, count));
  }
}

const clients = new Set<UnixStream>();

async function serve(client: UnixStream): Promise<void> {
  clients.add(client);
  try {
    await receive(client);
  } catch (error) {
    if (!client.closed) console.error((error as Error).message);
  } finally {
    client.close();
    clients.delete(client);
  }
}

try {
  using listener = UnixListener.listen(path, { mode: 0o600 });
  const stop = () => {
    listener.close();
    for (const client of clients) client.close();
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);

  console.log(`Listening on ${path}`);
  for await (const client of listener) serve(client);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
