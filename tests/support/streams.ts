/**
 * Helpers around bytes under way: reproducible data, connections, promises that wait.
 * @module
 */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "@std/path";
import { UnixListener, UnixStream } from "../../mod.ts";
import { ROOT } from "./runtime.ts";
import { settled, withTempSocketPath } from "./sockets.ts";

/** Bytes that are the same every time and do not repeat soon (xorshift32). */
export function pattern(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(size);
  let state = seed * 2654435761 | 1;
  for (let i = 0; i < size; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    data[i] = state;
  }
  return data;
}

/** What tells two long byte strings apart in one line. */
export function digest(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

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

/** Whether a promise still waits after all that is due has run. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  const settle = () => pending = false;
  promise.then(settle, settle);
  await settled();
  return pending;
}

/** Reads until so many bytes are there, or the end. */
export async function readExactly(
  source: { read(buffer: Uint8Array): Promise<number | null> },
  size: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const data = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const count = await source.read(data.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return data.subarray(0, filled);
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
