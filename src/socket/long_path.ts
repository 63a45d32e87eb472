/**
 * From an address to the bytes that the kernel takes, for the time of one call. A path that does
 * not fit into a sockaddr_un is reached through a descriptor and `/proc/self/fd` (Linux).
 * @module
 */

import { errnoNumber, file, native, refusal, sockaddr } from "../../ffi/mod.ts";
import { type Address, formatAddress, pathBytes, quote } from "../address.ts";

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
 * Calls `connect` with the packed address of a peer. A path too long for a sockaddr_un is opened
 * with O_PATH first. Returns what `connect` returns, or the negated errno of the opening; ENAMETOOLONG
 * where there is no such way.
 */
export function withPeerSockaddr(
  address: Address,
  connect: (packed: Uint8Array) => number,
): number {
  const layout = native().abi.layouts.sockaddr_un;
  if (address.kind === "unnamed") return connect(sockaddr.packUnnamed(layout));
  if (address.kind === "abstract") return connect(sockaddr.packAbstract(layout, address.name));
  const path = pathBytes(address);
  if (path.length <= maxPlainPath()) return connect(sockaddr.packPathname(layout, path));
  if (!supportsLongPaths()) return -errnoNumber("ENAMETOOLONG");
  const fd = file.openPath(path, 0);
  if (fd < 0) return fd;
  try {
    return connect(sockaddr.packPathname(layout, procPath(fd)));
  } finally {
    file.close(fd);
  }
}

/** Whether an address can be packed as it is, without a detour over a descriptor. */
export function fitsPlain(address: Address): boolean {
  return address.kind !== "pathname" || pathBytes(address).length <= maxPlainPath();
}

/**
 * The packed form of an address whose path fits as it is.
 *
 * @throws {UnixSocketError} ENAMETOOLONG for a longer path, EINVAL for the unnamed address
 */
export function packPlain(address: Address): Uint8Array {
  const layout = native().abi.layouts.sockaddr_un;
  const refuse = (code: string, detail: string) =>
    refusal(code, {
      action: `Cannot send to ${quote(address)}`,
      syscall: "sendto",
      address: formatAddress(address),
      detail,
    });
  if (address.kind === "unnamed") throw refuse("EINVAL", "it has no name to send to");
  if (address.kind === "abstract") return sockaddr.packAbstract(layout, address.name);
  const path = pathBytes(address);
  if (path.length > maxPlainPath()) {
    throw refuse("ENAMETOOLONG", `at most ${maxPlainPath()} bytes fit here`);
  }
  return sockaddr.packPathname(layout, path);
}
