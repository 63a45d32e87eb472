/**
 * Sends its standard input to a server, byte for byte.
 *
 *     deno run --allow-ffi examples/stdin_client.ts /tmp/print.sock < FILE
 *     bun examples/stdin_client.ts /tmp/print.sock < FILE
 *     node examples/stdin_client.ts /tmp/print.sock < FILE
 */

import process from "node:process";
import { UnixStream } from "../mod.ts";

const [path, ...rest] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || rest.length > 0) {
  console.error("Usage: stdin_client.ts PATH < FILE");
  process.exit(2);
}

try {
  using stream = await UnixStream.connect(path);
  for await (const chunk of process.stdin) await stream.writeAll(chunk);
  stream.closeWrite();
  // The end comes when the server has read everything; ECONNRESET if it closes before.
  while (await stream.read(new Uint8Array(4096)) !== null);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
