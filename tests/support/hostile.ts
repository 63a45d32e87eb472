/**
 * Attackers: processes of a user without any rights, and what happens at the worst moment.
 * @module
 */

import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { join } from "@std/path";
import { native } from "../../ffi/mod.ts";
import { type Peer, python } from "./interop.ts";
import { unlessProgram } from "./runtime.ts";

/** The user and the group of an attacker: nobody's. */
export const NOBODY = 65534;

/** A reason to skip what needs an attacker with another user id than this process has, or false. */
export const unlessHostile: string | false = process.getuid!() === 0
  ? unlessProgram("python3") || unlessProgram("setpriv")
  : "needs root to start a process of another user";

/**
 * Starts Python on a script as `python()` does, but without any rights: another user, no groups and
 * no way to get more.
 */
export function hostile(
  script: string,
  args: readonly (string | number | Uint8Array)[] = [],
): Peer {
  return python(script, args, undefined, [
    "setpriv",
    `--reuid=${NOBODY}`,
    `--regid=${NOBODY}`,
    "--clear-groups",
    "--no-new-privs",
    "--bounding-set=-all",
    // What is in root's own folders is not for others.
    "env",
    "PATH=/usr/local/bin:/usr/bin:/bin",
  ]);
}

/** Runs a body with a directory that everybody may search; it is removed afterwards. */
export async function withPublicDir<T>(
  mode: number,
  body: (directory: string) => T | Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "afunix-public-"));
  chmodSync(directory, mode);
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * Runs an operation, and an attack once right before its call number `moment` of libc; how many calls
 * it made. From 0 on, until the number is no longer reached, that is every moment there is.
 */
export function attackedAt(moment: number, operation: () => void, attack: () => void): number {
  const libc = native().libc as unknown as Record<string, (...args: unknown[]) => unknown>;
  const originals = { ...libc };
  let calls = 0;
  for (const [name, original] of Object.entries(originals)) {
    libc[name] = (...args) => {
      if (calls++ === moment) attack();
      return original(...args);
    };
  }
  try {
    operation();
  } finally {
    Object.assign(libc, originals);
  }
  return calls;
}
