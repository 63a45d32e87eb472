/**
 * Sends one message to the hello server and prints its answer.
 *
 *     deno run --allow-ffi examples/hello_client.ts /tmp/hello.sock
 *     bun examples/hello_client.ts /tmp/hello.sock
 *     node examples/hello_client.ts /tmp/hello.sock
 */

import process from "node:process";
import { UnixStream } from "../mod.ts";

const [path, ...rest] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || rest.length > 0) {
  console.error("Usage: hello_client.ts PATH");
  process.exit(2);
}

try {
  using stream = await UnixStream.connect(path);
  await stream.writeAll(new TextEncoder().encode("Hello, server"));
  stream.closeWrite(); // The message is over; the answer can still come.
  console.log(await new Response(stream.readable).text());
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
