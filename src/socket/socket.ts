/**
 * What every kind of socket shares: its descriptor's life, its addresses, its options.
 * @module
 */

import {
  checked,
  failure,
  type FailureContext,
  file,
  linuxConstants,
  native,
  refusal,
  sockaddr,
  sockets,
} from "../../ffi/mod.ts";
import { type Address, fromRawAddress } from "../address.ts";
import {
  type Credentials,
  peerCredentials,
  peerGroups,
  peerPidfd,
  peerSecurityContext,
} from "../credentials.ts";
import { closeWithOwner, type Descriptor } from "../io/descriptor.ts";
import type { Fd } from "../fd/fd.ts";
import { openFdOf } from "../fd/fd_like.ts";
import { checkFd, checkInteger, checkWord } from "../util/validate.ts";

/** Which direction to end: for reading, for writing, or both. */
export type ShutdownHow = "read" | "write" | "both";

/** What a receiver asks to be told, on Linux alone. */
type PassingOption = "SO_PASSCRED" | "SO_PASSPIDFD" | "SO_PASSSEC" | "SO_PASSRIGHTS";

/** The base of the socket classes. */
export abstract class Socket implements Disposable {
  /** @ignore */
  protected readonly descriptor: Descriptor;
  #localAddr: Address | null;
  #closing: AbortController | null = null;

  /** @ignore */
  protected constructor(descriptor: Descriptor, localAddr: Address | null) {
    this.descriptor = descriptor;
    // Of a listener, all its connections have the same.
    this.#localAddr = localAddr && Object.freeze(localAddr);
    closeWithOwner(this, descriptor);
  }

  /** The descriptor's number, or −1 once the socket is closed or given away. Do not close it. */
  get fd(): number {
    return this.descriptor.fd;
  }

  /** Whether the socket was closed, or given away with {@linkcode intoFd}. */
  get closed(): boolean {
    return this.descriptor.closed;
  }

  /**
   * The address this socket is bound to (getsockname(2)); unnamed where it is not.
   *
   * @throws {UnixSocketError} EBADF once closed, unless it was asked before
   */
  get localAddr(): Address {
    // The kernel may choose an address later.
    const known = this.#localAddr !== null && (this.#localAddr.kind !== "unnamed" || this.closed);
    return known ? this.#localAddr! : this.#localAddr = this.readAddress("getsockname");
  }

  /**
   * The size of the send buffer in bytes, as the kernel reports it (SO_SNDBUF): Linux doubles what
   * is set, and keeps it between 4,608 and twice `net.core.wmem_max`.
   *
   * @throws {UnixSocketError} EBADF once closed
   */
  get sendBufferSize(): number {
    return this.getOption(native().abi.constants.SO_SNDBUF, "send buffer size");
  }
  set sendBufferSize(bytes: number) {
    checkInteger(bytes, "a send buffer size", 1, 0x7fff_ffff);
    this.setOption(native().abi.constants.SO_SNDBUF, bytes, "send buffer size");
  }

  /**
   * The size of the receive buffer in bytes, as the kernel reports it (SO_RCVBUF). On Linux it has
   * no effect on Unix sockets: what is under way counts against the sender's buffer.
   *
   * @throws {UnixSocketError} EBADF once closed
   */
  get receiveBufferSize(): number {
    return this.getOption(native().abi.constants.SO_RCVBUF, "receive buffer size");
  }
  set receiveBufferSize(bytes: number) {
    checkInteger(bytes, "a receive buffer size", 1, 0x7fff_ffff);
    this.setOption(native().abi.constants.SO_RCVBUF, bytes, "receive buffer size");
  }

  /**
   * Whether both directions have ended (poll(2) POLLHUP): the peer has closed its end, or each
   * direction was shut down at one end or the other. True once this socket is closed. No event tells of
   * it while nothing is read: ask before work that only the peer wants. A datagram socket knows only
   * of its own shutdown.
   *
   * @example
   * ```ts
   * import { UnixStream } from "@afunix/afunix";
   *
   * const [server, client] = UnixStream.pair();
   * client.close();
   * if (server.hungUp) server.close(); // nobody waits for an answer
   * ```
   */
  get hungUp(): boolean {
    return this.closed || sockets.hasHungUp(this.fd);
  }

  /**
   * How many bytes can be read now (SIOCINQ): of the next message on a datagram socket, of all that
   * has arrived on the others.
   *
   * @throws {UnixSocketError} EBADF once closed, EINVAL on a listener
   */
  get bytesReadable(): number {
    this.assertOpen("count the readable bytes", "ioctl");
    const context = { action: "Cannot count the readable bytes", syscall: "ioctl" };
    return checked(file.bytesReadable(this.fd), context);
  }

