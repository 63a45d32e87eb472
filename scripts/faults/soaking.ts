/** Fresh seeds on one runtime, process after process, and whether memory and descriptors stay flat. */

import type { Counts } from "../../tests/faults/journal.ts";
import type { Kind } from "../../tests/faults/plan.ts";
import { type Report, runSeeds, type Runtime } from "../../tests/faults/process.ts";
import { errorsIn, faultsIn, sumOf } from "./counts.ts";

/** Seconds that one process lives at most; then the next begins, and waits in another way. */
const MAX_LIFE_SECONDS = 600;

/** Into how many processes a short soak is divided. */
const LIVES = 3;

/** How a process waits: by the library's first way, then by the others. */
const WAYS = [undefined, "io_uring", "syscalls"] as const;

/** By how much the resident memory may grow between the parts of a life that are compared, in bytes. */
const GROWTH = 32 * 1024 * 1024;
/** And the heap in use. */
const HEAP_GROWTH = 4 * 1024 * 1024;

/** Reports of a process below which nothing is said about its memory. */
const FEWEST_REPORTS = 20;

/** One process. */
interface Life {
  way: string;
  reports: Report[];
}

/** All processes of a runtime. */
export interface Soak {
  runtime: Runtime;
  lives: Life[];
  failures: string[];
}

/** Runs one runtime for so many seconds; `soaks` gets what it came to, from the beginning on. */
export async function soak(
  runtime: Runtime,
  seconds: number,
  options: { kind: Kind | undefined; refuse: string | undefined },
  soaks: Soak[],
  say: (text: string) => void,
): Promise<void> {
  const result: Soak = { runtime, lives: [], failures: [] };
  soaks.push(result);
  const fail = (failure: string) => {
    result.failures.push(failure);
    say(`✗ ${failure}`);
  };
  const until = performance.now() + 1000 * seconds;
  const longest = Math.min(MAX_LIFE_SECONDS, seconds / LIVES);
  // Seeds that nobody has run, and that are not too large for a command line to be read.
  let first = Math.floor(Math.random() * 1e9);
  for (let number = 0;; number++) {
    const left = (until - performance.now()) / 1000;
    // What would only be a start is no life.
    if (left < longest / 10) return;
    const refuse = options.refuse ?? WAYS[number % WAYS.length];
    const life: Life = { way: refuse === undefined ? "first" : `without ${refuse}`, reports: [] };
    result.lives.push(life);
    const { report, failure } = await runSeeds({
      ...{ runtime, first, seeds: 1_000_000, kind: options.kind, refuse, report: 1 },
      seconds: Math.min(longest, left),
      onReport: (report) => life.reports.push(report),
    });
    if (failure !== null) fail(failure);
    // What failed may have left anything open.
    const growths = failure === null ? growthOf(life.reports) : [];
    for (const growth of growths) fail(`${runtime}, ${life.way}: ${growth}`);
    first = (report?.seed ?? first) + 1;
    // A process that cannot even start would be started for ever.
    if (failure !== null && report === null) return;
  }
}

/** What grew in a process. */
function growthOf(reports: readonly Report[]): string[] {
  const found: string[] = [];
  const [first, last] = [reports[0], reports.at(-1)];
  if (first !== undefined && first.descriptors !== last!.descriptors) {
    found.push(`${first.descriptors} descriptors became ${last!.descriptors}`);
  }
  const memory = memoryOf(reports);
  if (memory === null) return found;
  const { rss, heapUsed } = memory;
  for (
    const [what, [from, to], most] of [
      ["resident memory", rss, GROWTH],
      ["heap", heapUsed, HEAP_GROWTH],
    ] as const
  ) {
    if (to - from > most) found.push(`the ${what} of ${mebibytes(from)} became ${mebibytes(to)}`);
  }
  return found;
}

/** Memory in the second quarter of a life, when it has warmed up, and in the last. */
function memoryOf(
  reports: readonly Report[],
): Record<"rss" | "heapUsed", [number, number]> | null {
  if (reports.length < FEWEST_REPORTS) return null;
  const quarter = Math.floor(reports.length / 4);
  const [early, late] = [reports.slice(quarter, 2 * quarter), reports.slice(-quarter)];
  const of = (key: "rss" | "heapUsed"): [number, number] => [
    median(early.map(({ memory }) => memory[key])),
    median(late.map(({ memory }) => memory[key])),
  ];
  return { rss: of("rss"), heapUsed: of("heapUsed") };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

function countsOf({ lives }: Soak): Counts {
  return sumOf(lives.map(({ reports }) => reports.at(-1)?.counts ?? {}));
}

function seedsOf({ lives }: Soak): number {
  return lives.reduce((sum, { reports }) => sum + (reports.at(-1)?.passed ?? 0), 0);
}

/** How far all are, in one line. */
export function liveLine(soaks: readonly Soak[], milliseconds: number, minutes: number): string {
  const each = soaks.map((soak) => {
    const counts = countsOf(soak);
    const now = soak.lives.at(-1)?.reports.at(-1);
    const errors = Object.values(errorsIn(counts)).reduce((sum, count) => sum + count, 0);
    const figures = [
      `${seedsOf(soak)} seeds`,
      `${counts["operations"] ?? 0} operations`,
      `${faultsIn(counts)} faults`,
      `${errors} errors`,
      mebibytes(counts["bytes read"] ?? 0),
      `${now?.descriptors ?? 0} open`,
      `${mebibytes(now?.memory.rss ?? 0)} resident`,
      ...(soak.failures.length > 0 ? [`${soak.failures.length} FAILED`] : []),
    ];
    return `${soak.runtime}: ${figures.join(", ")}`;
  });
  return `${(milliseconds / 60_000).toFixed(1)}/${minutes} min · ${each.join(" · ")}`;
}

export interface Summary {
  minutes: number;
  runtimes: Record<string, unknown>;
  failures: string[];
}

export function summaryOf(soaks: readonly Soak[], milliseconds: number): Summary {
  const runtimes = Object.fromEntries(soaks.map((soak) => {
    const counts = countsOf(soak);
    const processes = soak.lives.map(({ way, reports }) => ({
      way,
      seeds: reports.at(-1)?.passed ?? 0,
      descriptors: [reports[0]?.descriptors, reports.at(-1)?.descriptors],
      ...memoryOf(reports),
    }));
    const figures = { seeds: seedsOf(soak), faults: faultsIn(counts), counts, processes };
    return [soak.runtime, { ...figures, failures: soak.failures.length }];
  }));
  const failures = soaks.flatMap(({ failures }) => failures);
  return { minutes: Number((milliseconds / 60_000).toFixed(2)), runtimes, failures };
}
