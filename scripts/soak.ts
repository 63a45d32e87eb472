/**
 * Runs fresh seeds of tests/faults on all runtimes at once for as long as wanted: `npm run soak`.
 *
 * The last thing that it prints is a summary in JSON.
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { endOnSignals, kindFrom, refusedFrom, runtimesFrom } from "./faults/options.ts";
import { liveLine, type Soak, soak, summaryOf } from "./faults/soaking.ts";
import { KINDS } from "../tests/faults/plan.ts";

const usage = `Usage: npm run soak -- --minutes N [OPTIONS]

  --minutes N        how long; may be a fraction
  --runtime NAME     only on this runtime: deno, bun or node; may be given several times
  --kind KIND        only this kind: ${KINDS.join(", ")} (default: what each seed chooses)
  --refuse WHAT      wait as where io_uring, or syscalls by number, are not permitted
                     (default: one process after the other waits in another way)
  --help

Exit code 1 if any seed fails, a process crashes or hangs, or memory or descriptors grow.
What counts as growth is told in docs/reliability.md.`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string" },
      runtime: { type: "string", multiple: true },
      kind: { type: "string" },
      refuse: { type: "string" },
      help: { type: "boolean" },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const minutes = Number(values.minutes ?? NaN);
  if (!(minutes > 0 && minutes < Infinity)) throw new Error("--minutes must be a positive number");
  const options = { kind: kindFrom(values.kind), refuse: refusedFrom(values.refuse) };
  const runtimes = runtimesFrom(values.runtime);
  endOnSignals();
  const start = performance.now();
  const soaks: Soak[] = [];
  const stopShowing = show(() => soaks, start, minutes);
  const say = (text: string) => console.log(process.stdout.isTTY ? `\r\x1b[K${text}` : text);
  await Promise.all(runtimes.map((runtime) => soak(runtime, 60 * minutes, options, soaks, say)));
  stopShowing();
  const summary = summaryOf(soaks, performance.now() - start);
  console.log(JSON.stringify(summary, null, 2));
  return summary.failures.length === 0 ? 0 : 1;
}

/** Shows how far it is: one line that lives, on a terminal, or else a line a minute. */
function show(soaks: () => readonly Soak[], start: number, minutes: number): () => void {
  const line = () => liveLine(soaks(), performance.now() - start, minutes);
  if (!process.stdout.isTTY) {
    const timer = setInterval(() => console.log(line()), 60_000);
    return () => {
      clearInterval(timer);
      console.log(line());
    };
  }
  const timer = setInterval(() => {
    const width = process.stdout.columns ?? 80;
    process.stdout.write(`\r\x1b[K${line().slice(0, width - 1)}`);
  }, 500);
  return () => {
    clearInterval(timer);
    process.stdout.write(`\r\x1b[K${line()}\n`);
  };
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  process.exitCode = 2;
}
