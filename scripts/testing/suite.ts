/** Runs test files, and judges how they ended. */

import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { withLeftOut } from "./emulation.ts";
import { type Noted, parseReport, type Report } from "./junit.ts";
import type { RuntimeName } from "./options.ts";
import { type Finished, run } from "./process.ts";
import { testArguments } from "./runtimes.ts";

/** Every test file whose path from the project's root contains one of the parts. */
export function findTestFiles(parts: readonly string[] = [""]): string[] {
  return globSync("tests/**/*.test.ts").sort()
    .filter((file) => parts.some((part) => file.includes(part)));
}

/** Runs one test file in a process of its own, so that a crash or a hang has an address. */
export async function runFile(
  runtime: RuntimeName,
  file: string,
  timeout: number,
): Promise<Report> {
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
    const uncaught = contents(uncaughtPath).split("\n").filter(Boolean)
      .map((line) => JSON.parse(line));
    return withLeftOut(judge(finished, report, uncaught, timeout), runtime, file);
  } catch (error) {
    return failure(`The file cannot be run: ${error}`);
  } finally {
    process.off("exit", remove);
    remove();
  }
}

/** Adds to a report what it does not tell: crashes, hangs, errors outside tests, and files without a test. */
export function judge(
  { code, signal, timedOut, output }: Finished,
  report: Report | undefined,
  uncaught: readonly string[],
  timeout: number,
): Report {
  const end = signal === null
    ? `The file exited with code ${code}`
    : `The file was killed by ${signal}`;
  if (timedOut) return failure(`The file was still running after ${timeout / 1000} s`, output);
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
    return { ...report, failed: failure(`${end}, although no test failed`, output).failed };
  }
  if (failed.length + report.passed.length + report.skipped.length === 0) {
    return failure("The file has no test");
  }
  return { ...report, failed };
}

/** The report of a file that failed as a whole, with the last lines of what it wrote. */
export function failure(what: string, output = ""): Report {
  // deno-lint-ignore no-control-regex
  const plain = output.replaceAll(/\x1b\[[\d;]*m/g, "").trimEnd();
  const lines = [what, ...plain.split("\n").slice(-25)];
  const failed: Noted = { name: "(as a whole)", message: lines.join("\n").trim() };
  return { passed: [], skipped: [], failed: [failed] };
}

function contents(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
