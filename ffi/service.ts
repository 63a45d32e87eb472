/**
 * What a service shares with the manager that started it: the environment, a clock, descriptors.
 * @module
 */

import { again, negatedErrno, refusal } from "./call.ts";
import { native } from "./native.ts";

interface Globals {
  Deno?: {
    permissions: { querySync(wanted: { name: "env"; variable: string }): { state: string } };
  };
  process?: { env: Record<string, string | undefined> };
}

function mayUse(variable: string): boolean {
  const { Deno: deno } = globalThis as Globals;
  return deno === undefined ||
    deno.permissions.querySync({ name: "env", variable }).state === "granted";
}

/**
 * The values of several variables, undefined for one that is absent or empty. Never asks for a
 * permission, and never takes a missing one for a missing variable.
 *
 * @throws {UnixSocketError} EACCES where the permission to read one of them was not given
 */
export function serviceVariables<T extends string>(
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
  const environment = (globalThis as Globals).process?.env;
  const values: Partial<Record<T, string>> = {};
  for (const name of names) {
    const value = environment?.[name];
    if (value !== undefined && value !== "") values[name] = value;
  }
  return values;
}

/** Removes variables, so that children of this process do not inherit them. */
export function removeVariables(names: readonly string[]): void {
  const environment = (globalThis as Globals).process?.env;
  if (environment === undefined) return;
  for (const name of names) if (mayUse(name)) delete environment[name];
}

/** Makes a descriptor close-on-exec and changes nothing else; 0, or a negated errno. */
export function closeOnExec(fd: number): number {
  const { libc, abi } = native();
  const { F_SETFD, FD_CLOEXEC } = abi.constants;
  let result;
  do result = libc.fcntl(fd, F_SETFD, FD_CLOEXEC); while (result === -1 && again("fcntl"));
  return result === -1 ? negatedErrno : 0;
}

/** The number of clock_gettime(2), by architecture. */
const CLOCK_GETTIME = { x86_64: 228n, aarch64: 113n };
const CLOCK_MONOTONIC = 1n;

/**
 * Microseconds on the clock that all processes of the machine share (CLOCK_MONOTONIC).
 * `process.hrtime` is that clock on Node.js alone: the others count from their own start.
 */
export function monotonicMicroseconds(): bigint {
  const { libc, abi, runtime } = native();
  const time = new BigInt64Array(new ArrayBuffer(16));
  const at = BigInt(runtime.addressOf(time));
  libc.syscall(CLOCK_GETTIME[abi.arch], CLOCK_MONOTONIC, at, null, 0n);
  return time[0]! * 1_000_000n + time[1]! / 1000n;
}
