/**
 * The variables by which a service manager speaks to a service.
 * @module
 */

import { environmentWith, refusal, sockets } from "../../ffi/mod.ts";
import { checkFlag, checkOptions } from "../util/validate.ts";

/** Whether to take the variables out of the environment. */
export interface EnvironmentOptions {
  /**
   * Removes the variables that this reads, also where it fails, so that child processes do not take
   * them for their own. A later call then finds none. In a Worker of Node.js the environment is a
   * copy.
   */
  unsetEnvironment?: boolean | undefined;
}

/** Reads variables with `use`, and removes them afterwards if that is wanted. */
export function withVariables<T extends string, R>(
  names: readonly T[],
  alsoRemoved: readonly string[],
  options: EnvironmentOptions | undefined,
  use: (variables: Partial<Record<T, string>>) => R,
): R {
  checkOptions(options);
  const unset = checkFlag(options?.unsetEnvironment, "unsetEnvironment");
  const variables = readVariables(names);
  try {
    return use(variables);
  } finally {
    if (unset) {
      for (const name of [...names, ...alsoRemoved]) delete environmentWith([name])?.[name];
    }
  }
}

/**
 * Reads variables; one that is absent or empty has no value. A missing permission of Deno is an error
 * and never reads as a missing variable.
 */
function readVariables<T extends string>(names: readonly T[]): Partial<Record<T, string>> {
  const environment = environmentWith(names);
  if (environment === null) {
    const forbidden = names.find((name) => environmentWith([name]) === null);
    throw refusal("EACCES", {
      action: `Cannot read the environment variable ${forbidden}`,
      syscall: "getenv",
      detail: `needs --allow-env=${names.join(",")}`,
    });
  }
  const values: Partial<Record<T, string>> = {};
  for (const name of names) if (environment[name]) values[name] = environment[name];
  return values;
}

/** An error about a variable that makes no sense. */
export function malformed(name: string, value: string, detail: string, code = "EINVAL"): Error {
  const action = `Cannot use ${name}=${value}`;
  return refusal(code, { action, syscall: "getenv", detail });
}

/** A variable that is a decimal number. */
export function numberIn(name: string, value: string, least: bigint, most: bigint): bigint {
  const number = /^[0-9]{1,20}$/.test(value) ? BigInt(value) : -1n;
  if (number >= least && number <= most) return number;
  throw malformed(name, value, `expected a number from ${least} to ${most}`);
}

/** Whether a variable names this process. */
export function isOwnPid(name: string, value: string): boolean {
  return numberIn(name, value, 1n, 0x7fff_ffffn) === BigInt(sockets.ownCredentials().pid);
}
