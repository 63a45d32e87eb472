/** Makes a list of steps that fails shorter, by leaving out more and more of it. */

/** What shrinking came to. */
export interface Shrunk {
  /** The shortest list that still failed; null where not even the whole one failed again. */
  steps: readonly number[] | null;
  /** How many lists were tried. */
  tries: number;
  /** Whether the time was over before every single step had been left out once. */
  outOfTime: boolean;
}

/**
 * Looks for the shortest list that still fails: without halves, then quarters, and so on down to single
 * steps, and from the top again as long as that helps.
 *
 * @param steps the list that failed
 * @param fails whether a list fails
 * @param isOver whether there is no more time; the list that is being tried is tried to its end
 */
export async function shrink(
  steps: readonly number[],
  fails: (steps: readonly number[]) => Promise<boolean>,
  isOver: () => boolean,
): Promise<Shrunk> {
  let tries = 0;
  const failsStill = (list: readonly number[]) => {
    tries++;
    return fails(list);
  };
  if (!await failsStill(steps)) return { steps: null, tries, outOfTime: false };
  let shortest = steps;
  let pieces = 2;
  while (shortest.length > 0) {
    const length = Math.ceil(shortest.length / pieces);
    let found = false;
    // From the end on: what comes last is the least likely to matter to what came before.
    for (
      let from = Math.floor((shortest.length - 1) / length) * length;
      from >= 0;
      from -= length
    ) {
      if (isOver()) return { steps: shortest, tries, outOfTime: true };
      const left = shortest.toSpliced(from, length);
      if (!await failsStill(left)) continue;
      shortest = left;
      found = true;
    }
    if (length === 1 && !found) break;
    if (!found) pieces *= 2;
    else pieces = Math.max(2, Math.min(pieces, shortest.length));
  }
  return { steps: shortest, tries, outOfTime: false };
}
