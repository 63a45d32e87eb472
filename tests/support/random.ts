/**
 * Numbers that look random and are the same for the same seed: nothing here needs @std.
 * @module
 */

import process from "node:process";

/** What the numbers of many tests follow from: AFUNIX_SEED in the environment, or the same always. */
export const SEED: number = Number(process.env["AFUNIX_SEED"] ?? 20_031) >>> 0;

/** Numbers from 0 on, below a bound (xorshift32). */
export type Random = (bound: number) => number;

export function generator(seed: number): Random {
  // Spread, so that seeds that follow each other have nothing in common; zero would stay zero.
  let state = Math.imul(seed, 2654435761) | 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  for (let i = 0; i < 8; i++) next();
  return (bound) => next() % bound;
}

/** Numbers that follow from {@linkcode SEED}; each `stream` has its own. */
export function random(stream: number): Random {
  return generator(SEED + Math.imul(stream, 0x9e37_79b1));
}

/** One of these. */
export function pick<T>(random: Random, among: readonly T[]): T {
  return among[random(among.length)]!;
}
