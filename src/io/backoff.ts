/**
 * Pauses between tries, for the waits that no readiness can end.
 * @module
 */

import { clearTimeout, now, setTimeout, sockets } from "../../ffi/mod.ts";

/** The pauses, in milliseconds: doubled from the first to the last. */
const MIN_PAUSE_MS = 1;
const MAX_PAUSE_MS = 64;

/** Pauses that grow while they do not help. */
export class Backoff {
  #next: number;
  readonly #first: number;
  readonly #last: number;

  constructor(first = MIN_PAUSE_MS, last = MAX_PAUSE_MS) {
    this.#next = this.#first = first;
    this.#last = last;
  }

  /** The next pause in milliseconds. */
  next(): number {
    const pause = this.#next;
    this.#next = Math.min(pause * 2, this.#last);
    return pause;
  }

  /** After a success: begin with the first again. */
  reset(): void {
    this.#next = this.#first;
  }

  /**
   * Blocks the thread for the next pause, or what is left until the deadline.
   * False where nothing is left.
   */
  block(deadline: number): boolean {
    const left = deadline - now();
    if (left <= 0) return false;
    sockets.sleepBlocking(Math.min(this.next(), Math.ceil(left)));
    return true;
  }
}

/**
 * Waits so many milliseconds, or rejects with the signal's reason.
 * `refd: false` does not keep the process alive.
 */
export function sleep(
  milliseconds: number,
  signal: AbortSignal | undefined,
  refd = true,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    if (!refd) (timer as unknown as { unref?(): void }).unref?.();
    signal?.addEventListener("abort", abort, { once: true });
  });
}
