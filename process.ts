/**
 * Processes that start with a socket: a child of any runtime, or any program, inherits one end of a
 * pair; no address is needed, and nobody else can connect.
 *
 * @example A parent and its child, the same on Deno, Bun and Node.js
 * ```ts ignore
 * // parent.ts
 * import { spawnScript } from "@afunix/afunix/process";
 *
 * await using child = await spawnScript(new URL("child.ts", import.meta.url));
 * await child.socket.writeAll(new TextEncoder().encode("hello"));
 *
 * // child.ts
 * import { inheritedSocket } from "@afunix/afunix/process";
 *
 * using socket = inheritedSocket(undefined, { type: "stream" })!;
 * for await (const chunk of socket) console.log(new TextDecoder().decode(chunk));
 * ```
 *
 * @module
 */

export { spawnScript, spawnWithSocket } from "./src/process/spawn.ts";
export {
  inheritedFds,
  type InheritedOptions,
  inheritedSocket,
  type InheritedSocketOptions,
} from "./src/process/inherited.ts";
export type { SocketType, SocketTypes, SpawnOptions, StdioMode } from "./src/process/options.ts";
export { type ExitStatus, SpawnedProcess } from "./src/process/child_process.ts";
export type { RuntimeOptions } from "./src/process/runtime_command.ts";
