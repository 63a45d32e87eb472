/**
 * Sends messages to the credentials server, and prints who it is and whom it takes this for.
 *
 *     deno run --allow-ffi examples/cred_client.ts /tmp/cred.sock hello
 *     bun examples/cred_client.ts /tmp/cred.sock hello
 *     node examples/cred_client.ts /tmp/cred.sock hello
 */

import process from "node:process";
import { UnixSeqpacket } from "../mod.ts";

const [path, ...messages] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || messages.length === 0) {
  console.error("Usage: cred_client.ts PATH MESSAGE...");
  process.exit(2);
}

try {
  using socket = await UnixSeqpacket.connect(path);
  const server = socket.peerCredentials();
  console.log(`Server: pid ${server?.pid}, uid ${server?.uid}, gid ${server?.gid}`);
  for (const message of messages) {
    // The kernel checks the ids, and would add them by itself: the server has asked for them.
    await socket.sendMessage(new TextEncoder().encode(message), { credentials: true });
    const answer = await socket.receive();
    if (answer === null) throw new Error("The server closed the connection");
    console.log(new TextDecoder().decode(answer.data));
  }
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
