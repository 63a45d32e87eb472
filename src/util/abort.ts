/**
 * Listening to an AbortSignal while something waits.
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
  return new Promise((resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    const stop = onAbort(signal, () => reject(signal.reason));
    // Also after an abort: nobody else may be there to handle a rejection of `promise`.
    promise.finally(stop).then(resolve, reject);
  });
}
