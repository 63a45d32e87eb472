/**
 * Binding a socket to an address, and taking the path away again.
 * @module
 */

import {
  errnoNumber,
  failure,
  file,
  isShortage,
  native,
  sockaddr,
  sockets,
} from "../../ffi/mod.ts";
import { type Address, formatAddress, type ParsedAddress, quote } from "../address.ts";
import { withDirectoryLock } from "./directory_lock.ts";
import { maxPlainPath, pinnedPath, procPath, splitPath, supportsLongPaths } from "./long_path.ts";
import { probePath } from "./takeover.ts";

/** How to bind to a pathname. */
export interface BindRequest {
  /** Permissions of the socket's file, exactly these; without it, what the umask leaves of 0777. */
  mode?: number | undefined;
  /** What to do about a socket that is in the way and that nobody serves. */
  stale: "replace" | "fail";
  /** SOCK_STREAM or another type, for asking whether somebody serves what is in the way. */
  type: number;
}

/** A path that this process made by binding. */
export interface BoundPath {
  /** Absolute, so that it holds after a change of directory. */
  readonly path: Uint8Array;
  /** Device and inode of the file that was made. */
  readonly identity: string;
}

/**
 * Binds a descriptor. Returns the path that was made, or null for an address that is no file.
 *
 * @throws {UnixSocketError} EADDRINUSE and the other errors of bind(2)
 */
export function bindSocket(
  fd: number,
  { address, raw }: ParsedAddress,
  options: BindRequest,
): BoundPath | null {
  const fail = (negated: number, detail?: string, syscall = "bind") =>
    failure(negated, {
      action: `Cannot bind to ${quote(address)}`,
      syscall,
      address: formatAddress(address),
      detail,
    });
  if (raw.kind !== "pathname") {
    const layout = native().abi.layouts.sockaddr_un;
    const result = sockets.bind(fd, sockaddr.packSockaddr(layout, raw));
    if (result < 0) throw fail(result);
    return null;
  }

  const given = raw.bytes;
  const path = absolute(given);
  const { mode } = options;
  // Before the file exists: what fchmod does after bind reaches only the socket's own inode. macOS has
  // it for files alone.
  if (mode !== undefined && native().abi.os === "linux") {
    const result = file.fchmod(fd, mode);
    if (result < 0) throw fail(result, undefined, "fchmod");
  }
  let result = bindPath(fd, path, given);
  if (result === -errnoNumber("EADDRINUSE") && options.stale === "replace") {
    const outcome = replaceStale(fd, address, path, given, options.type);
    if (outcome.result < 0) throw fail(outcome.result, outcome.detail, outcome.syscall);
    result = outcome.result;
  }
  if (result < 0) throw fail(result);

  const status = statusOfBound(fd, path);
  if (typeof status === "number") throw fail(status, "the path vanished at once", "statx");
  const bound = { path, identity: status.identity };
  if (mode !== undefined && (status.mode & 0o7777) !== mode) {
    const widened = applyMode(fd, bound, mode);
    if (widened < 0) {
      removePath(bound);
      throw fail(widened, undefined, "chmod");
    }
  }
  return bound;
}

/** Removes a path, but only while it is still the file that was made. Never throws. */
export function removePath(bound: BoundPath): void {
  const remove = (path: Uint8Array) => {
    const status = file.status(path);
    if (typeof status !== "number" && status.identity === bound.identity) file.unlink(path);
    return 0;
  };
  const removeFrom = (directoryFd: number) => remove(pinnedPath(directoryFd, bound.path));
  // Under the lock nobody can put another socket there between the look and the removal. Who holds
  // it may be anybody, so this hardly waits: without it the same is done, a moment less safely.
  const { directory } = splitPath(bound.path);
  if (withDirectoryLock(directory, REMOVAL_PATIENCE, removeFrom) === 0) return;
  const directoryFd = file.openPath(directory, native().abi.constants.O_DIRECTORY);
  if (directoryFd < 0) return void remove(bound.path);
  removeFrom(directoryFd);
  file.close(directoryFd);
}

/**
 * The file that a socket was bound to, or a negated errno. By the kernel's word where this process may
 * ask for it; else by the path, which may lead to another's file by now: what is no socket is not the
 * one, and one of another owner is left alone for ever, by an identity that no file has.
 */
function statusOfBound(fd: number, path: Uint8Array): file.FileStatus | number {
  const own = file.fileOfSocket(fd);
  if (own >= 0) {
    const status = file.status(own);
    file.close(own);
    return typeof status !== "number" && status.links === 0 ? -errnoNumber("ENOENT") : status;
  }
  const status = file.status(path);
  if (typeof status === "number") return status;
  if (!file.isSocketMode(status.mode)) return -errnoNumber("ENOENT");
  const socket = file.status(fd);
  const sameOwner = typeof socket !== "number" && socket.uid === status.uid;
  return sameOwner ? status : { ...status, identity: "" };
}

function absolute(path: Uint8Array): Uint8Array {
  if (path[0] === 0x2f) return path;
  const directory = file.currentDirectory();
  if (typeof directory === "number") return path;
  const joined = new Uint8Array(directory.length + 1 + path.length);
  joined.set(directory);
  joined[directory.length] = 0x2f;
  joined.set(path, directory.length + 1);
  return joined;
}

