/**
 * Deno's namespace and permissions: what the modules of Node.js leave open there.
 * @module
 */

import process from "node:process";

interface DenoStream {
  write(data: Uint8Array): Promise<number>;
}

/** What is used of Deno's namespace. */
export interface DenoNamespace {
  stdout: DenoStream;
  stderr: DenoStream;
  permissions: {
    querySync(what: { name: "ffi" } | { name: "env"; variable: string }): { state: string };
  };
}

/** Deno's namespace; undefined on the other runtimes, where a global `Deno` may be an imitation. */
export const deno: DenoNamespace | undefined = process.versions.deno === undefined
  ? undefined
  : (globalThis as unknown as { Deno: DenoNamespace }).Deno;

/** Reads an environment variable; undefined also if Deno may not read it. Asks for no permission. */
export function environmentVariable(name: string): string | undefined {
  const query = { name: "env", variable: name } as const;
  const allowed = deno === undefined || deno.permissions.querySync(query).state === "granted";
  return allowed ? process.env[name] : undefined;
}
