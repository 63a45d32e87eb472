/**
 * statx(2) where the C library has none: musl before 1.2.5, and macOS.
 * @module
 */

import type { Abi, Field } from "../abi/mod.ts";
import { kernelLayouts } from "../abi/linux.ts";
import { readField, writeField } from "../structs/field.ts";
import type { Libc } from "./symbols.ts";

/** Fills a `struct stat` for a path, or for an open file where the path is empty; 0 or −1. */
export type Stat = (at: number, path: ArrayBufferView, stat: DataView, flags: number) => number;

/** The members that have a counterpart of their own. */
const SAME = [
  ["stx_mode", "st_mode"],
  ["stx_nlink", "st_nlink"],
  ["stx_uid", "st_uid"],
  ["stx_gid", "st_gid"],
  ["stx_size", "st_size"],
  ["stx_ino", "st_ino"],
  ["stx_mtime.tv_sec", "st_mtim.tv_sec"],
  ["stx_mtime.tv_nsec", "st_mtim.tv_nsec"],
] as const;

/** `statx` by way of another function. */
export function statxBy(abi: Abi, stat: Stat): Libc["statx"] {
  const { size, fields } = abi.layouts.stat;
  const known = new DataView(new ArrayBuffer(size));
  const told = kernelLayouts.statx.fields;
  return (at, path, flags, _mask, buffer) => {
    const result = stat(at, path, known, flags);
    if (result === -1) return -1;
    const out = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    for (const [to, from] of SAME) copy(known, fields[from], out, told[to]);
    // The device as one number: nobody here needs its parts, only that it is the same again.
    const device = readField(known, fields.st_dev);
    writeField(out, told.stx_dev_minor, device >>> 0);
    writeField(out, told.stx_dev_major, Math.floor(device / 2 ** 32));
    return 0;
  };
}

/** Copies an integer, all of its bits. */
function copy(from: DataView, [at, width]: Field, to: DataView, field: Field): void {
  if (width === 8 && field[1] === 8) {
    to.setBigUint64(field[0], from.getBigUint64(at, true), true);
  } else writeField(to, field, readField(from, [at, width]));
}
