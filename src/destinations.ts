/**
 * Waiting for room at the receiver of an unconnected datagram. No event tells of it, so each
 * destination has a line of senders, of which the first tries again after growing pauses.
 * @module
 */

import { wouldBlock } from "./lane.ts";
import { Backoff, sleep } from "./pause.ts";

/** The lines of one socket. */
export class Destinations {
  readonly #lines = new Map<string, Promise<void>>();

  /** Whether somebody waits for room at a destination. */
  waits(key: string): boolean {
    return this.#lines.has(key);
  }

  /**
   * Waits for the turn in the line of `key`, then tries until the result is something else than
   * "would block", and returns it. Rejects with the reason of the signal.
   */
  async send(
    key: string,
    attempt: () => number,
    signal: AbortSignal,
    refd: () => boolean,
  ): Promise<number> {
    const before = this.#lines.get(key);
    const { promise: done, resolve: leave } = Promise.withResolvers<void>();
    // Whoever stands behind waits for all before him, also for those before one that gave up.
    const mine = Promise.all([before, done]).then(() => {
      if (this.#lines.get(key) === mine) this.#lines.delete(key);
    });
    this.#lines.set(key, mine);
    try {
      if (before !== undefined) await raced(before, signal);
      const backoff = new Backoff();
      for (;;) {
        const result = attempt();
        if (result !== wouldBlock()) return result;
        await sleep(backoff.next(), signal, refd());
      }
    } finally {
      leave();
    }
  }
}

function raced(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    });
  });
}
