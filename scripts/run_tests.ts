/**
 * The checks, then the one test suite on every runtime. `npm test`.
 *
 * The last line it prints is `N passed, M failed`, over all runtimes, and `, K skipped` and `, L left out` where
 * there are such tests.
 * @module
 */

import process from "node:process";
import { checks, runCheck } from "./testing/checks.ts";
import { machine } from "./testing/emulation.ts";
import type { Noted, Report } from "./testing/junit.ts";
import { type Options, parseOptions, type RuntimeName, usage } from "./testing/options.ts";
import { endChildrenOnSignals } from "./testing/process.ts";
import { fileResult, type Run, writeResults } from "./testing/results.ts";
import { describeRuntime } from "./testing/runtimes.ts";
import { findTestFiles, namedIn, runSuite } from "./testing/suite.ts";

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    console.log(usage);
    return 0;
  }
  endChildrenOnSignals();
  const failedChecks = options.checks ? await runChecks() : [];
  const total = options.suite ? await runOnAll(options) : undefined;
  console.log();
  // Again, for logs of which only the end is kept.
  for (const { name, message } of total?.failed ?? []) {
    console.log(`✗ ${name}\n${indented(message, "    ")}\n`);
  }
  if (failedChecks.length > 0) console.log(`✗ Failed before the suite: ${failedChecks.join(", ")}`);
  if (total !== undefined) console.log(summary(total));
  return failedChecks.length > 0 || (total?.failed.length ?? 0) > 0 ? 1 : 0;
}

/** Runs all of them; returns the titles of those that failed. */
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
  const total: Report = { passed: 0, passedNames: [], skipped: [], failed: [] };
  const runs: Run[] = [];
  if (files.length === 0) {
    console.log("✗ no test file fits");
    total.failed.push({ name: "(no test file)", message: "" });
    return total;
  }
  for (const runtime of options.runtimes) {
    const report = await runOn(runtime, files, options, runs);
    total.passed += report.passed;
    total.skipped.push(...report.skipped);
    total.failed.push(...namedIn(runtime, report.failed));
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
  let title: string;
  try {
    title = await describeRuntime(runtime);
  } catch (error) {
    const message = `Cannot start ${runtime}: ${error instanceof Error ? error.message : error}`;
    console.log(`\n✗ ${message}`);
    const failed = [{ name: "(the runtime)", message }];
    return { passed: 0, passedNames: [], skipped: [], failed };
  }
  console.log(`\n${title}`);
  const run: Run = { runtime: title, machine, files: {} };
  runs.push(run);
  const start = performance.now();
  const suiteOptions = { fileTimeout: options.fileTimeout * 1000, jobs: options.jobs };
  const onFile = (file: string, inFile: Report, milliseconds: number) => {
    run.files[file] = fileResult(inFile);
    // After each file, so that a run that is cut off leaves what it came to.
    if (options.results !== undefined) writeResults(options.results, runs);
    mark(inFile.failed.length === 0, `${file}: ${summary(inFile)}`, milliseconds, "  ");
    for (const skipped of inFile.skipped) {
      console.log(`      ${skipped.leftOut ? "left out" : "skipped"}: ${inOneLine(skipped)}`);
    }
    for (const { name, message } of inFile.failed) {
      console.log(`    ✗ ${name}\n${indented(message, "        ")}`);
    }
  };
  const report = await runSuite(runtime, files, suiteOptions, onFile);
  mark(report.failed.length === 0, `${title}: ${summary(report)}`, performance.now() - start);
  return report;
}

function mark(passed: boolean, title: string, milliseconds: number, indent = ""): void {
  console.log(`${indent}${passed ? "✓" : "✗"} ${title} (${(milliseconds / 1000).toFixed(1)} s)`);
}

function summary({ passed, failed, skipped }: Report): string {
  const leftOut = skipped.filter((each) => each.leftOut).length;
  const others = skipped.length - leftOut;
  return [
    `${passed} passed, ${failed.length} failed`,
    ...(others > 0 ? [`${others} skipped`] : []),
    ...(leftOut > 0 ? [`${leftOut} left out`] : []),
  ].join(", ");
}

function inOneLine({ name, message }: Noted): string {
  return message === "" ? name : `${name} (${message})`;
}

function indented(text: string, by: string): string {
  const lines = text.split("\n");
  const shown = lines.length > 60
    ? [...lines.slice(0, 60), `[${lines.length - 60} more lines]`]
    : lines;
  return shown.map((line) => by + line).join("\n");
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  process.exitCode = 2;
}
