/**
 * The libc functions this library calls: one table, from which every runtime binds.
 *
 * Lengths and results are 32-bit although C has `size_t` and `ssize_t`: 64-bit values cross every
 * FFI as BigInt, at more than twice the cost of the call. Nothing here returns more than 2³¹ − 1.
 * @module
 */

import type { NativeType, Signature } from "./signature.ts";

export type * from "./signature.ts";

const IO_ERRNOS = [
  ...["EAGAIN", "EINTR", "EBADF", "EFAULT", "EINVAL", "ENOMEM", "ENOBUFS", "ENOTSOCK"],
  ...["ENOTCONN", "ECONNRESET", "EPIPE", "EMSGSIZE", "EISCONN", "ENOTSUP", "ECONNREFUSED"],
  ...["EPERM", "EACCES", "ENOENT", "EPROTOTYPE", "ETOOMANYREFS", "ESRCH", "EOPNOTSUPP"],
  "EDESTADDRREQ",
  ...["ENFILE", "EMFILE"],
] as const;

const PATH_ERRNOS = ["ENOTDIR", "ELOOP", "ENAMETOOLONG", "EROFS", "EIO"] as const;

export const symbols = {
  // int socket(int domain, int type, int protocol)
  socket: { args: ["i32", "i32", "i32"], makes: "descriptor", result: "i32" },
  // int socketpair(int domain, int type, int protocol, int sv[2])
  socketpair: {
    args: ["i32", "i32", "i32", "buffer"],
    memory: { 3: 8 },
    makes: { descriptorsIn: 3 },
    result: "i32",
  },
  // int bind(int fd, const struct sockaddr *addr, socklen_t len)
  bind: { args: ["i32", "buffer", "u32"], memory: { 1: { bytes: 2 } }, result: "i32" },
  // int connect(int fd, const struct sockaddr *addr, socklen_t len)
  connect: { args: ["i32", "buffer", "u32"], memory: { 1: { bytes: 2 } }, result: "i32" },
  // int listen(int fd, int backlog)
  listen: { args: ["i32", "i32"], result: "i32" },
  // int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
  accept4: {
    args: ["i32", "nullable", "nullable", "i32"],
    memory: { 1: { bytesIn: 2 }, 2: 4 },
    makes: "descriptor",
    result: "i32",
    os: "linux",
    errnos: [
      ...["EAGAIN", "EINTR", "EBADF", "EFAULT", "EINVAL", "EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"],
      ...["ENOTSOCK", "ENOTSUP", "EPERM", "ECONNABORTED", "EPROTO"],
    ],
  },
  // int accept(int fd, struct sockaddr *addr, socklen_t *len)
  accept: {
    args: ["i32", "nullable", "nullable"],
    memory: { 1: { bytesIn: 2 }, 2: 4 },
    makes: "descriptor",
    result: "i32",
    os: "darwin",
    gated: false,
  },
  // int shutdown(int fd, int how)
  shutdown: { args: ["i32", "i32"], result: "i32" },
  // int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
  getsockname: {
    args: ["i32", "buffer", "buffer"],
    memory: { 1: { bytesIn: 2 }, 2: 4 },
    result: "i32",
  },
  // int getpeername(int fd, struct sockaddr *addr, socklen_t *len)
  getpeername: {
    args: ["i32", "buffer", "buffer"],
    memory: { 1: { bytesIn: 2 }, 2: 4 },
    result: "i32",
  },
  // int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
  getsockopt: {
    args: ["i32", "i32", "i32", "buffer", "buffer"],
    memory: { 3: { bytesIn: 4 }, 4: 4 },
    result: "i32",
  },
  // int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
  setsockopt: {
    args: ["i32", "i32", "i32", "buffer", "u32"],
    memory: { 3: { bytes: 4 } },
    result: "i32",
  },
  // ssize_t send(int fd, const void *buf, size_t len, int flags)
  send: {
    args: ["i32", "buffer", "u32", "i32"],
    memory: { 1: { bytes: 2 } },
    result: "i32",
    errnos: IO_ERRNOS,
  },
  // ssize_t recv(int fd, void *buf, size_t len, int flags)
  recv: {
    args: ["i32", "buffer", "u32", "i32"],
    memory: { 1: { bytes: 2 } },
    result: "i32",
    errnos: IO_ERRNOS,
  },
  // ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t tolen)
  sendto: {
    args: ["i32", "buffer", "u32", "i32", "buffer", "u32"],
    memory: { 1: { bytes: 2 }, 4: { bytes: 5 } },
    result: "i32",
    errnos: [...IO_ERRNOS, ...PATH_ERRNOS],
  },
  // ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *fromlen)
  recvfrom: {
    args: ["i32", "buffer", "u32", "i32", "buffer", "buffer"],
    memory: { 1: { bytes: 2 }, 4: { bytesIn: 5 }, 5: 4 },
    result: "i32",
    errnos: IO_ERRNOS,
  },
  // ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
  recvmsg: {
    args: ["i32", "buffer", "i32"],
    memory: { 1: "msghdr" },
    result: "i32",
    errnos: IO_ERRNOS,
  },
  // ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
  sendmsg: {
    args: ["i32", "buffer", "i32"],
    memory: { 1: "msghdr" },
    result: "i32",
    errnos: [...IO_ERRNOS, ...PATH_ERRNOS],
  },
  // int sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
  sendmmsg: {
    args: ["i32", "buffer", "u32", "i32"],
    memory: { 1: { entries: 2, of: "mmsghdr" } },
    result: "i32",
    os: "linux",
    errnos: [...IO_ERRNOS, ...PATH_ERRNOS],
  },
  // int recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout)
  recvmmsg: {
    args: ["i32", "buffer", "u32", "i32", "nullable"],
    memory: { 1: { entries: 2, of: "mmsghdr" }, 4: "timespec" },
    result: "i32",
    os: "linux",
    errnos: IO_ERRNOS,
  },
  // int poll(struct pollfd *fds, nfds_t n, int timeout): the caller knows how much time is left
  poll: {
    args: ["buffer", "u32", "i32"],
    memory: { 0: { entries: 1, of: "pollfd" } },
    result: "i32",
    repeats: false,
  },
  // int epoll_create1(int flags)
  epoll_create1: { args: ["i32"], makes: "lasting descriptor", result: "i32", os: "linux" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
  epoll_ctl: {
    args: ["i32", "i32", "i32", "buffer"],
    memory: { 3: "epoll_event" },
    result: "i32",
    os: "linux",
  },
  // int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout)
  epoll_wait: {
    args: ["i32", "buffer", "i32", "i32"],
    memory: { 1: { entries: 2, of: "epoll_event" } },
    result: "i32",
    os: "linux",
  },

  // int kqueue(void)
  kqueue: { args: [], makes: "lasting descriptor", result: "i32", os: "darwin" },
  // int kevent(int kq, const struct kevent *changes, int nchanges, struct kevent *events, int nevents, const struct timespec *timeout)
  kevent: {
    args: ["i32", "nullable", "i32", "nullable", "i32", "nullable"],
    memory: {
      1: { entries: 2, of: "kevent" },
      3: { entries: 4, of: "kevent" },
      5: "timespec",
    },
    result: "i32",
    os: "darwin",
  },

  // int open(const char *path, int flags, ...)
  open: {
    args: ["buffer", "i32", "u32"],
    memory: { 0: "string" },
    makes: "descriptor",
    result: "i32",
    variadicAfter: 2,
  },
  // int close(int fd): Linux releases the number even if it reports EINTR or EIO, and by then another
  // thread may hold it
  close: { args: ["i32"], result: "i32", repeats: false },
  // ssize_t read(int fd, void *buf, size_t n)
  read: { args: ["i32", "buffer", "u32"], memory: { 1: { bytes: 2 } }, result: "i32" },
  // ssize_t write(int fd, const void *buf, size_t n)
  write: { args: ["i32", "buffer", "u32"], memory: { 1: { bytes: 2 } }, result: "i32" },
  // ssize_t pread(int fd, void *buf, size_t n, off_t offset)
  pread: { args: ["i32", "buffer", "u32", "i64"], memory: { 1: { bytes: 2 } }, result: "i32" },
  // ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
  pwrite: { args: ["i32", "buffer", "u32", "i64"], memory: { 1: { bytes: 2 } }, result: "i32" },
  // off_t lseek(int fd, off_t offset, int whence)
  lseek: { args: ["i32", "i64", "i32"], result: "i64" },
  // int ftruncate(int fd, off_t length)
  ftruncate: { args: ["i32", "i64"], result: "i32" },
  // int fsync(int fd)
  fsync: { args: ["i32"], result: "i32" },
  // int fdatasync(int fd)
  fdatasync: { args: ["i32"], result: "i32", os: "linux" },
  // int memfd_create(const char *name, unsigned flags)
  memfd_create: {
    args: ["buffer", "u32"],
    memory: { 0: "string" },
    makes: "descriptor",
    result: "i32",
    os: "linux",
  },
  // int pipe(int fds[2]): never fails half way; pipe2 sets the flags at birth
  pipe: {
    args: ["buffer"],
    memory: { 0: 8 },
    makes: { descriptorsIn: 0 },
    result: "i32",
    os: "darwin",
    gated: false,
  },
  // int pipe2(int fds[2], int flags)
  pipe2: {
    args: ["buffer", "i32"],
    memory: { 0: 8 },
    makes: { descriptorsIn: 0 },
    result: "i32",
    os: "linux",
  },
  // int fcntl(int fd, int cmd, ...)
  fcntl: { args: ["i32", "i32", "i32"], result: "i32", variadicAfter: 2 },
  // int ioctl(int fd, unsigned long request, ...): with requests that take or leave an int
  ioctl: { args: ["i32", "u32", "buffer"], memory: { 2: 4 }, result: "i32", variadicAfter: 2 },
  // int flock(int fd, int operation)
  flock: { args: ["i32", "i32"], result: "i32" },
  // int fchmod(int fd, mode_t mode)
  fchmod: { args: ["i32", "u32"], result: "i32" },
  // int chmod(const char *path, mode_t mode)
  chmod: { args: ["buffer", "u32"], memory: { 0: "string" }, result: "i32" },
  // int unlink(const char *path)
  unlink: { args: ["buffer"], memory: { 0: "string" }, result: "i32" },
  // int link(const char *from, const char *to)
  link: { args: ["buffer", "buffer"], memory: { 0: "string", 1: "string" }, result: "i32" },
  // int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *buf)
  statx: {
    args: ["i32", "buffer", "i32", "u32", "buffer"],
    memory: { 1: "string", 4: "statx" },
    result: "i32",
    os: "linux",
  },
  // int fstatat(int dirfd, const char *path, struct stat *buf, int flags)
  fstatat: {
    args: ["i32", "buffer", "buffer", "i32"],
    memory: { 1: "string", 2: "stat" },
    result: "i32",
    os: "linux",
    gated: false,
  },
  // int lstat(const char *path, struct stat *buf)
  lstat: {
    args: ["buffer", "buffer"],
    memory: { 0: "string", 1: "stat" },
    result: "i32",
    os: "darwin",
    gated: false,
  },
  // int fstat(int fd, struct stat *buf)
  fstat: {
    args: ["i32", "buffer"],
    memory: { 1: "stat" },
    result: "i32",
    os: "darwin",
    gated: false,
  },
  // int lchmod(const char *path, mode_t mode)
  lchmod: { args: ["buffer", "u32"], memory: { 0: "string" }, result: "i32", os: "darwin" },
  // char *getcwd(char *buf, size_t size)
  getcwd: { args: ["buffer", "u32"], memory: { 0: { bytes: 1 } }, result: "pointer" },

  // pid_t getpid(void)
  getpid: { args: [], result: "i32", gated: false },
  // uid_t getuid(void)
  getuid: { args: [], result: "i32", gated: false },
  // gid_t getgid(void)
  getgid: { args: [], result: "i32", gated: false },

  // int *__errno_location(void)
  __errno_location: { args: [], makes: { bytes: 4 }, result: "pointer", os: "linux", gated: false },
  // int *__error(void)
  __error: { args: [], makes: { bytes: 4 }, result: "pointer", os: "darwin", gated: false },
  // void *calloc(size_t n, size_t size)
  calloc: { args: ["u32", "u32"], makes: { memory: [0, 1] }, result: "pointer", gated: false },
  // int eventfd(unsigned initval, int flags)
  eventfd: { args: ["u32", "i32"], makes: "descriptor", result: "i32", os: "linux" },
  // long syscall(long number, ...): with four arguments, of which the third is an address
  syscall: {
    args: ["i64", "u64", "u64", "nullable", "u64"],
    memory: "by number",
    result: "i64",
    os: "linux",
  },
  // void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
  mmap: {
    args: ["nullable", "u32", "i32", "i32", "i32", "i64"],
    memory: { 0: { mapping: 1 } },
    makes: { memory: [1] },
    result: "pointer",
    os: "linux",
  },
  // int munmap(void *addr, size_t length)
  munmap: { args: ["u64", "u32"], memory: { 0: { mapping: 1 } }, result: "i32", os: "linux" },
} as const satisfies Record<string, Signature>;

/** MAP_FAILED, which mmap(2) returns if it fails: all bits set, as a number. */
export const MAP_FAILED = 2 ** 64;

export type SymbolTable = typeof symbols;
export type SymbolName = keyof SymbolTable;

interface Argument {
  i32: number;
  u32: number;
  i64: bigint;
  u64: bigint;
  buffer: ArrayBufferView;
  nullable: ArrayBufferView | null;
  pointer: number;
}
type Arguments<T extends readonly NativeType[]> = { -readonly [I in keyof T]: Argument[T[I]] };

/** The bound functions. A `pointer` result is an address as a number, 0 for NULL. */
export type Libc = {
  readonly [Name in SymbolName]: (
    ...args: Arguments<SymbolTable[Name]["args"]>
  ) => Argument[SymbolTable[Name]["result"]];
};
