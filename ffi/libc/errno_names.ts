/**
 * errno numbers and their names on the running system.
 * @module
 */

import { native } from "../native.ts";

let names: Map<number, string> | undefined;

/** `ECONNREFUSED` for 111 on Linux; `UNKNOWN_4095` for a number without a name. */
export function errnoName(errno: number): string {
  names ??= new Map(Object.entries(native().abi.errno).map(([name, number]) => [number, name]));
  return names.get(errno) ?? `UNKNOWN_${errno}`;
}

/** The number of an errno on the running system; NaN, which equals nothing, where it has none. */
export function errnoNumber(name: string): number {
  return native().abi.errno[name] ?? NaN;
}
