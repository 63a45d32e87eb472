/**
 * The kernel's own list of Unix sockets (sock_diag(7), UNIX_DIAG): unlike `/proc/net/unix`, it names
 * the inode that a socket is bound to, whatever has become of the path since.
 * @module
 */

import { notSupported } from "../libc/failure.ts";
import { close } from "../libc/file.ts";
import { native } from "../native.ts";
import { recv, send } from "../libc/socket.ts";

/** A socket that is bound to a file. */
export interface BoundInode {
  /** SOCK_STREAM or another type. */
  type: number;
  /** Whether it is neither listening nor connected. */
  unconnected: boolean;
  /** The lower 32 bits of the inode's number. */
  inode: number;
}

// linux/netlink.h, linux/sock_diag.h, linux/unix_diag.h; the same on every architecture.
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST_DUMP = 0x301;
const NLMSG_DONE = 3;
const UDIAG_SHOW_VFS = 2;
const UNIX_DIAG_VFS = 1;
const TCP_CLOSE = 7;
const HEADER = 16;
const MESSAGE = 16;

/** Every socket of this network namespace that is bound to a file, or a negated errno. */
export function boundInodes(): BoundInode[] | number {
  const { calls, abi } = native();
  if (abi.linux === null) return notSupported();
  const type = SOCK_RAW | abi.linux.SOCK_CLOEXEC;
  const fd = calls.socket(AF_NETLINK, type, NETLINK_SOCK_DIAG);
  if (fd < 0) return fd;
  try {
    const asked = request(abi.constants.AF_UNIX);
    const sent = send(fd, asked, asked.length, 0);
    if (sent < 0) return sent;
    const found: BoundInode[] = [];
    const buffer = new Uint8Array(new ArrayBuffer(65536));
    for (;;) {
      const length = recv(fd, buffer, buffer.length, 0);
      if (length < 0) return length;
      const done = parse(new DataView(buffer.buffer, 0, length), found);
      if (done !== null) return done < 0 ? done : found;
    }
  } finally {
    close(fd);
  }
}

/** A dump of all Unix sockets with what they are bound to. */
function request(family: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(HEADER + 24));
  view.setUint32(0, view.byteLength, true);
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
  view.setUint16(6, NLM_F_REQUEST_DUMP, true);
  view.setUint8(HEADER, family);
  view.setUint32(HEADER + 4, 0xffff_ffff, true);
  view.setUint32(HEADER + 12, UDIAG_SHOW_VFS, true);
  return new Uint8Array(view.buffer);
}

/** Reads one datagram of answers; null where more follow, else 0 or a negated errno. */
function parse(view: DataView, found: BoundInode[]): number | null {
  for (let at = 0; at + HEADER <= view.byteLength;) {
    const length = view.getUint32(at, true);
    if (length < HEADER || at + length > view.byteLength) return null;
    const kind = view.getUint16(at + 4, true);
    if (kind === NLMSG_DONE) return 0;
    // NLMSG_ERROR, the only other kind: the negated errno stands first.
    if (kind !== SOCK_DIAG_BY_FAMILY) return view.getInt32(at + HEADER, true);
    const inode = vfsInode(view, at + HEADER + MESSAGE, at + length);
    if (inode !== null) {
      const unconnected = view.getUint8(at + HEADER + 2) === TCP_CLOSE;
      found.push({ type: view.getUint8(at + HEADER + 1), unconnected, inode });
    }
    at += (length + 3) & ~3;
  }
  return null;
}

/** The inode among the attributes from `at` to `end`. */
function vfsInode(view: DataView, at: number, end: number): number | null {
  while (at + 4 <= end) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > end) return null;
    if (view.getUint16(at + 2, true) === UNIX_DIAG_VFS && length >= 8) {
      return view.getUint32(at + 4, true);
    }
    at += (length + 3) & ~3;
  }
  return null;
}
