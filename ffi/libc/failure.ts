/**
 * What a negated errno becomes: a typed error. A caller either expects it (EAGAIN), or gives it to
 * {@linkcode failure}.
 * @module
 */

import type { LinuxConstants } from "../abi/mod.ts";
import { errnoName, errnoNumber } from "./errno_names.ts";
import { UnixSocketError, type UnixSocketErrorInit } from "../errors.ts";
import { native } from "../native.ts";
import type { SymbolName } from "./symbols.ts";

/** What {@linkcode failure} is told beside the errno. */
export type FailureContext = Omit<UnixSocketErrorInit, "code" | "errno">;

/** The typed error for a negated errno. */
export function failure(negated: number, context: FailureContext, cause?: unknown): Error {
  const init = { ...context, code: errnoName(-negated), errno: -negated };
  return new UnixSocketError(init, cause === undefined ? undefined : { cause });
}

/** Whether a negated errno says that descriptors or memory ran short, and nothing about what was asked. */
export function isShortage(negated: number): boolean {
  return ["EMFILE", "ENFILE", "ENOMEM"].includes(errnoName(-negated));
}

/** A result that is no error, or the throw of a typed one. */
export function checked(result: number, context: FailureContext): number {
  if (result < 0) throw failure(result, context);
  return result;
}

/** An error of the library's own, under an errno that says it best on every system. */
export function refusal(code: string, context: FailureContext, cause?: unknown): UnixSocketError {
  const errno = errnoNumber(code);
  const init = { ...context, code, errno: Number.isNaN(errno) ? 0 : errno };
  return new UnixSocketError(init, cause === undefined ? undefined : { cause });
}

/**
 * The constants that only Linux has, for what only Linux has.
 *
 * @throws {UnixSocketError} ENOTSUP on macOS
 */
export function linuxConstants(what: string, syscall: SymbolName): LinuxConstants {
  const { linux } = native().abi;
  if (linux !== null) return linux;
  throw refusal("ENOTSUP", {
    action: `Cannot use ${what}`,
    syscall,
    detail: "only Linux has that",
  });
}

/** The result of a call that this system does not have: a negated errno. */
export function notSupported(): number {
  return -native().abi.errno.ENOTSUP!;
}
