/**
 * Prints what clients send, byte for byte, one client after the other. Ctrl-C ends it.
 *
 *     deno run --allow-ffi examples/print_server.ts /tmp/print.sock
 *     bun examples/print_server.ts /tmp/print.sock
 *     node examples/print_server.ts /tmp/print.sock
 */

import process from "node:process";
import { UnixListener, type UnixStream } from "../mod.ts";

const [path, ...rest] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || rest.length > 0) {
  console.error("Usage: print_server.ts PATH");
  process.exit(2);
}

/** Resolves when the bytes are out, so that a slow reader of the output slows the client down. */
function print(bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => error ? reject(error) : resolve());
  });
}

async function printAll(client: UnixStream): Promise<void> {
  for await (const chunk of client) await print(chunk);
}

try {
  using listener = UnixListener.listen(path);
  const stop = (code: number) => {
    listener.close(); // Removes the path too.
    process.exit(code); // Even if nobody reads the output, and something of it is left.
  };
  process.once("SIGINT", () => stop(0));
  process.once("SIGTERM", () => stop(0));
  process.stdout.once("error", (error) => {
    console.error(`Cannot print: ${(error as NodeJS.ErrnoException).code}`);
    stop(1);
  });

  console.error(`Listening on ${path}`);
  for await (using client of listener) {
    // A client that resets its connection is no reason to end.
    await printAll(client).catch((error) => console.error(error.message));
  }
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
