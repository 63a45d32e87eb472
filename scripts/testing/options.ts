/** What `npm test -- …` understands. */

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { slowdown } from "./emulation.ts";

export type RuntimeName = "deno" | "bun" | "node";

export const runtimeNames: readonly RuntimeName[] = ["deno", "bun", "node"];

export interface Options {
  runtimes: readonly RuntimeName[];
  /** Parts of the names of the test files to run; none means all files. */
  files: readonly string[];
  checks: boolean;
  suite: boolean;
  /** Seconds that one test file may take. */
  fileTimeout: number;
  /** How many test files run at a time. */
  jobs: number;
  /** Where to write how each test ended, or undefined. */
  results: string | undefined;
  help: boolean;
}

/** As many as there are processors, but no crowd: most tests are of several processes. */
const DEFAULT_JOBS = Math.min(availableParallelism(), 4);

export const usage: string = `Usage: npm test [-- OPTIONS]

  --runtime NAME          only on this runtime: deno, bun or node; may be given several times
  --file TEXT             only test files whose path contains TEXT; may be given several times
  --skip-checks           no formatting, lint, type or floors check
  --only-checks           only those
  --file-timeout SECONDS  how long one test file may take (default: 180)
  --jobs N                how many test files run at a time (default: ${DEFAULT_JOBS})
  --results FILE          writes there, as JSON, how each test ended
  --help`;

/** Throws an Error meant for the user if the arguments make no sense. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      "runtime": { type: "string", multiple: true },
      "file": { type: "string", multiple: true },
      "skip-checks": { type: "boolean" },
      "only-checks": { type: "boolean" },
      "file-timeout": { type: "string" },
      "jobs": { type: "string" },
      "results": { type: "string" },
      "help": { type: "boolean" },
    },
  });
  if (values["skip-checks"] && values["only-checks"]) {
    throw new Error("--skip-checks and --only-checks together leave nothing to do");
  }
  const asked = values.runtime ?? [];
  for (const name of asked) {
    if (!isRuntimeName(name)) throw new Error(`Unknown runtime "${name}"`);
  }
  const fileTimeout = Number(values["file-timeout"] ?? 180 * slowdown);
  if (!(fileTimeout > 0)) throw new Error("--file-timeout must be a positive number of seconds");
  const jobs = Number(values.jobs ?? DEFAULT_JOBS);
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error("--jobs must be a positive integer");
  return {
    runtimes: asked.length === 0
      ? runtimeNames
      : runtimeNames.filter((name) => asked.includes(name)),
    files: values.file ?? [],
    checks: !values["skip-checks"],
    suite: !values["only-checks"],
    fileTimeout,
    jobs,
    results: values.results,
    help: values.help ?? false,
  };
}

function isRuntimeName(name: string): name is RuntimeName {
  return (runtimeNames as readonly string[]).includes(name);
}
