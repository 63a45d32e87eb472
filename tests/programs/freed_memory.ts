/** Describes memory to the kernel, loses it, and says what debug mode says of that. */

import { native } from "../../ffi/mod.ts";
import { writeField } from "../../ffi/structs/field.ts";
import { collect } from "../support/garbage.ts";

const { runtime, libc, abi } = native();

/** The address of memory that nobody keeps. */
function takeAddress(): number {
  return runtime.addressOf(new Uint8Array(new ArrayBuffer(64)));
}

const { msghdr, iovec } = abi.layouts;
const header = new DataView(new ArrayBuffer(msghdr.size + iovec.size));
writeField(header, msghdr.fields.msg_iov, runtime.addressOf(header) + msghdr.size);
writeField(header, msghdr.fields.msg_iovlen, 1);
const [baseAt, baseWidth] = iovec.fields.iov_base;
const [lengthAt, lengthWidth] = iovec.fields.iov_len;
writeField(header, [msghdr.size + lengthAt, lengthWidth], 64);

// One of many, as a few may be what the collector holds on to.
const addresses = Array.from({ length: 50 }, () => takeAddress());

/** What debug mode says of the first that is gone; null while all are there. */
function complaint(): unknown {
  for (const address of addresses) {
    writeField(header, [msghdr.size + baseAt, baseWidth], address);
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
  await collect();
  said = complaint();
}
console.log(String(said));
