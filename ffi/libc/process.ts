/**
 * What descriptors and processes need when one is handed to another: flags, numbers, pidfds.
 * @module
 */

import { again, negatedErrno, notSupported } from "./errno_gate.ts";
import { native } from "../native.ts";

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

/** Makes a descriptor close-on-exec and changes nothing else; 0, or a negated errno. */
export function closeOnExec(fd: number): number {
  const { F_SETFD, FD_CLOEXEC } = native().abi.constants;
  return Math.min(0, fcntl(fd, F_SETFD, FD_CLOEXEC));
}

/** Another descriptor for the same open file, close-on-exec, under this number or a higher one. */
export function duplicateFrom(fd: number, least: number): number {
  return fcntl(fd, native().abi.constants.F_DUPFD_CLOEXEC, least);
}

/** A system call that libc wraps late or not at all. */
function systemCall(
  name: "pidfd_open" | "pidfd_send_signal",
  first: number,
  second: number,
): number {
  const { libc, abi } = native();
  if (abi.syscalls === null) return notSupported();
  const number = BigInt(abi.syscalls[name]);
  let result;
  do result = Number(libc.syscall(number, BigInt(first), BigInt(second), null, 0n)); while (
    result === -1 && again("syscall")
  );
  return result === -1 ? negatedErrno : result;
}

/** A pidfd of a process, close-on-exec (Linux 5.3), or a negated errno. */
export function openPidfd(pid: number): number {
  return systemCall("pidfd_open", pid, 0);
}

/** Sends a signal to the process of a pidfd; 0, or a negated errno. */
export function signalPidfd(pidfd: number, signal: number): number {
  return systemCall("pidfd_send_signal", pidfd, signal);
}
