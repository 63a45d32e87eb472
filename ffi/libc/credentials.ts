/**
 * Who this process is, and the process at the other end of a socket.
 * @module
 */

import { darwinPeerCredentials } from "../darwin/credentials.ts";
import { native } from "../native.ts";
import { type RawCredentials, takeUcred } from "../structs/ucred.ts";
import { getsockoptBytes } from "./options.ts";

/**
 * Gets the peer's credentials by SO_PEERCRED into `out`; 0, or a negated errno. `out` stays as it is if
 * the kernel knows no peer.
 */
export function peerCredentials(fd: number, out: RawCredentials): number {
  const { abi } = native();
  if (abi.os === "darwin") return darwinPeerCredentials(fd, out);
  const layout = abi.layouts.ucred!;
  const value = new Uint8Array(new ArrayBuffer(layout.size));
  const { SOL_SOCKET } = abi.constants;
  const result = getsockoptBytes(fd, SOL_SOCKET, abi.linux!.SO_PEERCRED, value);
  if (result < 0) return result;
  Object.assign(out, takeUcred(layout, new DataView(value.buffer), 0));
  return 0;
}

/** The ids of this process as the kernel stamps them on a message: the real ones. */
export function ownCredentials(): RawCredentials {
  const { libc } = native();
  return { pid: libc.getpid(), uid: libc.getuid() >>> 0, gid: libc.getgid() >>> 0 };
}
