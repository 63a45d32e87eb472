/**
 * A parent that is there to be killed, or, with `unref`, that ends by itself although its child does
 * not: it starts a child and says its pid.
 */

import process from "node:process";
import { spawnScript, spawnWithSocket } from "../../process.ts";

if (process.argv[2] === "unref") {
  const child = await spawnWithSocket("sh", ["-c", "read line <&3; echo the child has ended"]);
  child.unref();
  console.log(`started ${child.pid}`);
} else {
  const child = await spawnScript(new URL("spawn_child.ts", import.meta.url), ["end"]);
  await child.socket.read(new Uint8Array(10));
  console.log(`started ${child.pid}`);
  await child.status;
}
