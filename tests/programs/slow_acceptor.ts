/**
 * A server with a backlog of 1 connection that accepts, and answers with what it reads, only when
 * it is told to. Argument: the path.
 */

import process from "node:process";
import { UnixListener, type UnixStream } from "../../mod.ts";

const listener = UnixListener.listen(process.argv[2]!, { backlog: 0 });

async function echo(stream: UnixStream): Promise<void> {
  const buffer = new Uint8Array(16);
  const count = await stream.read(buffer);
  if (count !== null) await stream.writeAll(buffer.subarray(0, count));
}

const kept: UnixStream[] = [];
process.stdin.once("data", () => {
  console.log("told");
  setTimeout(async () => {
    for await (const stream of listener) {
      kept.push(stream);
      echo(stream).catch(() => {});
    }
  }, 200);
}).once("end", () => process.exit(0));
console.log("listening");
