/**
 * Checks of arguments that every class shares. A wrong type is a TypeError, a value out of range a
 * RangeError, both before any system call.
 * @module
 */

import { now } from "./clock.ts";

/** Memory to read into, or to write from. */
export type Bytes = ArrayBufferView | ArrayBuffer;

/** Options of everything that can wait without blocking. */
export interface SignalOption {
  /**
   * Gives up waiting: the promise rejects with the signal's reason. Nothing that was already
   * transferred is lost, and the socket stays usable.
   */
  signal?: AbortSignal | undefined;
}

/** Options of everything that can wait while it blocks the thread. */
export interface TimeoutOption {
  /**
   * The most milliseconds to wait; 0 tries once. Without it the call waits without a limit, and
   * the thread can do nothing else meanwhile. When the time is over, it throws ETIMEDOUT.
   */
  timeout?: number | undefined;
}

function nameOf(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  return value.constructor?.name ?? "object";
}

/**
 * A view of the memory of `value`, for data that is only read. It is a plain one: `subarray` of a class
 * derived from Uint8Array calls that class's constructor, which may make anything.
 */
export function asBytes(value: unknown, what: string): Uint8Array {
  if (ArrayBuffer.isView(value)) {
    if (!isDetached(value.buffer)) {
      if (Object.getPrototypeOf(value) === Uint8Array.prototype) return value as Uint8Array;
      return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    }
  } else if (isArrayBuffer(value) && !isDetached(value)) {
    return new Uint8Array(value);
  }
  throw new TypeError(
    `Cannot use ${
      nameOf(value)
    } as ${what}: expected a typed array, DataView or ArrayBuffer that ` +
      "is not detached",
  );
}

const byteLength = Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, "byteLength")!.get!;

/** Whether it is one, perhaps of another realm. */
function isArrayBuffer(value: unknown): value is ArrayBuffer {
  try {
    byteLength.call(value);
    return true;
  } catch {
    return false;
  }
}

/** Whether it is a Uint8Array, perhaps of another realm. */
export function isUint8Array(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) &&
    (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag] === "Uint8Array";
}

function isDetached(buffer: ArrayBufferLike): boolean {
  return (buffer as ArrayBuffer).detached === true;
}

/** The signal of an options object, after checking that it has not been aborted yet. */
export function checkSignal(options: SignalOption | undefined): AbortSignal | undefined {
  checkOptions(options);
  const signal = options?.signal;
  if (signal === undefined || signal === null) return undefined;
  if (!(signal instanceof AbortSignal)) {
    throw new TypeError(`Cannot use ${nameOf(signal)} as signal: expected an AbortSignal`);
  }
  signal.throwIfAborted();
  return signal;
}

/** When a blocking call has to give up, as `now()` counts. */
export function checkDeadline(options: TimeoutOption | undefined): number {
  checkOptions(options);
  const timeout = options?.timeout;
  if (timeout === undefined) return Infinity;
  if (typeof timeout !== "number") {
    throw new TypeError(`Cannot use ${nameOf(timeout)} as timeout: expected a number`);
  }
  if (!(timeout >= 0)) {
    throw new RangeError(`Cannot use ${timeout} as timeout: expected 0 or more milliseconds`);
  }
  return now() + timeout;
}

/** An options argument is an object or absent. */
export function checkOptions(options: unknown): void {
  if (options === undefined || (typeof options === "object" && options !== null)) return;
  throw new TypeError(`Cannot use ${nameOf(options)} as options: expected an object`);
}

/** An integer between two bounds, both allowed; 0 for −0, which no libc call takes. */
export function checkInteger(value: unknown, what: string, least: number, most: number): number {
  if (typeof value !== "number") {
    throw new TypeError(`Cannot use ${nameOf(value)} as ${what}: expected a number`);
  }
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(
      `Cannot use ${value} as ${what}: expected an integer from ${least} to ${most}`,
    );
  }
  return value + 0;
}

/** True or false; false where it is absent. */
export function checkFlag(value: unknown, what: string, absent = false): boolean {
  if (value === undefined) return absent;
  if (typeof value === "boolean") return value;
  throw new TypeError(`Cannot use ${nameOf(value)} as ${what}: expected true or false`);
}

/** One of a few words. */
export function checkWord<T extends string>(value: unknown, what: string, words: readonly T[]): T {
  if (words.includes(value as T)) return value as T;
  const expected = words.map((word) => JSON.stringify(word)).join(" or ");
  const shown = typeof value === "string" ? JSON.stringify(value) : nameOf(value);
  throw new TypeError(`Cannot use ${shown} as ${what}: expected ${expected}`);
}

/** A descriptor number. */
export function checkFd(value: unknown): number {
  return checkInteger(value, "a descriptor", 0, 0x7fff_ffff);
}

/** The value of an option, or what stands for its absence. Null is a value, and a wrong one. */
export function ifAbsent<T>(value: T | undefined, instead: T): T {
  return value === undefined ? instead : value;
}
