/**
 * `struct sockaddr_un`, packed and unpacked as pure functions over bytes.
 * @module
 */

import type { SockaddrUnLayout } from "../abi/mod.ts";
import { readField, writeField } from "./field.ts";

/** What a sockaddr_un says. Bytes of a pathname end before its NUL; of a name, after the leading one. */
export type RawAddress =
  | { kind: "pathname"; bytes: Uint8Array }
  | { kind: "abstract"; bytes: Uint8Array }
  | { kind: "unnamed" };

const AF_UNIX = 1;

function begin(layout: SockaddrUnLayout, length: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(Math.max(length, layout.size)));
  writeField(view, layout.fields.sun_family, AF_UNIX);
  if (layout.fields.sun_len !== undefined) writeField(view, layout.fields.sun_len, length);
  return new Uint8Array(view.buffer, 0, length);
}

/** The most bytes a pathname can have here, its NUL not counted. */
export function maxPathname(layout: SockaddrUnLayout): number {
  const [offset, width] = layout.fields.sun_path;
  return Math.max(width, layout.longest - offset) - 1;
}

/** The most bytes an abstract name can have, the leading NUL not counted. */
export function longestAbstractName(layout: SockaddrUnLayout): number {
  return layout.fields.sun_path[1] - 1;
}

/** The address of a pathname. Its length counts the terminating NUL. */
export function packPathname(layout: SockaddrUnLayout, path: Uint8Array): Uint8Array {
  if (path.length === 0 || path.includes(0)) throw new RangeError("Cannot pack this pathname");
  if (path.length > maxPathname(layout)) throw new RangeError("Cannot pack so long a pathname");
  const [offset] = layout.fields.sun_path;
  const packed = begin(layout, offset + path.length + 1);
  packed.set(path, offset);
  return packed;
}

/** The address of an abstract name: delimited by the length alone, never padded. */
export function packAbstract(layout: SockaddrUnLayout, name: Uint8Array): Uint8Array {
  if (name.length > longestAbstractName(layout)) throw new RangeError("Cannot pack so long a name");
  const [offset] = layout.fields.sun_path;
  const packed = begin(layout, offset + 1 + name.length);
  packed.set(name, offset + 1);
  return packed;
}

/** The address without a name: a family alone. Binding it makes the kernel choose a name. */
export function packUnnamed(layout: SockaddrUnLayout): Uint8Array {
  return begin(layout, layout.fields.sun_path[0]);
}

/** The sockaddr of an address of any kind. */
export function packSockaddr(layout: SockaddrUnLayout, address: RawAddress): Uint8Array {
  switch (address.kind) {
    case "pathname":
      return packPathname(layout, address.bytes);
    case "abstract":
      return packAbstract(layout, address.bytes);
    case "unnamed":
      return packUnnamed(layout);
  }
}

/**
 * Reads what the kernel wrote. `length` is what it reported, which exceeds the buffer where it had
 * to truncate, and is 0 for the sender of a datagram that is not bound.
 */
export function unpackSockaddr(
  layout: SockaddrUnLayout,
  bytes: Uint8Array,
  length: number,
): RawAddress {
  const [offset] = layout.fields.sun_path;
  const end = Math.min(length, bytes.length);
  if (end <= offset) return { kind: "unnamed" };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (readField(view, layout.fields.sun_family) !== AF_UNIX) return { kind: "unnamed" };
  const path = bytes.subarray(offset, end);
  if (path[0] !== 0) {
    const nul = path.indexOf(0);
    return { kind: "pathname", bytes: path.slice(0, nul === -1 ? path.length : nul) };
  }
  // Darwin reports an unnamed socket as an empty pathname of full length.
  if (layout.fields.sun_len !== undefined) return { kind: "unnamed" };
  return { kind: "abstract", bytes: path.slice(1) };
}
