/**
 * The options of sockets. A result below zero is a negated errno.
 * @module
 */

import { native } from "../native.ts";

/** Scratch memory for a value and a length; every use ends before the next call. */
const word = new Int32Array(new ArrayBuffer(4));
const lengthWord = new Int32Array(new ArrayBuffer(4));

/** Gets an integer option that is never below zero. */
export function getsockopt(fd: number, level: number, name: number): number {
  lengthWord[0] = 4;
  const result = native().calls.getsockopt(fd, level, name, word, lengthWord);
  return result < 0 ? result : word[0]!;
}

/** Gets an option of any shape into `value`; returns the length that the kernel reports. */
export function getsockoptBytes(
  fd: number,
  level: number,
  name: number,
  value: Uint8Array,
): number {
  lengthWord[0] = value.length;
  const result = native().calls.getsockopt(fd, level, name, value, lengthWord);
  return result < 0 ? result : lengthWord[0]!;
}

/** Sets an integer option. */
export function setsockopt(fd: number, level: number, name: number, value: number): number {
  word[0] = value;
  return native().calls.setsockopt(fd, level, name, word, 4);
}
