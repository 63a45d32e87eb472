/**
 * Garbage collection by force, for the programs that tests start: nothing here needs @std. Deno and Node have to
 * be told to permit it (`--expose-gc`).
 * @module
 */

interface Globals {
  Bun?: { gc(force: boolean): void };
  gc?: () => void;
}
const globals = globalThis as Globals;

/** Collects what nothing refers to; throws where that is not permitted. */
export function collectNow(): void {
  if (globals.Bun !== undefined) globals.Bun.gc(true);
  else if (globals.gc !== undefined) globals.gc();
  else throw new Error("Garbage cannot be collected by force without --expose-gc");
}

/** Overwrites what calls have left on the stack: Bun's collector keeps what looks like a pointer there. */
function scrub(depth = 200): number {
  return depth === 0 ? 0 : 1 + scrub(depth - 1);
}

/** Collects as much as it can, and lets finalizers run. */
export async function collect(): Promise<void> {
  // What a WeakRef was asked for lives as long as the turn in which that was.
  await new Promise((resolve) => setImmediate(resolve));
  scrub();
  collectNow();
  // Finalizers run in a turn of their own, and on Deno after a pause.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Collects until a condition holds; false where it never does. */
export async function collectedUntil(condition: () => boolean): Promise<boolean> {
  for (let round = 0; round < 300; round++) {
    if (condition()) return true;
    await collect();
  }
  return condition();
}
