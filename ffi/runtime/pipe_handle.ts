/**
 * The class behind `node:net`'s pipes, as Node.js and Deno have it: it puts any descriptor that can
 * be polled into the runtime's own event loop, and the runtime closes it when its thread ends.
 * @module
 */

import { builtinModule } from "./builtin_module.ts";
import { UnixSocketError } from "../errors.ts";
import type { Libc } from "../libc/symbols.ts";

/** What is used of a pipe handle. Results are 0 or a negated errno. */
export interface PipeHandle {
  onread: (chunk?: unknown) => void;
  open(fd: number): number;
  readStart(): number;
  ref(): void;
  unref(): void;
  close(): void;
}

interface Net {
  Socket: new (options: { fd: number }) => {
    _handle?: { constructor?: new (type: number) => Partial<PipeHandle> };
    destroy(): void;
  };
}

/** The type argument of a pipe handle that is a plain byte stream. */
const PIPE_SOCKET = 0;

/**
 * A pipe handle that holds nothing yet, or null where this runtime has no such class.
 * The class has no public name: it is taken from a socket made over one end of a pipe.
 *
 * @throws {UnixSocketError} EMFILE where no descriptor is free
 */
export function newPipeHandle(libc: Libc, pipeFlags: number): PipeHandle | null {
  const net = builtinModule<Net>("node:net");
  if (net === undefined) return null;
  const fds = new Int32Array(2);
  if (libc.pipe2(fds, pipeFlags) === -1) throw noDescriptor("pipe2");
  let handle: Partial<PipeHandle> | null = null;
  let socket: InstanceType<Net["Socket"]> | null = null;
  try {
    socket = new net.Socket({ fd: fds[0]! });
    const Pipe = socket._handle?.constructor;
    if (Pipe !== undefined) handle = new Pipe(PIPE_SOCKET);
  } catch {
    // Then there is no such class here.
  } finally {
    if (socket === null) libc.close(fds[0]!);
    else socket.destroy();
    libc.close(fds[1]!);
  }
  const methods = ["open", "readStart", "ref", "unref", "close"] as const;
  if (handle === null || methods.some((name) => typeof handle[name] !== "function")) return null;
  return handle as PipeHandle;
}

/** Waiting needs a few descriptors, once. */
export function noDescriptor(syscall: string): UnixSocketError {
  return new UnixSocketError({
    action: "Cannot prepare to wait for sockets",
    code: "EMFILE",
    errno: 24,
    syscall,
  });
}
