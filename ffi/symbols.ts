/**
 * The libc functions this library calls: one table, from which every runtime binds.
 *
 * Lengths and results are 32-bit although C has `size_t` and `ssize_t`: 64-bit values cross every
 * FFI as BigInt, at more than twice the cost of the call. Nothing here returns more than 2³¹ − 1.
 * @module
 */

/**
 * How an argument or a result crosses. `buffer` is a view whose memory is borrowed for the call,
 * `nullable` a view or null, `pointer` an address as a result.
 */
export type NativeType = "i32" | "u32" | "i64" | "u64" | "buffer" | "nullable" | "pointer";

/** One C function. */
export interface Signature {
  readonly args: readonly NativeType[];
  readonly result: "i32" | "i64" | "pointer";
  /** Bound on this system only. */
  readonly os?: "linux" | "darwin";
  /**
   * How many arguments stand before the `...` of a variadic prototype. Apple's arm64 passes those
   * after it on the stack, never in registers.
   */
  readonly variadicAfter?: number;
  /**
   * The errno values this call can leave. Any other was clobbered between the call and its
   * reading, and the call is made again. Absent: not checked.
   */
  readonly errnos?: readonly string[];
}

const IO_ERRNOS = [
  ...["EAGAIN", "EINTR", "EBADF", "EFAULT", "EINVAL", "ENOMEM", "ENOBUFS", "ENOTSOCK"],
  ...["ENOTCONN", "ECONNRESET", "EPIPE", "EMSGSIZE", "EISCONN", "ENOTSUP", "ECONNREFUSED"],
  ...["EPERM", "EACCES", "ENOENT", "EPROTOTYPE", "ETOOMANYREFS", "ESRCH", "EOPNOTSUPP"],
  ...["ENFILE", "EMFILE"],
] as const;

const PATH_ERRNOS = ["ENOTDIR", "ELOOP", "ENAMETOOLONG", "EROFS", "EIO"] as const;

