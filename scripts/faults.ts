/**
 * Runs random operations amid faults against a model, by seed: `npm run faults`. What is run is in tests/faults.
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { inLines, sumOf } from "./faults/counts.ts";
import { endOnSignals, kindFrom, numberFrom, refusedFrom, runtimesFrom } from "./faults/options.ts";
import { shrink } from "./faults/shrinking.ts";
import { KINDS, only, planOf } from "../tests/faults/plan.ts";
import {
  replayCommand,
  type Report,
  type Request,
  runSeeds,
  type Runtime,
} from "../tests/faults/process.ts";

const usage = `Usage: npm run faults [-- OPTIONS]

  --seed N           the first seed (default: one that is drawn)
  --seeds N          how many seeds, from that one on (default: 1)
  --runtime NAME     only on this runtime: deno, bun or node; may be given several times
  --kind KIND        only this kind: ${KINDS.join(", ")} (default: what the seed chooses)
  --operations N     so many steps for each seed (default: what the seed chooses)
  --only ID,ID,…     only these steps of it, by their numbers in the journal
  --refuse WHAT      wait as where io_uring, or syscalls by number, are not permitted
  --shrink SECONDS   how long to look for the shortest list of steps that still fails, for each runtime
                     where a seed fails (default: 60; 0 for not at all)
  --journal FILE     keep the journal of the last seed there; needs one --runtime
  --help

Exit code 1 if a seed fails: the end of its journal and the command that runs it again are shown, and the
command with the fewest steps that still fails.
The same seed makes the same steps in the same order; when the kernel wakes whom may differ.`;

/** Where drawn seeds begin: those below are in the test suite. */
const FIRST_DRAWN = 1000;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      seeds: { type: "string", default: "1" },
      runtime: { type: "string", multiple: true },
      kind: { type: "string" },
      operations: { type: "string" },
      only: { type: "string" },
      refuse: { type: "string" },
      shrink: { type: "string", default: "60" },
      journal: { type: "string" },
      help: { type: "boolean" },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const runtimes = runtimesFrom(values.runtime);
  if (values.journal !== undefined && runtimes.length > 1) {
    throw new Error("--journal needs one --runtime");
  }
  if (values.only !== undefined && !/^(\d+(,\d+)*)?$/.test(values.only)) {
    throw new Error("--only must be numbers of steps with commas between them");
  }
  const drawn = FIRST_DRAWN + Math.floor(Math.random() * 1e9);
  const first = values.seed === undefined ? drawn : numberFrom("--seed", values.seed, 0);
  const seeds = numberFrom("--seeds", values.seeds, 1);
  const operations = values.operations;
  if (operations !== undefined) numberFrom("--operations", operations, 0);
  const kind = kindFrom(values.kind);
  const refuse = refusedFrom(values.refuse);
  const shrinking = numberFrom("--shrink", values.shrink, 0);
  endOnSignals();
  console.log(seeds === 1 ? `Seed ${first}` : `Seeds ${first} to ${first + seeds - 1}`);
  let failed = false;
  for (const runtime of runtimes) {
    const start = performance.now();
    const request = { runtime, first, seeds, kind, operations, refuse, only: values.only };
    const outcome = await runSeeds({ ...request, keep: values.journal });
    const { report, failure } = outcome;
    if (failure !== null) {
      failed = true;
      console.log(`✗ ${runtime}:\n${failure}`);
      if (shrinking > 0 && outcome.failed !== null) {
        console.log(await shortestFor(request, outcome.failed, shrinking));
      }
    }
    if (report !== null) sayPassed(runtime, report, failure === null, performance.now() - start);
  }
  return failed ? 1 : 0;
}

/** Seconds after which a list that is tried hangs: of those that do, many are tried. */
const PATIENCE = 4;

function numberOr(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

/** How often the whole list is tried: what hangs on who is woken when may fail seldom. */
const TRIES = 5;

/** Looks for the fewest steps of a seed that still fail; says what came of it. */
async function shortestFor(request: Request, seed: number, seconds: number): Promise<string> {
  const whole = planOf(seed, request.kind, numberOr(request.operations));
  const plan = request.only === undefined
    ? whole
    : only(whole, new Set(request.only.split(",").filter(Boolean).map(Number)));
  const steps = [...plan.steps, ...plan.script?.actions ?? []].map(({ id }) => id);
  const until = performance.now() + 1000 * seconds;
  const one = { ...request, first: seed, seeds: 1 };
  const isOver = () => performance.now() > until;
  const fails = async (list: readonly number[]) => {
    const tried = { ...one, only: list.join(), patience: PATIENCE };
    for (let left = list === steps ? TRIES : 1; left > 0; left--) {
      if ((await runSeeds(tried)).failure !== null) return true;
      if (isOver()) break;
    }
    return false;
  };
  const shrunk = await shrink(steps, fails, isOver);
  const tried = `${shrunk.tries} lists were tried`;
  if (shrunk.steps === null) return "It did not fail again: it may hang on who is woken when.";
  const fewest = replayCommand({ ...one, only: shrunk.steps.join() }, seed);
  return `${shrunk.steps.length} of ${steps.length} steps still fail (${tried}` +
    `${shrunk.outOfTime ? ", then the time was over" : ""}): ${fewest}`;
}

function sayPassed(runtime: Runtime, report: Report, all: boolean, milliseconds: number): void {
  const { passed, counts } = report;
  const seconds = (milliseconds / 1000).toFixed(1);
  console.log(`${all ? "✓" : " "} ${runtime}: ${passed} seeds passed (${seconds} s)`);
  for (const line of inLines(sumOf([counts]))) console.log(`    ${line}`);
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  process.exitCode = 2;
}
