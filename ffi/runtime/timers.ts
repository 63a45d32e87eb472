/**
 * The time, and what is to happen later. All of it is taken once: a program that tests with a clock of
 * its own stops neither the sockets nor their timeouts.
 * @module
 */

/** Milliseconds, counted from any moment and never set. */
export const now: () => number = performance.now.bind(performance);
export const setTimeout: typeof globalThis.setTimeout = globalThis.setTimeout;
export const clearTimeout: typeof globalThis.clearTimeout = globalThis.clearTimeout;
export const setImmediate: typeof globalThis.setImmediate = globalThis.setImmediate;
export const queueMicrotask: typeof globalThis.queueMicrotask = globalThis.queueMicrotask;
