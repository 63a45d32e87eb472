/**
 * The environment variables that this library knows.
 * @module
 */

interface Globals {
  Deno?: {
    permissions: { querySync(wanted: { name: "env"; variable: string }): { state: string } };
  };
  process?: { env: Record<string, string | undefined> };
}

/** A variable's value; undefined also where the permission to read it was not given: never asks. */
export function environmentVariable(name: string): string | undefined {
  const { Deno: deno, process } = globalThis as Globals;
  const wanted = { name: "env", variable: name } as const;
  if (deno !== undefined && deno.permissions.querySync(wanted).state !== "granted") {
    return undefined;
  }
  return process?.env[name];
}
