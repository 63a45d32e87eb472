/**
 * So many at a time, in the order of the calls.
 * @module
 */

/** A number of places, and the line of those who wait for one. */
export class Semaphore {
  #free: number;
  readonly #line = new Set<() => void>();

  /** `Infinity` for a place for everybody. */
  constructor(count: number) {
    this.#free = count;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#line.size;
  }

  /** Takes a place, at once or when it is free and nobody has waited longer; or rejects with the signal's reason. */
  enter(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#line.delete(take);
        reject(signal!.reason);
      };
      const take = () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      };
      this.#line.add(take);
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  /** Gives a place back, to whoever has waited longest. */
  leave(): void {
    for (const take of this.#line) {
      this.#line.delete(take);
      return take();
    }
    this.#free++;
  }
}
