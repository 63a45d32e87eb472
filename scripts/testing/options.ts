/** What `npm test -- …` understands. */

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { slowdown } from "./emulation.ts";

export type RuntimeName = "deno" | "bun" | "node";

export const runtimeNames: readonly RuntimeName[] = ["deno", "bun", "node"];

const DEFAULT_FILE_TIMEOUT = String(180 * slowdown);

/** As many as there are processors, but at most 4: most test files start several processes. */
const DEFAULT_JOBS = String(Math.min(availableParallelism(), 4));

export const usage: string = `Usage: npm test [-- OPTIONS]

  --runtime NAME          only on this runtime: deno, bun or node; may be given several times
  --file TEXT             only test files whose path contains TEXT; may be given several times
  --skip-checks           only the tests
  --only-checks           only formatting, lint, types and the other checks
  --file-timeout SECONDS  how long one test file may take (default: ${DEFAULT_FILE_TIMEOUT})
  --jobs N                how many test files run at a time (default: ${DEFAULT_JOBS})
  --results FILE          writes there, as JSON, how each test ended
  --help`;

export type Options = ReturnType<typeof parseOptions>;

/** Throws an Error meant for the user if the arguments make no sense. */
export function parseOptions(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      "runtime": { type: "string", multiple: true, default: [...runtimeNames] },
      "file": { type: "string", multiple: true, default: [""] },
      "skip-checks": { type: "boolean" },
      "only-checks": { type: "boolean" },
      "file-timeout": { type: "string", default: DEFAULT_FILE_TIMEOUT },
      "jobs": { type: "string", default: DEFAULT_JOBS },
      "results": { type: "string" },
      "help": { type: "boolean" },
    },
  });
  const { runtime: asked, file: files, results: resultsFile, help } = values;
  const [checks, suite] = [!values["skip-checks"], !values["only-checks"]];
  if (!checks && !suite) throw new Error("--skip-checks and --only-checks leave nothing to do");
  const runtimes = runtimeNames.filter((name) => asked.includes(name));
  const unknown = asked.find((name) => !runtimeNames.some((known) => known === name));
  if (unknown !== undefined) throw new Error(`Unknown runtime "${unknown}"`);
  const fileTimeout = Number(values["file-timeout"]) * 1000;
  if (!(fileTimeout > 0)) throw new Error("--file-timeout must be a positive number of seconds");
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error("--jobs must be a positive integer");
  return { runtimes, files, checks, suite, fileTimeout, jobs, resultsFile, help };
}
