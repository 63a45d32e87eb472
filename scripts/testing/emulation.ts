/** What is different under an emulator of the processor: time limits, and tests that it cannot run. */

import process from "node:process";
import { type Limit, limits } from "../arm64/limits.ts";
import type { Noted, Report } from "./junit.ts";
import type { RuntimeName } from "./options.ts";

/** Set by `npm run test:arm64` where it emulates. */
const emulation = process.env["AFUNIX_EMULATED"];

export const emulated: boolean = emulation !== undefined;

/** "linux x64": the machine that the runtimes under test see. */
export const machine = `${process.platform} ${emulated ? "arm64" : process.arch}`;

/** Every time limit is multiplied by this. */
export const slowdown: number = emulated ? 6 : 1;

/** The limits that hold in this process. */
const limitsHere = limits.filter(({ inUserNamespace }) =>
  emulated && (!inUserNamespace || emulation === "in a user namespace")
);

/**
 * Moves the failures that the emulator's limits explain from the failed tests of a file to the skipped ones, as left
 * out. All tests run, so each run shows whether the list of limits is right: a test that the list names by its title
 * and that passes is a failure.
 */
export function withLeftOut(
  report: Report,
  runtime: RuntimeName,
  file: string,
  list: readonly Limit[] = limitsHere,
): Report {
  const key = file.replace(/^tests\//, "").replace(/\.test\.ts$/, "");
  const here = list.filter(({ runtimes }) => runtimes?.includes(runtime) ?? true);
  const titlesOf = ({ tests }: Limit) => tests?.[key] ?? [];
  const skipped = [...report.skipped];
  const failed: Noted[] = [];
  for (const noted of report.failed) {
    const { name, message } = noted;
    const limit = here.find((each) => each.symptom?.test(message) || titlesOf(each).includes(name));
    if (limit === undefined) failed.push(noted);
    else skipped.push({ name, message: limit.reason, leftOut: true });
  }
  for (const name of here.flatMap(titlesOf).filter((title) => report.passed.includes(title))) {
    failed.push({ name, message: "It passes: take it off scripts/arm64/limits.ts" });
  }
  return { ...report, skipped, failed };
}
