/**
 * Which runtime this is.
 * @module
 */

interface Globals {
  process?: { versions?: { deno?: string; bun?: string } };
}

/**
 * By the versions of its parts: a global `Deno` or `Bun` may be an imitation, for packages that were
 * written for another runtime.
 */
export function runtimeName(): "deno" | "bun" | "node" {
  const versions = (globalThis as Globals).process?.versions;
  if (versions?.deno !== undefined) return "deno";
  return versions?.bun === undefined ? "node" : "bun";
}
