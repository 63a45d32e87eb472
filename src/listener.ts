/**
 * Sockets that accept stream connections.
 * @module
 */

import { checked, failure, native, refusal, sockets, UnixSocketError } from "../ffi/mod.ts";
import { type Address, type AddressLike, formatAddress, parseAddress, quote } from "./address.ts";
import { bindSocket, removePath } from "./binding.ts";
import { sleep } from "./connecting.ts";
import { Descriptor } from "./descriptor.ts";
import type { Work } from "./lane.ts";
import { adoptSocket, createSocket, isListening, Socket } from "./socket.ts";
import { acceptedStream, type UnixStream } from "./stream.ts";
import { timedOut } from "./transfer.ts";
import {
  type AsyncOptions,
  checkDeadline,
  checkInteger,
  checkOptions,
  checkSignal,
  checkWord,
  type SyncOptions,
} from "./validate.ts";

/** Options of {@linkcode UnixListener.listen}. */
export interface ListenOptions {
  /**
   * How many connections may wait to be accepted, beyond the first; the kernel caps it at
   * `net.core.somaxconn`. Without it, as many as it allows. Beyond, connecting has to wait.
   */
  backlog?: number | undefined;
  /**
   * The permissions of the socket's file, from 0 to 0o777 and not reduced by the umask; connecting
   * needs write permission. At no moment is the file more accessible. Without it, 0o777 less the
   * umask. Not for abstract names, which have no permissions.
   */
  mode?: number | undefined;
  /**
   * What to do about a socket that is in the way and that nobody serves: `"replace"`, the default,
   * removes it; `"fail"` throws EADDRINUSE. A socket that is served and a file that is no socket
   * are never removed.
   */
  stale?: "replace" | "fail" | undefined;
  /**
   * Whether {@linkcode UnixListener.close} removes the path, provided it is still the file that
   * this listener made; true without it.
   */
  unlinkOnClose?: boolean | undefined;
}

/** What may be over in a moment: an iteration waits and goes on. */
const PASSING = ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "ECONNABORTED"];

/** The pauses of an iteration after such an error, in milliseconds. */
const FIRST_PAUSE = 5;
const LAST_PAUSE = 1000;

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
export class UnixListener extends Socket {
  readonly #closing = new AbortController();

