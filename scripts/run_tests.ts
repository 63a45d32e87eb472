/**
 * `npm test`: the checks, then the one test suite on every runtime.
 *
 * The last line it prints is `N passed, M failed`, over all runtimes, and `, K skipped` and `, L left out` where
 * there are such tests.
 * @module
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { checks } from "./testing/checks.ts";
import { machine, slowdown } from "./testing/emulation.ts";
import { hasFailed, type Result } from "./testing/junit.ts";
import { type Options, parseOptions, type RuntimeName, usage } from "./testing/options.ts";
import { killGroupsAtExit, run } from "./testing/process.ts";
import { describeRuntime } from "./testing/runtimes.ts";
import { findTestFiles, runFile, wholeFailure } from "./testing/suite.ts";

/** Milliseconds that one check may take. */
const CHECK_TIMEOUT = 300_000;

/** Milliseconds after which no further file is started on a runtime. */
const RUNTIME_BUDGET = 20 * 60_000 * slowdown;

/** One runtime's run of some files, as `--results FILE` keeps it. */
export interface Run {
  /** "deno 2.9.5". */
  runtime: string;
  /** "linux x64". */
  machine: string;
  /** The day of the run, as in 2026-11-29. */
  date: string;
  /** By the path of the test file. */
  files: Record<string, Result[]>;
}

/** Returns the exit code. */
async function main(options: Options): Promise<number> {
  if (options.help) {
    console.log(usage);
    return 0;
  }
  const files = findTestFiles(options.files);
  if (files.length === 0) throw new Error("No test file's path contains that");
  killGroupsAtExit();
  const failedChecks = options.checks ? await runChecks() : [];
  const runs: Run[] = [];
  for (const runtime of options.suite ? options.runtimes : []) {
    await runSuite(runtime, files, options, runs);
  }
  const all = runs.flatMap(resultsOf);
  console.log();
  // Again, for logs of which only the end is kept.
  for (const failure of runs.flatMap(failuresOf)) console.log(`${describe(failure, "")}\n`);
  if (failedChecks.length > 0) console.log(`✗ Failed before the suite: ${failedChecks.join(", ")}`);
  if (options.suite) console.log(summary(all));
  return failedChecks.length > 0 || all.some(hasFailed) ? 1 : 0;
}

/** Returns the titles of the checks that failed. */
async function runChecks(): Promise<string[]> {
  const failed: string[] = [];
  for (const [title, command] of Object.entries(checks)) {
    const start = performance.now();
    const [program, ...args] = command.split(" ");
    const { code, end, output } = await run(program!, args, CHECK_TIMEOUT);
    mark(code === 0, title, start);
    if (code === 0) continue;
    failed.push(title);
    console.log(indented(`${output.trim()}\nIt ${end}`.trim(), "    "));
  }
  return failed;
}

/** Runs the test files on one runtime, in their order and `jobs` at a time; adds the run to `runs`. */
async function runSuite(
  runtime: RuntimeName,
  files: readonly string[],
  { fileTimeout, jobs, resultsFile }: Options,
  runs: Run[],
): Promise<void> {
  const start = performance.now();
  const date = new Date().toISOString().slice(0, 10);
  const run: Run = { runtime: await describeRuntime(runtime), machine, date, files: {} };
  runs.push(run);
  console.log(`\n${run.runtime}`);
  const reports = mkdtempSync(join(tmpdir(), "afunix-test-"));
  process.on("exit", () => rmSync(reports, { recursive: true, force: true }));
  const waiting = files.values();
  const runWaiting = async () => {
    for (const file of waiting) {
      const fileStart = performance.now();
      const results = fileStart - start > RUNTIME_BUDGET
        ? [wholeFailure("The file was not started: the time for this runtime is over")]
        : await runFile(runtime, file, fileTimeout, reports);
      run.files[file] = results;
      mark(!results.some(hasFailed), `${file}: ${summary(results)}`, fileStart, "  ");
      const others = results.filter(({ outcome }) => outcome !== "passed");
      for (const result of others) console.log(describe(result, "    "));
      // After each file, so that a run that is cut off leaves what it came to.
      if (resultsFile !== undefined) writeFileSync(resultsFile, JSON.stringify({ runs }, null, 1));
    }
  };
  await Promise.all(Array.from({ length: jobs }, runWaiting));
  const results = resultsOf(run);
  mark(!results.some(hasFailed), `${run.runtime}: ${summary(results)}`, start);
}

/** What is printed of a test that did not pass. */
function describe({ name, outcome, message }: Result, indent: string): string {
  if (outcome === "failed") return `${indent}✗ ${name}\n${indented(message, `${indent}    `)}`;
  return `${indent}  ${outcome}: ${name}${message === "" ? "" : ` (${message})`}`;
}

function mark(passed: boolean, title: string, start: number, indent = ""): void {
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${indent}${passed ? "✓" : "✗"} ${title} (${seconds} s)`);
}

function resultsOf({ files }: Run): Result[] {
  return Object.values(files).flat();
}

/** The failures of a run, named by its runtime and their files too. */
function failuresOf({ runtime, files }: Run): Result[] {
  const place = runtime.split(" ")[0];
  return Object.entries(files).flatMap(([file, results]) =>
    results.filter(hasFailed).map((each) => ({ ...each, name: `${place}: ${file}: ${each.name}` }))
  );
}

function summary(results: readonly Result[]): string {
  const count = (wanted: Result["outcome"]) =>
    results.filter(({ outcome }) => outcome === wanted).length;
  const others = (["skipped", "left out"] as const).filter(count)
    .map((outcome) => `, ${count(outcome)} ${outcome}`);
  return `${count("passed")} passed, ${count("failed")} failed${others.join("")}`;
}

function indented(text: string, by: string): string {
  const lines = text.split("\n");
  if (lines.length > 60) lines.splice(60, Infinity, `[${lines.length - 60} more lines]`);
  return lines.map((line) => by + line).join("\n");
}

try {
  process.exitCode = await main(parseOptions(process.argv.slice(2)));
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  process.exitCode = 2;
}
