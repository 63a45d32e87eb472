/**
 * Environment variables. Deno's permission to read them is never asked for.
 * @module
 */

import { refusal } from "../libc/errno_gate.ts";
import { runtimeName } from "./runtime_name.ts";

interface Globals {
  Deno?: {
    permissions: { querySync(wanted: { name: "env"; variable: string }): { state: string } };
  };
  process?: { env: Record<string, string | undefined> };
}

/** Whether this process may read, set and delete a variable. */
function mayUse(variable: string): boolean {
  if (runtimeName() !== "deno") return true;
  const { permissions } = (globalThis as Globals).Deno!;
  return permissions.querySync({ name: "env", variable }).state === "granted";
}

function environment(): Record<string, string | undefined> {
  return (globalThis as Globals).process?.env ?? {};
}

/** A variable's value; undefined also where the permission to read it was not given. */
export function environmentVariable(name: string): string | undefined {
  return mayUse(name) ? environment()[name] : undefined;
}

/**
 * This process's variables, to read, set and delete these ones; null where the permission was not
 * given.
 */
export function environmentWith(
  names: readonly string[],
): Record<string, string | undefined> | null {
  return names.every(mayUse) ? environment() : null;
}

/**
 * The values of several variables, undefined for one that is absent or empty. Never takes a missing
 * permission for a missing variable.
 *
 * @throws {UnixSocketError} EACCES where the permission to read one of them was not given
 */
export function requiredVariables<T extends string>(
  names: readonly T[],
): Partial<Record<T, string>> {
  const forbidden = names.find((name) => !mayUse(name));
  if (forbidden !== undefined) {
    throw refusal("EACCES", {
      action: `Cannot read the environment variable ${forbidden}`,
      syscall: "getenv",
      detail: `needs --allow-env=${names.join(",")}`,
    });
  }
  const values: Partial<Record<T, string>> = {};
  for (const name of names) {
    const value = environment()[name];
    if (value !== undefined && value !== "") values[name] = value;
  }
  return values;
}

/** Removes variables, so that children of this process do not inherit them. */
export function removeVariables(names: readonly string[]): void {
  for (const name of names) if (mayUse(name)) delete environment()[name];
}
