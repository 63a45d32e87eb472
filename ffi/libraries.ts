/**
 * Finding libc: the names it goes by, and what to say when none opens.
 * @module
 */

import type { Abi } from "./abi/mod.ts";
import { UnixSocketError } from "./errors.ts";

/** The C library's file names: glibc first, then musl, which is named after the architecture. */
export function libcNames(abi: Abi): string[] {
  if (abi.os === "darwin") return ["libSystem.B.dylib"];
  return ["libc.so.6", `libc.musl-${abi.arch}.so.1`, `ld-musl-${abi.arch}.so.1`];
}

/**
 * Opens the first name that opens. A refusal by the runtime's permissions is passed on as it is,
 * since its message names the flag to use.
 */
export function openFirst<T>(names: readonly string[], open: (name: string) => T): T {
  const failures: unknown[] = [];
  for (const name of names) {
    try {
      return open(name);
    } catch (error) {
      if (isPermissionError(error)) throw error;
      failures.push(error);
    }
  }
  throw new UnixSocketError({
    action: `Cannot load the C library (tried ${names.join(", ")})`,
    code: "ENOTSUP",
    errno: 0,
    syscall: "dlopen",
  }, { cause: failures[0] });
}

function isPermissionError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: unknown }).code;
  return error.name === "NotCapable" || error.name === "PermissionDenied" ||
    code === "ERR_ACCESS_DENIED";
}
