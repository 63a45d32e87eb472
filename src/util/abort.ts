/**
 * What code does when a signal is aborted while it waits.
 * @module
 */

/** Calls `action` once when the signal is aborted; returns what ends the listening. */
export function onAbort(signal: AbortSignal, action: () => void): () => void {
  signal.addEventListener("abort", action, { once: true });
  return () => signal.removeEventListener("abort", action);
}

/** Settles as `promise` does, or rejects with the signal's reason as soon as that is aborted. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const stop = onAbort(signal, () => reject(signal.reason));
    promise.finally(stop).then(resolve, reject);
  });
}
