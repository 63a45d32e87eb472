/**
 * The command line that runs a script under a runtime.
 * @module
 */

import { builtinModule, native } from "../../ffi/mod.ts";
import { LIST_VARIABLE, SOCKET_VARIABLE } from "./environment.ts";
import { checkArgs, checkPath, type SocketType, type SpawnOptions } from "./options.ts";
import { checkOptions, checkWord, ifAbsent } from "../util/validate.ts";

/** Options of {@linkcode spawnScript}. */
export interface RuntimeOptions<T extends SocketType = SocketType> extends SpawnOptions<T> {
  /**
   * The runtime of the script; `"same"`, the one that runs this process, without it. In a program
   * that was compiled into one file, that one is the program itself: name another.
   */
  runtime?: "same" | "deno" | "bun" | "node" | undefined;
  /**
   * Flags of the runtime, before the script: Deno's permissions, for instance. A list in
   * `--allow-env=` is completed, and `--allow-all` replaces what would have been added; so it is with
   * `-E=` and `-A`, behind other letters too, as in `-RE=`.
   */
  runtimeArgs?: readonly string[] | undefined;
  /**
   * The runtime's program: a name to look for in PATH, a path or a `file:` URL. Without it, the
   * program of this process for its own runtime, and `deno`, `bun` or `node` for others.
   */
  executable?: string | URL | undefined;
}

/** The program, and the arguments before those of the script. */
export function runtimeCommand(
  script: unknown,
  options: RuntimeOptions | undefined,
): { command: string; leading: string[] } {
  checkOptions(options);
  const given = typeof script === "string" && script.startsWith("file:") ? new URL(script) : script;
  const path = checkPath(given, "a script");
  const wanted = checkWord(ifAbsent(options?.runtime, "same"), "a runtime", [
    "same",
    "deno",
    "bun",
    "node",
  ]);
  const flags = checkArgs(options?.runtimeArgs, "runtimeArgs");
  const program = options?.executable;
  const executable = program === undefined ? undefined : checkPath(program, "executable");
  const own = native().runtime.name;
  const runtime = wanted === "same" ? own : wanted;
  const command = executable ?? (runtime === own ? ownProgram() : runtime);
  // So that no name is taken for a flag or for a command of the runtime.
  const file = path.startsWith("/") ? path : `./${path}`;
  return { command, leading: [...flagsFor(runtime, flags), file] };
}

function ownProgram(): string {
  return builtinModule<{ execPath: string }>("node:process")!.execPath;
}

function flagsFor(runtime: "deno" | "bun" | "node", given: string[]): string[] {
  if (runtime === "bun") return given;
  if (runtime === "deno") return ["run", ...denoFlags(given)];
  const flag = "--experimental-ffi";
  return given.includes(flag) ? given : [flag, ...given];
}

// Flags of one letter may stand together. What follows c or L is its value.
const ALL = /^(--allow-all$|--permission-set|-[abd-zA-KM-Z]*[AP])/;
const ENVIRONMENT = /^(--allow-env(=|$)|-[abd-zA-KM-Z]*E)/;
const ENVIRONMENT_LIST = /^(--allow-env|-[abd-zA-KM-Z]*E)=/;

/** Deno takes each permission once, and none beside all. */
function denoFlags(given: string[]): string[] {
  if (given.some((flag) => ALL.test(flag))) return given;
  const names = `${SOCKET_VARIABLE},${LIST_VARIABLE}`;
  const flags = given.map((flag) => ENVIRONMENT_LIST.test(flag) ? `${flag},${names}` : flag);
  if (!flags.some((flag) => ENVIRONMENT.test(flag))) flags.unshift(`--allow-env=${names}`);
  if (!flags.some((flag) => /^--allow-ffi(=|$)/.test(flag))) flags.unshift("--allow-ffi");
  return flags;
}
