/**
 * What the listeners of every type of connection share.
 * @module
 */

import { errnoNumber, failure, file, native, sockets, UnixSocketError } from "../../ffi/mod.ts";
import { type Address, type AddressLike, formatAddress, parseAddress, quote } from "../address.ts";
import { type AllowedPeers, type AuthorizePeer, type Gate, gateOf } from "../authorize.ts";
import { bindSocket, removePath } from "./bind.ts";
import { Descriptor } from "../io/descriptor.ts";
import type { Fd } from "../fd/fd.ts";
import { NOT_TRIED, type Operation, SingleCall, wouldBlock, YIELD } from "../io/operation.ts";
import { Backoff, sleep } from "../io/backoff.ts";
import { isReady } from "../io/byte_calls.ts";
import { iterateUntilClosed } from "../io/web_streams.ts";
import { adoptSocket, createSocket, Socket } from "./socket.ts";
import {
  checkDeadline,
  checkFlag,
  checkInteger,
  checkOptions,
  checkSignal,
  checkWord,
  ifAbsent,
  type SignalOption,
  type TimeoutOption,
} from "../util/validate.ts";

/** How a socket that binds treats the path. */
export interface BindOptions {
  /**
   * The permissions of the socket's file, from 0 to 0o777 and not reduced by the umask; connecting
   * and sending need write permission. At no moment is the file more accessible; on macOS it is set
   * right after bind(2), which for a datagram socket leaves a moment. Without it, 0o777 less the umask.
   * Not for abstract names, which have no permissions.
   */
  mode?: number | undefined;
  /**
   * What to do about a socket that is in the way and that nobody serves: `"replace"`, the default,
   * removes it; `"fail"` throws EADDRINUSE. A socket that is served and a file that is no socket
   * are never removed.
   */
  stale?: "replace" | "fail" | undefined;
  /**
   * Whether closing removes the path, provided it is still the file that this socket made; true
   * without it. The end of the process, also by `process.exit` or `Deno.exit`, removes it as well; a
   * signal that kills the process does not, nor an uncaught error on Deno, and the next server finds a
   * stale path.
   */
  unlinkOnClose?: boolean | undefined;
}

/** Options of listening. */
export interface ListenOptions extends BindOptions {
  /**
   * How many connections may wait to be accepted, beyond the first; the kernel caps it at
   * `net.core.somaxconn`. Without it, as many as it allows. Beyond, connecting has to wait.
   */
  backlog?: number | undefined;
  /**
   * Who may connect: lists of user and group ids, or a function that decides by the peer's
   * credentials (SO_PEERCRED). A connection that fails this is closed before `accept` returns it, and
   * counted in `refused`; what it had sent is gone. The only guard of an abstract name, which has no
   * permissions.
   */
  authorize?: AllowedPeers | AuthorizePeer | undefined;
}

/** A descriptor that was bound, and its address where it is known. */
export interface Bound {
  descriptor: Descriptor;
  localAddr: Address | null;
  /** Who may connect; absent for everybody. */
  gate?: Gate | null;
}

/** Makes a socket of a type and binds it. Nothing is left open when it throws. */
export function createBound(
  type: number,
  address: AddressLike,
  options: BindOptions | undefined,
  finish: (descriptor: Descriptor, address: Address) => void = () => {},
): Bound {
  checkOptions(options);
  const mode = options?.mode === undefined
    ? undefined
    : checkInteger(options.mode, "a mode", 0, 0o777);
  const stale = checkWord(ifAbsent(options?.stale, "replace"), "stale", ["replace", "fail"]);
  const unlinkOnClose = checkFlag(options?.unlinkOnClose, "unlinkOnClose", true);
  const parsed = parseAddress(address, "bind");
  const { address: bindTo, raw } = parsed;
  if (mode !== undefined && raw.kind !== "pathname") {
    throw new TypeError("Cannot give a mode to an address that is no file");
  }
  const descriptor = new Descriptor(createSocket(type, () => ({
    action: `Cannot bind to ${quote(bindTo)}`,
    address: formatAddress(bindTo),
  })));
  try {
    const bound = bindSocket(descriptor.fd, parsed, { mode, stale, type });
    if (bound !== null) descriptor.beforeClose = () => removePath(bound);
    finish(descriptor, bindTo);
    if (!unlinkOnClose) descriptor.beforeClose = null;
  } catch (error) {
    descriptor.close();
    throw error;
  }
  return { descriptor, localAddr: raw.kind === "unnamed" ? null : bindTo };
}

/** Makes a socket of a type, binds it and listens. */
export function createListening(
  type: number,
  address: AddressLike,
  options: ListenOptions | undefined,
): Bound {
  checkOptions(options);
  const { SOMAXCONN } = native().abi.constants;
  const backlog = checkInteger(ifAbsent(options?.backlog, SOMAXCONN), "a backlog", 0, 0x7fff_ffff);
  const gate = gateOf(options?.authorize);
  const bound = createBound(type, address, options, (descriptor, bindTo) => {
    const result = sockets.listen(descriptor.fd, backlog);
    if (result >= 0) return;
    throw failure(result, {
      action: `Cannot listen on ${quote(bindTo)}`,
      syscall: "listen",
      address: formatAddress(bindTo),
    });
  });
  return { ...bound, gate };
}

