/**
 * Repetition, with half as many rounds to warm up.
 * @module
 */

/** How many milliseconds the rounds take. */
export async function timed(
  rounds: number,
  waits: boolean,
  run: () => unknown,
): Promise<number> {
  await repeat(rounds / 2, waits, run);
  const begin = performance.now();
  await repeat(rounds, waits, run);
  return performance.now() - begin;
}

async function repeat(rounds: number, waits: boolean, run: () => unknown): Promise<void> {
  // What blocks is not made to wait for promises.
  if (!waits) { for (let i = 0; i < rounds; i++) run(); }
  else for (let i = 0; i < rounds; i++) await run();
}

/** Ends the contender where an answer is wrong. */
export function expect(right: boolean, what: string): void {
  if (!right) throw new Error(what);
}
