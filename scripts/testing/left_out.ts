/** What an emulator cannot run: tests that fail for a reason that is known are left out of the count. */

import { type Limit, limits } from "../arm64/limits.ts";
import { emulated, inUserNamespace } from "./emulation.ts";
import type { Noted, Report } from "./junit.ts";
import type { RuntimeName } from "./options.ts";

/**
 * Takes the failures that the emulator's limits explain out of the report of a file, and names them as left out. All
 * tests run, so each run is the experiment that shows whether the list is right: a test that is on it by its title
 * and passes is a failure.
 */
export function withLeftOut(
  report: Report,
  runtime: RuntimeName,
  file: string,
  list: readonly Limit[] = emulated ? limitsHere() : [],
): Report {
  const here = list.filter(({ runtimes }) => runtimes === undefined || runtimes.includes(runtime));
  const reasonOf = (noted: Noted) => here.find((limit) => explains(limit, file, noted))?.reason;
  const skipped = [...report.skipped];
  const failed: Noted[] = [];
  for (const noted of report.failed) {
    const reason = reasonOf(noted);
    if (reason === undefined) failed.push(noted);
    else skipped.push({ name: noted.name, message: reason, leftOut: true });
  }
  for (const name of here.flatMap((limit) => titlesIn(limit, file))) {
    if (!report.passedNames.includes(name)) continue;
    failed.push({ name, message: "It passes: take it off scripts/arm64/limits.ts" });
  }
  return { ...report, skipped, failed };
}

function limitsHere(): readonly Limit[] {
  return limits.filter((limit) => !limit.inUserNamespace || inUserNamespace);
}

function explains(limit: Limit, file: string, { name, message }: Noted): boolean {
  return limit.symptom?.test(message) === true || titlesIn(limit, file).includes(name);
}

function titlesIn({ tests = {} }: Limit, file: string): readonly string[] {
  return tests[file.replace(/^tests\//, "").replace(/\.test\.ts$/, "")] ?? [];
}
