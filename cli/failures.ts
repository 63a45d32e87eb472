/**
 * How the command line fails: its exit codes, and errors as one line for people.
 * @module
 */

import { UnixSocketError } from "../mod.ts";

/** What the process ends with. Other codes come from the command that `take` runs. */
export const EXIT = {
  /** All went well. */
  fine: 0,
  /** The operation failed. */
  failed: 1,
  /** The arguments make no sense. */
  usage: 2,
  /** SIGHUP, SIGINT, SIGPIPE and SIGTERM, as a shell reports them. */
  hangUp: 129,
  interrupted: 130,
  brokenPipe: 141,
  terminated: 143,
} as const;

/** The arguments make no sense. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The operation failed for a reason that no system call gave. */
export class Failure extends Error {
  override name = "Failure";
}

/** The code of an error that a system call gave; undefined where it has none. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}

/** Why a call of the runtime failed: the code, or else what the error says. */
export function reasonOf(error: unknown): string {
  return codeOf(error) ?? lineOf(error);
}

/** An error as one line. */
export function lineOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return printable(message.split("\n", 1)[0]!);
}

/** An error as an object for `--json`. */
export function recordOf(error: unknown): Record<string, unknown> {
  const record: Record<string, unknown> = { event: "error", message: lineOf(error) };
  if (error instanceof UsageError) record.code = "USAGE";
  else if (codeOf(error) !== undefined) record.code = codeOf(error);
  if (error instanceof UnixSocketError) {
    record.syscall = error.syscall;
    if (error.address !== undefined) record.address = error.address;
  }
  return record;
}

/** Text that a terminal cannot take for a command: control characters as `\xNN`. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- they are what has to be escaped
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}
