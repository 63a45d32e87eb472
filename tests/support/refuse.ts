/**
 * Makes the library wait in another way than its first.
 * @module
 */

import { relayByAio } from "../../ffi/runtime/watch_deno.ts";
import { native } from "../../ffi/mod.ts";
import type { MakeRelay } from "../../ffi/runtime/relay.ts";
import { relayByUring } from "../../ffi/linux/relay_uring.ts";
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
  return works(relayByUring) ? false : "needs a kernel that permits io_uring";
}

/** The same for requests of libaio's kind. */
export function unlessAio(): string | false {
  return works(relayByAio) ? false : "needs a kernel that permits io_submit";
}

function works(make: MakeRelay): boolean {
  using from = Fd.eventfd();
  using into = Fd.eventfd();
  const relay = make({ ...native(), from: from.fd, into: into.fd });
  relay?.close();
  return relay !== null;
}
