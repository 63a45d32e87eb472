/**
 * Constants of Linux that x86_64 and aarch64 share, under the names of the C headers.
 * @module
 */

// deno-fmt-ignore
export const linuxCommon = {
  AF_UNSPEC: 0,
  AF_UNIX: 1,
  AF_INET: 2,
  AF_INET6: 10,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOL_SOCKET: 1,
  SO_TYPE: 3,
  SO_ERROR: 4,
  SO_SNDBUF: 7,
  SO_RCVBUF: 8,
  SO_ACCEPTCONN: 30,
  SOMAXCONN: 4096,
  SCM_RIGHTS: 1,
  MSG_OOB: 1,
  MSG_PEEK: 2,
  MSG_TRUNC: 32,
  MSG_CTRUNC: 8,
  MSG_DONTWAIT: 64,
  MSG_EOR: 128,
  MSG_WAITALL: 256,
  MSG_NOSIGNAL: 16384,
  SHUT_RD: 0,
  SHUT_WR: 1,
  SHUT_RDWR: 2,
  F_GETFD: 1,
  F_SETFD: 2,
  F_GETFL: 3,
  F_SETFL: 4,
  F_DUPFD_CLOEXEC: 1030,
  FD_CLOEXEC: 1,
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 64,
  O_EXCL: 128,
  O_TRUNC: 512,
  O_APPEND: 1024,
  O_NONBLOCK: 2048,
  O_CLOEXEC: 524288,
  AT_FDCWD: -100,
  AT_SYMLINK_NOFOLLOW: 256,
  FIONREAD: 21531,
  POLLIN: 1,
  POLLOUT: 4,
  POLLERR: 8,
  POLLHUP: 16,
  POLLNVAL: 32,
  S_IFMT: 61440,
  S_IFSOCK: 49152,
  S_IFREG: 32768,
  S_IFDIR: 16384,
  S_IFCHR: 8192,
  S_IFBLK: 24576,
  S_IFIFO: 4096,
  S_IFLNK: 40960,
} as const;

/** What only Linux has. */
// deno-fmt-ignore
export const linuxOnly = {
  SOCK_SEQPACKET: 5,
  SOCK_NONBLOCK: 2048,
  SOCK_CLOEXEC: 524288,
  SO_DOMAIN: 39,
  SO_PROTOCOL: 38,
  SO_PASSCRED: 16,
  SO_PEERCRED: 17,
  SO_PEERSEC: 31,
  SO_PASSSEC: 34,
  SO_PEERGROUPS: 59,
  SO_PEEK_OFF: 42,
  SO_TIMESTAMPNS: 35,
  SCM_CREDENTIALS: 2,
  SCM_TIMESTAMPNS: 35,
  MSG_CMSG_CLOEXEC: 1073741824,
  MSG_WAITFORONE: 65536,
  O_PATH: 2097152,
  AT_EMPTY_PATH: 4096,
  SIOCINQ: 21531,
  SIOCOUTQ: 21521,
  EPOLL_CTL_ADD: 1,
  EPOLL_CTL_DEL: 2,
  EPOLL_CTL_MOD: 3,
  EPOLL_CLOEXEC: 524288,
  EPOLLIN: 1,
  EPOLLPRI: 2,
  EPOLLOUT: 4,
  EPOLLERR: 8,
  EPOLLHUP: 16,
  EPOLLRDHUP: 8192,
  EPOLLET: -2147483648,
  EFD_CLOEXEC: 524288,
  EFD_NONBLOCK: 2048,
  POLLRDHUP: 8192,
  // Newer than most installed headers; the numbers are in Linux's asm-generic/socket.h.
  SO_PASSPIDFD: 76,
  SO_PEERPIDFD: 77,
  SO_PASSRIGHTS: 83,
  SCM_SECURITY: 3,
  SCM_PIDFD: 4,
  // sys/file.h
  LOCK_EX: 2,
  LOCK_NB: 4,
  LOCK_UN: 8,
  // linux/stat.h
  STATX_BASIC_STATS: 0x7ff,
  // linux/aio_abi.h
  IOCB_CMD_POLL: 5,
  IOCB_FLAG_RESFD: 1,
  // linux/memfd.h
  MFD_CLOEXEC: 1,
  MFD_ALLOW_SEALING: 2,
  // sys/eventfd.h
  EFD_SEMAPHORE: 1,
  // linux/fcntl.h
  F_ADD_SEALS: 1033,
  F_GET_SEALS: 1034,
  F_SEAL_SEAL: 1,
  F_SEAL_SHRINK: 2,
  F_SEAL_GROW: 4,
  F_SEAL_WRITE: 8,
} as const;

/** The layouts that no Linux architecture changes. */
export const linuxLayouts = {
  sockaddr_un: {
    size: 110,
    longest: 110,
    fields: { sun_family: [0, 2], sun_path: [2, 108] },
  },
  pollfd: { size: 8, fields: { fd: [0, 4], events: [4, 2], revents: [6, 2] } },
  iovec: { size: 16, fields: { iov_base: [0, 8], iov_len: [8, 8] } },
  // musl declares msg_iovlen, msg_controllen and cmsg_len as 4 bytes with 4 of padding behind; the
  // kernel sees 8. Written as 8 with a small value, both see the same.
  msghdr: {
    size: 56,
    fields: {
      msg_name: [0, 8],
      msg_namelen: [8, 4],
      msg_iov: [16, 8],
      msg_iovlen: [24, 8],
      msg_control: [32, 8],
      msg_controllen: [40, 8],
      msg_flags: [48, 4],
    },
  },
  cmsghdr: { size: 16, fields: { cmsg_len: [0, 8], cmsg_level: [8, 4], cmsg_type: [12, 4] } },
  mmsghdr: { size: 64, fields: { msg_hdr: [0, 56], msg_len: [56, 4] } },
  ucred: { size: 12, fields: { pid: [0, 4], uid: [4, 4], gid: [8, 4] } },
} as const;

/**
 * `struct statx` (linux/stat.h) and `struct iocb` (linux/aio_abi.h) are the kernel's own: the same
 * on every architecture, and in no table of C library headers.
 */
export const kernelLayouts = {
  statx: {
    size: 256,
    fields: {
      stx_nlink: [16, 4],
      stx_uid: [20, 4],
      stx_gid: [24, 4],
      stx_mode: [28, 2],
      stx_ino: [32, 8],
      stx_size: [40, 8],
      "stx_mtime.tv_sec": [112, 8],
      "stx_mtime.tv_nsec": [120, 4],
      stx_dev_major: [136, 4],
      stx_dev_minor: [140, 4],
    },
  },
  iocb: {
    size: 64,
    fields: {
      aio_lio_opcode: [16, 2],
      aio_fildes: [20, 4],
      aio_buf: [24, 8],
      aio_flags: [56, 4],
      aio_resfd: [60, 4],
    },
  },
} as const;
