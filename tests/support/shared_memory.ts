/**
 * What two programs that share memory do with it; nothing here needs @std.
 * @module
 */

/** Where in the memory is what: two numbers of 32 bits, and bytes after them. */
export const COMMAND = 0;
export const COUNTER = 1;
export const BODY = 64;

export const COMMANDS = { invert: 1, count: 2, end: 3 };

/** How often each of the two adds 1 to the counter. */
export const ADDITIONS = 300_000;

/** Changes every bit. */
export function invert(data: Uint8Array): void {
  for (let i = 0; i < data.length; i++) data[i] = ~data[i]!;
}
