/**
 * Objects that are over and serve again: what is done often then allocates nothing.
 * @module
 */

/** How many are kept at most. */
const MAX_FREE = 64;

export class FreeList<T> {
  readonly #free: T[] = [];
  readonly #make: () => T;

  constructor(make: () => T) {
    this.#make = make;
  }

  /** One that nobody uses. */
  take(): T {
    return this.#free.pop() ?? this.#make();
  }

  /** Takes back one that nobody will use, and that holds on to nothing. */
  giveBack(object: T): void {
    if (this.#free.length < MAX_FREE) this.#free.push(object);
  }
}
