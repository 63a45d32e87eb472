/**
 * Reproducible bytes, for tests and for the programs that they start: nothing here needs @std.
 * @module
 */

import { createHash } from "node:crypto";

/** Bytes that are the same every time and do not repeat soon (xorshift32). */
export function pattern(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(size);
  let state = seed * 2654435761 | 1;
  for (let i = 0; i < size; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    data[i] = state;
  }
  return data;
}

/** What tells two long byte strings apart in one line. */
export function digest(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** Reads until so many bytes are there, or the end. */
export async function readExactly(
  source: { read(buffer: Uint8Array): Promise<number | null> },
  size: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const data = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const count = await source.read(data.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return data.subarray(0, filled);
}
