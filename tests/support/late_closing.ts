/**
 * Bun closes its ends of a child's pipes, which are sockets, on another thread: sometimes after `close` has come or
 * `execFileSync` has returned. A test that compares descriptors would take them for the library's.
 * @module
 */

import process from "node:process";
import { type DescriptorTable, descriptorTable } from "./descriptor_table.ts";
import { RUNTIME } from "./runtime.ts";

const TRIES = 2000;

/** What a call returned, and whether all that it opened is closed. */
export interface Opened<T> {
  value: T;
  isClosed(): boolean;
}

/** Calls something that starts a process. Nothing is looked at where the runtime closes in time. */
export function opening<T>(start: () => T): Opened<T> {
  // Only Linux shows them in /proc.
  if (RUNTIME !== "bun" || process.platform !== "linux") {
    return { value: start(), isClosed: () => true };
  }
  const before = socketsAndPipes();
  const value = start();
  const opened = [...socketsAndPipes()].filter(([number, target]) => before.get(number) !== target);
  const isClosed = () => {
    const now = socketsAndPipes();
    return opened.every(([number, target]) => now.get(number) !== target);
  };
  return { value, isClosed };
}

function socketsAndPipes(): DescriptorTable {
  // Their names are given once; another pidfd could have the number and the name of the child's.
  return new Map([...descriptorTable()].filter(([, target]) => /^(socket|pipe):/.test(target)));
}

/** Waits until all is closed that a child's start opened, though not for ever. */
export async function closed({ isClosed }: Opened<unknown>): Promise<void> {
  for (let tries = 0; tries < TRIES && !isClosed(); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** What a call returns that runs a process to its end, when all that it opened is closed. */
export function afterClosing<T>(run: () => T): T {
  const { value, isClosed } = opening(run);
  for (let tries = 0; tries < TRIES && !isClosed(); tries++) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  }
  return value;
}
