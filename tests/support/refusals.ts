/**
 * Arguments that make no sense, and whether they are refused before any system call.
 * @module
 */

import { assertEquals } from "@std/assert";
import { Fd, Socket } from "../../mod.ts";
import { callsMade } from "./raw.ts";

export const BUFFER = new Uint8Array(8);

export type ErrorClass = typeof TypeError | typeof RangeError;

export function show(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "symbol" || typeof value === "function") return typeof value;
  try {
    const json = JSON.stringify(value);
    return value instanceof Object
      ? `${value.constructor?.name ?? ""} ${json}`
      : json ?? String(value);
  } catch {
    return String(value);
  }
}

/** Which values are not refused with an error of this class that says this, before any system call. */
async function accepted(
  ErrorClass: ErrorClass,
  values: readonly unknown[],
  call: (value: never) => unknown,
  says: string,
): Promise<string[]> {
  const wrong: string[] = [];
  for (const value of values) {
    let outcome = "accepted it";
    const calls = await callsMade(async () => {
      try {
        const result = await call(value as never);
        if (result instanceof Fd || result instanceof Socket) result.close();
      } catch (error) {
        const refused = error instanceof ErrorClass && error.message.includes(says);
        outcome = refused ? "" : `threw ${error}`;
      }
    });
    if (outcome === "" && calls.length > 0) outcome = `called ${calls}`;
    if (outcome !== "") wrong.push(`${show(value)}: ${outcome}`);
  }
  return wrong;
}

/** Asserts that each value is refused with an error of this class that says this, before any system call. */
export async function assertRefuses(
  ErrorClass: ErrorClass,
  values: readonly unknown[],
  call: (value: never) => unknown,
  says = "",
): Promise<void> {
  assertEquals(await accepted(ErrorClass, values, call, says), []);
}

/** assertRefuses for each of several calls, whose names come with the failures. */
export async function assertAllRefuse(
  ErrorClass: ErrorClass,
  values: readonly unknown[],
  calls: Record<string, (value: never) => unknown>,
  says = "",
): Promise<void> {
  const wrong: string[] = [];
  for (const [name, call] of Object.entries(calls)) {
    for (const one of await accepted(ErrorClass, values, call, says)) wrong.push(`${name} ${one}`);
  }
  assertEquals(wrong, []);
}

export const NOT_OPTIONS = [null, 5, "options", true, 5n, () => {}];
export const NOT_SIGNALS = [5, "signal", true, {}, { aborted: false }, new AbortController()];
export const NOT_NUMBERS = ["5", true, {}, [5], 5n, () => 5];
export const NOT_BYTES = [
  null,
  undefined,
  5,
  "text",
  true,
  {},
  [1, 2],
  { length: 2 },
  5n,
  new Blob([]),
];
export const NOT_ADDRESSES = [
  ...[null, undefined, 5, true, 5n, {}, [], ["/x"], Symbol("x"), () => "/x", new Date()],
  ...[{ kind: "other" }, { kind: "pathname" }, { kind: "pathname", path: 5 }, { path: "/x" }],
  ...[{ kind: "abstract" }, { kind: "abstract", name: "x" }, { kind: "abstract", name: [1] }],
  ...["x", null, 5, [1], {}, new ArrayBuffer(2)].map((value) => (
    { kind: "pathname", path: "/x", bytes: value }
  )),
  ...[new ArrayBuffer(2), new DataView(new ArrayBuffer(2)), new Uint16Array(2)],
  ...[new URL("http://x/y"), "\ud800", { kind: "pathname", path: "\udc00" }],
];
export const NO_INTEGERS = [NaN, Infinity, -Infinity, 1.5];
