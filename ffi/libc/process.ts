/**
 * The system calls around pidfds.
 * @module
 */

import { notSupported } from "./failure.ts";
import { native } from "../native.ts";

/** A system call that libc wraps late or not at all. */
function systemCall(
  name: "pidfd_open" | "pidfd_send_signal",
  first: number,
  second: number,
): number {
  const { calls, abi } = native();
  if (abi.syscalls === null) return notSupported();
  return calls.syscall(BigInt(abi.syscalls[name]), BigInt(first), BigInt(second), null, 0n);
}

/** A pidfd of a process, close-on-exec (Linux 5.3), or a negated errno. */
export function openPidfd(pid: number): number {
  return systemCall("pidfd_open", pid, 0);
}

/** Sends a signal to the process of a pidfd; 0, or a negated errno. */
export function signalPidfd(pidfd: number, signal: number): number {
  return systemCall("pidfd_send_signal", pidfd, signal);
}
