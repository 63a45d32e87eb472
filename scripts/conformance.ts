/**
 * Makes docs/conformance.md: which case is shown by which tests, and on which runtimes they passed.
 *
 *     npm run conformance                  runs the test files whose numbers have changed, then writes
 *     npm run conformance -- --all         runs all of them
 *     npm run conformance -- FILE…         takes in what `npm test -- --results FILE` wrote
 *     npm run conformance -- --check       only says what does not fit
 *
 * What the runs came to is kept in tests/conformance/results.jsonl.
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { merged, readCounts, withoutMissing, writeCounts } from "./conformance/counts.ts";
import { findings, outdated, staleFiles } from "./conformance/findings.ts";
import { renderPage } from "./conformance/page.ts";
import { runtimeNames } from "./testing/options.ts";
import { endChildrenOnSignals } from "./testing/process.ts";
import { fileResult, type Results, type Run } from "./testing/results.ts";
import { describeRuntime } from "./testing/runtimes.ts";
import { findTestFiles, runSuite } from "./testing/suite.ts";

const COUNTS = "tests/conformance/results.jsonl";
const PAGE = "docs/conformance.md";

/** One file at a time: who rewrites this page has the time. */
const SUITE = { fileTimeout: 180_000, jobs: 1 };

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { all: { type: "boolean" }, check: { type: "boolean" } },
    allowPositionals: true,
  });
  const files = findTestFiles();
  const sources = new Map(files.map((file) => [file, readFileSync(file, "utf8")]));
  let runs = readCounts(COUNTS);
  if (!values.check) {
    for (const path of positionals) runs = merged(runs, JSON.parse(readFileSync(path, "utf8")));
    runs = withoutMissing(runs, files);
    if (positionals.length === 0) {
      const stale = values.all ? files : staleFiles({ sources, runs });
      if (stale.length > 0) runs = merged(runs, await runFiles(stale));
    }
    writeCounts(COUNTS, runs);
    writeFileSync(PAGE, renderPage(runs));
  }
  const found = findings({ sources });
  for (const finding of found) console.error(`✗ ${finding}`);
  for (const note of outdated({ sources, runs, page: readFileSync(PAGE, "utf8") })) {
    console.log(note);
  }
  if (found.length === 0) console.log(`✓ ${PAGE}`);
  return found.length === 0 ? 0 : 1;
}

/** Runs test files on every runtime. */
async function runFiles(files: readonly string[]): Promise<Results> {
  endChildrenOnSignals();
  const runs: Run[] = [];
  for (const name of runtimeNames) {
    const runtime = await describeRuntime(name);
    const run: Run = { runtime, machine: `${process.platform} ${process.arch}`, files: {} };
    await runSuite(name, files, SUITE, (file, report) => {
      run.files[file] = fileResult(report);
      const { passed, failed } = report;
      console.log(`${runtime}: ${file}: ${passed} passed, ${failed.length} failed`);
      for (const { name, message } of failed) console.log(`  ✗ ${name}\n${message}`);
    });
    runs.push(run);
  }
  return { runs };
}

process.chdir(new URL("..", import.meta.url).pathname);
process.exitCode = await main();
