/**
 * Datagrams of 64 bytes, sent through a pair and received again: C, the bare FFI, afunix one by one
 * and in batches, and npm's native addons. Figures are ratios to C in the same run.
 *
 * Run: `node bench/datagram.ts`. For the addons, install `unix-dgram` and `node-unix-socket` in a
 * folder elsewhere, with the Node.js that is to run them, and name its `node_modules` in
 * AFUNIX_BENCH_ADDONS and that Node.js in AFUNIX_BENCH_NODE.
 * @module
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const ROUNDS = 200_000;
const REPEATS = 5;
const NAMES = ["raw FFI", "sync, into a buffer", "sync", "async", "sync, batches of 64"];

const here = import.meta.dirname!;
const bin = join(here, "..", "node_modules", ".bin");
const scratch = mkdtempSync(join(tmpdir(), "afunix-bench-"));

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

const contenders = new Map<string, { command: string[]; env?: Record<string, string> }>();
execFileSync("cc", ["-O2", "-o", join(scratch, "c"), join(here, "datagram.c")]);
contenders.set("C", { command: [join(scratch, "c"), String(ROUNDS)] });
for (const runtime of ["deno", "bun", "node"]) {
  const flags = { deno: ["run", "-A", "--no-check"], bun: [], node: ["--no-warnings"] }[runtime]!;
  for (const name of NAMES) {
    const command = [join(bin, runtime), ...flags, join(here, "datagram_contender.ts")];
    contenders.set(`${runtime}: ${name}`, { command: [...command, name, String(ROUNDS)] });
  }
}
const { AFUNIX_BENCH_ADDONS: addons, AFUNIX_BENCH_NODE: node = "node" } = process.env;
for (const addon of addons === undefined ? [] : ["unix-dgram", "node-unix-socket"]) {
  const command = [node, join(here, "addon_contender.cjs"), addon, String(ROUNDS)];
  contenders.set(`addon: ${addon}`, { command, env: { NODE_PATH: addons! } });
}

const results = new Map<string, number[]>();
try {
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    for (const name of [...contenders.keys()].toSorted(() => Math.random() - 0.5)) {
      const { command, env } = contenders.get(name)!;
      const [program, ...args] = command;
      const options = { encoding: "utf8", env: { ...process.env, ...env } } as const;
      const times = results.get(name) ?? [];
      times.push(Number(execFileSync(program!, args, options)));
      results.set(name, times);
    }
  }
} finally {
  rmSync(scratch, { recursive: true });
}
const unit = median(results.get("C")!);
for (const name of contenders.keys()) {
  const times = results.get(name)!;
  const [ratio, least, most] = [median(times), Math.min(...times), Math.max(...times)]
    .map((time) => (time / unit).toFixed(2));
  console.log(`${name.padEnd(28)} ${ratio}   (${least}–${most})`);
}
