/**
 * A mutex for asynchronous actions.
 * @module
 */

import { abortable } from "./abort.ts";

/** Runs asynchronous actions one at a time, first in, first out. */
export class Mutex {
  #last: Promise<void> = Promise.resolve();

  /** Runs an action when those before it have ended. The signal ends only the wait for its turn. */
  async run<T>(action: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    try {
      await abortable(before, signal);
    } catch (error) {
      before.then(resolve);
      throw error;
    }
    try {
      return await action();
    } finally {
      resolve();
    }
  }
}
