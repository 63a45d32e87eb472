/** What is kept of runs of the suite: for each file, how many tests of each case ended how. */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Results, Run } from "../testing/results.ts";
import { numbersOfTitle, programsOfTitle } from "./numbers.ts";

/** How many tests passed, were skipped and failed. */
export type Count = [passed: number, skipped: number, failed: number];

/** What is kept of one file. */
export interface FileCounts {
  /** All of its tests. */
  all: Count;
  /** By the number of the case. */
  cases: Record<string, Count>;
  /** By the name of the program that takes part. */
  programs: Record<string, Count>;
  /** The titles of those that were skipped, with the reason. */
  skipped: Record<string, string>;
}

/** What is kept of one runtime on one kind of machine. */
export interface RunCounts {
  /** "deno 2.9.5". */
  runtime: string;
  /** "linux x64". */
  machine: string;
  /** By the path of the test file. */
  files: Record<string, FileCounts>;
}

/** A line of the file: what one runtime made of one test file. */
type Line = Omit<RunCounts, "files"> & { file: string } & FileCounts;

/** Those that are kept; none where there is no file yet. */
export function readCounts(path: string): RunCounts[] {
  if (!existsSync(path)) return [];
  const runs: RunCounts[] = [];
  for (const line of readFileSync(path, "utf8").split("\n").filter(Boolean)) {
    const { runtime, machine, file, ...counts }: Line = JSON.parse(line);
    let run = runs.find((other) => other.runtime === runtime && other.machine === machine);
    if (run === undefined) runs.push(run = { runtime, machine, files: {} });
    run.files[file] = counts;
  }
  return runs;
}

/** Writes a line for each test file of each runtime, so that a change is a change of few lines. */
export function writeCounts(path: string, runs: readonly RunCounts[]): void {
  const lines = runs.flatMap(({ runtime, machine, files }) =>
    Object.entries(files).sort(([a], [b]) => a < b ? -1 : 1).map(([file, counts]) => {
      return JSON.stringify({ runtime, machine, file, ...counts } satisfies Line);
    })
  );
  writeFileSync(path, lines.map((line) => `${line}\n`).join(""));
}

/** Those of before with what other runs say of the files that they ran. */
export function merged(before: readonly RunCounts[], { runs }: Results): RunCounts[] {
  const after = before.map((run) => ({ ...run, files: { ...run.files } }));
  for (const run of runs) {
    let kept = after.find((other) => isSame(other, run));
    // What another version came to says nothing of this one.
    if (kept?.runtime !== run.runtime) {
      if (kept !== undefined) after.splice(after.indexOf(kept), 1);
      after.push(kept = { runtime: run.runtime, machine: run.machine, files: {} });
    }
    for (const [file, result] of Object.entries(run.files)) kept.files[file] = countsOf(result);
  }
  return after.sort((a, b) => orderOf(a) - orderOf(b));
}

/** Drops what is kept of files that are no more. */
export function withoutMissing(runs: readonly RunCounts[], files: readonly string[]): RunCounts[] {
  return runs.map((run) => ({
    ...run,
    files: Object.fromEntries(Object.entries(run.files).filter(([file]) => files.includes(file))),
  }));
}

/** The sum of several. */
export function sum(counts: Iterable<Count>): Count {
  const total: Count = [0, 0, 0];
  for (const count of counts) count.forEach((each, i) => total[i]! += each);
  return total;
}

function isSame(a: RunCounts, b: Run): boolean {
  return a.machine === b.machine && nameOf(a.runtime) === nameOf(b.runtime);
}

/** "deno" of "deno 2.9.5". */
export function nameOf(runtime: string): string {
  return runtime.split(" ")[0]!;
}

function orderOf({ runtime, machine }: RunCounts): number {
  const machines = ["linux x64", "linux arm64"];
  const runtimes = ["deno", "bun", "node"];
  return 10 * ((machines.indexOf(machine) + 10) % 10) + runtimes.indexOf(nameOf(runtime));
}

function countsOf({ passed, skipped, failed }: Run["files"][string]): FileCounts {
  const counts: FileCounts = { all: [0, 0, 0], cases: {}, programs: {}, skipped: {} };
  const ends = [passed, skipped.map(({ name }) => name), failed.map(({ name }) => name)];
  for (const [end, titles] of ends.entries()) {
    for (const title of titles) {
      counts.all[end]!++;
      for (const number of numbersOfTitle(title)) (counts.cases[number] ??= [0, 0, 0])[end]!++;
      for (const name of programsOfTitle(title)) (counts.programs[name] ??= [0, 0, 0])[end]!++;
    }
  }
  for (const { name, message } of skipped) counts.skipped[name] = message;
  return counts;
}
