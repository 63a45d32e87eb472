/** What is different under an emulator of the processor: time limits, and tests that it cannot run. */

import process from "node:process";
import { type Limit, limits } from "../arm64/limits.ts";
import type { Result } from "./junit.ts";
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
 * Makes the failures that the emulator's limits explain "left out". All tests run, so each run shows whether the list of
 * limits is right: a test that the list names by its title and that passes is a failure.
 */
export function withLeftOut(
  results: readonly Result[],
  runtime: RuntimeName,
  file: string,
  list: readonly Limit[] = limitsHere,
): Result[] {
  const key = file.replace(/^tests\//, "").replace(/\.test\.ts$/, "");
  const here = list.filter(({ runtimes }) => runtimes?.includes(runtime) ?? true);
  return results.map((result) => {
    const { name, outcome, message } = result;
    const named = here.find(({ tests }) => tests?.[key]?.includes(name));
    if (outcome === "passed" && named !== undefined) {
      return { name, outcome: "failed", message: "It passes: take it off scripts/arm64/limits.ts" };
    }
    const limit = named ?? here.find(({ symptom }) => symptom?.test(message));
    if (outcome !== "failed" || limit === undefined) return result;
    return { name, outcome: "left out", message: limit.reason };
  });
}
