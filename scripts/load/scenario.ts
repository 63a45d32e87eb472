/**
 * What a scenario is, and what several of them share.
 * @module
 */

import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Measures, RuntimeName } from "./party.ts";

/** What is done to the library, on one runtime. */
export interface Scenario {
  /** One word, to select it by. */
  name: string;
  /** Why it cannot run here; null where it can. */
  missing?(): string | null;
  /** Does it; the line that tells what came of it. Throws where anything is not as it should be. */
  run(runtime: RuntimeName, quick: boolean): Promise<string>;
}

/** Throws unless something holds. */
export function expect(condition: boolean, otherwise: () => string): asserts condition {
  if (!condition) throw new Error(otherwise());
}

/** Runs a body with a directory in which anybody may make sockets. */
export async function withDirectory<T>(body: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "afunix-load-"));
  chmodSync(directory, 0o777);
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** How much memory may come and go without being a leak, in megabytes. */
const HEAP_SLACK = 4;
const RESIDENT_SLACK = 32;

/** Throws where one measure has more than another, apart from what every runtime needs at times. */
export function expectFlat(what: string, before: Measures, after: Measures): void {
  expect(
    after.descriptors === before.descriptors,
    () => `${what} has ${after.descriptors} descriptors open, and had ${before.descriptors}`,
  );
  expect(
    after.heap <= before.heap + HEAP_SLACK,
    () => `${what} holds ${after.heap.toFixed(1)} MB, and held ${before.heap.toFixed(1)}`,
  );
  expect(
    after.resident <= before.resident + RESIDENT_SLACK,
    () => `${what} takes ${after.resident.toFixed(0)} MB, and took ${before.resident.toFixed(0)}`,
  );
}

/** Waits until something holds, for at most a minute. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`It never came to this: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A number as people write it. */
export function number(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: value < 100 ? 1 : 0 });
}

/** Megabytes before and after, for both sides. */
export function memory(title: string, before: Measures, after: Measures): string {
  const heap = `heap ${before.heap.toFixed(1)} to ${after.heap.toFixed(1)} MB`;
  const resident = `resident ${before.resident.toFixed(0)} to ${after.resident.toFixed(0)} MB`;
  return `${title} ${heap}, ${resident}`;
}
