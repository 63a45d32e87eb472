/** What `npm test -- --results FILE` writes: every test by its title, and how it ended. */

import { writeFileSync } from "node:fs";
import type { Noted, Report } from "./junit.ts";

/** One runtime's run of some files. */
export interface Run {
  /** "deno 2.9.5". */
  runtime: string;
  /** "linux x64": what the runtime was made for. */
  machine: string;
  /** By the path of the test file. */
  files: Record<string, FileResult>;
}

/** How the tests of a file ended. */
export interface FileResult {
  /** Titles; a title of several tests stands there as often. */
  passed: string[];
  skipped: Noted[];
  failed: Noted[];
}

/** What a file of results holds. */
export interface Results {
  runs: readonly Run[];
}

/** A report as it is kept. */
export function fileResult({ passedNames, skipped, failed }: Report): FileResult {
  return { passed: passedNames, skipped, failed };
}

/** Writes what several runs came to. */
export function writeResults(path: string, runs: readonly Run[]): void {
  writeFileSync(path, JSON.stringify({ runs } satisfies Results, null, 1) + "\n");
}
