/**
 * Runs of seeds in processes of their own, so that one outlives neither a crash nor a hang unseen.
 * Nothing here needs @std.
 * @module
 */

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { suiteDebugFlags } from "../support/runtime.ts";
import type { Counts } from "./journal.ts";
import type { Kind } from "./plan.ts";

export const RUNTIMES = ["deno", "bun", "node"] as const;
export type Runtime = (typeof RUNTIMES)[number];

const root = join(import.meta.dirname!, "..", "..");

/** How many descriptors a run may have: few, so that a full table is soon reached. */
const MAX_DESCRIPTORS = 128;

/** Seconds after which a process that should have ended has not; its own watchdog comes first. */
const PATIENCE = 60;

/** How many of the last lines of a journal are shown. */
const JOURNAL_LINES = 40;

/** Which seeds a process runs, and how. */
export interface Request {
  runtime: Runtime;
  first: number;
  /** How many, from the first on. */
  seeds: number;
  /** One more, before the others. */
  and?: number;
  kind?: Kind | undefined;
  operations?: string | undefined;
  only?: string | undefined;
  refuse?: string | undefined;
  /** Seconds after which a run hangs. */
  patience?: number;
  /** Where the journal of the last seed is kept; nowhere where it is absent. */
  keep?: string | undefined;
  /** No further seed after so many seconds. */
  seconds?: number;
  /** Seconds between two reports; none but the last where it is absent. */
  report?: number;
  /** Hears of each report, the last one too. */
  onReport?: (report: Report) => void;
}

/** How far a process is. */
export interface Report {
  /** How many seeds passed. */
  passed: number;
  /** The last one that ran. */
  seed: number;
  counts: Counts;
  /** After collecting garbage, in bytes. */
  memory: { rss: number; heapUsed: number };
  descriptors: number;
  /** What went wrong, or null. */
  failure: string | null;
}

/** What a process came to. */
export interface Outcome {
  /** The last report; null where it never gave any. */
  report: Report | null;
  /** All that there is to say of what went wrong, with the seed and the way to see it again; or null. */
  failure: string | null;
  /** The seed that failed; null where none did, or nobody knows. */
  failed: number | null;
}

function commandLine(request: Request, journal: string): string[] {
  const binary = join(root, "node_modules", ".bin", request.runtime);
  const flags = {
    deno: ["run", "--allow-all", "--no-check", "--quiet", "--v8-flags=--expose-gc"],
    bun: [],
    node: ["--no-warnings", "--experimental-ffi", "--expose-gc"],
  }[request.runtime];
  const options: Record<string, string | number | undefined> = {
    journal,
    first: request.first,
    seeds: request.seeds,
    and: request.and,
    seconds: request.seconds,
    report: request.report,
    patience: request.patience,
    ...choices(request),
  };
  const args = Object.entries(options)
    .flatMap(([name, value]) => value === undefined ? [] : [`--${name}`, String(value)]);
  const limited = `ulimit -n ${MAX_DESCRIPTORS}; exec "$@"`;
  return [
    "sh",
    "-c",
    limited,
    "sh",
    binary,
    ...flags,
    ...suiteDebugFlags(request.runtime),
    join(import.meta.dirname!, "run.ts"),
    ...args,
  ];
}

/** What makes the same run of the same seed. */
function choices({ kind, operations, only, refuse }: Request): Record<string, string | undefined> {
  return { kind, operations, only, refuse };
}

/** The command that runs one seed again. */
export function replayCommand(request: Request, seed: number): string {
  const chosen = Object.entries(choices(request))
    .flatMap(([name, value]) => value === undefined ? [] : [` --${name} ${value || '""'}`]);
  return `npm run faults -- --runtime ${request.runtime} --seed ${seed}${chosen.join("")}`;
}

/** Runs seeds to the end, or to the first that fails. */
export async function runSeeds(request: Request): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "afunix-faults-"));
  const journal = request.keep ?? join(folder, "journal");
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  process.on("exit", removeFolder);
  try {
    return await inProcess(request, journal, folder);
  } finally {
    process.off("exit", removeFolder);
    removeFolder();
  }
}

async function inProcess(request: Request, journal: string, folder: string): Promise<Outcome> {
  const [program, ...args] = commandLine(request, journal);
  // What a test runner tells its children is not meant for these.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  // In a group of its own, which ends with it: those that it started may have been stopped.
  const child = spawn(program!, args, {
    cwd: root,
    // What it leaves behind where it is killed is removed with the folder. Deno's look for a newer version takes
    // descriptors for a moment.
    env: { ...env, TMPDIR: folder, DENO_NO_UPDATE_CHECK: "1" },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const kill = () => killGroup(child.pid);
  process.on("exit", kill);
  const limit = request.seconds === undefined ? undefined : 1000 * (request.seconds + PATIENCE);
  const timer = limit === undefined ? undefined : setTimeout(kill, limit);
  let report: Report | null = null;
  let said = "";
  const keep = (text: string) => said = (said + text).slice(-4000);
  child.stderr.setEncoding("utf8").on("data", keep);
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (!line.startsWith('{"passed"')) return void keep(`${line}\n`);
    report = JSON.parse(line) as Report;
    request.onReport?.(report);
  });
  try {
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => resolve([code, signal]));
    });
    const ended = signal === null ? `ended with exit code ${code}` : `was killed by ${signal}`;
    if (code === 0) return { report, failure: null, failed: null };
    return { report, ...failureOf(request, report, journal, ended, said) };
  } finally {
    clearTimeout(timer);
    process.off("exit", kill);
    kill();
  }
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch (error) {
    // Nobody is left.
    if ((error as { code?: string }).code !== "ESRCH") throw error;
  }
}

function failureOf(
  request: Request,
  report: Report | null,
  journal: string,
  ended: string,
  said: string,
): { failure: string; failed: number | null } {
  const lines = journalOf(journal);
  // A crash tells nothing; the journal begins with the seed.
  const begun = Number(/^seed (\d+)/.exec(lines[0] ?? "")?.[1] ?? NaN);
  const seed = report?.failure ? report.seed : begun;
  const shown = lines.length > JOURNAL_LINES
    ? [lines[0]!, "…", ...lines.slice(-JOURNAL_LINES)]
    : lines;
  const failure = [
    `Seed ${seed} on ${request.runtime}: ${report?.failure ?? `the process ${ended}`}`,
    ...(said === "" ? [] : [`It said:\n${said.trimEnd()}`]),
    `The end of the journal:\n${shown.join("\n")}`,
    `To see it again: ${replayCommand(request, seed)}`,
  ].join("\n");
  return { failure, failed: Number.isNaN(seed) ? null : seed };
}

function journalOf(path: string): string[] {
  try {
    return readFileSync(path, "utf8").trimEnd().split("\n");
  } catch {
    return [];
  }
}
