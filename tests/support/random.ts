/**
 * Numbers that look random and are the same for the same seed: nothing here needs @std.
 * @module
 */

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
