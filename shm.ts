/**
 * Memory that processes share, passed over Unix domain sockets and mapped on Deno, Bun and Node.js:
 * for frames, samples and tables that are too large to copy. Linux.
 *
 * @example A frame that another process shows, and the word that it is there
 * ```ts
 * import { UnixStream } from "@afunix/afunix";
 * import { Doorbell, SharedMemory } from "@afunix/afunix/shm";
 *
 * using frame = SharedMemory.create(1920 * 1080 * 4);
 * using ready = Doorbell.create();
 * using stream = await UnixStream.connect("/run/viewer.sock");
 * await stream.sendMessage(new Uint8Array(1), { fds: [frame, ready] });
 * frame.bytes.fill(0xff);
 * ready.notify();
 * ```
 *
 * @module
 */

export { Doorbell } from "./src/shm/doorbell.ts";
export { UnixSocketError, type UnixSocketErrorInit } from "./src/errors.ts";
export { Fd } from "./src/fd/fd.ts";
export type { OpenMode } from "./src/fd/open.ts";
export type { FdLike } from "./src/fd/fd_like.ts";
export type { FdKind, FdStatus, Seals } from "./src/fd/status.ts";
export {
  type CreateMemoryOptions,
  type MapMemoryOptions,
  SharedMemory,
} from "./src/shm/shared_memory.ts";
export type { Bytes, SignalOption, TimeoutOption } from "./src/util/validate.ts";