  /**
   * How much of what was written the peer has not read yet (SIOCOUTQ), in the kernel's accounting:
   * the memory that it takes, 768 for a single byte on Linux. 0 when all was read, and
   * on a listener.
   *
   * @throws {UnixSocketError} EBADF once closed, ENOTSUP: macOS
   */
  get bytesUnsent(): number {
    this.assertOpen("count the unsent bytes", "ioctl");
    const context = { action: "Cannot count the unsent bytes", syscall: "ioctl" };
    return checked(file.bytesUnsent(this.fd), context);
  }

  /**
   * Where the next peek begins, in bytes from what the next read will get (SO_PEEK_OFF, Linux). −1,
   * the default, means that every peek begins there; from 0 on, each peek moves it forward and each
   * read back.
   *
   * @throws {UnixSocketError} EBADF once closed, ENOTSUP: macOS
   */
  get peekOffset(): number {
    this.assertOpen("read the peek offset", "getsockopt");
    const { SO_PEEK_OFF } = linuxConstants("peek offsets", "getsockopt");
    const { SOL_SOCKET } = native().abi.constants;
    const value = new Int32Array(1);
    const bytes = new Uint8Array(value.buffer);
    checked(sockets.getsockoptBytes(this.fd, SOL_SOCKET, SO_PEEK_OFF, bytes), {
      action: "Cannot read the peek offset",
      syscall: "getsockopt",
    });
    return value[0]!;
  }
  set peekOffset(bytes: number) {
    const offset = checkInteger(bytes, "a peek offset", -1, 0x7fff_ffff);
    const { SO_PEEK_OFF } = linuxConstants("peek offsets", "setsockopt");
    this.setOption(SO_PEEK_OFF, offset, "peek offset");
  }

  /**
   * Whether messages tell who sent them, in `credentials` of `receiveMessage` (SO_PASSCRED, Linux).
   * Set it before the peer sends, on a listener before the peer connects: what was sent earlier has
   * no credentials. Bytes of different senders on one stream are then never received together.
   *
   * Setting this on a socket without an address makes the kernel choose an abstract one when it
   * connects, or when a datagram socket sends.
   *
   * @throws {UnixSocketError} EBADF once closed, ENOTSUP: macOS
   */
  get passCredentials(): boolean {
    return this.#flag("SO_PASSCRED", "passing of credentials");
  }
  set passCredentials(on: boolean) {
    this.#setFlag("SO_PASSCRED", on, "passing of credentials");
  }

  /**
   * Whether messages come with a pidfd of their sender, in `pidfd` of `receiveMessage` (SO_PASSPIDFD,
   * Linux 6.5). Gives the socket an address as {@linkcode passCredentials} does.
   *
   * @throws {UnixSocketError} EBADF once closed, ENOPROTOOPT: the kernel cannot, ENOTSUP: macOS
   */
  get passPidfd(): boolean {
    return this.#flag("SO_PASSPIDFD", "passing of pidfds");
  }
  set passPidfd(on: boolean) {
    this.#setFlag("SO_PASSPIDFD", on, "passing of pidfds");
  }

  /**
   * Whether messages tell the security context of their sender (SO_PASSSEC).
   *
   * @throws {UnixSocketError} EBADF once closed, ENOPROTOOPT or EOPNOTSUPP: the kernel cannot, ENOTSUP:
   * macOS
   */
  get passSecurityContext(): boolean {
    return this.#flag("SO_PASSSEC", "passing of security contexts");
  }
  set passSecurityContext(on: boolean) {
    this.#setFlag("SO_PASSSEC", on, "passing of security contexts");
  }

  /**
   * Whether peers may send descriptors at all (SO_PASSRIGHTS, Linux 6.16): true at first. Switched
   * off, their sending fails with EPERM; for sockets that never want any, so that nobody can park
   * open files in the queue.
   *
   * @throws {UnixSocketError} EBADF once closed, ENOPROTOOPT: the kernel cannot, ENOTSUP: macOS
   */
  get passDescriptors(): boolean {
    return this.#flag("SO_PASSRIGHTS", "passing of descriptors");
  }
  set passDescriptors(on: boolean) {
    this.#setFlag("SO_PASSRIGHTS", on, "passing of descriptors");
  }

