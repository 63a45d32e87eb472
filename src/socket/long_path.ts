/**
 * From an address to the bytes that the kernel takes, for the time of one call. A path that does
 * not fit into a sockaddr_un is reached through a descriptor and `/proc/self/fd` (Linux).
 * @module
 */

import { errnoNumber, file, native, sockaddr } from "../../ffi/mod.ts";

const SLASH = 0x2f;
const encoder = new TextEncoder();

/** The directory part of a path, and the name in it. */
export function splitPath(path: Uint8Array): { directory: Uint8Array; name: Uint8Array } {
  const slash = path.lastIndexOf(SLASH);
  if (slash === -1) return { directory: encoder.encode("."), name: path };
  return { directory: path.subarray(0, Math.max(slash, 1)), name: path.subarray(slash + 1) };
}

/** A path that leads to an open file, or to a name in an open directory. */
export function procPath(fd: number, name?: Uint8Array): Uint8Array {
  const prefix = encoder.encode(`/proc/self/fd/${fd}${name === undefined ? "" : "/"}`);
  if (name === undefined) return prefix;
  const path = new Uint8Array(prefix.length + name.length);
  path.set(prefix);
  path.set(name, prefix.length);
  return path;
}

/**
 * Another path to a file, by a descriptor of its directory, which nobody can swap for another. Where
 * there is no /proc, the path itself.
 */
export function pinnedPath(directoryFd: number, path: Uint8Array): Uint8Array {
  if (typeof file.status(procPath(directoryFd)) === "number") return path;
  return procPath(directoryFd, splitPath(path).name);
}

/** Whether a path can be reached through a descriptor: on Linux, by O_PATH and /proc. */
export function supportsLongPaths(): boolean {
  return native().abi.linux !== null;
}

/** The most bytes of a pathname that fit into a sockaddr_un. */
export function maxPlainPath(): number {
  return sockaddr.maxPathname(native().abi.layouts.sockaddr_un);
}

/**
 * Calls `connect` with the sockaddr of a peer. A path too long for a sockaddr_un is opened with O_PATH
 * first. Returns the result of `connect`, or the negated errno of the opening; ENAMETOOLONG on macOS.
 */
export function withPeerSockaddr(
  address: sockaddr.RawAddress,
  connect: (packed: Uint8Array) => number,
): number {
  const packed = packPlain(address);
  if (packed !== null) return connect(packed);
  if (!supportsLongPaths() || address.kind !== "pathname") return -errnoNumber("ENAMETOOLONG");
  const fd = file.openPath(address.bytes, 0);
  if (fd < 0) return fd;
  try {
    return connect(sockaddr.packPathname(native().abi.layouts.sockaddr_un, procPath(fd)));
  } finally {
    file.close(fd);
  }
}

/** The sockaddr of an address; null for a path that does not fit. */
export function packPlain(address: sockaddr.RawAddress): Uint8Array | null {
  if (address.kind === "pathname" && address.bytes.length > maxPlainPath()) return null;
  return sockaddr.packSockaddr(native().abi.layouts.sockaddr_un, address);
}
