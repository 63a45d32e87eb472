/**
 * Answers the parent that started it, `spawn_parent.ts`, over the socket that it was given, with the
 * words in the file that it was given open.
 */

import process from "node:process";
import { inheritedFds, inheritedSocket } from "../process.ts";

try {
  using socket = inheritedSocket(undefined, { type: "stream" });
  using greeting = inheritedFds().get("greeting");
  if (socket === null || greeting === undefined) {
    console.error("Usage: started by spawn_parent.ts");
    process.exit(2);
  }
  const decoder = new TextDecoder();
  const words = new Uint8Array(100);
  const length = await greeting.pread(words, 0) ?? 0;
  let name = "";
  for await (const chunk of socket) name += decoder.decode(chunk, { stream: true });
  const line = `${decoder.decode(words.subarray(0, length))}, ${name}\n`;
  await socket.writeAll(new TextEncoder().encode(line));
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
