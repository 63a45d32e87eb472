/**
 * Loads the library, on each runtime, with what no test has the time for. `npm run load`.
 *
 * Each scenario prints a line that tells what came of it; one that fails makes the exit code 1.
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { connectionScenarios } from "./connections.ts";
import { datagramScenarios } from "./datagrams.ts";
import { limitScenarios } from "./limits.ts";
import { type RuntimeName, runtimeNames } from "./party.ts";
import type { Scenario } from "./scenario.ts";

const scenarios: readonly Scenario[] = [
  ...connectionScenarios,
  ...datagramScenarios,
  ...limitScenarios,
];

const usage = `Usage: npm run load [-- OPTIONS]

  --only NAME      only this scenario; may be given several times:
                   ${scenarios.map(({ name }) => name).join(", ")}
  --runtime NAME   only this runtime: deno, bun or node; may be given several times
  --quick          smaller numbers: seconds instead of minutes
  --help`;

interface Options {
  only: readonly Scenario[];
  runtimes: readonly RuntimeName[];
  quick: boolean;
}

/** Throws an Error meant for the user if the arguments make no sense; null asks for help. */
function parseOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", multiple: true, default: [] },
      runtime: { type: "string", multiple: true, default: [] },
      quick: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  return {
    only: chosen("scenario", scenarios, ({ name }) => name, values.only),
    runtimes: chosen("runtime", runtimeNames, (name) => name, values.runtime),
    quick: values.quick,
  };
}

/** Those that were asked for by name, or all. */
function chosen<T>(
  what: string,
  all: readonly T[],
  nameOf: (each: T) => string,
  asked: readonly string[],
): readonly T[] {
  const names = all.map(nameOf);
  const unknown = asked.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`No ${what} "${unknown}": ${names.join(", ")}`);
  return asked.length === 0 ? all : all.filter((each) => asked.includes(nameOf(each)));
}

/** Whether it did not fail. */
async function runOne(scenario: Scenario, runtime: RuntimeName, quick: boolean): Promise<boolean> {
  const title = `${runtime} ${scenario.name}`;
  const missing = scenario.missing?.() ?? null;
  if (missing !== null) {
    console.log(`- ${title}: not run: ${missing}`);
    return true;
  }
  const start = performance.now();
  const took = () => `(${((performance.now() - start) / 1000).toFixed(1)} s)`;
  try {
    console.log(`✓ ${title}: ${await scenario.run(runtime, quick)} ${took()}`);
    return true;
  } catch (error) {
    console.log(`✗ ${title}: ${error instanceof Error ? error.message : error} ${took()}`);
    return false;
  }
}

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  // What was started ends with this process.
  process.on(signal, () => process.exit(code));
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === null) console.log(usage);
  else {
    let failed = 0;
    for (const runtime of options.runtimes) {
      for (const scenario of options.only) {
        if (!await runOne(scenario, runtime, options.quick)) failed++;
      }
    }
    process.exitCode = failed === 0 ? 0 : 1;
  }
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  process.exitCode = 2;
}
