/**
 * A counting semaphore.
 * @module
 */

import { onAbort } from "./abort.ts";

/** A counting semaphore; waiters are served first in, first out. */
export class Semaphore {
  #free: number;
  readonly #line = new Set<() => void>();

  /** With `Infinity`, nobody ever waits. */
  constructor(count: number) {
    this.#free = count;
  }

  /** The number of waiters. */
  get waiting(): number {
    return this.#line.size;
  }

  /** Takes a place, at once or in turn. Rejects with the signal's reason if that comes first. */
  enter(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const take = () => {
        stop?.();
        resolve();
      };
      const stop = signal && onAbort(signal, () => {
        this.#line.delete(take);
        reject(signal.reason);
      });
      this.#line.add(take);
    });
  }

  /** Gives a place back, to the first waiter if there is one. */
  leave(): void {
    for (const take of this.#line) {
      this.#line.delete(take);
      return take();
    }
    this.#free++;
  }
}
