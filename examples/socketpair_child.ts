/**
 * A parent and its child talk over a pair of connected sockets that has no address at all. The
 * child sends back in upper case what it gets. It runs under the parent's runtime, or under the
 * one that is named.
 *
 *     deno run --allow-ffi --allow-run --allow-env examples/socketpair_child.ts [deno|bun|node]
 *     bun examples/socketpair_child.ts [deno|bun|node]
 *     node examples/socketpair_child.ts [deno|bun|node]
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { UnixStream } from "../mod.ts";

/** Under this number the child finds its end; 0, 1 and 2 are its input, output and error output. */
const CHILD_FD = 3;

const argumentsOf = new Map([
  ["deno", ["run", "--quiet", "--allow-ffi"]],
  ["bun", []],
  ["node", ["--disable-warning=ExperimentalWarning"]],
]);

async function child(): Promise<void> {
  using stream = UnixStream.fromFd(CHILD_FD);
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  for await (const chunk of stream) {
    const text = decoder.decode(chunk, { stream: true });
    await stream.writeAll(encoder.encode(text.toUpperCase()));
  }
}

async function parent(runtime: string, command: string): Promise<void> {
  const [ours, theirs] = UnixStream.pair();
  using stream = ours;
  // Descriptors are closed in a new program, except those that are listed here.
  const child = spawn(command, [...argumentsOf.get(runtime)!, import.meta.filename!, "--child"], {
    stdio: ["ignore", "inherit", "inherit", theirs.fd],
  });
  // The child has its own copy. With ours open, the end would never come.
  theirs.close();
  await once(child, "spawn").catch((error) => {
    throw new Error(`Cannot start ${command}: ${error.code}`);
  });
  const exit = once(child, "exit");

  console.log(
    `This is ${ownRuntime}, process ${process.pid}; the child is ${runtime}, ${child.pid}`,
  );
  await stream.writeAll(new TextEncoder().encode("hello from the parent\n"));
  stream.closeWrite();
  for await (const chunk of stream) process.stdout.write(chunk);
  const [code] = await exit;
  if (code !== 0) throw new Error("The child failed");
}

const ownRuntime = process.versions.deno ? "deno" : process.versions.bun ? "bun" : "node";
const [name = ownRuntime, ...rest] = process.argv.slice(2);
try {
  if (name === "--child") await child();
  else if (argumentsOf.has(name) && rest.length === 0) {
    await parent(name, name === ownRuntime ? process.execPath : name);
  } else {
    console.error("Usage: socketpair_child.ts [deno|bun|node]");
    process.exitCode = 2;
  }
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
