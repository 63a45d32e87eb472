/**
 * Helpers around waiting: turns of the reactor, what is pending, how often libc is called.
 * @module
 */

import { assert } from "@std/assert";
import type { Libc } from "../../ffi/libc/symbols.ts";
import { native } from "../../ffi/mod.ts";
import { UnixSocketError, UnixStream } from "../../mod.ts";
import { settled } from "./sockets.ts";

/** Lets the reactor take in all that is ready now: what is written here comes after it. */
export async function reactorTurn(): Promise<void> {
  await settled();
  const [a, b] = UnixStream.pair();
  try {
    const reading = b.read(new Uint8Array(1));
    a.writeSync(new Uint8Array(1));
    await reading;
  } finally {
    a.close();
    b.close();
  }
  await settled();
}

/** Whether a promise is neither fulfilled nor rejected after the reactor took in what is ready. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  const note = () => void (pending = false);
  promise.then(note, note);
  await reactorTurn();
  return pending;
}

/** A promise's outcome as a value, so that nobody has to catch it meanwhile. */
export async function outcome<T>(promise: Promise<T>): Promise<T | string> {
  try {
    return await promise;
  } catch (error) {
    return error instanceof UnixSocketError ? error.code : String(error);
  }
}

/** Waits until a condition holds that no event tells: looks once a turn, then every few milliseconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let look = 0; !condition(); look++) {
    assert(look < 10_000, `waited in vain for ${what}`);
    await new Promise((resolve) => look < 100 ? setImmediate(resolve) : setTimeout(resolve, 2));
  }
}

/** Counts the calls of some functions of libc until it is disposed of. */
export function countCalls<Name extends keyof Libc>(
  ...names: Name[]
): Disposable & { readonly counts: Readonly<Record<Name, number>> } {
  const libc = native().libc as unknown as Record<string, (...args: unknown[]) => unknown>;
  const counts = {} as Record<Name, number>;
  const originals = names.map((name) => [name, libc[name]!] as const);
  for (const [name, original] of originals) {
    counts[name] = 0;
    libc[name] = (...args) => {
      counts[name]++;
      return original(...args);
    };
  }
  return {
    counts,
    [Symbol.dispose]() {
      for (const [name, original] of originals) libc[name] = original;
    },
  };
}

/** So many pairs of connected streams; for `closeAll`. */
export function pairs(count: number): [UnixStream, UnixStream][] {
  return Array.from({ length: count }, () => UnixStream.pair());
}

export function closeAll(list: Iterable<Iterable<{ close(): void }>>): void {
  for (const members of list) for (const member of members) member.close();
}

/** Reads exactly so many bytes, blocking. */
export function takeSync(stream: UnixStream, count: number): Uint8Array {
  const data = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const taken = stream.readSync(data.subarray(at), { timeout: 10_000 });
    assert(taken !== null, `the stream ended after ${at} of ${count} bytes`);
    at += taken;
  }
  return data;
}
