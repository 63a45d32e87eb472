/**
 * Constants and struct layouts of macOS; arm64 and x86_64 are identical.
 * @module
 */

import type { CommonConstants, Layouts } from "./mod.ts";

// deno-fmt-ignore
export const darwinConstants: CommonConstants = {
  AF_UNSPEC: 0,
  AF_UNIX: 1,
  AF_INET: 2,
  AF_INET6: 30,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOL_SOCKET: 65535,
  SO_TYPE: 4104,
  SO_ERROR: 4103,
  SO_SNDBUF: 4097,
  SO_RCVBUF: 4098,
  SO_ACCEPTCONN: 2,
  SOMAXCONN: 128,
  SCM_RIGHTS: 1,
  MSG_OOB: 1,
  MSG_PEEK: 2,
  MSG_TRUNC: 16,
  MSG_CTRUNC: 32,
  MSG_DONTWAIT: 128,
  MSG_EOR: 8,
  MSG_WAITALL: 64,
  MSG_NOSIGNAL: 524288,
  SHUT_RD: 0,
  SHUT_WR: 1,
  SHUT_RDWR: 2,
  F_GETFD: 1,
  F_SETFD: 2,
  F_GETFL: 3,
  F_SETFL: 4,
  F_DUPFD_CLOEXEC: 67,
  FD_CLOEXEC: 1,
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 512,
  O_EXCL: 2048,
  O_TRUNC: 1024,
  O_APPEND: 8,
  O_NONBLOCK: 4,
  O_CLOEXEC: 16777216,
  O_DIRECTORY: 1048576,
  O_NOFOLLOW: 256,
  AT_FDCWD: -2,
  AT_SYMLINK_NOFOLLOW: 32,
  FIONREAD: 1074030207,
  POLLIN: 1,
  POLLOUT: 4,
  POLLERR: 8,
  POLLHUP: 16,
  POLLNVAL: 32,
  S_IFMT: 61440,
  S_IFSOCK: 49152,
};

/** Darwin's kernel takes a sockaddr_un of up to SOCK_MAXADDRLEN (255) bytes, so 253 bytes of path. */
export const darwinLayouts: Layouts = {
  sockaddr_un: {
    size: 106,
    longest: 255,
    fields: { sun_len: [0, 1], sun_family: [1, 1], sun_path: [2, 104] },
  },
  pollfd: { size: 8, fields: { fd: [0, 4], events: [4, 2], revents: [6, 2] } },
  epoll_event: null,
  ucred: null,
  stat: {
    size: 144,
    fields: {
      st_dev: [0, 4],
      st_mode: [4, 2],
      st_nlink: [6, 2],
      st_ino: [8, 8],
      st_uid: [16, 4],
      st_gid: [20, 4],
      st_size: [96, 8],
    },
  },
};
