/**
 * The end of the process, or of a Worker.
 * @module
 */

import { runtimeName } from "./runtime_name.ts";

interface Globals {
  process?: {
    on?(event: "exit" | "beforeExit", listener: () => void): unknown;
    exitCode?: number | string | null | undefined;
  };
  addEventListener?(event: "unload", listener: () => void): void;
}

/**
 * Calls back when the process ends by itself or by `process.exit`, or when the Worker does; not
 * when a signal or a crash ends it.
 */
export function onExit(callback: () => void): void {
  (globalThis as Globals).process?.on?.("exit", callback);
}

/**
 * The same, also at `Deno.exit`, of which no listener of `process` hears; perhaps twice, and before
 * listeners of `process`, in which a program may go on to close what it has.
 */
export function onEnding(callback: () => void): void {
  onExit(callback);
  if (runtimeName() === "deno") (globalThis as Globals).addEventListener?.("unload", callback);
}

/** Calls back when the process ends by itself, as nothing is left to do; perhaps more than once. */
export function onIdle(callback: () => void): void {
  (globalThis as Globals).process?.on?.("beforeExit", callback);
}

/** Makes the process end with status 1, if it was to end with 0. Also from within {@linkcode onExit}. */
export function failAtEnd(): void {
  const { process } = globalThis as Globals;
  if (process !== undefined && !process.exitCode) process.exitCode = 1;
}
