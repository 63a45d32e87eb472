/**
 * The functions of Linux that this library calls, made of what macOS has. Put around libc once, when
 * it is bound, so that all above makes the same calls on both. Experimental: it has never run on a Mac.
 *
 * macOS has no flags that make a socket or a pipe close-on-exec and non-blocking at birth: that is done
 * by fcntl(2) right after. A program that is started in between, by another thread of this process
 * (a Worker, or the runtime itself), inherits the descriptor.
 *
 * What cannot be made of anything fails with ENOTSUP, as if the kernel had said so.
 * @module
 */

import { darwinMessages } from "./messages.ts";
import type { DarwinParts } from "./parts.ts";
import { darwinSockets } from "./sockets.ts";
import { statxBy } from "../libc/statx_fallback.ts";
import { type Libc, MAP_FAILED } from "../libc/symbols.ts";

/** Functions that have no counterpart, with what they return when they fail. */
const ABSENT = {
  epoll_create1: -1,
  epoll_ctl: -1,
  epoll_wait: -1,
  memfd_create: -1,
  eventfd: -1,
  syscall: -1n,
  mmap: MAP_FAILED,
  munmap: -1,
} as const;

/** libc of macOS, with the functions of Linux. */
export function darwinLibc(parts: DarwinParts): Libc {
  const { abi, libc, errno } = parts;
  const absent: Record<string, () => unknown> = {};
  for (const [name, result] of Object.entries(ABSENT)) {
    absent[name] = () => {
      errno[0] = abi.errno.ENOTSUP!;
      return result;
    };
  }
  const sockets = { ...libc, ...darwinSockets(parts) };
  return {
    ...sockets,
    ...absent,
    ...making(parts),
    ...darwinMessages({ ...parts, libc: sockets }),
    ...files(parts),
  };
}

/** What makes descriptors. */
function making({ abi, libc, errno }: DarwinParts): Partial<Libc> {
  const { F_SETFD, FD_CLOEXEC, F_GETFL, F_SETFL, O_NONBLOCK, SOL_SOCKET } = abi.constants;
  const on = new Int32Array(new ArrayBuffer(4)).fill(1);
  /** Close-on-exec first: what blocks harms nobody else. */
  const prepare = (fd: number): boolean => {
    if (libc.fcntl(fd, F_SETFD, FD_CLOEXEC) === -1) return false;
    const flags = libc.fcntl(fd, F_GETFL, 0);
    return flags !== -1 && libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK) !== -1;
  };
  /**
   * Older kernels do not know MSG_NOSIGNAL, and write(2) has no flags. A socket whose peer is gone
   * already refuses the option: then nothing can be sent through it either.
   */
  const silence = (fd: number): void => {
    libc.setsockopt(fd, SOL_SOCKET, abi.darwin!.SO_NOSIGPIPE, on, 4);
  };
  const closeAll = (fds: readonly number[]): -1 => {
    const reason = errno[0]!;
    for (const fd of fds) libc.close(fd);
    errno[0] = reason;
    return -1;
  };
  const ready = (fd: number): number => {
    if (fd === -1) return -1;
    if (!prepare(fd)) return closeAll([fd]);
    silence(fd);
    return fd;
  };
  return {
    socket: (domain, type, protocol) => ready(libc.socket(domain, type, protocol)),
    // An accepted socket inherits neither flag for sure, nor the option.
    accept4: (fd, address, length, _flags) => ready(libc.accept(fd, address, length)),
    socketpair(domain, type, protocol, ends) {
      if (libc.socketpair(domain, type, protocol, ends) === -1) return -1;
      const [first, second] = twoOf(ends);
      if (ready(first) === -1) return closeAll([second]);
      return ready(second) === -1 ? closeAll([first]) : 0;
    },
    pipe2(ends, _flags) {
      if (libc.pipe(ends) === -1) return -1;
      const both = twoOf(ends);
      return both.every(prepare) ? 0 : closeAll(both);
    },
  };
}

function twoOf(ends: ArrayBufferView): [number, number] {
  const view = new DataView(ends.buffer, ends.byteOffset, 8);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

/** What is about files. */
function files({ abi, libc }: DarwinParts): Partial<Libc> {
  const { AT_FDCWD } = abi.constants;
  const { F_FULLFSYNC } = abi.darwin!;
  // fsync(2) alone leaves the data in the drive's own memory; not every file system can do more.
  const sync = (fd: number) => libc.fcntl(fd, F_FULLFSYNC, 0) === -1 ? libc.fsync(fd) : 0;
  return {
    // Never followed, or by descriptor: the two ways in which it is called.
    statx: statxBy(abi, (at, path, stat) => {
      return at === AT_FDCWD ? libc.lstat(path, stat) : libc.fstat(at, stat);
    }),
    fsync: sync,
    fdatasync: sync,
  };
}
