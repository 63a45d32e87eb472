/**
 * Runs seeds, one after the other. Arguments: `--journal FILE --first N --seeds N`, and `--kind`,
 * `--operations`, `--only ID,ID,…` (the steps to leave in), `--refuse io_uring|syscalls`,
 * `--seconds N` (no further seed after that time), `--and N` (one more seed, before the others),
 * `--report N` (every so many seconds a line of how far it is), `--patience N` (the seconds after which a
 * run hangs).
 *
 * Prints one JSON line in the end, a `Report` of process.ts; what it prints before that is such a line too.
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { parseArgs } from "node:util";
import { reactor } from "../../src/io/reactor.ts";
import { descriptorTable, openForSignals } from "../support/descriptor_table.ts";
import { collectNow } from "../support/garbage.ts";
import { refuse, type Refused } from "../support/refuse.ts";
import { runBytes } from "./byte_run.ts";
import { Journal } from "./journal.ts";
import { runListener } from "./listener_run.ts";
import { runMessages } from "./message_run.ts";
import { type Kind, only, type Plan, planOf } from "./plan.ts";
import { prepareProcesses } from "./peer_process.ts";
import type { Report } from "./process.ts";
import { runProcess } from "./process_run.ts";
import { type Burst, INTERRUPTION, World } from "./world.ts";

const { values } = parseArgs({
  options: {
    journal: { type: "string", default: "/dev/null" },
    first: { type: "string", default: "1" },
    seeds: { type: "string", default: "1" },
    seconds: { type: "string" },
    kind: { type: "string" },
    operations: { type: "string" },
    only: { type: "string" },
    refuse: { type: "string" },
    and: { type: "string" },
    report: { type: "string" },
    patience: { type: "string", default: "20" },
  },
});

/** Milliseconds after which a run that has not ended hangs. */
const PATIENCE = 1000 * Number(values.patience);

const RUNS: Record<Kind, (world: World, plan: Plan) => Promise<void>> = {
  stream: runBytes,
  fd: runBytes,
  datagram: runMessages,
  seqpacket: runMessages,
  process: runProcess,
  listener: runListener,
};

function planFor(seed: number): Plan {
  const kind = values.kind as Kind | undefined;
  const operations = values.operations === undefined ? undefined : Number(values.operations);
  const plan = planOf(seed, kind, operations);
  if (values.only === undefined) return plan;
  return only(plan, new Set(values.only.split(",").filter(Boolean).map(Number)));
}

function summary({ steps, script, ...plan }: Plan): object {
  return { ...plan, steps: steps.length, script: script?.actions.length ?? 0, by: script?.program };
}

/** Runs one seed; what went wrong, or null. */
async function attempt(world: World, journal: Journal, seed: number): Promise<string | null> {
  const plan = planFor(seed);
  journal.begin(
    `seed ${seed}, ${plan.kind}: ${JSON.stringify(summary(plan))}`,
  );
  world.begin(plan);
  const watchdog = setTimeout(() => {
    report(seed, `hangs; these wait: ${world.pending.join(", ") || "none"}`);
    process.exit(3);
  }, PATIENCE);
  try {
    await RUNS[plan.kind](world, plan);
    await world.end();
    return null;
  } catch (error) {
    return error instanceof Error ? error.stack ?? error.message : String(error);
  } finally {
    clearTimeout(watchdog);
  }
}

let passed = 0;
const journal = new Journal(values.journal);

function report(seed: number, failure: string | null): void {
  collectNow();
  const { rss, heapUsed } = process.memoryUsage();
  const line: Report = {
    passed,
    seed,
    counts: journal.counts,
    memory: { rss, heapUsed },
    descriptors: descriptorTable().size,
    failure,
  };
  console.log(JSON.stringify(line));
}

/** A shell that sends this process so many signals as it reads, and ends with it. */
function burstsFromOutside(): Burst {
  const signal = INTERRUPTION.replace("SIG", "");
  const script = 'while read -r left; do while [ "$left" -gt 0 ]; do ' +
    `kill -${signal} ${process.pid} || exit; left=$((left - 1)); done; done`;
  const shell = spawn("sh", ["-c", script], { stdio: ["pipe", "ignore", "ignore"] });
  shell.stdin.on("error", () => {});
  process.on("exit", () => shell.kill("SIGKILL"));
  return (count) => {
    journal.count("signals sent", count);
    shell.stdin.write(`${count}\n`);
  };
}

refuse(values.refuse as Refused | undefined);
openForSignals();
prepareProcesses();
// What waiting takes is open from now on.
reactor().prepare();
const world = new World(journal, burstsFromOutside());
const first = Number(values.first);
const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => first + i);
if (values.and !== undefined) seeds.unshift(Number(values.and));
const until = performance.now() + 1000 * Number(values.seconds ?? Infinity);
const pause = 1000 * Number(values.report ?? Infinity);
let next = performance.now() + pause;
let failure: string | null = null;
let seed = seeds[0]!;
for (seed of seeds) {
  if (performance.now() >= until) break;
  failure = await attempt(world, journal, seed);
  if (failure !== null) break;
  passed++;
  if (performance.now() < next) continue;
  report(seed, null);
  next = performance.now() + pause;
}
report(seed, failure);
process.exit(failure === null ? 0 : 1);
