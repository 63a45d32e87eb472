/**
 * Positions in files, checked.
 * @module
 */

import { sockets } from "../../ffi/mod.ts";
import { asBytes, type Bytes, checkInteger, checkWord } from "../util/validate.ts";

/** The largest position that a number holds exactly. */
export const MAX_POSITION: number = Number.MAX_SAFE_INTEGER;

/** The memory and the position of pread(2) or pwrite(2). */
export function transferAt(
  memory: Bytes,
  what: string,
  at: number,
): { view: Uint8Array; length: number; position: number } {
  const view = asBytes(memory, what);
  const position = checkInteger(at, "a position", 0, MAX_POSITION);
  return { view, length: Math.min(view.byteLength, sockets.MAX_BYTES), position };
}

/** The offset and the base of lseek(2). */
export function movement(offset: number, from: string): { by: number; whence: number } {
  const by = checkInteger(offset, "an offset", -MAX_POSITION, MAX_POSITION);
  const base = checkWord(from, "a base of an offset", ["start", "current", "end"]);
  return { by, whence: { start: 0, current: 1, end: 2 }[base] };
}
