/**
 * sendmsg(2) and recvmsg(2) over any number of buffers, of which the library itself uses one.
 * @module
 */

import { again, negatedErrno } from "../../ffi/libc/errno_gate.ts";
import { native } from "../../ffi/mod.ts";
import { aligned } from "../../ffi/structs/msghdr.ts";
import { writeField } from "../../ffi/structs/field.ts";

/** What no test sends: memory that nobody has written to is full of it. */
export const UNTOUCHED = 0x7a;

/** Sends these pieces as one message; its length, or a negated errno. */
export function sendVectors(fd: number, pieces: readonly Uint8Array[]): number {
  const { memory, buffers } = laidOut(pieces.map(({ length }) => length));
  for (const [i, piece] of pieces.entries()) buffers[i]!.set(piece);
  const { libc, abi } = native();
  let result;
  do result = libc.sendmsg(fd, memory, abi.constants.MSG_NOSIGNAL); while (
    result === -1 && again("sendmsg")
  );
  return result === -1 ? negatedErrno : result;
}

/** Receives into buffers of these lengths: the length of all or a negated errno, and the buffers. */
export function receiveVectors(
  fd: number,
  lengths: readonly number[],
): { result: number; buffers: Uint8Array[] } {
  const { memory, buffers } = laidOut(lengths);
  const { libc } = native();
  let result;
  do result = libc.recvmsg(fd, memory, 0); while (result === -1 && again("recvmsg"));
  return { result: result === -1 ? negatedErrno : result, buffers };
}

/** A header, an entry for each buffer, and the buffers, each with a byte behind it that is no part. */
function laidOut(lengths: readonly number[]): { memory: Uint8Array; buffers: Uint8Array[] } {
  const { layouts } = native().abi;
  const { msghdr, iovec } = layouts;
  const entries = aligned(msghdr.size);
  let at = aligned(entries + iovec.size * lengths.length);
  const end = lengths.reduce((sum, length) => sum + length + 1, at);
  const memory = new Uint8Array(new ArrayBuffer(end));
  const view = new DataView(memory.buffer);
  const base = native().runtime.addressOf(memory);
  writeField(view, msghdr.fields.msg_iov, base + entries);
  writeField(view, msghdr.fields.msg_iovlen, lengths.length);
  memory.fill(UNTOUCHED, at);
  const buffers = lengths.map((length, i) => {
    const entry = entries + i * iovec.size;
    const { iov_base: [baseAt, baseWidth], iov_len: [lengthAt, lengthWidth] } = iovec.fields;
    writeField(view, [entry + baseAt, baseWidth], base + at);
    writeField(view, [entry + lengthAt, lengthWidth], length);
    const buffer = memory.subarray(at, at + length);
    at += length + 1;
    return buffer;
  });
  return { memory, buffers };
}
