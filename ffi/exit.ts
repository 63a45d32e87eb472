/**
 * The end of the process, or of a Worker.
 * @module
 */

interface Globals {
  process?: { on?(event: "exit", listener: () => void): unknown };
}

/**
 * Calls back when the process ends by itself or by `process.exit`, or when the Worker does; not
 * when a signal or a crash ends it.
 */
export function onExit(callback: () => void): void {
  (globalThis as Globals).process?.on?.("exit", callback);
}
