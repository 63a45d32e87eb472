/**
 * What comes in on stdin: chunks, lines, or all of it.
 * @module
 */

import { fstatSync, type Stats } from "node:fs";
import process from "node:process";
import { Failure, reasonOf } from "../failures.ts";

/** The bytes of one line that are kept while its end has not come. */
const MAX_LINE = 16 << 20;

/** The chunks of stdin. The next is read when the last was dealt with. */
export async function* inputChunks(): AsyncGenerator<Uint8Array, void, void> {
  // Two of the runtimes make an empty input of it.
  if (inputStatus()?.isDirectory()) throw new Failure("Cannot read the standard input: EISDIR");
  try {
    for await (const chunk of process.stdin) yield chunk as Uint8Array;
  } catch (error) {
    throw new Failure(`Cannot read the standard input: ${reasonOf(error)}`);
  }
}

/** The lines of stdin without their ends; the last one needs none. */
export async function* inputLines(): AsyncGenerator<Uint8Array, void, void> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of inputChunks()) {
    let start = 0;
    for (let end; (end = chunk.indexOf(10, start)) !== -1; start = end + 1) {
      yield joined([...parts, chunk.subarray(start, end)]);
      parts = [];
      length = 0;
    }
    length += chunk.length - start;
    if (length > MAX_LINE) throw new Failure("A line of the input is too long");
    // A copy: the runtime may use the memory again.
    if (start < chunk.length) parts.push(chunk.slice(start));
  }
  if (length > 0) yield joined(parts);
}

/** All of stdin, at most so many bytes; `tooLong` is what to say where there are more. */
export async function wholeInput(most: number, tooLong: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of inputChunks()) {
    length += chunk.length;
    if (length > most) throw new Failure(tooLong);
    parts.push(chunk.slice());
  }
  return joined(parts);
}

/** How many bytes stdin has, where it is a file. */
export function inputSize(): number | null {
  const status = inputStatus();
  return status?.isFile() ? status.size : null;
}

/** What stdin is; null where it is closed, or may not be asked. */
function inputStatus(): Stats | null {
  try {
    return fstatSync(0);
  } catch {
    return null;
  }
}

/** Several pieces as one. */
export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
