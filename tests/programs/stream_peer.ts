/**
 * Connects to a path and does what the arguments say, one after the other:
 * `write:N`, `read:N`, `close-write`, `digest` (reads to the end, prints the SHA-256), `close`.
 */

import process from "node:process";
import { UnixStream } from "../../mod.ts";
import { digest, pattern, readExactly } from "../support/data.ts";

const [path, ...steps] = process.argv.slice(2);
const stream = await UnixStream.connect(path!);
for (const step of steps) {
  const [name, size] = step.split(":");
  if (name === "write") await stream.writeAll(pattern(Number(size)));
  else if (name === "read") await readExactly(stream, Number(size));
  else if (name === "close-write") stream.closeWrite();
  else if (name === "digest") console.log(digest(await readExactly(stream, 1 << 25)));
  else if (name === "close") stream.close();
  else throw new Error(`Cannot do ${step}`);
}
stream.close();
