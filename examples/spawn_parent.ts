/**
 * Starts `spawn_child.ts` with a socket and an open file, under the same runtime or the one that is
 * named, and talks to it. There is no address: nobody else can connect.
 *
 *     deno run --allow-ffi --allow-run --allow-env examples/spawn_parent.ts [deno|bun|node]
 *     bun examples/spawn_parent.ts [deno|bun|node]
 *     node examples/spawn_parent.ts [deno|bun|node]
 */

import process from "node:process";
import { Fd } from "../mod.ts";
import { spawnScript } from "../process.ts";

const [runtime = "same", ...rest] = process.argv.slice(2);
if (!["same", "deno", "bun", "node"].includes(runtime) || rest.length > 0) {
  console.error("Usage: spawn_parent.ts [deno|bun|node]");
  process.exit(2);
}

try {
  using greeting = Fd.memfd("greeting");
  await greeting.writeAll(new TextEncoder().encode("Good morning"));
  await using child = await spawnScript(new URL("spawn_child.ts", import.meta.url), [], {
    runtime: runtime as "same" | "deno" | "bun" | "node",
    fds: { greeting },
  });
  await child.socket.writeAll(new TextEncoder().encode("parent"));
  child.socket.closeWrite();
  for await (const chunk of child.socket) process.stdout.write(chunk);
  const { code, signal } = await child.status;
  console.log(`The child ended with ${signal ?? code}`);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