/** How long to wait for somebody else's lock, in milliseconds. Who takes over makes a few calls. */
const TAKEOVER_PATIENCE = 1000;
const REMOVAL_PATIENCE = 20;

let temporaryNames = 0;

/** The longest path that the kernel takes, its NUL not counted (PATH_MAX). */
const MAX_PATH = 4095;

/** bind(2) to an absolute path of any length; where it does not fit, `given` may. */
function bindPath(fd: number, path: Uint8Array, given: Uint8Array): number {
  const layout = native().abi.layouts.sockaddr_un;
  if (path.length <= maxPlainPath()) {
    return sockets.bind(fd, sockaddr.packPathname(layout, path));
  }
  if (given.length <= maxPlainPath()) {
    return sockets.bind(fd, sockaddr.packPathname(layout, given));
  }
  if (!supportsLongPaths()) return -errnoNumber("ENAMETOOLONG");
  const { directory, name } = splitPath(path);
  const directoryFd = file.openPath(directory, native().abi.constants.O_DIRECTORY);
  if (directoryFd < 0) return directoryFd;
  try {
    const near = procPath(directoryFd, name);
    // A path this long could not be looked at or removed again.
    if (path.length > MAX_PATH) return -errnoNumber("ENAMETOOLONG");
    if (near.length <= maxPlainPath()) {
      return sockets.bind(fd, sockaddr.packPathname(layout, near));
    }
    // Even the name is too long: bind under a short one, give the file its name, drop the short one.
    // A socket cannot be bound twice, so what is in the way is looked for first.
    if (typeof file.status(near) !== "number") return -errnoNumber("EADDRINUSE");
    const unique = `.afunix-${Date.now().toString(36)}-${(temporaryNames++).toString(36)}`;
    const random = Math.random().toString(36).slice(2, 10);
    const short = procPath(directoryFd, new TextEncoder().encode(unique + random));
    const result = sockets.bind(fd, sockaddr.packPathname(layout, short));
    if (result < 0) return result;
    const linked = file.link(short, near);
    file.unlink(short);
    return linked === -errnoNumber("EEXIST") ? -errnoNumber("EADDRINUSE") : linked;
  } finally {
    file.close(directoryFd);
  }
}

/** What came of taking over a path: 0, or a negated errno and what it is about. */
interface Replacement {
  result: number;
  detail?: string;
  /** The call that failed, unless it was bind(2). */
  syscall?: string;
}

/** Why a path stays that may be stale. */
const UNSEEN = "the path is taken, and this process lacks the means to see by whom";

/** Binds where a socket is in the way, if nobody serves it. */
function replaceStale(
  fd: number,
  address: Address,
  path: Uint8Array,
  given: Uint8Array,
  type: number,
): Replacement {
  const inUse = -errnoNumber("EADDRINUSE");
  const attempt = (directoryFd: number): Replacement => {
    // Looked at and removed by this path alone, so that both are about the same directory.
    const pinned = pinnedPath(directoryFd, path);
    // Each round answers one change by somebody who did not take the lock.
    for (let round = 0; round < 16; round++) {
      const status = file.status(pinned);
      if (typeof status !== "number") {
        if (!file.isSocketMode(status.mode)) {
          return { result: inUse, detail: "what is there is not a socket" };
        }
        const finding = probePath(pinned, type);
        if (finding.is === "unknown") {
          return { result: finding.negated, detail: UNSEEN, syscall: finding.syscall };
        }
        if (finding.is === "served") return { result: inUse, detail: "somebody serves it" };
        const again = file.status(pinned);
        if (typeof again === "number" || again.identity !== status.identity) continue;
        const removed = file.unlink(pinned);
        if (removed < 0 && removed !== -errnoNumber("ENOENT")) {
          return { result: removed, detail: "the stale socket cannot be removed" };
        }
      }
      const result = bindPath(fd, path, given);
      if (result !== inUse) return { result };
    }
    return { result: inUse, detail: "it keeps changing" };
  };
  const outcome = withDirectoryLock(splitPath(path).directory, TAKEOVER_PATIENCE, attempt);
  if (typeof outcome !== "number") return outcome;
  if (isShortage(outcome)) return { result: outcome, detail: UNSEEN, syscall: "open" };
  return {
    result: inUse,
    detail: `the directory cannot be locked for a look at ${quote(address)}`,
  };
}

/** Gives the file the mode that the umask took from it, if it is still the file that was made. */
function applyMode(fd: number, bound: BoundPath, mode: number): number {
  if (!supportsLongPaths()) {
    const status = file.status(bound.path);
    if (typeof status === "number") return status;
    const same = status.identity === bound.identity;
    return same ? file.lchmod(bound.path, mode) : -errnoNumber("ENOENT");
  }
  const asked = file.fileOfSocket(fd);
  const own = asked < 0 ? file.openPath(bound.path, native().abi.constants.O_NOFOLLOW) : asked;
  if (own < 0) return own;
  try {
    const status = file.status(own);
    if (typeof status === "number") return status;
    if (status.identity !== bound.identity) return -errnoNumber("ENOENT");
    return file.chmod(procPath(own), mode);
  } finally {
    file.close(own);
  }
}
