/**
 * Growing delays between attempts, for waits that no event ends.
 * @module
 */

import { clearTimeout, setTimeout } from "../../ffi/mod.ts";
import { onAbort } from "../util/abort.ts";

/** The first and the largest delay without others, in milliseconds. */
const MIN_DELAY_MS = 1;
const MAX_DELAY_MS = 64;

/** Delays that double from the first to the largest. */
export class Backoff {
  #next: number;
  readonly #first: number;
  readonly #max: number;

  constructor(first = MIN_DELAY_MS, max = MAX_DELAY_MS) {
    this.#next = this.#first = first;
    this.#max = max;
  }

  /** The next delay in milliseconds. */
  next(): number {
    const delay = this.#next;
    this.#next = Math.min(delay * 2, this.#max);
    return delay;
  }

  /** After a success: begins with the first delay again. */
  reset(): void {
    this.#next = this.#first;
  }
}

/** Calls `action` after a delay. The timer keeps the process alive only if `refd`. */
export function startTimer(action: () => void, milliseconds: number, refd: boolean): unknown {
  const timer: unknown = setTimeout(action, milliseconds);
  if (!refd) (timer as { unref?(): void }).unref?.();
  return timer;
}

/** Waits for a number of milliseconds, or rejects with the signal's reason. */
export function sleep(milliseconds: number, signal: AbortSignal, refd: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const stop = onAbort(signal, () => {
      clearTimeout(timer as number);
      reject(signal.reason);
    });
    const timer = startTimer(
      () => {
        stop();
        resolve();
      },
      milliseconds,
      refd,
    );
  });
}
