/**
 * `npm test`: the checks, then the one test suite on every runtime.
 *
 * The last line it prints is `N passed, M failed`, over all runtimes, and `, K skipped` and `, L left out` where
 * there are such tests.
 * @module
 */

import { writeFileSync } from "node:fs";
import process from "node:process";
import { checks, runCheck } from "./testing/checks.ts";
import { machine, slowdown } from "./testing/emulation.ts";
import type { Report } from "./testing/junit.ts";
import { type Options, parseOptions, type RuntimeName, usage } from "./testing/options.ts";
import { endChildrenOnSignals } from "./testing/process.ts";
import { describeRuntime } from "./testing/runtimes.ts";
import { failure, findTestFiles, runFile } from "./testing/suite.ts";

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
  files: Record<string, Report>;
}

async function main(options: Options): Promise<number> {
  if (options.help) {
    console.log(usage);
    return 0;
  }
  endChildrenOnSignals();
  const failedChecks = options.checks ? await runChecks() : [];
  const runs: Run[] = [];
  for (const runtime of options.suite ? options.runtimes : []) await runOn(runtime, options, runs);
  const total = sum(runs);
  console.log();
  // Again, for logs of which only the end is kept.
  for (const { name, message } of total.failed) {
    console.log(`✗ ${name}\n${indented(message, "    ")}\n`);
  }
  if (failedChecks.length > 0) console.log(`✗ Failed before the suite: ${failedChecks.join(", ")}`);
  if (options.suite) console.log(summary(total));
  return failedChecks.length + total.failed.length > 0 ? 1 : 0;
}

/** Runs all checks; returns the titles of those that failed. */
async function runChecks(): Promise<string[]> {
  const failed: string[] = [];
  for (const check of checks) {
    const start = performance.now();
    const found = await runCheck(check);
    mark(found === undefined, check.title, performance.now() - start);
    if (found === undefined) continue;
    failed.push(check.title);
    console.log(indented(found, "    "));
  }
  return failed;
}

/** Runs the test files on one runtime, in their order and `jobs` at a time; adds the run to `runs`. */
async function runOn(runtime: RuntimeName, options: Options, runs: Run[]): Promise<void> {
  const { fileTimeout, jobs, results } = options;
  const date = new Date().toISOString().slice(0, 10);
  const run: Run = { runtime, machine, date, files: {} };
  runs.push(run);
  const start = performance.now();
  const end = (file: string, report: Report, fileStart = start) => {
    print(file, report, performance.now() - fileStart);
    run.files[file] = report;
    // After each file, so that a run that is cut off leaves what it came to.
    if (results !== undefined) writeFileSync(results, JSON.stringify({ runs }, null, 1));
  };
  try {
    run.runtime = await describeRuntime(runtime);
    console.log(`\n${run.runtime}`);
    const files = findTestFiles(options.files);
    if (files.length === 0) throw new Error("no test file fits");
    const waiting = files.values();
    const runWaiting = async () => {
      for (const file of waiting) {
        const fileStart = performance.now();
        const report = fileStart - start > RUNTIME_BUDGET
          ? failure("The file was not started: the time for this runtime is over")
          : await runFile(runtime, file, fileTimeout);
        end(file, report, fileStart);
      }
    };
    await Promise.all(Array.from({ length: jobs }, runWaiting));
  } catch (error) {
    end("tests", failure(`Cannot run them: ${error instanceof Error ? error.message : error}`));
  }
  const total = sum([run]);
  mark(total.failed.length === 0, `${run.runtime}: ${summary(total)}`, performance.now() - start);
}

/** Prints how a file ended. */
function print(file: string, report: Report, milliseconds: number): void {
  mark(report.failed.length === 0, `${file}: ${summary(report)}`, milliseconds, "  ");
  for (const { name, message, leftOut } of report.skipped) {
    const reason = message === "" ? "" : ` (${message})`;
    console.log(`      ${leftOut ? "left out" : "skipped"}: ${name}${reason}`);
  }
  for (const { name, message } of report.failed) {
    console.log(`    ✗ ${name}\n${indented(message, "        ")}`);
  }
}

/** What runs came to, with the place of each failure before its name. */
function sum(runs: readonly Run[]): Report {
  const total: Report = { passed: [], skipped: [], failed: [] };
  for (const { runtime, files } of runs) {
    for (const [file, { passed, skipped, failed }] of Object.entries(files)) {
      const place = `${runtime.split(" ")[0]}: ${file}`;
      total.passed.push(...passed);
      total.skipped.push(...skipped);
      total.failed.push(...failed.map((each) => ({ ...each, name: `${place}: ${each.name}` })));
    }
  }
  return total;
}

function mark(passed: boolean, title: string, milliseconds: number, indent = ""): void {
  console.log(`${indent}${passed ? "✓" : "✗"} ${title} (${(milliseconds / 1000).toFixed(1)} s)`);
}

function summary({ passed, failed, skipped }: Report): string {
  const leftOut = skipped.filter((each) => each.leftOut).length;
  const others = skipped.length - leftOut;
  return `${passed.length} passed, ${failed.length} failed` +
    (others > 0 ? `, ${others} skipped` : "") + (leftOut > 0 ? `, ${leftOut} left out` : "");
}

function indented(text: string, by: string): string {
  const lines = text.split("\n");
  if (lines.length > 60) lines.splice(60, Infinity, `[${lines.length - 60} more lines]`);
  return lines.map((line) => by + line).join("\n");
}

try {
  process.exitCode = await main(parseOptions(process.argv.slice(2), slowdown));
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  process.exitCode = 2;
}
