/** What the package is made of. */

import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

export const ROOT: string = join(import.meta.dirname!, "..", "..");
export const OUT: string = join(ROOT, "npm");

/** One thing that can be imported. */
export interface Entry {
  /** `.` or `./name`, as in `exports`. */
  readonly specifier: string;
  /** `mod` or `name`: its file without an ending. */
  readonly name: string;
}

export function configuration(): { exports: Record<string, string>; version: string } {
  return JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
}

/** The entries that deno.json exports; the command line is a program of the package instead. */
export function entriesOf(): Entry[] {
  return Object.entries(configuration().exports)
    .filter(([specifier]) => specifier !== "./cli")
    .map(([specifier, file]) => ({ specifier, name: /^\.\/(\w+)\.ts$/.exec(file)![1]! }));
}

/** Runs a command to its end, for two minutes at most. */
export function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): SpawnSyncReturns<string> {
  const options = { cwd, env: { ...process.env, ...env }, timeout: 120_000 };
  return spawnSync(command, args, { ...options, encoding: "utf8" });
}

/** Runs a command that has to succeed; returns what it wrote to stdout. */
export function expect(...[command, args, ...rest]: Parameters<typeof run>): string {
  const { status, stdout, stderr, error } = run(command, args, ...rest);
  if (status !== 0) throw new Error(`${command} ${args[0]} failed: ${error ?? stdout + stderr}`);
  return stdout;
}
