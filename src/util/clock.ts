/**
 * The clock that deadlines are counted by.
 * @module
 */

/**
 * Milliseconds since an arbitrary moment; the clock never goes back. The function is taken when this
 * module loads: a test that replaces `performance.now` later does not stop timeouts.
 */
export const now: () => number = performance.now.bind(performance);
