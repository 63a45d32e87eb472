/** Describes memory to the kernel, loses it, and says what debug mode says of that. */

import { native } from "../../ffi/mod.ts";
import { putField } from "../../ffi/struct.ts";

interface Globals {
  Bun?: { gc(force: boolean): void };
  gc?: () => void;
}
const globals = globalThis as Globals;

const { runtime, libc, abi } = native();

/** The address of memory that nobody keeps. */
function takeAddress(): number {
  return runtime.addressOf(new Uint8Array(new ArrayBuffer(64)));
}

/** Overwrites what calls have left on the stack: Bun's collector keeps what looks like a pointer there. */
function scrub(depth = 200): number {
  return depth === 0 ? 0 : 1 + scrub(depth - 1);
}

const { msghdr, iovec } = abi.layouts;
const header = new DataView(new ArrayBuffer(msghdr.size + iovec.size));
putField(header, msghdr.fields.msg_iov, runtime.addressOf(header) + msghdr.size);
putField(header, msghdr.fields.msg_iovlen, 1);
const [baseAt, baseWidth] = iovec.fields.iov_base;
const [lengthAt, lengthWidth] = iovec.fields.iov_len;
putField(header, [msghdr.size + lengthAt, lengthWidth], 64);

// One of many, as a few may be what the collector holds on to.
const addresses = Array.from({ length: 50 }, () => takeAddress());

/** What debug mode says of the first that is gone; null while all are there. */
function complaint(): unknown {
  for (const address of addresses) {
    putField(header, [msghdr.size + baseAt, baseWidth], address);
    try {
      libc.sendmsg(-1, header, 0);
    } catch (error) {
      return error;
    }
  }
  return null;
}

let said = complaint();
for (let round = 0; said === null && round < 100; round++) {
  // What was looked at lives as long as the turn in which that was.
  await new Promise((resolve) => setImmediate(resolve));
  scrub();
  if (globals.Bun !== undefined) globals.Bun.gc(true);
  else globals.gc!();
  said = complaint();
}
console.log(String(said));
