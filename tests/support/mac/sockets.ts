/**
 * Addresses of both systems, and what is asked of a socket by the calls of Linux.
 */

import type { Libc } from "../../../ffi/libc/symbols.ts";
import { linux, mac } from "./translation.ts";

/** An address as Linux has it. */
export function toLinux(address: ArrayBufferView, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(new Uint8Array(address.buffer, address.byteOffset, length));
  if (copy[0] !== length) throw new Error("sun_len is not the length");
  [copy[0], copy[1]] = [copy[1]!, 0];
  return copy;
}

/** Room for an address, and where its length stands. */
type Told = [address: ArrayBufferView, length: ArrayBufferView];

/** Makes what Linux has left an address of macOS: without a name it is 16 bytes with an empty path. */
export function toMac(...[address, length]: Told): void {
  const size = new DataView(length.buffer, length.byteOffset, 4);
  const out = new Uint8Array(address.buffer, address.byteOffset, address.byteLength);
  const got = size.getUint32(0, true);
  const unnamed = got <= 2;
  if (unnamed) out.fill(0, 0, 16);
  out[0] = unnamed ? 16 : got;
  out[1] = mac.constants.AF_UNIX;
  size.setUint32(0, unnamed ? 16 : got, true);
}

/** The type of a socket, or −1. */
function typeOf(libc: Libc, fd: number): number {
  const { SOL_SOCKET, SO_TYPE } = linux.constants;
  const type = new Int32Array(1);
  return libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, type, Uint32Array.of(4)) === 0 ? type[0]! : -1;
}

export function isSocket(libc: Libc, fd: number): boolean {
  return typeOf(libc, fd) !== -1;
}

export function isDatagram(libc: Libc, fd: number): boolean {
  return typeOf(libc, fd) === linux.constants.SOCK_DGRAM;
}

/** Whether both directions of a connection have ended. */
export function hasHungUp(libc: Libc, fd: number): boolean {
  const { POLLHUP } = linux.constants;
  const entry = new DataView(new ArrayBuffer(8));
  entry.setInt32(0, fd, true);
  return libc.poll(entry, 1, 0) === 1 && (entry.getInt16(6, true) & POLLHUP) !== 0;
}
