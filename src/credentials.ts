/**
 * Who the peer is, by the kernel's word. These work on any Unix socket, also on one that the
 * runtime or another library owns.
 * @module
 */

import {
  checked,
  darwinPeerUser,
  errnoNumber,
  failure,
  linuxConstants,
  native,
  sockets,
} from "../ffi/mod.ts";
import { Fd } from "./fd/fd.ts";
import { type FdLike, openFdOf } from "./fd/fd_like.ts";

/** A process, as the kernel recorded it. */
export interface Credentials {
  /**
   * Process id. The process may have ended since, and its number been given to another: a pidfd has
   * no such doubt. 0 for a process of another pid namespace, which has no number here.
   */
  pid: number;
  /** User id. */
  uid: number;
  /** Group id. */
  gid: number;
}

const SYSCALL = "getsockopt";

/** The uid and gid that the kernel reports where it knows nobody: −1. */
const NOBODY = 0xffff_ffff;

/**
 * Who the peer is (SO_PEERCRED; LOCAL_PEERCRED and LOCAL_PEERPID on macOS), with effective user and
 * group: for the server's side the process that connected, for the client's the one that called
 * listen(2), for a pair its creator. A snapshot of that moment.
 *
 * @param socket a descriptor number, or an object with one: any Unix socket
 * @returns null where the kernel knows no peer: not connected, or a datagram socket that is no pair
 * @throws {UnixSocketError} EBADF, ENOTSOCK
 *
 * @example The peer of a `node:net` socket, on Node.js and Deno
 * ```ts ignore
 * import { peerCredentials } from "@afunix/afunix";
 *
 * server.on("connection", (socket) => console.log(peerCredentials(socket._handle.fd)));
 * ```
 */
export function peerCredentials(socket: FdLike): Credentials | null {
  const action = "Cannot read the peer's credentials";
  const credentials: Credentials = { pid: 0, uid: NOBODY, gid: NOBODY };
  checked(sockets.peerCredentials(openFdOf(socket, action, SYSCALL), credentials), {
    action,
    syscall: SYSCALL,
  });
  return credentials.pid === 0 && credentials.uid === NOBODY ? null : credentials;
}

/** How many groups are asked for at first. */
const FEW_GROUPS = 32;

/**
 * The supplementary groups of the peer, as of the same moment (SO_PEERGROUPS, Linux 4.13): what a
 * look into the user database by name would only guess. On macOS (LOCAL_PEERCRED) the first is the
 * group itself, and 16 are told at most.
 *
 * @returns null where the kernel knows no peer
 * @throws {UnixSocketError} EBADF, ENOTSOCK, ENOPROTOOPT: the kernel cannot
 */
export function peerGroups(socket: FdLike): number[] | null {
  const action = "Cannot read the peer's groups";
  const fd = openFdOf(socket, action, SYSCALL);
  const { linux } = native().abi;
  if (linux === null) {
    const user = darwinPeerUser(fd);
    if (typeof user === "number") throw failure(user, { action, syscall: SYSCALL });
    return user && user.groups;
  }
  const found = readOption(fd, linux.SO_PEERGROUPS, FEW_GROUPS * 4, action);
  return found === null ? null : [...new Uint32Array(found.buffer, 0, found.length / 4)];
}

/**
 * A pidfd of the peer (SO_PEERPIDFD, Linux 6.5): unlike a pid it never comes to mean another
 * process. It becomes readable when the process ends, and pidfd_send_signal(2), waitid(2) and
 * `/proc/self/fdinfo` take it.
 *
 * @returns null where the kernel knows no peer
 * @throws {UnixSocketError} EBADF, ENOTSOCK, EMFILE, ENOPROTOOPT: the kernel cannot, EINVAL or ESRCH: the
 * peer is gone (before Linux 6.16), ENOTSUP: macOS
 */
export function peerPidfd(socket: FdLike): Fd | null {
  const action = "Cannot get a pidfd of the peer";
  const fd = openFdOf(socket, action, SYSCALL);
  const found = readOption(fd, linuxConstants("pidfds of peers", SYSCALL).SO_PEERPIDFD, 4, action);
  return found === null ? null : Fd.received(new Int32Array(found.buffer, 0, 1)[0]!);
}

/**
 * The security context of the peer, of SELinux, AppArmor or whichever module the kernel runs
 * (SO_PEERSEC).
 *
 * @returns null where the kernel knows no peer
 * @throws {UnixSocketError} EBADF, ENOTSOCK, ENOPROTOOPT: no such module runs, ENOTSUP: macOS
 */
export function peerSecurityContext(socket: FdLike): string | null {
  const action = "Cannot read the peer's security context";
  const fd = openFdOf(socket, action, SYSCALL);
  const found = readOption(
    fd,
    linuxConstants("security contexts", SYSCALL).SO_PEERSEC,
    256,
    action,
  );
  return found === null ? null : new TextDecoder().decode(found).replace(/\0.*$/s, "");
}

/** An option of unknown length; null where there is no peer. */
function readOption(
  fd: number,
  option: number,
  room: number,
  action: string,
): Uint8Array<ArrayBuffer> | null {
  const { SOL_SOCKET } = native().abi.constants;
  for (let size = room;; size *= 4) {
    const value = new Uint8Array(new ArrayBuffer(size));
    const length = sockets.getsockoptBytes(fd, SOL_SOCKET, option, value);
    if (length === -errnoNumber("ENODATA")) return null;
    if (length === -errnoNumber("ERANGE") && size < 2 ** 20) continue;
    return value.subarray(0, checked(length, { action, syscall: SYSCALL }));
  }
}