export const symbols = {
  // int socket(int domain, int type, int protocol)
  socket: { args: ["i32", "i32", "i32"], result: "i32" },
  // int socketpair(int domain, int type, int protocol, int sv[2])
  socketpair: { args: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int bind(int fd, const struct sockaddr *addr, socklen_t len)
  bind: { args: ["i32", "buffer", "u32"], result: "i32" },
  // int connect(int fd, const struct sockaddr *addr, socklen_t len)
  connect: { args: ["i32", "buffer", "u32"], result: "i32" },
  // int listen(int fd, int backlog)
  listen: { args: ["i32", "i32"], result: "i32" },
  // int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
  accept4: {
    args: ["i32", "nullable", "nullable", "i32"],
    result: "i32",
    os: "linux",
    errnos: [
      ...["EAGAIN", "EINTR", "EBADF", "EFAULT", "EINVAL", "EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"],
      ...["ENOTSOCK", "ENOTSUP", "EPERM", "ECONNABORTED", "EPROTO"],
    ],
  },
  // int shutdown(int fd, int how)
  shutdown: { args: ["i32", "i32"], result: "i32" },
  // int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
  getsockname: { args: ["i32", "buffer", "buffer"], result: "i32" },
  // int getpeername(int fd, struct sockaddr *addr, socklen_t *len)
  getpeername: { args: ["i32", "buffer", "buffer"], result: "i32" },
  // int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
  getsockopt: { args: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  // int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
  setsockopt: { args: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // ssize_t send(int fd, const void *buf, size_t len, int flags)
  send: { args: ["i32", "buffer", "u32", "i32"], result: "i32", errnos: IO_ERRNOS },
  // ssize_t recv(int fd, void *buf, size_t len, int flags)
  recv: { args: ["i32", "buffer", "u32", "i32"], result: "i32", errnos: IO_ERRNOS },
  // ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t tolen)
  sendto: {
    args: ["i32", "buffer", "u32", "i32", "buffer", "u32"],
    result: "i32",
    errnos: [...IO_ERRNOS, ...PATH_ERRNOS],
  },
  // ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *fromlen)
  recvfrom: {
    args: ["i32", "buffer", "u32", "i32", "buffer", "buffer"],
    result: "i32",
    errnos: IO_ERRNOS,
  },
  // ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
  recvmsg: { args: ["i32", "buffer", "i32"], result: "i32", errnos: IO_ERRNOS },
  // ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
  sendmsg: {
    args: ["i32", "buffer", "i32"],
    result: "i32",
    errnos: [...IO_ERRNOS, ...PATH_ERRNOS],
  },
  // int sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
  sendmmsg: {
    args: ["i32", "buffer", "u32", "i32"],
    result: "i32",
    os: "linux",
    errnos: [...IO_ERRNOS, ...PATH_ERRNOS],
  },
  // int recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout)
  recvmmsg: {
    args: ["i32", "buffer", "u32", "i32", "nullable"],
    result: "i32",
    os: "linux",
    errnos: IO_ERRNOS,
  },
  // int poll(struct pollfd *fds, nfds_t n, int timeout)
  poll: { args: ["buffer", "u32", "i32"], result: "i32" },
  // int epoll_create1(int flags)
  epoll_create1: { args: ["i32"], result: "i32", os: "linux" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
  epoll_ctl: { args: ["i32", "i32", "i32", "buffer"], result: "i32", os: "linux" },
  // int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout)
  epoll_wait: { args: ["i32", "buffer", "i32", "i32"], result: "i32", os: "linux" },

  // int open(const char *path, int flags, ...)
  open: { args: ["buffer", "i32", "u32"], result: "i32", variadicAfter: 2 },
  // int close(int fd)
  close: { args: ["i32"], result: "i32" },
  // ssize_t read(int fd, void *buf, size_t n)
  read: { args: ["i32", "buffer", "u32"], result: "i32" },
  // ssize_t write(int fd, const void *buf, size_t n)
  write: { args: ["i32", "buffer", "u32"], result: "i32" },
  // ssize_t pread(int fd, void *buf, size_t n, off_t offset)
  pread: { args: ["i32", "buffer", "u32", "i64"], result: "i32" },
  // ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
  pwrite: { args: ["i32", "buffer", "u32", "i64"], result: "i32" },
  // off_t lseek(int fd, off_t offset, int whence)
  lseek: { args: ["i32", "i64", "i32"], result: "i64" },
  // int ftruncate(int fd, off_t length)
  ftruncate: { args: ["i32", "i64"], result: "i32" },
  // int fsync(int fd)
  fsync: { args: ["i32"], result: "i32" },
  // int fdatasync(int fd)
  fdatasync: { args: ["i32"], result: "i32", os: "linux" },
  // int memfd_create(const char *name, unsigned flags)
  memfd_create: { args: ["buffer", "u32"], result: "i32", os: "linux" },
  // int pipe(int fds[2]): never fails half way; pipe2 sets the flags at birth
  pipe: { args: ["buffer"], result: "i32", os: "darwin" },
  // int pipe2(int fds[2], int flags)
  pipe2: { args: ["buffer", "i32"], result: "i32", os: "linux" },
  // int fcntl(int fd, int cmd, ...)
  fcntl: { args: ["i32", "i32", "i32"], result: "i32", variadicAfter: 2 },
  // int ioctl(int fd, unsigned long request, ...)
  ioctl: { args: ["i32", "u32", "buffer"], result: "i32", variadicAfter: 2 },
  // int flock(int fd, int operation)
  flock: { args: ["i32", "i32"], result: "i32" },
  // int fchmod(int fd, mode_t mode)
  fchmod: { args: ["i32", "u32"], result: "i32" },
  // int chmod(const char *path, mode_t mode)
  chmod: { args: ["buffer", "u32"], result: "i32" },
  // int unlink(const char *path)
  unlink: { args: ["buffer"], result: "i32" },
  // int link(const char *from, const char *to)
  link: { args: ["buffer", "buffer"], result: "i32" },
  // int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *buf)
  statx: { args: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32", os: "linux" },
  // char *getcwd(char *buf, size_t size)
  getcwd: { args: ["buffer", "u32"], result: "pointer" },

  // pid_t getpid(void)
  getpid: { args: [], result: "i32" },
  // uid_t getuid(void)
  getuid: { args: [], result: "i32" },
  // gid_t getgid(void)
  getgid: { args: [], result: "i32" },

  // int *__errno_location(void)
  __errno_location: { args: [], result: "pointer", os: "linux" },
  // int *__error(void)
  __error: { args: [], result: "pointer", os: "darwin" },
  // void *calloc(size_t n, size_t size)
  calloc: { args: ["u32", "u32"], result: "pointer" },
  // int eventfd(unsigned initval, int flags)
  eventfd: { args: ["u32", "i32"], result: "i32", os: "linux" },
  // long syscall(long number, ...): with four arguments, of which the third is an address
  syscall: { args: ["i64", "u64", "u64", "nullable", "u64"], result: "i64", os: "linux" },
  // void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
  mmap: {
    args: ["nullable", "u32", "i32", "i32", "i32", "i64"],
    result: "pointer",
    os: "linux",
  },
  // int munmap(void *addr, size_t length)
  munmap: { args: ["u64", "u32"], result: "i32", os: "linux" },
} as const satisfies Record<string, Signature>;

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

/** The part of the table that exists on one operating system. */
export function symbolsFor(os: "linux" | "darwin"): Map<SymbolName, Signature> {
  const chosen = new Map<SymbolName, Signature>();
  for (const [name, signature] of Object.entries(symbols) as [SymbolName, Signature][]) {
    if (signature.os === undefined || signature.os === os) chosen.set(name, signature);
  }
  return chosen;
}

/**
 * A variadic call as Apple's arm64 wants it: the registers are filled with zeros, so that what
 * stands after the `...` lands on the stack.
 */
export function onTheStack(signature: Signature): Signature {
  const fixed = signature.variadicAfter;
  if (fixed === undefined) return signature;
  const filling = new Array<NativeType>(8 - fixed).fill("i32");
  return {
    ...signature,
    args: [...signature.args.slice(0, fixed), ...filling, ...signature.args.slice(fixed)],
  };
}
