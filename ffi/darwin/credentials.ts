/**
 * Who the peer is, on macOS: `struct xucred` (LOCAL_PEERCRED) tells the user and the groups as of
 * connecting, and two other options the process that used the peer's end last. Experimental: it has
 * never run on a Mac.
 *
 * What is not exactly what the kernel writes is refused: these options have the level 0, which is that
 * of IP on another kind of socket, and a structure of zeros would be root.
 * @module
 */

import type { Field } from "../abi/mod.ts";
import { native } from "../native.ts";
import { getsockoptBytes } from "../libc/options.ts";
import { readField } from "../structs/field.ts";
import type { RawCredentials } from "../structs/ucred.ts";

/** What a failure means where a peer is asked for. */
function meansNobody(negated: number): boolean {
  const { ENOTCONN, EINVAL } = native().abi.errno;
  // Not connected (any more), or a datagram socket; the process is gone.
  return negated === -ENOTCONN! || negated === -EINVAL!;
}

/** An option of LOCAL_… that has to have exactly this size; its bytes, or a negated errno. */
function localOption(fd: number, name: number, size: number): DataView | number {
  const { abi } = native();
  const value = new Uint8Array(new ArrayBuffer(size));
  const length = getsockoptBytes(fd, abi.darwin!.SOL_LOCAL, name, value);
  if (length < 0) return length;
  return length === size ? new DataView(value.buffer) : -abi.errno.EPROTOTYPE!;
}

/** The user and the groups, of which the first is the group of the process. */
interface PeerUser {
  uid: number;
  groups: number[];
}

/** LOCAL_PEERCRED; null where there is no peer, or a negated errno. */
export function darwinPeerUser(fd: number): PeerUser | null | number {
  const { abi } = native();
  const { size, fields } = abi.layouts.xucred!;
  const found = localOption(fd, abi.darwin!.LOCAL_PEERCRED, size);
  if (typeof found === "number") return meansNobody(found) ? null : found;
  const take = (field: Field) => readField(found, field);
  const [groupsAt, groupsSize] = fields.cr_groups;
  const count = take(fields.cr_ngroups);
  const known = take(fields.cr_version) === abi.darwin!.XUCRED_VERSION;
  // Without a group there would be nothing to say of it; with more there is another structure.
  if (!known || count < 1 || count > groupsSize / 4) return -abi.errno.EPROTOTYPE!;
  const groups = Array.from({ length: count }, (_, i) => take([groupsAt + 4 * i, 4]));
  return { uid: take(fields.cr_uid), groups };
}

/** The peer's credentials into `out`, which stays as it is where there is no peer. */
export function darwinPeerCredentials(fd: number, out: RawCredentials): number {
  const user = darwinPeerUser(fd);
  if (typeof user === "number") return user;
  if (user === null) return 0;
  const { darwin } = native().abi;
  const process = localOption(fd, darwin!.LOCAL_PEERPID, 4);
  out.uid = user.uid;
  out.gid = user.groups[0]!;
  // The peer has closed its end: its user is known still, its process is not.
  out.pid = typeof process === "number" ? 0 : process.getInt32(0, true);
  return 0;
}

/** `audit_token_t`, whose members have numbers instead of names. */
export interface RawAuditToken {
  auditUid: number;
  uid: number;
  gid: number;
  realUid: number;
  realGid: number;
  pid: number;
  session: number;
  pidVersion: number;
  bytes: Uint8Array;
}

/** LOCAL_PEERTOKEN; null where there is no peer (any more), or a negated errno. */
export function darwinPeerToken(fd: number): RawAuditToken | null | number {
  const { abi } = native();
  const found = localOption(fd, abi.darwin!.LOCAL_PEERTOKEN, abi.layouts.audit_token_t!.size);
  if (typeof found === "number") return meansNobody(found) ? null : found;
  const word = (index: number) => found.getUint32(4 * index, true);
  return {
    auditUid: word(0),
    uid: word(1),
    gid: word(2),
    realUid: word(3),
    realGid: word(4),
    pid: word(5) | 0,
    session: word(6),
    pidVersion: word(7),
    bytes: new Uint8Array(found.buffer.slice(0) as ArrayBuffer),
  };
}
