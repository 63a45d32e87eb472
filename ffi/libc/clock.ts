/**
 * The clock that all processes of the machine share.
 * @module
 */

import { linuxConstants } from "./failure.ts";
import { native } from "../native.ts";

const CLOCK_MONOTONIC = 1n;

/**
 * Microseconds by CLOCK_MONOTONIC. `process.hrtime` is that clock on Node.js alone: the others count
 * from their own start. Linux alone has the system call by number.
 *
 * @throws {UnixSocketError} ENOTSUP on macOS
 */
export function monotonicMicroseconds(): bigint {
  const { calls, abi, runtime } = native();
  linuxConstants("times of the system's clock", "syscall");
  const time = new BigInt64Array(new ArrayBuffer(16));
  const at = BigInt(runtime.addressOf(time));
  calls.syscall(BigInt(abi.syscalls!.clock_gettime), CLOCK_MONOTONIC, at, null, 0n);
  return time[0]! * 1_000_000n + time[1]! / 1000n;
}
