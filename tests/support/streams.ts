/**
 * Helpers around bytes under way: reproducible data, connections, promises that wait.
 * @module
 */

import { readFileSync } from "node:fs";
import { join } from "@std/path";
import { UnixListener, UnixStream } from "../../mod.ts";
import { ROOT } from "./runtime.ts";
import { withTempSocketPath } from "./sockets.ts";

export * from "./data.ts";

/** Runs a body with both ends of a connection over a listener, all closed afterwards. */
export function withConnection<T>(
  body: (client: UnixStream, server: UnixStream, path: string) => T | Promise<T>,
): Promise<T> {
  return withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    using client = await UnixStream.connect(path);
    using server = await listener.accept();
    return await body(client, server, path);
  });
}

/**
 * What a promise comes to, or an error where it still waits after very many turns of the event
 * loop: for what hangs when it fails.
 */
export async function eventually<T>(promise: Promise<T>): Promise<T> {
  let pending = true;
  const settle = () => pending = false;
  promise.then(settle, settle);
  for (let turn = 0; pending; turn++) {
    if (turn === 5000) throw new Error("The promise is still pending after 5000 turns");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return await promise;
}

/** The open flags of a descriptor of this process, from its fdinfo. */
export function openFlags(fd: number): number {
  const info = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
  return parseInt(/^flags:\s+([0-7]+)$/m.exec(info)![1]!, 8);
}

export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;

/** The path of a program in tests/programs. */
export function program(name: string): string {
  return join(ROOT, "tests", "programs", name);
}
