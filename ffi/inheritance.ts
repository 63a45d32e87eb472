/**
 * What descriptors and processes need when one is handed to another: flags, numbers, pidfds, and
 * the environment that tells of them.
 * @module
 */

import { again, negatedErrno } from "./call.ts";
import { native } from "./native.ts";

function fcntl(fd: number, command: number, argument: number): number {
  const { libc } = native();
  let result;
  do result = libc.fcntl(fd, command, argument); while (result === -1 && again("fcntl"));
  return result === -1 ? negatedErrno : result;
}

/** Makes an open file blocking, as programs expect what they start with; 0, or a negated errno. */
export function makeBlocking(fd: number): number {
  const { F_GETFL, F_SETFL, O_NONBLOCK } = native().abi.constants;
  const flags = fcntl(fd, F_GETFL, 0);
  return flags < 0 ? flags : Math.min(0, fcntl(fd, F_SETFL, flags & ~O_NONBLOCK));
}

/** Another descriptor for the same open file, close-on-exec, under this number or a higher one. */
export function duplicateFrom(fd: number, least: number): number {
  return fcntl(fd, native().abi.constants.F_DUPFD_CLOEXEC, least);
}

/** The system calls that libc wraps late or not at all; the same numbers on every architecture. */
const PIDFD_SEND_SIGNAL = 424n;
const PIDFD_OPEN = 434n;

function systemCall(number: bigint, first: number, second: number): number {
  const { libc } = native();
  let result;
  do result = Number(libc.syscall(number, BigInt(first), BigInt(second), null, 0n)); while (
    result === -1 && again("syscall")
  );
  return result === -1 ? negatedErrno : result;
}

/** A pidfd of a process, close-on-exec (Linux 5.3), or a negated errno. */
export function openPidfd(pid: number): number {
  return systemCall(PIDFD_OPEN, pid, 0);
}

/** Sends a signal to the process of a pidfd; 0, or a negated errno. */
export function signalPidfd(pidfd: number, signal: number): number {
  return systemCall(PIDFD_SEND_SIGNAL, pidfd, signal);
}

interface Globals {
  Deno?: {
    permissions: { querySync(wanted: { name: "env"; variable: string }): { state: string } };
  };
  process?: { env: Record<string, string | undefined> };
}

/**
 * This process's variables, to read, set and delete these ones; null where the permission was not
 * given, which is never asked for.
 */
export function environmentWith(
  names: readonly string[],
): Record<string, string | undefined> | null {
  const { Deno: deno, process } = globalThis as Globals;
  const granted = (variable: string) =>
    deno!.permissions.querySync({ name: "env", variable }).state === "granted";
  if (deno !== undefined && !names.every(granted)) return null;
  return process?.env ?? {};
}
