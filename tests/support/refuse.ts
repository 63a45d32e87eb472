/**
 * Makes the library wait in another way than its first.
 * @module
 */

import { native } from "../../ffi/mod.ts";

/** What a kernel or a sandbox does not permit: io_uring(7), or no system call by number at all. */
export type Refused = "io_uring" | "syscalls";

/** Answers as they do. Before any wait; without an argument, nothing is refused. */
export function refuse(what: Refused | "" | undefined): void {
  if (!what) return;
  const { libc, abi } = native();
  const { syscall } = libc;
  const setup = BigInt(abi.syscalls!.io_uring_setup);
  const answer: typeof syscall = (number, ...args) =>
    what === "syscalls" || number === setup ? -1n : syscall(number, ...args);
  (libc as { syscall: typeof syscall }).syscall = answer;
}
