/**
 * Integers in C structs, read and written where a layout says. Little-endian, as every supported
 * target is.
 * @module
 */

import type { Field } from "../abi/mod.ts";

/** Writes an integer member. An 8-byte one takes values up to 2⁵³ − 1. */
export function writeField(view: DataView, [offset, width]: Field, value: number): void {
  switch (width) {
    case 1:
      return view.setUint8(offset, value);
    case 2:
      return view.setUint16(offset, value, true);
    case 4:
      return view.setUint32(offset, value, true);
    case 8:
      // Two halves: a BigInt would be allocated for each.
      view.setUint32(offset, value >>> 0, true);
      return view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
    default:
      throw new RangeError(`Cannot write a member of ${width} bytes as an integer`);
  }
}

/** Reads an unsigned integer member. An 8-byte one beyond 2⁵³ − 1 loses its low bits. */
export function readField(view: DataView, [offset, width]: Field): number {
  switch (width) {
    case 1:
      return view.getUint8(offset);
    case 2:
      return view.getUint16(offset, true);
    case 4:
      return view.getUint32(offset, true);
    case 8:
      return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
    default:
      throw new RangeError(`Cannot read a member of ${width} bytes as an integer`);
  }
}
