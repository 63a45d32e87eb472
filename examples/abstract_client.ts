/**
 * Sends messages to the server at an abstract name, and prints its answers.
 *
 *     deno run --allow-ffi examples/abstract_client.ts my-service hello
 *     bun examples/abstract_client.ts my-service hello
 *     node examples/abstract_client.ts my-service hello
 */

import process from "node:process";
import { abstract, UnixStream } from "../mod.ts";
import { readLines, writeLine } from "./lines.ts";

const [name, ...messages] = process.argv.slice(2);
if (name === undefined || name.startsWith("-") || messages.length === 0) {
  console.error("Usage: abstract_client.ts NAME MESSAGE...");
  process.exit(2);
}

try {
  using stream = await UnixStream.connect(abstract(name));
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
