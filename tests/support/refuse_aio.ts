/**
 * Makes Deno wait in its second way, by a thread.
 * @module
 */

import { native } from "../../ffi/mod.ts";

/** Answers as a kernel or a sandbox without asynchronous input and output does. Before any wait. */
export function refuseAio(): void {
  (native().libc as unknown as { syscall(): bigint }).syscall = () => -1n;
}
