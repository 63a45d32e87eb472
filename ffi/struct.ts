/**
 * Integers in C structs, read and written where a layout says. Little-endian, as every supported
 * target is.
 * @module
 */

import type { Field } from "./abi/mod.ts";

/** Writes an integer member. An 8-byte one takes values up to 2⁵³ − 1. */
export function putField(view: DataView, [offset, width]: Field, value: number): void {
  switch (width) {
    case 1:
      return view.setUint8(offset, value);
    case 2:
      return view.setUint16(offset, value, true);
    case 4:
      return view.setUint32(offset, value, true);
    case 8:
      return view.setBigUint64(offset, BigInt(value), true);
    default:
      throw new RangeError(`Cannot write a member of ${width} bytes as an integer`);
  }
}

/** Reads an unsigned integer member. An 8-byte one beyond 2⁵³ − 1 loses its low bits. */
export function takeField(view: DataView, [offset, width]: Field): number {
  switch (width) {
    case 1:
      return view.getUint8(offset);
    case 2:
      return view.getUint16(offset, true);
    case 4:
      return view.getUint32(offset, true);
    case 8:
      return Number(view.getBigUint64(offset, true));
    default:
      throw new RangeError(`Cannot read a member of ${width} bytes as an integer`);
  }
}
