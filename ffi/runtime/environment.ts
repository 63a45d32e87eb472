/**
 * Environment variables. Deno's permission to read them is never asked for.
 * @module
 */

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

/** This process's variables, to read, set and delete these ones; null without the permission for all. */
export function environmentWith(
  names: readonly string[],
): Record<string, string | undefined> | null {
  return names.every(mayUse) ? environment() : null;
}
