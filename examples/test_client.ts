/**
 * Sends messages to the listener and prints its answers. The message "terminate" ends the listener.
 *
 *     deno run --allow-ffi examples/test_client.ts /tmp/listener.sock hello terminate
 *     bun examples/test_client.ts /tmp/listener.sock hello terminate
 *     node examples/test_client.ts /tmp/listener.sock hello terminate
 */

import process from "node:process";
import { UnixStream } from "../mod.ts";
import { readLines, writeLine } from "./lines.ts";

const [path, ...messages] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || messages.length === 0) {
  console.error("Usage: test_client.ts PATH MESSAGE...");
  process.exit(2);
}

try {
  using stream = await UnixStream.connect(path);
  const answers = readLines(stream);
  for (const message of messages) {
    await writeLine(stream, message);
    const answer = await answers.next();
    if (answer.done) throw new Error("The server closed the connection");
    console.log(answer.value);
  }
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
