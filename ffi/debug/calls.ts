/**
 * In debug mode: what a call's arguments point to, looked at before the call.
 * @module
 */

import type { Abi, Field } from "../abi/mod.ts";
import { kernelLayouts } from "../abi/linux.ts";
import { PointerError } from "./errors.ts";
import type { CallContext } from "./memory.ts";
import { checkSystemCall } from "./syscalls.ts";
import { readField } from "../structs/field.ts";
import type { Extent, NativeType, Signature, StructName, SymbolName } from "../libc/symbols.ts";

/** Two numbers of 64 bits (`struct timespec`). */
const TIMESPEC_SIZE = 16;

/** Throws where an argument is not what its type says, or points where it must not. */
export function checkCall(
  context: CallContext,
  name: SymbolName,
  { args: types, memory }: Signature,
  args: readonly unknown[],
): void {
  for (const [i, type] of types.entries()) checkType(name, i, type, args[i]);
  if (args.length !== types.length) {
    throw new PointerError(name, "the call", `has ${args.length} arguments, not ${types.length}`);
  }
  if (memory === "by number") return checkSystemCall(context, args);
  for (const [index, extent] of Object.entries(memory ?? {})) {
    const i = Number(index);
    if (args[i] !== null) checkPointer(context, name, i, extent, args);
  }
}

const RANGES: { readonly [Type in NativeType]?: readonly [least: number, most: number] } = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  i64: [-(2 ** 63), 2 ** 63 - 1],
  u64: [0, 2 ** 64 - 1],
};

function checkType(name: SymbolName, index: number, type: NativeType, value: unknown): void {
  const range = RANGES[type];
  if (range === undefined) {
    if (ArrayBuffer.isView(value) || (value === null && type === "nullable")) return;
    throw new PointerError(name, `argument ${index}`, `is ${String(value)}, and no view`);
  }
  const whole = type.endsWith("64") ? typeof value === "bigint" : Number.isInteger(value);
  const number = Number(value);
  if (whole && number >= range[0] && number <= range[1]) return;
  throw new PointerError(name, `argument ${index}`, `is ${String(value)}, which is no ${type}`);
}

function checkPointer(
  context: CallContext,
  name: SymbolName,
  index: number,
  extent: Extent,
  args: readonly unknown[],
): void {
  const pointer = `argument ${index}`;
  const value = args[index];
  if (typeof extent === "object" && "mapping" in extent) {
    return checkMapping(context, name, pointer, value, Number(args[extent.mapping]));
  }
  const view = value as ArrayBufferView;
  context.memory.checkView(name, pointer, view, sizeOf(context.abi, extent, args, name));
  if (extent === "string") checkString(name, pointer, view);
  const bytes = () => new DataView(view.buffer, view.byteOffset, view.byteLength);
  if (extent === "msghdr") checkMessage(context, name, pointer, bytes(), 0);
  if (typeof extent !== "object" || !("entries" in extent) || extent.of !== "mmsghdr") return;
  const { size, fields } = context.abi.layouts.mmsghdr!;
  for (let i = 0; i < (args[extent.entries] as number); i++) {
    const at = i * size + fields.msg_hdr[0];
    checkMessage(context, name, `message ${i} of ${pointer}`, bytes(), at);
  }
}

/** The beginning of a whole mapping, as an address or as a view that carries one. */
function checkMapping(
  context: CallContext,
  name: SymbolName,
  pointer: string,
  value: unknown,
  length: number,
): void {
  const { memory } = context;
  if (typeof value === "bigint") {
    return memory.checkUnmapping(name, pointer, Number(value), length);
  }
  const view = value as ArrayBufferView;
  context.memory.checkView(name, pointer, view, 1);
  if (!memory.carriesAddress(view)) {
    throw new PointerError(name, pointer, "is a view of memory that was not mapped");
  }
  context.memory.checkAddress(name, pointer, memory.addressOf(view), length);
}

/** The size of a struct. */
export function structSize(abi: Abi, name: StructName): number {
  if (name === "statx") return kernelLayouts.statx.size;
  if (name === "timespec") return TIMESPEC_SIZE;
  return abi.layouts[name]!.size;
}

function sizeOf(
  abi: Abi,
  extent: Exclude<Extent, { mapping: number }>,
  args: readonly unknown[],
  name: SymbolName,
): number {
  if (typeof extent === "number") return extent;
  if (extent === "string") return 1;
  if (typeof extent === "string") return structSize(abi, extent);
  if ("bytes" in extent) return args[extent.bytes] as number;
  if ("entries" in extent) return (args[extent.entries] as number) * structSize(abi, extent.of);
  const length = args[extent.bytesIn] as ArrayBufferView | null;
  if (length === null || length.byteLength < 4) {
    throw new PointerError(name, `argument ${extent.bytesIn}`, "does not say how long another is");
  }
  return new DataView(length.buffer, length.byteOffset).getUint32(0, true);
}

function checkString(name: SymbolName, pointer: string, view: ArrayBufferView): void {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  if (!bytes.includes(0)) throw new PointerError(name, pointer, "is a text without a NUL");
}

/** A `struct msghdr` at an offset of a view, and all that it points to. */
function checkMessage(
  context: CallContext,
  name: SymbolName,
  pointer: string,
  view: DataView,
  at: number,
): void {
  const { msghdr, iovec } = context.abi.layouts;
  const take = ([offset, width]: Field) => readField(view, [at + offset, width]);
  const checkPart = (member: string, address: number, length: number) => {
    if (length > 0) context.memory.checkAddress(name, `${member} of ${pointer}`, address, length);
  };
  const { fields } = msghdr;
  // Without an address, the length says nothing.
  const address = take(fields.msg_name);
  if (address !== 0) checkPart("msg_name", address, take(fields.msg_namelen));
  checkPart("msg_control", take(fields.msg_control), take(fields.msg_controllen));
  const parts = take(fields.msg_iovlen);
  const partsAt = take(fields.msg_iov);
  checkPart("msg_iov", partsAt, parts * iovec.size);
  if (parts === 0) return;
  const described = context.memory.bytesAt(partsAt, parts * iovec.size);
  for (let i = 0; i < parts; i++) {
    const takePart = ([offset, width]: Field) =>
      readField(described, [i * iovec.size + offset, width]);
    const { iov_base, iov_len } = iovec.fields;
    checkPart(`iov_base ${i}`, takePart(iov_base), takePart(iov_len));
  }
}
