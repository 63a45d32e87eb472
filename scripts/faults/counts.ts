/** What happened in runs of seeds, added up. */

import type { Counts } from "../../tests/faults/journal.ts";

/** One set of counts of several. */
export function sumOf(all: readonly Counts[]): Counts {
  const sum: Counts = {};
  for (const counts of all) {
    for (const [what, count] of Object.entries(counts)) sum[what] = (sum[what] ?? 0) + count;
  }
  return sum;
}

/** What is a fault that was injected, and what an error that came of it. */
const FAULTS =
  /^(libc|aborts|garbage collected|descriptor table full|signals sent|processes (killed|stopped)|.* from within)/;

/** The counts in three lines: what was done, the faults, and the errors. */
export function inLines(counts: Counts): string[] {
  const { faults, errors, done } = grouped(counts);
  return [`${spelled(done)}`, `faults: ${spelled(faults)}`, `errors: ${spelled(errors)}`];
}

/** How many faults were injected in all. */
export function faultsIn(counts: Counts): number {
  return Object.values(grouped(counts).faults).reduce((sum, count) => sum + count, 0);
}

/** The errors by code. */
export function errorsIn(counts: Counts): Counts {
  return grouped(counts).errors;
}

function grouped(counts: Counts): { done: Counts; faults: Counts; errors: Counts } {
  const groups: { done: Counts; faults: Counts; errors: Counts } = {
    done: {},
    faults: {},
    errors: {},
  };
  for (const [what, count] of Object.entries(counts)) {
    if (what.startsWith("error ")) groups.errors[what.slice("error ".length)] = count;
    else groups[FAULTS.test(what) ? "faults" : "done"][what] = count;
  }
  return groups;
}

function spelled(counts: Counts): string {
  const parts = Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([what, count]) => `${what} ${count.toLocaleString("en")}`);
  return parts.join(", ") || "none";
}
