/**
 * Descriptors as arguments: numbers, and objects that have one.
 * @module
 */

import { checked, file, refusal } from "../../ffi/mod.ts";
import { checkFd } from "../util/validate.ts";

/** A descriptor: its number, or an object that has one, as `Fd` and every socket do. */
export type FdLike = number | { readonly fd: number };

/** The number of a descriptor, −1 where its object is closed. */
export function fdOf(descriptor: FdLike): number {
  if (typeof descriptor === "number") return descriptor;
  const fd = (descriptor as { fd?: unknown } | null)?.fd;
  if (typeof fd === "number") return fd;
  throw new TypeError("Cannot use this as a descriptor: expected a number, an Fd or a socket");
}

/** The number of an open descriptor; EBADF for −1, which the number of a closed object is. */
export function openFdOf(descriptor: FdLike, action: string, syscall: string): number {
  const fd = fdOf(descriptor);
  if (fd === -1) {
    throw refusal("EBADF", { action, syscall, detail: "the descriptor is closed" });
  }
  return checkFd(fd);
}

/** The number of a duplicate of an open descriptor, close-on-exec; `action` begins the error's message. */
export function duplicateOf(descriptor: FdLike, action: string): number {
  const context = { action, syscall: "fcntl" };
  return checked(file.duplicate(openFdOf(descriptor, action, "fcntl")), context);
}
