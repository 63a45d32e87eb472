/** What is kept of a run of the suite: totals, and the cases that passed. */

import { CASES } from "../../tests/conformance/cases.ts";
import type { Run } from "../run_tests.ts";
import { hasFailed, type Result } from "../testing/junit.ts";
import { numbersOfTitle } from "./sources.ts";

/** The suite on one runtime and one kind of machine. */
export interface Seen {
  /** "deno 2.9.5". */
  runtime: string;
  /** "linux x64". */
  machine: string;
  date: string;
  /** How many test files ran, of how many. */
  files: [ran: number, of: number];
  passed: number;
  skipped: number;
  failed: number;
  /** The numbers of the cases that passed: a test of each passed, and none failed. */
  cases: string;
  /** The numbers of the cases with a test that failed. */
  failedCases: string;
  /** How many tests were skipped for which reason; a title where a test is alone with its reason, or tells none. */
  reasons: Record<string, number>;
}

/** Sums up runs; those of one runtime and machine, in pieces, become one. */
export function summarize(runs: readonly Run[], testFiles: number): Seen[] {
  const whole = Map.groupBy(runs, ({ runtime, machine }) => `${runtime} ${machine}`);
  const merged = [...whole.values()].map((pieces) => ({
    ...pieces.at(-1)!,
    files: Object.assign({}, ...pieces.map(({ files }) => files)) as Run["files"],
  }));
  // Only Node.js tells why a test was skipped.
  const reasons = new Map(
    merged.flatMap(({ files }) => Object.values(files).flat())
      .filter((result) => wasSkipped(result) && result.message !== "")
      .map(({ name, message }) => [name, message]),
  );
  const groupOf = ({ name, message }: Result) => {
    const reason = message || reasons.get(name);
    if (reason === undefined) return name;
    const others = [...reasons.values()].filter((each) => each === reason).length;
    return others > 1 ? reason : `${name}: ${reason}`;
  };
  return merged.map(({ runtime, machine, date, files }) => {
    const results = Object.values(files).flat();
    const passed = results.filter(({ outcome }) => outcome === "passed");
    const skipped = results.filter(wasSkipped);
    const failed = results.filter(hasFailed);
    const good = new Set(passed.flatMap(({ name }) => numbersOfTitle(name)));
    const bad = new Set(failed.flatMap(({ name }) => numbersOfTitle(name)));
    const ids = [...CASES.keys()];
    const seen: Seen = {
      runtime,
      machine,
      date,
      files: [Object.keys(files).length, testFiles],
      passed: passed.length,
      skipped: skipped.length,
      failed: failed.length,
      cases: ids.filter((id) => good.has(id) && !bad.has(id)).join(" "),
      failedCases: ids.filter((id) => bad.has(id)).join(" "),
      reasons: {},
    };
    for (const group of skipped.map(groupOf)) {
      seen.reasons[group] = (seen.reasons[group] ?? 0) + 1;
    }
    return seen;
  });
}

/** What was seen before, with other runs in the place of those of the same runtime and machine. */
export function replaced(before: readonly Seen[], after: readonly Seen[]): Seen[] {
  const same = (a: Seen) => (b: Seen) => a.machine === b.machine && nameOf(a) === nameOf(b);
  const kept = before.map((each) => after.find(same(each)) ?? each);
  return [...kept, ...after.filter((each) => !before.some(same(each)))];
}

function wasSkipped({ outcome }: Result): boolean {
  return outcome === "skipped" || outcome === "left out";
}

/** "deno". */
export function nameOf({ runtime }: Seen): string {
  return runtime.split(" ")[0]!;
}
