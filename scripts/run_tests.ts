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
import { findTestFiles, runSuite } from "./testing/suite.ts";

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
  const total = options.suite ? await runOnAll(options) : emptyReport();
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

async function runOnAll(options: Options): Promise<Report> {
  const files = findTestFiles(options.files);
  const total = emptyReport();
  if (files.length === 0) {
    console.log("✗ no test file fits");
    total.failed.push({ name: "(no test file)", message: "" });
    return total;
  }
  const runs: Run[] = [];
  for (const runtime of options.runtimes) {
    add(total, await runOn(runtime, files, options, runs), `${runtime}: `);
  }
  return total;
}

/** Runs the files on one runtime; adds what it came to to `runs`. */
async function runOn(
  runtime: RuntimeName,
  files: readonly string[],
  options: Options,
  runs: Run[],
): Promise<Report> {
  const total = emptyReport();
  let title: string;
  try {
    title = await describeRuntime(runtime);
  } catch (error) {
    const message = `Cannot start ${runtime}: ${error instanceof Error ? error.message : error}`;
    console.log(`\n✗ ${message}`);
    total.failed.push({ name: "(the runtime)", message });
    return total;
  }
  console.log(`\n${title}`);
  const date = new Date().toISOString().slice(0, 10);
  const run: Run = { runtime: title, machine, date, files: {} };
  runs.push(run);
  const start = performance.now();
  await runSuite(runtime, files, options, (file, report, milliseconds) => {
    add(total, report, `${file}: `);
    run.files[file] = report;
    // After each file, so that a run that is cut off leaves what it came to.
    if (options.results !== undefined) {
      writeFileSync(options.results, JSON.stringify({ runs }, null, 1));
    }
    mark(report.failed.length === 0, `${file}: ${summary(report)}`, milliseconds, "  ");
    for (const { name, message, leftOut } of report.skipped) {
      const reason = message === "" ? "" : ` (${message})`;
      console.log(`      ${leftOut ? "left out" : "skipped"}: ${name}${reason}`);
    }
    for (const { name, message } of report.failed) {
      console.log(`    ✗ ${name}\n${indented(message, "        ")}`);
    }
  });
  mark(total.failed.length === 0, `${title}: ${summary(total)}`, performance.now() - start);
  return total;
}

function emptyReport(): Report {
  return { passed: [], skipped: [], failed: [] };
}

/** Adds a report to a total, with the place of each failure before its name. */
function add(total: Report, { passed, skipped, failed }: Report, place: string): void {
  total.passed.push(...passed);
  total.skipped.push(...skipped);
  total.failed.push(...failed.map((each) => ({ ...each, name: place + each.name })));
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
