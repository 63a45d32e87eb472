/** How each runtime runs one test file. */

import { suiteDebugFlags } from "../../tests/support/runtime.ts";
import { emulated, slowdown } from "./emulation.ts";
import type { RuntimeName } from "./options.ts";
import { run } from "./process.ts";

/** Milliseconds that one test may take, where the runtime can enforce it. */
const testTimeout = 60_000 * slowdown;

/** The arguments that run `file` and write a JUnit report to `report`. */
export function testArguments(runtime: RuntimeName, file: string, report: string): string[] {
  const debug = suiteDebugFlags(runtime);
  switch (runtime) {
    case "deno":
      return [
        "test",
        "--allow-all",
        "--no-check",
        "--quiet",
        "--preload=./scripts/deno_guard.ts",
        ...debug,
        `--junit-path=${report}`,
        file,
      ];
    case "bun":
      return [
        "test",
        ...debug,
        `--timeout=${testTimeout}`,
        "--reporter=junit",
        `--reporter-outfile=${report}`,
        `./${file}`,
      ];
    case "node":
      // Without --test, which would start a second process for the file.
      return [
        "--disable-warning=ExperimentalWarning",
        "--import=./tests/support/std.ts",
        ...debug,
        `--test-timeout=${testTimeout}`,
        // A test that an emulator cannot run may leave something open that keeps the process running.
        ...(emulated ? ["--test-force-exit"] : []),
        "--test-reporter=junit",
        `--test-reporter-destination=${report}`,
        // What the JUnit report leaves out, such as errors outside tests, is in this one.
        "--test-reporter=spec",
        "--test-reporter-destination=stdout",
        file,
      ];
  }
}

/** "deno 2.9.5"; "deno" alone if it cannot say its version. */
export async function describeRuntime(runtime: RuntimeName): Promise<string> {
  const { output } = await run(runtime, ["--version"], testTimeout);
  const version = /\d+\.\d+\.\d+\S*/.exec(output)?.[0];
  return version === undefined ? runtime : `${runtime} ${version}`;
}