  /**
   * Who the peer is, as of connecting, listening or pairing (SO_PEERCRED; LOCAL_PEERCRED on macOS);
   * see the function of this name.
   *
   * @returns null where the kernel knows no peer
   * @throws {UnixSocketError} EBADF once closed
   */
  peerCredentials(): Credentials | null {
    return peerCredentials(this);
  }

  /**
   * The peer's supplementary groups (SO_PEERGROUPS, Linux 4.13; LOCAL_PEERCRED on macOS).
   *
   * @returns null where the kernel knows no peer
   * @throws {UnixSocketError} EBADF once closed, ENOPROTOOPT: the kernel cannot
   */
  peerGroups(): number[] | null {
    return peerGroups(this);
  }

  /**
   * A pidfd of the peer (SO_PEERPIDFD, Linux 6.5), to be closed by the caller.
   *
   * @returns null where the kernel knows no peer
   * @throws {UnixSocketError} EBADF once closed, EMFILE, ENOPROTOOPT: the kernel cannot, EINVAL or
   * ESRCH: the peer is gone (before Linux 6.16), ENOTSUP: macOS
   */
  peerPidfd(): Fd | null {
    return peerPidfd(this);
  }

  /**
   * The peer's security context (SO_PEERSEC).
   *
   * @returns null where the kernel knows no peer
   * @throws {UnixSocketError} EBADF once closed, ENOPROTOOPT: the kernel runs no such module,
   * ENOTSUP: macOS
   */
  peerSecurityContext(): string | null {
    return peerSecurityContext(this);
  }

  /**
   * Pending operations keep the process alive again. Sockets start this way.
   */
  ref(): this {
    this.descriptor.setRef(true);
    return this;
  }

  /**
   * Pending operations no longer keep the process alive. They go on while something else does.
   */
  unref(): this {
    this.descriptor.setRef(false);
    return this;
  }

  /**
   * Ends one direction or both (shutdown(2)).
   *
   * `"read"`: what has arrived can still be received, then comes the end; sending to this socket
   * fails with EPIPE. `"write"`: sending fails with EPIPE, and a connected peer reads the end after
   * all that is under way. A write of the peer's that already waits for room may go on waiting when
   * this side ends its reading: no event tells it, until this socket closes. On a listener, `"read"` refuses new connections and ends accepting with
   * EINVAL after those in the backlog. Ending what has ended does nothing.
   *
   * @throws {UnixSocketError} EBADF once closed
   * @throws {TypeError} if `how` is another word
   */
  shutdown(how: ShutdownHow): void {
    checkWord(how, "a direction", ["read", "write", "both"]);
    this.assertOpen("shut down", "shutdown");
    const { SHUT_RD, SHUT_WR, SHUT_RDWR } = native().abi.constants;
    const number = how === "read" ? SHUT_RD : how === "write" ? SHUT_WR : SHUT_RDWR;
    checked(sockets.shutdown(this.fd, number), { action: "Cannot shut down", syscall: "shutdown" });
    // Not every end is an event: what waits looks again by itself.
    this.descriptor.reading.lookAgain();
    this.descriptor.writing.lookAgain();
  }

  /**
   * Closes the socket (close(2)). What waits on it rejects with EBADF; what was written and not yet
   * read stays readable for the peer. A second call does nothing.
   */
  close(): void {
    this.descriptor.close();
    this.#closing?.abort();
  }

  /**
   * Gives the descriptor away: the caller owns the number and has to close it. What waits on the
   * socket rejects with EBADF, and a path that it bound stays. The descriptor remains
   * non-blocking and close-on-exec.
   *
   * @throws {UnixSocketError} EBADF once closed
   */
  intoFd(): number {
    this.assertOpen("give away the descriptor", "fcntl");
    const fd = this.descriptor.release();
    this.#closing?.abort();
    return fd;
  }

  /** Closes the socket at the end of a `using` scope. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @ignore */
  protected assertOpen(action: string, syscall: string): void {
    if (!this.descriptor.closed) return;
    throw refusal("EBADF", { action: `Cannot ${action}`, syscall, detail: "the socket is closed" });
  }

  /**
   * Aborted when the socket closes or is given away: for waits outside the queues.
   * @ignore
   */
  protected get closing(): AbortSignal {
    this.#closing ??= new AbortController();
    if (this.closed) this.#closing.abort();
    return this.#closing.signal;
  }

