/** Whether the cases, the tests, what is kept of their runs, and the page fit together. */

import { CASES } from "../../tests/conformance/cases.ts";
import { PROGRAMS } from "../../tests/conformance/programs.ts";
import type { RunCounts } from "./counts.ts";
import { numbersInSource } from "./numbers.ts";
import { renderPage } from "./page.ts";

/** All that has to fit. */
export interface State {
  /** The text of each test file, by its path. */
  sources: ReadonlyMap<string, string>;
  runs: readonly RunCounts[];
  page: string;
}

/** What does not fit in the cases and the tests, for people; nothing where all does. */
export function findings({ sources }: Pick<State, "sources">): string[] {
  const found: string[] = [];
  const shown = new Set<string>();
  for (const [file, source] of sources) {
    for (const number of numbersInSource(source)) {
      shown.add(number);
      if (!CASES.has(number)) found.push(`${file}: there is no case ${number}`);
    }
  }
  for (const { id, untested } of CASES.values()) {
    if (!shown.has(id) && untested === undefined) found.push(`No test has the number ${id}`);
  }
  return found;
}

/** What the page tells no longer as it is, since tests have changed; the next count mends it. */
export function outdated({ sources, runs, page }: State): string[] {
  const found: string[] = [];
  for (const { name } of PROGRAMS) {
    const has = ({ files }: RunCounts) =>
      Object.values(files).some(({ programs }) => programs[name]);
    if (!runs.some(has)) found.push(`No test speaks of ${name}`);
  }
  const stale = staleFiles({ sources, runs });
  if (stale.length > 0) {
    const [first, ...others] = stale;
    const which = others.length === 0 ? `${first} has` : `${first} and ${others.length} more have`;
    found.push(`${which} other numbers than when they were counted: npm run conformance`);
  }
  if (page !== renderPage(runs)) {
    found.push("docs/conformance.md is not what is counted: npm run conformance");
  }
  return found;
}

/** The files whose numbers are not those that were counted, and those that are no more. */
export function staleFiles({ sources, runs }: Omit<State, "page">): string[] {
  const known = new Set(runs.flatMap(({ files }) => Object.keys(files)));
  const stale = [...known].filter((file) => !sources.has(file));
  // Every runtime of the first machine has to have run it.
  const first = runs.filter(({ machine }) => machine === runs[0]!.machine);
  const isCounted = (file: string) => first.length > 0 && first.every(({ files }) => files[file]);
  for (const [file, source] of sources) {
    const numbers = new Set(runs.flatMap(({ files }) => Object.keys(files[file]?.cases ?? {})));
    const differs = numbersInSource(source).symmetricDifference(numbers).size > 0;
    // A file without numbers counts too, among all tests.
    if (differs || !isCounted(file)) stale.push(file);
  }
  return stale.sort();
}
