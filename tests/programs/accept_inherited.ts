/**
 * Accepts on a listener that it inherited as descriptor 3, until its input ends. Tells every
 * connection its process id, and prints what each said.
 */

import process from "node:process";
import { UnixListener, type UnixStream } from "../../mod.ts";

const listener = UnixListener.fromFd(3);
process.stdin.on("end", () => listener.close()).resume();

async function serve(stream: UnixStream): Promise<void> {
  const buffer = new Uint8Array(64);
  const count = await stream.read(buffer);
  await stream.writeAll(new TextEncoder().encode(`${process.pid}`));
  stream.close();
  console.log(`served ${new TextDecoder().decode(buffer.subarray(0, count ?? 0))}`);
}

console.log("accepting");
for await (const stream of listener) serve(stream);
console.log("closed");
