/**
 * Serves at a name in Linux's abstract namespace: no file, nothing to remove, nothing that a crash
 * leaves behind. No permissions either, so the server asks the kernel who has connected, and answers
 * its own user alone. A message is a line. Ctrl-C ends it.
 *
 *     deno run --allow-ffi examples/abstract_server.ts my-service
 *     bun examples/abstract_server.ts my-service
 *     node examples/abstract_server.ts my-service
 */

import process from "node:process";
import { abstract, formatAddress, UnixListener, UnixStream } from "../mod.ts";
import { readLines, writeLine } from "./lines.ts";

const [name, ...rest] = process.argv.slice(2);
if (name === undefined || name.startsWith("-") || rest.length > 0) {
  console.error("Usage: abstract_server.ts NAME");
  process.exit(2);
}

/** This process's own user, as the kernel knows it: a pair's peer is its maker. */
function ownUser(): number | undefined {
  const [a, b] = UnixStream.pair();
  using _a = a;
  using _b = b;
  return a.peerCredentials()?.uid;
}

const clients = new Set<UnixStream>();

async function serve(client: UnixStream, user: number | undefined): Promise<void> {
  clients.add(client);
  try {
    const peer = client.peerCredentials();
    if (peer === null || peer.uid !== user) {
      console.log(`Refused user ${peer?.uid}`);
      return;
    }
    for await (const message of readLines(client)) {
      console.log(`Process ${peer.pid}: ${message}`);
      await writeLine(client, `Process ${peer.pid} said ${message}`);
    }
  } catch (error) {
    if (!client.closed) console.error((error as Error).message);
  } finally {
    client.close();
    clients.delete(client);
  }
}

try {
  const user = ownUser();
  using listener = UnixListener.listen(abstract(name));
  const stop = () => {
    listener.close();
    for (const client of clients) client.close();
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);

  console.log(`Listening on ${formatAddress(listener.addr)}`);
  for await (const client of listener) serve(client, user);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
