/**
 * The gate for return codes. A libc call that returned −1 passes here and nowhere else: first
 * {@linkcode again} reads errno and says whether to repeat the call, then the wrapper hands the
 * negated errno to its caller, who either expects it (EAGAIN) or gives it to {@linkcode failure}.
 * @module
 */

import type { LinuxConstants } from "../abi/mod.ts";
import { errnoName, errnoNumber } from "./errno_names.ts";
import { UnixSocketError, type UnixSocketErrorInit } from "../errors.ts";
import { native } from "../native.ts";
import { type Signature, type SymbolName, symbols } from "./symbols.ts";

/** The errno that the last call to {@linkcode again} read, negated. */
export let negatedErrno = 0;

/** How often a call is repeated whose errno cannot be its own. */
const MAX_REPEATS = 3;
let repeats = 0;

/**
 * To be called in the statement after a libc call that returned −1, before any other FFI call:
 * reads errno, and is true where the call has to be made again. That is so after EINTR, and when
 * errno holds a value that this function cannot leave: the runtime's own code ran in between.
 */
export function again(name: SymbolName): boolean {
  const errno = native().errno[0]!;
  negatedErrno = -errno;
  if (errno === interrupted()) return true;
  if (plausible(name, errno) || ++repeats > MAX_REPEATS) {
    repeats = 0;
    return false;
  }
  return true;
}

let eintr: number | undefined;
function interrupted(): number {
  return eintr ??= errnoNumber("EINTR");
}

const plausibleErrnos = new Map<SymbolName, Set<number>>();

function plausible(name: SymbolName, errno: number): boolean {
  const listed = (symbols[name] as Signature).errnos;
  if (listed === undefined) return errno !== 0;
  let set = plausibleErrnos.get(name);
  if (set === undefined) plausibleErrnos.set(name, set = new Set(listed.map(errnoNumber)));
  return set.has(errno);
}

/** What {@linkcode failure} is told beside the errno. */
export type FailureContext = Omit<UnixSocketErrorInit, "code" | "errno">;

/** The typed error for a negated errno. */
export function failure(negated: number, context: FailureContext, cause?: unknown): Error {
  const init = { ...context, code: errnoName(-negated), errno: -negated };
  return new UnixSocketError(init, cause === undefined ? undefined : { cause });
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
