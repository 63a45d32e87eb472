/**
 * Wake-ups between processes: a counter to wait for.
 * @module
 */

import { refusal } from "../../ffi/mod.ts";
import { UnixSocketError } from "../errors.ts";
import { Fd } from "../fd/fd.ts";
import { duplicateOf, type FdLike } from "../fd/fd_like.ts";
import type { SignalOption, TimeoutOption } from "../util/validate.ts";

const ONE = BigUint64Array.of(1n);

/**
 * Wakes who waits in another process (eventfd(2), Linux): for {@linkcode SharedMemory}, where bytes
 * change without anybody noticing. It travels as a descriptor over any socket, and says nothing but
 * how often it rang.
 *
 * Each wake-up goes to one of those who wait: make one doorbell for every direction and every
 * receiver. Whatever was written to shared memory before `notify` is seen after `wait`.
 *
 * @example
 * ```ts
 * import { Doorbell, SharedMemory } from "@afunix/afunix/shm";
 *
 * using memory = SharedMemory.create(4096);
 * using doorbell = Doorbell.create();
 * const waiting = doorbell.wait();
 * memory.bytes[0] = 42;
 * doorbell.notify(); // here the same process; else whoever got [memory, doorbell] as `fds`
 * console.log(await waiting, memory.bytes[0]); // 1 42
 * ```
 */
export class Doorbell implements Disposable {
  readonly #descriptor: Fd;

  private constructor(descriptor: Fd) {
    this.#descriptor = descriptor;
  }

  /**
   * A new one, silent.
   *
   * @throws {UnixSocketError} EMFILE, ENFILE, ENOMEM, ENOTSUP: macOS
   */
  static create(): Doorbell {
    return new Doorbell(Fd.eventfd());
  }

  /**
   * One that was received. The descriptor stays the caller's, and may be closed: this object has a
   * duplicate. Whoever made it must have made an eventfd that is no semaphore; what is not one is
   * noticed here where the kernel tells, and else by `wait`.
   *
   * @throws {UnixSocketError} EBADF: closed. EINVAL: certainly no eventfd. EMFILE
   */
  static from(descriptor: FdLike): Doorbell {
    const own = Fd.received(duplicateOf(descriptor, "Cannot use the descriptor as a doorbell"));
    const { kind } = own;
    if (kind === "anonymous") return new Doorbell(own);
    own.close();
    throw refusal("EINVAL", {
      action: "Cannot use the descriptor as a doorbell",
      syscall: "fcntl",
      detail: `this is no eventfd: ${kind}`,
    });
  }

  /**
   * Rings: adds one to the counter, and wakes who waits. Never waits itself; where the counter is
   * full it rings already.
   *
   * @throws {UnixSocketError} EBADF once closed
   */
  notify(): void {
    try {
      this.#descriptor.writeSync(ONE, { timeout: 0 });
    } catch (error) {
      if (!(error instanceof UnixSocketError) || error.code !== "ETIMEDOUT") throw error;
    }
  }

  /**
   * Waits until it rings, unless it has since the last time, and makes it silent. An abort takes
   * nothing away.
   *
   * @returns how often it rang, at least once
   * @throws {UnixSocketError} EBADF: closed, also while this waited. EINVAL: it is no eventfd
   */
  async wait(options?: SignalOption): Promise<number> {
    const count = new BigUint64Array(1);
    return ringsOf(count, await this.#descriptor.read(count, options));
  }

  /**
   * {@linkcode wait}, blocking the thread.
   *
   * @throws {UnixSocketError} as `wait` does, and ETIMEDOUT
   */
  waitSync(options?: TimeoutOption): number {
    const count = new BigUint64Array(1);
    return ringsOf(count, this.#descriptor.readSync(count, options));
  }

  /** The descriptor's number, or −1 once closed: this object can be sent as a descriptor. Do not close it. */
  get fd(): number {
    return this.#descriptor.fd;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#descriptor.closed;
  }

  /** Waiting keeps the process alive again. Doorbells start this way. */
  ref(): this {
    this.#descriptor.ref();
    return this;
  }

  /** Waiting no longer keeps the process alive. */
  unref(): this {
    this.#descriptor.unref();
    return this;
  }

  /** Closes the descriptor. What waits rejects with EBADF. A second call does nothing. */
  close(): void {
    this.#descriptor.close();
  }

  /** Closes it at the end of a `using` scope. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function ringsOf(count: BigUint64Array, bytesRead: number | null): number {
  if (bytesRead === count.byteLength) return Number(count[0]);
  throw refusal("EINVAL", { action: "Cannot wait", syscall: "read", detail: "this is no eventfd" });
}
