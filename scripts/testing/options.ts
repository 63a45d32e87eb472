/** What `npm test -- …` understands. */

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";

export type RuntimeName = "deno" | "bun" | "node";

export const runtimeNames: readonly RuntimeName[] = ["deno", "bun", "node"];

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

export type Options = ReturnType<typeof parseOptions>;

/** Throws an Error meant for the user if the arguments make no sense; the default time limit grows with `slowdown`. */
export function parseOptions(args: readonly string[], slowdown = 1) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      "runtime": { type: "string", multiple: true, default: [] },
      "file": { type: "string", multiple: true, default: [""] },
      "skip-checks": { type: "boolean" },
      "only-checks": { type: "boolean" },
      "file-timeout": { type: "string", default: String(180 * slowdown) },
      "jobs": { type: "string", default: String(DEFAULT_JOBS) },
      "results": { type: "string" },
      "help": { type: "boolean" },
    },
  });
  const { runtime: asked, file: files, results, help } = values;
  if (values["skip-checks"] && values["only-checks"]) {
    throw new Error("--skip-checks and --only-checks together leave nothing to do");
  }
  const unknown = asked.find((name) => !runtimeNames.some((known) => known === name));
  if (unknown !== undefined) throw new Error(`Unknown runtime "${unknown}"`);
  const runtimes = runtimeNames.filter((name) => asked.length === 0 || asked.includes(name));
  const fileTimeout = Number(values["file-timeout"]) * 1000;
  if (!(fileTimeout > 0)) throw new Error("--file-timeout must be a positive number of seconds");
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error("--jobs must be a positive integer");
  const [checks, suite] = [!values["skip-checks"], !values["only-checks"]];
  return { runtimes, files, checks, suite, fileTimeout, jobs, results, help };
}
