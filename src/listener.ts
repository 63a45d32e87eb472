/**
 * Sockets that accept stream connections.
 * @module
 */

import { native } from "../ffi/mod.ts";
import type { AddressLike } from "./address.ts";
import type { Fd } from "./fd/fd.ts";
import {
  type AdoptListenerOptions,
  adoptListening,
  type Bound,
  createListening,
  Listener,
  type ListenOptions,
} from "./socket/listen.ts";
import { acceptedStream, type UnixStream } from "./stream.ts";

export type { AdoptListenerOptions };

/**
 * A socket that accepts stream connections.
 *
 * @example Deno, Bun and Node.js
 * ```ts
 * import { UnixListener } from "@afunix/afunix";
 *
 * using listener = UnixListener.listen("/run/echo.sock", { mode: 0o600 });
 * for await (const stream of listener) {
 *   stream.readable.pipeTo(stream.writable).catch((error) => console.error(error.message));
 * }
 * ```
 *
 * See unix(7), listen(2), accept(2).
 */
export class UnixListener extends Listener<UnixStream> {
  private constructor(bound: Bound) {
    super(bound, acceptedStream);
  }

  /**
   * Binds and listens (bind(2), listen(2)), without waiting for anything but another process that
   * is just taking over a path in the same directory, for at most a second.
   *
   * A stale path is replaced only under a lock on its directory, and only after a connection was
   * refused and the kernel's table has no owner. The path of a live server is never taken.
   *
   * @param address a path of any length on Linux, an abstract name, or `{ kind: "unnamed" }` for an
   * abstract name that the kernel chooses
   * @throws {UnixSocketError} EADDRINUSE: a live server, a file that is no socket, or a directory
   * whose state cannot be checked. ENOENT, ENOTDIR: no such directory. EACCES, EROFS. EINVAL: an
   * empty path or one with a NUL. ENAMETOOLONG. EMFILE, ENFILE, ENOMEM: also where they keep this
   * from looking whether a path is stale; nothing is removed then.
   * @throws {TypeError|RangeError} if an argument is invalid
   */
  static listen(address: AddressLike, options?: ListenOptions): UnixListener {
    const type = native().abi.constants.SOCK_STREAM;
    return new UnixListener(createListening(type, address, options));
  }

  /**
   * Takes over a descriptor that listens: one that was inherited from a service manager, or
   * received. It becomes non-blocking, also for others that share it, and close-on-exec. Its path
   * is not removed on close: somebody else made it.
   *
   * @throws {RangeError} if `fd` is not a descriptor number
   * @throws {UnixSocketError} EBADF, ENOTSOCK, EPROTOTYPE: not a Unix stream socket, EINVAL: it does
   * not listen. The descriptor then stays the caller's.
   */
  static fromFd(fd: number | Fd, options?: AdoptListenerOptions): UnixListener {
    const type = native().abi.constants.SOCK_STREAM;
    return new UnixListener(adoptListening(fd, type, "UnixListener", options));
  }
}
