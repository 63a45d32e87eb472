/** Runs the test files on one runtime, one process a file, so that a crash or a hang has an address. */

import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { join } from "node:path";
import { slowdown } from "./emulation.ts";
import { type Noted, parseReport, type Report } from "./junit.ts";
import { withLeftOut } from "./left_out.ts";
import type { RuntimeName } from "./options.ts";
import { type Finished, run } from "./process.ts";
import { testArguments } from "./runtimes.ts";

/** Milliseconds after which no further file is started. */
const runtimeBudget = 20 * 60_000 * slowdown;

/** Every test file, as a path from the project's root. */
export function findTestFiles(parts: readonly string[] = []): string[] {
  const files = globSync("tests/**/*.test.ts").sort();
  return parts.length === 0
    ? files
    : files.filter((file) => parts.some((part) => file.includes(part)));
}

/** How the files of a suite are run. */
export interface SuiteOptions {
  /** Milliseconds that one file may take. */
  fileTimeout: number;
  /** How many files run at a time. */
  jobs: number;
}

/**
 * Starts the files in their order, `jobs` at a time; `onFile` hears of each as it ends. In what is returned the failures
 * have the names of their files too.
 */
export async function runSuite(
  runtime: RuntimeName,
  files: readonly string[],
  { fileTimeout, jobs }: SuiteOptions,
  onFile: (file: string, report: Report, milliseconds: number) => void,
): Promise<Report> {
  const total: Report = { passed: 0, passedNames: [], skipped: [], failed: [] };
  const start = performance.now();
  const waiting = files.values();
  const runWaiting = async () => {
    for (const file of waiting) {
      const fileStart = performance.now();
      const report = fileStart - start > runtimeBudget
        ? failure("was not started: the time for this runtime is over")
        : await runFile(runtime, file, fileTimeout);
      total.passed += report.passed;
      total.passedNames.push(...report.passedNames);
      total.skipped.push(...report.skipped);
      total.failed.push(...namedIn(file, report.failed));
      onFile(file, report, performance.now() - fileStart);
    }
  };
  await Promise.all(Array.from({ length: jobs }, runWaiting));
  return total;
}

/** The same, with the place where they were before their names. */
export function namedIn(place: string, noted: readonly Noted[]): Noted[] {
  return noted.map((each) => ({ ...each, name: `${place}: ${each.name}` }));
}

async function runFile(runtime: RuntimeName, file: string, timeout: number): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), "afunix-test-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove);
  const reportPath = join(folder, "report.xml");
  const uncaughtPath = join(folder, "uncaught.jsonl");
  try {
    const finished = await run(runtime, testArguments(runtime, file, reportPath), {
      timeout,
      env: { AFUNIX_UNCAUGHT: uncaughtPath },
    });
    const report = parseReport(contents(reportPath));
    const uncaught = contents(uncaughtPath).split("\n").filter(Boolean).map((line) =>
      JSON.parse(line)
    );
    return withLeftOut(judge(finished, report, uncaught, timeout), runtime, file);
  } catch (error) {
    return failure(`cannot be run: ${error}`);
  } finally {
    process.off("exit", remove);
    remove();
  }
}

/** Adds to a report what it does not tell: crashes, hangs, errors outside tests, and files without a test. */
export function judge(
  finished: Finished,
  report: Report | undefined,
  uncaught: readonly string[],
  timeout: number,
): Report {
  const { code, signal, timedOut } = finished;
  const end = signal === null ? `exited with code ${code}` : `was killed by ${signal}`;
  const output = lastLines(finished.output);
  if (timedOut) return failure(`was still running after ${timeout / 1000} s`, output);
  if (report === undefined) {
    const hint = code === 0 ? " (has it no test, or did something call process.exit?)" : "";
    return failure(`${end} without a complete report${hint}`, output);
  }
  const failed = [...report.failed];
  for (const error of uncaught) {
    const first = error.split("\n")[0]!;
    if (failed.some(({ message }) => message.includes(first))) continue;
    failed.push({ name: "(outside a test)", message: error });
  }
  if (failed.length === 0 && code !== 0) {
    failed.push(...failure(`${end}, although no test failed`, output).failed);
  } else if (failed.length === 0 && report.passed + report.skipped.length === 0) {
    failed.push(...failure("has no test").failed);
  }
  return { ...report, failed };
}

function failure(what: string, output = ""): Report {
  const noted: Noted = { name: "(the file)", message: `The file ${what}\n${output}`.trim() };
  return { passed: 0, passedNames: [], skipped: [], failed: [noted] };
}

function contents(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function lastLines(output: string): string {
  // deno-lint-ignore no-control-regex
  const plain = output.replaceAll(/\x1b\[[\d;]*m/g, "");
  return plain.trimEnd().split("\n").slice(-25).join("\n");
}
