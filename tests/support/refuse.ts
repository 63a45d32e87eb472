/**
 * Makes the library wait in another way than its first.
 * @module
 */

import { native } from "../../ffi/mod.ts";
import { relayByUring } from "../../ffi/uring.ts";
import { Fd } from "../../mod.ts";

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

/** Why a test of io_uring cannot be, or false where it can. */
export function unlessUring(): string | false {
  using from = Fd.eventfd();
  using into = Fd.eventfd();
  const relay = relayByUring({ ...native(), from: from.fd, into: into.fd });
  return relay === null ? "needs a kernel that permits io_uring" : false;
}
