/** The runtimes that run where the C library is musl. */

import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import type { RuntimeName } from "../testing/options.ts";

export interface Found {
  name: RuntimeName;
  program: string;
}

export interface Missing {
  name: RuntimeName;
  reason: string;
}

/** What each has to be able to do. */
const TRIALS: Partial<Record<RuntimeName, string>> = {
  bun: `require("bun:ffi"); console.log("ffi")`,
  node: `require("node:ffi"); console.log("ffi")`,
};

const REASONS: Record<RuntimeName, string> = {
  deno: "it is not made for musl",
  bun: "no bun that runs here was found",
  node: "no node with node:ffi, as 26.1 and later have it, was found",
};

/** Those that are found along a search path, and run; and why the others are not. */
export function runtimesHere(path: string): { found: Found[]; missing: Missing[] } {
  const found: Found[] = [];
  const missing: Missing[] = [];
  for (const name of ["deno", "bun", "node"] as const) {
    const trial = TRIALS[name];
    const program = trial && programsCalled(name, path).find((each) => passes(each, trial));
    if (program) found.push({ name, program });
    else missing.push({ name, reason: REASONS[name] });
  }
  return { found, missing };
}

function passes(program: string, trial: string): boolean {
  const { status, stdout } = spawnSync(program, ["-e", trial], { encoding: "utf8" });
  return status === 0 && stdout.trim() === "ffi";
}

/** The pinned one first: an installation of bun brings the program that runs on the machine. */
function programsCalled(name: string, path: string): string[] {
  return [join("node_modules", ".bin"), ...path.split(delimiter)]
    .filter((folder) => folder !== "")
    .map((folder) => resolve(folder, name))
    .filter((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
