/**
 * One at a time, in the order of the calls.
 * @module
 */

/** Lets asynchronous actions run one after the other. */
export class Mutex {
  #last: Promise<void> = Promise.resolve();

  /** Runs an action when those before it have ended; the signal ends only the waiting for its turn. */
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

/** What a promise comes to, or the signal's reason as soon as that is aborted. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    const settled = () => signal.removeEventListener("abort", abort);
    promise.then((value) => {
      settled();
      resolve(value);
    }, (error) => {
      settled();
      reject(error);
    });
  });
}
