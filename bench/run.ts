/**
 * `npm run bench`: every contender side by side in one run, each measurement in a process of its
 * own, in shuffled order. See docs/performance.md.
 * @module
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { chart } from "./chart.ts";
import { readFigures, summary, writeFigures } from "./figures.ts";
import { format, Machine } from "./machine.ts";
import { parseOptions, usage } from "./options.ts";
import { Conversation, killAll } from "./processes.ts";
import { rewriteDocument, terminalTable, terminalTargets } from "./report.ts";
import { judge, withRatios } from "./statistics.ts";
import type { Bench, Options, Report, Workload, WorkloadResult } from "./types.ts";
import { workloads } from "./workloads/mod.ts";

const here = import.meta.dirname!;
const MEDIANS = join(here, "medians.json");
const CHART = join(here, "chart.svg");
const DOCUMENT = join(here, "..", "docs", "performance.md");

/** What one workload sees of the machine; notes what is left out. */
class WorkloadBench implements Bench {
  readonly quick: boolean;
  readonly runtimes: Options["runtimes"];
  readonly leftOut = new Set<string>();
  readonly #machine: Machine;
  readonly #scratch: string;
  readonly #peers: Conversation[] = [];
  #paths = 0;

  constructor(machine: Machine, scratch: string, options: Options) {
    this.quick = options.quick;
    this.runtimes = options.runtimes;
    this.#machine = machine;
    this.#scratch = scratch;
  }

  path(): string {
    return join(this.#scratch, `${++this.#paths}.sock`);
  }

  native(...[language, workload]: Parameters<Bench["native"]>): string[] | null {
    const command = this.#machine.native(language, workload);
    if (command === null && this.#machine.has(language, workload)) this.#note(language);
    return command;
  }

  script(...args: Parameters<Bench["script"]>): string[] {
    return this.#machine.script(...args);
  }

  bundle(name: string): Promise<string> {
    return this.#machine.bundle(name);
  }

  addon(name: string, workload: string): string[] | null {
    const command = this.#machine.addon(name, workload);
    if (command === null) this.#note(name);
    return command;
  }

  peerCommand(name: string, args: readonly string[]): string[] {
    return this.#machine.peer(name, args);
  }

  onProcessor(processor: number | null, command: readonly string[]): readonly string[] {
    if (processor === null || !this.#machine.canPin) return command;
    return ["taskset", "-c", String(processor), ...command];
  }

  async startPeer(...[name, args, processor]: Parameters<Bench["startPeer"]>): Promise<void> {
    const placed = this.onProcessor(processor ?? null, this.peerCommand(name, args));
    const peer = new Conversation(placed, { lasting: true });
    this.#peers.push(peer);
    await peer.line();
  }

  async end(): Promise<void> {
    for (const peer of this.#peers) await peer.end();
  }

  #note(name: string): void {
    this.leftOut.add(`${name} (${this.#machine.missing.get(name)})`);
  }
}

/** Runs every contender of a workload as often as asked, in another order each time. */
async function measure(
  workload: Workload,
  bench: WorkloadBench,
  repeats: number,
): Promise<WorkloadResult> {
  const contenders = await workload.prepare(bench);
  const values = new Map<string, number[]>(contenders.map(({ label }) => [label, []]));
  const failed = new Set<string>();
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const { label, measure } of shuffled(contenders)) {
      if (failed.has(label)) continue;
      progress(`${workload.name} ${repeat + 1}/${repeats}: ${label}`);
      try {
        // More digits than five mean nothing.
        values.get(label)!.push(Number((await measure()).toPrecision(5)));
      } catch (error) {
        failed.add(label);
        bench.leftOut.add(`${label} (failed)`);
        console.error(`\n${workload.name}, ${label}: ${(error as Error).message}`);
        process.exitCode = 1;
      }
    }
  }
  progress("");
  const measured = contenders.filter(({ label }) => !failed.has(label)).map((
    { label, api, runtime },
  ) => ({ label, api, runtime, values: values.get(label)! }));
  const { name, title, unit, better, absolute = false } = workload;
  const results = withRatios(better, measured);
  const leftOut = [...bench.leftOut];
  return { name, title, unit, better, absolute, results, targets: [], leftOut };
}

function shuffled<T>(items: readonly T[]): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

/** One line that the next one overwrites, where somebody looks. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

async function measureAll(options: Options): Promise<Report> {
  const { only, quick, repeats, runtimes } = options;
  const chosen = workloads.filter(({ name }) =>
    only.length === 0 || only.some((text) => name.includes(text))
  );
  if (chosen.length === 0) {
    throw new Error(`No such workload: ${workloads.map(({ name }) => name).join(", ")}`);
  }
  const scratch = mkdtempSync(join(tmpdir(), "afunix-bench-"));
  process.on("exit", () => {
    killAll();
    rmSync(scratch, { recursive: true, force: true });
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));
  const machine = new Machine(scratch);
  const report: Report = { quick, repeats, machine: machine.describe(runtimes), workloads: [] };
  for (const [i, workload] of chosen.entries()) {
    const bench = new WorkloadBench(machine, mkdtempSync(join(scratch, `${i}-`)), options);
    try {
      report.workloads.push(await measure(workload, bench, repeats));
    } finally {
      await bench.end();
    }
    console.log(terminalTable(report.workloads.at(-1)!));
  }
  return report;
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === null) return console.log(usage);
  const { from, json } = options;
  const report = from === null ? await measureAll(options) : readFigures(from);
  for (const result of report.workloads) {
    const workload = workloads.find(({ name }) => name === result.name)!;
    result.targets = judge(workload, report.workloads);
    if (from !== null) console.log(terminalTable(result));
  }
  console.log(terminalTargets(report));
  if (json !== null) {
    writeFigures(json, report, (values) => values);
    return console.log(`\nFigures in ${json}`);
  }
  const complete = report.workloads.length === workloads.length && options.runtimes.length === 3;
  if (from === null && !complete) return;
  writeFigures(MEDIANS, report, summary);
  writeFileSync(CHART, chart(report));
  rewriteDocument(DOCUMENT, report);
  format([MEDIANS, CHART, DOCUMENT]);
  console.log(`\nMedians in ${MEDIANS}\nChart in ${CHART}\nTables in ${DOCUMENT}`);
}

try {
  await main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
