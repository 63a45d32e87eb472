/**
 * Who the peer is, by the kernel's word.
 * @module
 */

import { checked, sockets } from "../ffi/mod.ts";

/** The process at the other end, as the kernel recorded it. */
export interface PeerCredentials {
  /** Process id. It may have ended since, and its number been given to another process. */
  pid: number;
  /** Effective user id. */
  uid: number;
  /** Effective group id. */
  gid: number;
}

/** The uid and gid that the kernel reports where it knows nobody: −1. */
const NOBODY = 0xffff_ffff;

/** SO_PEERCRED of a socket, or null where the kernel knows no peer. */
export function readPeerCredentials(fd: number): PeerCredentials | null {
  const credentials: PeerCredentials = { pid: 0, uid: NOBODY, gid: NOBODY };
  checked(sockets.peerCredentials(fd, credentials), {
    action: "Cannot read the peer's credentials",
    syscall: "getsockopt",
  });
  return credentials.pid === 0 && credentials.uid === NOBODY ? null : credentials;
}
