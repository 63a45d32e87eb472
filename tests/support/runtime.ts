/**
 * The runtime that runs this test, and the others as programs.
 * @module
 */

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";

/** The names of the three runtimes. */
export type RuntimeName = "deno" | "bun" | "node";
export const RUNTIMES: readonly RuntimeName[] = ["deno", "bun", "node"];

/** The project's root directory. */
export const ROOT: string = join(import.meta.dirname!, "..", "..");

const globals = globalThis as { Deno?: unknown; Bun?: unknown };

/** The runtime that runs this test. */
export const RUNTIME: RuntimeName = globals.Deno !== undefined
  ? "deno"
  : globals.Bun !== undefined
  ? "bun"
  : "node";

/** The flag that switches debug mode on before a program begins. */
export function debugFlag(runtime: RuntimeName): string {
  return `--${runtime === "node" ? "import" : "preload"}=${join(ROOT, "debug.ts")}`;
}

/** The flags that give a program the debug mode of the suite. */
export function suiteDebugFlags(runtime: RuntimeName): string[] {
  return process.env.AFUNIX_DEBUG ? [debugFlag(runtime)] : [];
}

/**
 * The command line that runs a TypeScript file under a runtime, with no permission but FFI's. In debug
 * mode if the suite is.
 */
export function commandFor(
  runtime: RuntimeName,
  script: string,
  options: { flags?: string[]; allowAll?: boolean } = {},
): string[] {
  const { allowAll = true } = options;
  // Without its permission, debug mode could not read that it is to report nothing.
  const debug = allowAll || runtime !== "deno" ? suiteDebugFlags(runtime) : [];
  const flags = [...debug, ...options.flags ?? []];
  const binary = join(ROOT, "node_modules", ".bin", runtime);
  switch (runtime) {
    case "deno": {
      const permissions = allowAll ? ["-A"] : ["--allow-ffi", "--no-prompt"];
      return [binary, "run", "--no-check", "--quiet", ...permissions, ...flags, script];
    }
    case "bun":
      return [binary, ...flags, script];
    case "node":
      return [binary, "--no-warnings", ...flags, script];
  }
}

/** Whether a program can be found. */
export function hasProgram(name: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${name}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/**
 * A reason to skip the tests that need a program, or false where it is there. With
 * AFUNIX_REQUIRE_PROGRAMS set, as on the build machines, nothing is skipped.
 */
export function unlessProgram(name: string): string | false {
  if (hasProgram(name) || process.env.AFUNIX_REQUIRE_PROGRAMS) return false;
  return `needs the program ${name}`;
}