  private constructor(descriptor: Descriptor, localAddr: Address | null) {
    super(descriptor, localAddr);
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
   * empty path or one with a NUL. ENAMETOOLONG. EMFILE.
   * @throws {TypeError|RangeError} for arguments that make no sense
   */
  static listen(address: AddressLike, options?: ListenOptions): UnixListener {
    checkOptions(options);
    const { SOMAXCONN, SOCK_STREAM } = native().abi.constants;
    const backlog = checkInteger(options?.backlog ?? SOMAXCONN, "a backlog", 0, 0x7fff_ffff);
    const mode = options?.mode === undefined
      ? undefined
      : checkInteger(options.mode, "a mode", 0, 0o777);
    const stale = checkWord(options?.stale ?? "replace", "stale", ["replace", "fail"]);
    const unlinkOnClose = options?.unlinkOnClose ?? true;
    if (typeof unlinkOnClose !== "boolean") {
      throw new TypeError("Cannot use this as unlinkOnClose: expected true or false");
    }
    const parsed = parseAddress(address, "bind");
    if (mode !== undefined && parsed.kind !== "pathname") {
      throw new TypeError("Cannot give a mode to an address that is no file");
    }
    const action = `Cannot listen on ${quote(parsed)}`;
    const descriptor = new Descriptor(createSocket(SOCK_STREAM, action, parsed));
    try {
      const bound = bindSocket(descriptor.fd, parsed, { mode, stale, type: SOCK_STREAM });
      if (bound !== null) descriptor.beforeClose = () => removePath(bound);
      checked(sockets.listen(descriptor.fd, backlog), {
        action,
        syscall: "listen",
        address: formatAddress(parsed),
      });
      if (!unlinkOnClose) descriptor.beforeClose = null;
    } catch (error) {
      descriptor.close();
      throw error;
    }
    return new UnixListener(descriptor, parsed.kind === "unnamed" ? null : parsed);
  }

  /**
   * Takes over a descriptor that listens: one that was inherited from a service manager, or
   * received. It becomes non-blocking, also for others that share it, and close-on-exec. Its path
   * is not removed on close: somebody else made it.
   *
   * @throws {RangeError} for what is no descriptor number
   * @throws {UnixSocketError} EBADF, ENOTSOCK, EPROTOTYPE: not a Unix stream socket, EINVAL: it does
   * not listen. The descriptor then stays the caller's.
   */
  static fromFd(fd: number): UnixListener {
    const adopted = adoptSocket(fd, native().abi.constants.SOCK_STREAM, "UnixListener");
    if (!isListening(adopted)) {
      throw refusal("EINVAL", {
        action: `Cannot use descriptor ${fd} as a UnixListener`,
        syscall: "getsockopt",
        detail: "it does not listen",
      });
    }
    return new UnixListener(new Descriptor(adopted), null);
  }

  /** The address it listens on; the same as `localAddr`. */
  get addr(): Address {
    return this.localAddr;
  }

  /**
   * The next connection, waiting while there is none (accept4(2)). It is non-blocking and
   * close-on-exec. An abort loses no connection.
   *
   * @throws {UnixSocketError} EMFILE, ENFILE: no descriptor is free; the connection stays in the
   * backlog, so pause before the next call. EBADF: closed, also while this waited.
   */
  async accept(options?: AsyncOptions): Promise<UnixStream> {
    const signal = checkSignal(options);
    const work = this.#acceptWork();
    // Before the descriptor is closed, so that the address outlives it.
    const local = this.localAddr;
    const result = this.descriptor.reading.run(work, signal);
    return acceptedStream(typeof result === "number" ? result : await result, local);
  }

  /**
   * {@linkcode accept}, blocking the thread.
   *
   * @throws {UnixSocketError} as `accept` does, and ETIMEDOUT
   */
  acceptSync(options?: SyncOptions): UnixStream {
    const deadline = checkDeadline(options);
    const work = this.#acceptWork();
    const local = this.localAddr;
    const expired = () => timedOut(ACCEPTING, "accept4");
    return acceptedStream(this.descriptor.reading.runSync(work, deadline, expired), local);
  }

  /**
   * The connections, one after the other, until the listener closes. Leaving the loop leaves it
   * open. While descriptors or memory are short, it waits from 5 milliseconds up to a second and
   * goes on; the connections stay in the backlog.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<UnixStream, void, void> {
    let pause = FIRST_PAUSE;
    while (!this.closed) {
      let stream;
      try {
        stream = await this.accept();
      } catch (error) {
        if (this.closed) return;
        if (!(error instanceof UnixSocketError) || !PASSING.includes(error.code)) throw error;
        await sleep(pause, this.#closing.signal, this.descriptor.refd).catch(() => {});
        pause = Math.min(pause * 2, LAST_PAUSE);
        continue;
      }
      pause = FIRST_PAUSE;
      yield stream;
    }
  }

  /**
   * Stops listening: waiting accepts reject with EBADF, iterations end, the path is removed if it
   * is still the file that this listener made, and the socket closes. Connections that were
   * accepted go on; those still in the backlog are reset. A second call does nothing.
   */
  override close(): void {
    super.close();
    this.#closing.abort();
  }

  #acceptWork(): Work {
    this.assertOpen("accept a connection", "accept4");
    return {
      owner: this,
      attempt: () => sockets.accept(this.fd),
      fail: (negated, detail) =>
        failure(negated, { action: ACCEPTING, syscall: "accept4", detail }),
    };
  }
}

const ACCEPTING = "Cannot accept a connection";
