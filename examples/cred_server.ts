/**
 * Says who its clients are, by the kernel's word alone, once when they connect (SO_PEERCRED) and
 * once for each message (SCM_CREDENTIALS). The two differ where a connection is handed to another
 * process: one says who made it, the other who speaks. Ctrl-C ends it.
 *
 *     deno run --allow-ffi examples/cred_server.ts /tmp/cred.sock
 *     bun examples/cred_server.ts /tmp/cred.sock
 *     node examples/cred_server.ts /tmp/cred.sock
 */

import process from "node:process";
import { type Credentials, type UnixSeqpacket, UnixSeqpacketListener } from "../mod.ts";

const [path, ...rest] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || rest.length > 0) {
  console.error("Usage: cred_server.ts PATH");
  process.exit(2);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const clients = new Set<UnixSeqpacket>();

function describe(who: Credentials | null): string {
  return who === null ? "nobody known" : `pid ${who.pid}, uid ${who.uid}, gid ${who.gid}`;
}

async function serve(client: UnixSeqpacket): Promise<void> {
  clients.add(client);
  try {
    const connected = describe(client.peerCredentials());
    console.log(`Connected: ${connected}`);
    // No descriptors are wanted: those that come all the same are closed.
    for (let message; (message = await client.receiveMessage({ maxFds: 0 })) !== null;) {
      const text = decoder.decode(message.data);
      const sent = describe(message.credentials);
      console.log(`Sent: ${sent}: ${text}`);
      await client.send(encoder.encode(`SO_PEERCRED: ${connected}\nSCM_CREDENTIALS: ${sent}`));
    }
  } catch (error) {
    if (!client.closed) console.error((error as Error).message);
  } finally {
    client.close();
    clients.delete(client);
  }
}

try {
  // Of this type, because it keeps messages apart, and so whose they are.
  using listener = UnixSeqpacketListener.listen(path);
  listener.passCredentials = true; // Connections have it from their listener.
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
