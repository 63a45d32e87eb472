/** What the commands over tests/faults understand in common. */

import process from "node:process";
import { type Kind, KINDS } from "../../tests/faults/plan.ts";
import { type Runtime, RUNTIMES } from "../../tests/faults/process.ts";

/** The runtimes that were named, or all. Throws an Error meant for the user, as all here do. */
export function runtimesFrom(names: readonly string[] = []): readonly Runtime[] {
  for (const name of names) {
    if (!(RUNTIMES as readonly string[]).includes(name)) {
      throw new Error(`Unknown runtime "${name}"`);
    }
  }
  return names.length === 0 ? RUNTIMES : RUNTIMES.filter((runtime) => names.includes(runtime));
}

export function kindFrom(name: string | undefined): Kind | undefined {
  if (name === undefined || (KINDS as readonly string[]).includes(name)) return name as Kind;
  throw new Error(`Unknown kind "${name}"`);
}

export function refusedFrom(name: string | undefined): string | undefined {
  if (name === undefined || name === "io_uring" || name === "syscalls") return name;
  throw new Error(`--refuse must be io_uring or syscalls, not "${name}"`);
}

export function numberFrom(option: string, text: string, least: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) {
    throw new Error(`${option} must be a whole number, ${least} at least`);
  }
  return value;
}

/** Has a signal end this process in the way that ends those that it started, too. */
export function endOnSignals(): void {
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
    process.on(signal, () => process.exit(code));
  }
}