  /** @ignore */
  protected readAddress(which: "getsockname" | "getpeername"): Address {
    this.assertOpen("read the address", which);
    const buffer = new Uint8Array(new ArrayBuffer(256));
    const length = checked(sockets.socketName(which, this.fd, buffer), {
      action: "Cannot read the address",
      syscall: which,
    });
    const layout = native().abi.layouts.sockaddr_un;
    return fromRawAddress(sockaddr.unpackSockaddr(layout, buffer, length));
  }

  /** @ignore */
  protected getOption(name: number, what: string): number {
    this.assertOpen(`read the ${what}`, "getsockopt");
    return checked(sockets.getsockopt(this.fd, native().abi.constants.SOL_SOCKET, name), {
      action: `Cannot read the ${what}`,
      syscall: "getsockopt",
    });
  }

  /** @ignore */
  protected setOption(name: number, value: number, what: string): void {
    this.assertOpen(`set the ${what}`, "setsockopt");
    checked(sockets.setsockopt(this.fd, native().abi.constants.SOL_SOCKET, name, value), {
      action: `Cannot set the ${what}`,
      syscall: "setsockopt",
    });
  }

  #flag(name: PassingOption, what: string): boolean {
    return this.getOption(linuxConstants(`the ${what}`, "getsockopt")[name], what) === 1;
  }

  #setFlag(name: PassingOption, on: unknown, what: string): void {
    if (typeof on !== "boolean") {
      throw new TypeError(`Cannot set the ${what}: expected true or false`);
    }
    this.setOption(linuxConstants(`the ${what}`, "setsockopt")[name], on ? 1 : 0, what);
  }
}

/** The descriptor number of a new socket; `context` is asked only if socket(2) fails. */
export function createSocket(type: number, context: () => Omit<FailureContext, "syscall">): number {
  const fd = sockets.socket(type);
  if (fd < 0) throw failure(fd, { ...context(), syscall: "socket" });
  return fd;
}

/** Two sockets that are connected to each other (socketpair(2)). */
export function pairOf<T>(type: number, wrap: (fd: number) => T): [T, T] {
  const ends: [number, number] = [-1, -1];
  checked(sockets.socketpair(type, ends), {
    action: "Cannot create a pair of sockets",
    syscall: "socketpair",
  });
  return [wrap(ends[0]), wrap(ends[1])];
}

/** How a foreign descriptor has to be. */
export interface Wanted {
  /** SOCK_STREAM or another type. */
  type: number;
  /** The name of the class that wants it. */
  what: string;
  /** Whether it has to listen, or must not; undefined where the type cannot. */
  listening?: boolean;
  /** What to use for one that listens although it must not. */
  listener?: string;
}

/**
 * Checks that a foreign descriptor is the Unix socket that is wanted, and makes it non-blocking and
 * close-on-exec; an Fd gives it away. On an error it stays as it was, and the caller's.
 *
 * @throws {UnixSocketError} EBADF, ENOTSOCK, EPROTOTYPE for another family or type, EINVAL for one
 * that listens or does not, other than wanted
 */
export function adoptSocket(source: number | Fd, wanted: Wanted): number {
  const { type, what, listening, listener } = wanted;
  const fd = typeof source === "number" ? checkFd(source) : ownedFd(source);
  const { AF_UNIX, SOL_SOCKET, SO_TYPE } = native().abi.constants;
  const context = { action: `Cannot use descriptor ${fd} as a ${what}`, syscall: "getsockopt" };
  if (checked(sockets.familyOf(fd), context) !== AF_UNIX) {
    throw refusal("EPROTOTYPE", { ...context, detail: "it is no Unix domain socket" });
  }
  if (checked(sockets.getsockopt(fd, SOL_SOCKET, SO_TYPE), context) !== type) {
    throw refusal("EPROTOTYPE", { ...context, detail: "it is a socket of another type" });
  }
  const listens = sockets.isListening(fd);
  if (listening !== undefined && listens !== null && listens !== listening) {
    const detail = listens ? `it listens: use ${listener}.fromFd` : "it does not listen";
    throw refusal("EINVAL", { ...context, detail });
  }
  checked(file.prepareDescriptor(fd), { ...context, syscall: "fcntl" });
  return typeof source === "number" ? fd : source.intoFd();
}

/** The number in an object that owns it. */
function ownedFd(source: Fd): number {
  if (typeof source?.fd !== "number" || typeof source.intoFd !== "function") {
    throw new TypeError("Cannot use this as a descriptor: expected a number or an Fd");
  }
  return openFdOf(source, "Cannot use this descriptor", "getsockopt");
}
