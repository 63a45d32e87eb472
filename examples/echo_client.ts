/**
 * Sends each line that you type to the echo server, and prints what comes back. Ctrl-D ends it.
 *
 *     deno run --allow-ffi examples/echo_client.ts /tmp/echo.sock
 *     bun examples/echo_client.ts /tmp/echo.sock
 *     node examples/echo_client.ts /tmp/echo.sock
 *
 * The lines can come from a pipe as well; then there is no prompt.
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { UnixStream } from "../mod.ts";

const [path, ...rest] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || rest.length > 0) {
  console.error("Usage: echo_client.ts PATH");
  process.exit(2);
}

/** Reads so many bytes: a stream keeps no boundaries, so that one read may bring only a part. */
async function readExactly(stream: UnixStream, length: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const count = await stream.read(buffer.subarray(filled));
    if (count === null) throw new Error("The server closed the connection");
    filled += count;
  }
  return buffer;
}

try {
  using stream = await UnixStream.connect(path);
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  const prompt = () => process.stdin.isTTY && process.stdout.write("> ");

  prompt();
  for await (const line of createInterface({ input: process.stdin })) {
    const message = encoder.encode(line);
    // At the same time, because a long line fills the socket before the server has read all of it.
    const [echo] = await Promise.all([
      readExactly(stream, message.length),
      stream.writeAll(message),
    ]);
    console.log(`echo> ${decoder.decode(echo)}`);
    prompt();
  }
  if (process.stdin.isTTY) console.log();
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
