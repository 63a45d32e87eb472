/** Runs test files, and judges how they ended. */

import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { withLeftOut } from "./emulation.ts";
import { hasFailed, parseReport, type Result } from "./junit.ts";
import type { RuntimeName } from "./options.ts";
import { type Finished, run } from "./process.ts";
import { testArguments } from "./runtimes.ts";

/** Every test file whose path from the project's root contains one of the parts. */
export function findTestFiles(parts: readonly string[] = [""]): string[] {
  return globSync("tests/**/*.test.ts").sort()
    .filter((file) => parts.some((part) => file.includes(part)));
}

/** Runs one test file in a process of its own, so that a crash or a hang is known to be its. */
export async function runFile(
  runtime: RuntimeName,
  file: string,
  timeout: number,
  reportFolder: string,
): Promise<Result[]> {
  const report = join(reportFolder, `${runtime}-${file.replaceAll("/", "-")}.xml`);
  const finished = await run(runtime, testArguments(runtime, file, report), timeout);
  const xml = existsSync(report) ? readFileSync(report, "utf8") : "";
  return withLeftOut(judge(finished, parseReport(xml)), runtime, file);
}

/** Adds what a report does not tell: crashes, hangs, errors outside tests, and files without a test. */
export function judge({ code, end, output }: Finished, report: Result[] | undefined): Result[] {
  if (report === undefined) {
    const hint = code === 0 ? " (has it no test, or did something call process.exit?)" : "";
    return [wholeFailure(`The file ${end} and left no complete report${hint}`, output)];
  }
  if (report.some(hasFailed)) return report;
  if (code !== 0) {
    return [...report, wholeFailure(`The file ${end}, although no test failed`, output)];
  }
  return report.length > 0 ? report : [wholeFailure("The file has no test")];
}

/** The failure of a file as a whole, with the last lines of what it wrote. */
export function wholeFailure(what: string, output = ""): Result {
  const lines = stripVTControlCharacters(output).trimEnd().split("\n").slice(-40);
  return { name: "(as a whole)", outcome: "failed", message: [what, ...lines].join("\n").trim() };
}
