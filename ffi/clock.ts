/**
 * The clock that all processes of the machine share.
 * @module
 */

import { native } from "./native.ts";

const CLOCK_MONOTONIC = 1n;

/**
 * Microseconds by CLOCK_MONOTONIC. `process.hrtime` is that clock on Node.js alone: the others count
 * from their own start.
 */
export function monotonicMicroseconds(): bigint {
  const { libc, abi, runtime } = native();
  const time = new BigInt64Array(new ArrayBuffer(16));
  const at = BigInt(runtime.addressOf(time));
  libc.syscall(BigInt(abi.syscalls!.clock_gettime), CLOCK_MONOTONIC, at, null, 0n);
  return time[0]! * 1_000_000n + time[1]! / 1000n;
}
