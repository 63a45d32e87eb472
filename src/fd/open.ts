/**
 * Opening files, by a path or in memory.
 * @module
 */

import { checked, errnoNumber, failure, file, native } from "../../ffi/mod.ts";
import { formatAddress, pathBytes, pathnameAddress, quote } from "../address.ts";
import {
  checkFlag,
  checkInteger,
  checkOptions,
  checkWord,
  ifAbsent,
  isUint8Array,
} from "../util/validate.ts";

/** How to open a file. */
export type OpenMode = "read" | "write" | "read-write" | "append";

/** Further options of {@linkcode openFile}. */
export interface OpenOptions {
  permissions?: number | undefined;
}

/** The descriptor of a file, by open(2): see `Fd.open` for what it takes and throws. */
export function openFile(
  path: string | Uint8Array,
  mode: OpenMode | number,
  options: OpenOptions | undefined,
): number {
  if (typeof path !== "string" && !isUint8Array(path)) {
    throw new TypeError("Cannot use this as a path: expected a string or Uint8Array");
  }
  const flags = flagsOf(mode);
  checkOptions(options);
  const permissions = checkInteger(
    ifAbsent(options?.permissions, 0o666),
    "permissions",
    0,
    0o7777,
  );
  const address = typeof path === "string"
    ? { kind: "pathname" as const, path }
    : pathnameAddress(path);
  const bytes = pathBytes(address);
  const hasNul = bytes.length === 0 || bytes.includes(0);
  const result = hasNul ? -errnoNumber("EINVAL") : file.open(bytes, flags, permissions);
  if (result >= 0) return result;
  throw failure(result, {
    action: `Cannot open ${quote(address)}`,
    syscall: "open",
    address: formatAddress(address),
    detail: hasNul ? "the path is empty or has a NUL" : undefined,
  });
}

/** The flags of open(2), to which O_NONBLOCK is added: no opening waits for a peer. */
function flagsOf(mode: OpenMode | number): number {
  const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND, O_NONBLOCK } =
    native().abi.constants;
  if (typeof mode === "number") {
    return checkInteger(mode, "flags of open(2)", 0, 0x7fff_ffff) | O_NONBLOCK;
  }
  checkWord(mode, "a mode of opening", ["read", "write", "read-write", "append"]);
  const flags = {
    "read": O_RDONLY,
    "write": O_WRONLY | O_CREAT | O_TRUNC,
    "read-write": O_RDWR | O_CREAT,
    "append": O_WRONLY | O_CREAT | O_APPEND,
  }[mode];
  return flags | O_NONBLOCK;
}

/** The descriptor of a file in memory: see `Fd.memfd` for what it takes and throws. */
export function openMemfd(
  name: string,
  options: { sealable?: boolean | undefined } | undefined,
): number {
  if (typeof name !== "string" || name.includes("\0")) {
    throw new TypeError("Cannot use this as a name: expected a string without a NUL");
  }
  checkOptions(options);
  const made = file.memfd(
    new TextEncoder().encode(name),
    checkFlag(options?.sealable, "sealable"),
  );
  return checked(made, { action: "Cannot create a memfd", syscall: "memfd_create" });
}

/** The descriptor of an eventfd: see `Fd.eventfd` for what it takes and throws. */
export function openEventfd(
  initial: number,
  options: { semaphore?: boolean | undefined } | undefined,
): number {
  const count = checkInteger(initial, "a count", 0, 0xffff_ffff);
  checkOptions(options);
  const made = file.eventfd(count, checkFlag(options?.semaphore, "semaphore"));
  return checked(made, { action: "Cannot create an eventfd", syscall: "eventfd2" });
}