/** Options of taking over a descriptor that listens. */
export type AdoptListenerOptions = Pick<ListenOptions, "authorize">;

/** Takes over a descriptor that listens. On an error it stays the caller's. */
export function adoptListening(
  fd: number | Fd,
  type: number,
  what: string,
  options: AdoptListenerOptions | undefined,
): Bound {
  checkOptions(options);
  const gate = gateOf(options?.authorize);
  const descriptor = new Descriptor(adoptSocket(fd, { type, what, listening: true }), true);
  return { descriptor, localAddr: null, gate };
}

/** Transient errors of accept(2): the iterator backs off and retries. */
const TRANSIENT = ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "ECONNABORTED"];

/** The delays of the iterator after a transient error. */
const MIN_PAUSE_MS = 5;
const MAX_PAUSE_MS = 1000;

/** How many connections one attempt refuses before it lets others have a turn. */
const MAX_REFUSALS = 32;

/** The base of the listeners. */
export abstract class Listener<Connection> extends Socket {
  readonly #wrap: (fd: number, localAddr: Address) => Connection;
  readonly #gate: Gate | null;
  #refused = 0;

  /** @ignore */
  protected constructor(
    { descriptor, localAddr, gate }: Bound,
    wrap: (fd: number, localAddr: Address) => Connection,
  ) {
    super(descriptor, localAddr);
    this.#wrap = wrap;
    this.#gate = gate ?? null;
  }

  /** How many connections were closed because `authorize` did not allow their peer. */
  get refused(): number {
    return this.#refused;
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
  accept(options?: SignalOption): Promise<Connection> {
    try {
      const signal = checkSignal(options);
      this.assertOpen("accept a connection", "accept4");
      // Asked before the wait, so that it outlives the listener.
      const local = this.localAddr;
      const queue = this.descriptor.reading;
      const fd = queue.mayTry() ? this.#acceptNow() : NOT_TRIED;
      if (fd >= 0) return Promise.resolve(this.#wrap(fd, local));
      return queue.goOn(fd, this.#accepting(local), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * {@linkcode accept}, blocking the thread.
   *
   * @throws {UnixSocketError} as `accept` does, and ETIMEDOUT
   */
  acceptSync(options?: TimeoutOption): Connection {
    const deadline = checkDeadline(options);
    this.assertOpen("accept a connection", "accept4");
    const local = this.localAddr;
    const queue = this.descriptor.reading;
    const fd = queue.idle ? this.#acceptNow() : NOT_TRIED;
    if (fd >= 0) return this.#wrap(fd, local);
    return queue.goOnSync(fd, this.#accepting(local), deadline);
  }

  /**
   * The connections, one after the other, until the listener closes. Leaving the loop leaves it
   * open. While descriptors or memory are short, it waits from 5 milliseconds up to a second and
   * goes on; the connections stay in the backlog.
   */
  [Symbol.asyncIterator](): AsyncGenerator<Connection, void, void> {
    const backoff = new Backoff(MIN_PAUSE_MS, MAX_PAUSE_MS);
    return iterateUntilClosed(this, async () => {
      for (;;) {
        try {
          const connection = await this.accept();
          backoff.reset();
          return connection;
        } catch (error) {
          if (!(error instanceof UnixSocketError) || !TRANSIENT.includes(error.code)) throw error;
          await sleep(backoff.next(), this.closing, this.descriptor.refd);
        }
      }
    });
  }

  /**
   * Stops listening: waiting accepts reject with EBADF, iterations end, the path is removed if it
   * is still the file that this listener made, and the socket closes. Connections that were
   * accepted go on; those still in the backlog are reset. A second call does nothing.
   */
  override close(): void {
    super.close();
  }

  #accepting(local: Address): Operation<Connection> {
    const attempt = () => this.#acceptNow();
    const outcome = (fd: number) => this.#wrap(fd, local);
    return new SingleCall(this, "Cannot accept a connection", "accept4", attempt, outcome);
  }

  /** One attempt to accept: a descriptor, a negated errno, or YIELD after many refusals. */
  #acceptNow(): number {
    const { descriptor } = this;
    for (let refusals = 0; refusals < MAX_REFUSALS; refusals++) {
      // Another process that has the open file may have set it back to blocking.
      if (descriptor.shared && !isReady(descriptor.fd, "readable")) return wouldBlock();
      const result = sockets.accept(descriptor.fd);
      // A listener that was shut down says "would block" for ever, and that it is readable.
      const ended = result === wouldBlock() && sockets.hasReadEnded(descriptor.fd);
      if (ended) return -errnoNumber("EINVAL");
      if (result < 0 || this.#lets(result)) return result;
    }
    return YIELD;
  }

  /** Whether the peer of a connection may stay; closes it otherwise. */
  #lets(fd: number): boolean {
    if (this.#gate === null) return true;
    let allowed = false;
    try {
      // The function may have closed this listener.
      allowed = this.#gate(fd) && !this.closed;
    } finally {
      if (!allowed) {
        file.close(fd);
        this.#refused++;
      }
    }
    return allowed;
  }
}
