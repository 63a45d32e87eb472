/**
 * What every kind of socket shares: its descriptor's life, its addresses, its options.
 * @module
 */

import { checked, file, native, refusal, sockaddr, sockets } from "../ffi/mod.ts";
import { type Address, formatAddress, fromRawAddress } from "./address.ts";
import { closeWithOwner, type Descriptor } from "./descriptor.ts";
import { checkFd, checkInteger } from "./validate.ts";

/** The base of the socket classes. */
export abstract class Socket implements Disposable {
  /** @ignore */
  protected readonly descriptor: Descriptor;
  #localAddr: Address | null;

  /** @ignore */
  protected constructor(descriptor: Descriptor, localAddr: Address | null) {
    this.descriptor = descriptor;
    this.#localAddr = localAddr;
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
    return this.#localAddr ??= this.readAddress("getsockname");
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
   * Closes the socket (close(2)). What waits on it rejects with EBADF; what was written and not yet
   * read stays readable for the peer. A second call does nothing.
   */
  close(): void {
    this.descriptor.close();
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
    return this.descriptor.release();
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
}

/** A new socket's descriptor number. */
export function createSocket(type: number, action: string, address: Address): number {
  return checked(sockets.socket(type), {
    action,
    syscall: "socket",
    address: formatAddress(address),
  });
}

/**
 * Checks that a foreign descriptor is a Unix socket of a type, and makes it non-blocking and
 * close-on-exec. On an error it stays as it was, and the caller's.
 *
 * @throws {UnixSocketError} EBADF, ENOTSOCK, or EPROTOTYPE for another family or type
 */
export function adoptSocket(fd: number, type: number, what: string): number {
  checkFd(fd);
  const { constants, linux } = native().abi;
  const context = { action: `Cannot use descriptor ${fd} as a ${what}`, syscall: "getsockopt" };
  const option = (name: number) =>
    checked(sockets.getsockopt(fd, constants.SOL_SOCKET, name), context);
  if (option(linux!.SO_DOMAIN) !== constants.AF_UNIX) {
    throw refusal("EPROTOTYPE", { ...context, detail: "it is no Unix domain socket" });
  }
  if (option(constants.SO_TYPE) !== type) {
    throw refusal("EPROTOTYPE", { ...context, detail: "it is a socket of another type" });
  }
  checked(file.prepareDescriptor(fd), { ...context, syscall: "fcntl" });
  return fd;
}

/** Whether a socket listens. */
export function isListening(fd: number): boolean {
  const { SOL_SOCKET, SO_ACCEPTCONN } = native().abi.constants;
  return sockets.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN) === 1;
}
