/**
 * Control messages (`struct cmsghdr`): packed for sendmsg(2), and parsed as recvmsg(2) left them.
 *
 * Parsing trusts nothing. Whatever the bytes are, it reads none outside the range it was given,
 * comes to an end, and reports every descriptor number that stands in a readable place: a number
 * that nobody reports is a descriptor that nobody closes.
 * @module
 */

import type { Abi } from "../abi/mod.ts";
import { readField, writeField } from "./field.ts";
import { putUcred, type RawCredentials, takeUcred } from "./ucred.ts";

/** The most descriptors in one message (SCM_MAX_FD of Linux; macOS would take one more). */
export const MAX_DESCRIPTORS = 253;

/** Room for a security context, in bytes; the longest that SELinux makes by itself is far below. */
const SECURITY_ROOM = 1024;

/** What came along with a message. */
export interface ControlMessages {
  /** SCM_RIGHTS: descriptors that are ours now, in the order they were sent. */
  readonly fds: number[];
  /** SCM_PIDFD: descriptors that are ours now; the kernel sends one. */
  readonly pidfds: number[];
  /** SCM_CREDENTIALS, where it came whole. */
  credentials: RawCredentials | null;
  /** SCM_SECURITY, without the NUL at its end. */
  securityContext: Uint8Array | null;
  /** Whether something is missing, or cannot be what a kernel wrote. */
  malformed: boolean;
}

function align(abi: Abi, length: number): number {
  // CMSG_ALIGN: to the size of `size_t` on Linux, to 4 bytes on macOS.
  const unit = abi.os === "darwin" ? 4 : 8;
  return Math.ceil(length / unit) * unit;
}

/** CMSG_LEN: a header and so many bytes. */
export function lengthOf(abi: Abi, payload: number): number {
  return align(abi, abi.layouts.cmsghdr.size) + payload;
}

/** CMSG_SPACE: the same with the padding behind it. */
export function spaceFor(abi: Abi, payload: number): number {
  return lengthOf(abi, 0) + align(abi, payload);
}

/**
 * Room for all that a message may carry: credentials, a security context, a timestamp, a pidfd and
 * as many descriptors as there can be.
 */
export function fullRoom(abi: Abi): number {
  return spaceFor(abi, abi.layouts.ucred?.size ?? 0) + spaceFor(abi, SECURITY_ROOM) +
    timestampRoom(abi) + spaceFor(abi, 4) + spaceFor(abi, 4 * (MAX_DESCRIPTORS + 1));
}

/** Room for the timestamp that the kernel adds to a message (`struct timeval`), and nothing else. */
export function timestampRoom(abi: Abi): number {
  return spaceFor(abi, 16);
}

/** Room for what is sent along: credentials, and so many descriptors. */
export function sendingRoom(abi: Abi, fds: number): number {
  return spaceFor(abi, abi.layouts.ucred?.size ?? 0) + spaceFor(abi, 4 * fds);
}

/** What goes along with a message. */
export interface ControlToSend {
  readonly fds: readonly number[];
  readonly credentials: RawCredentials | null;
}

/** How many bytes {@linkcode putControl} writes. */
export function sizeOfControl(abi: Abi, { fds, credentials }: ControlToSend): number {
  const forCredentials = credentials === null ? 0 : spaceFor(abi, abi.layouts.ucred!.size);
  return forCredentials + (fds.length === 0 ? 0 : spaceFor(abi, 4 * fds.length));
}

/** Writes the control messages that carry descriptors and credentials. */
export function putControl(
  abi: Abi,
  view: DataView,
  start: number,
  { fds, credentials }: ControlToSend,
): void {
  const { constants, linux, layouts } = abi;
  let next = start;
  if (credentials !== null) {
    const ucred = layouts.ucred!;
    putHeader(abi, view, next, ucred.size, constants.SOL_SOCKET, linux!.SCM_CREDENTIALS);
    putUcred(ucred, view, next + lengthOf(abi, 0), credentials);
    next += spaceFor(abi, ucred.size);
  }
  if (fds.length > 0) {
    putHeader(abi, view, next, 4 * fds.length, constants.SOL_SOCKET, constants.SCM_RIGHTS);
    const at = next + lengthOf(abi, 0);
    for (let i = 0; i < fds.length; i++) view.setInt32(at + 4 * i, fds[i]!, true);
  }
}

/** The same in memory of their own. */
export function packControl(
  abi: Abi,
  fds: readonly number[],
  credentials: RawCredentials | null,
): Uint8Array<ArrayBuffer> {
  const control = { fds, credentials };
  const bytes = new Uint8Array(new ArrayBuffer(sizeOfControl(abi, control)));
  putControl(abi, new DataView(bytes.buffer), 0, control);
  return bytes;
}

function putHeader(
  abi: Abi,
  view: DataView,
  at: number,
  payload: number,
  level: number,
  type: number,
): void {
  const { cmsg_len, cmsg_level, cmsg_type } = abi.layouts.cmsghdr.fields;
  writeField(view, [at + cmsg_len[0], cmsg_len[1]], lengthOf(abi, payload));
  writeField(view, [at + cmsg_level[0], cmsg_level[1]], level);
  writeField(view, [at + cmsg_type[0], cmsg_type[1]], type);
}

/** Parses the control messages that fill `bytes`. */
export function parseControl(abi: Abi, bytes: Uint8Array): ControlMessages {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return takeControl(abi, view, 0, view.byteLength);
}

/** Parses the control messages that fill the bytes from `start` to `last`. */
export function takeControl(
  abi: Abi,
  view: DataView,
  start: number,
  last: number,
): ControlMessages {
  const found: ControlMessages = {
    fds: [],
    pidfds: [],
    credentials: null,
    securityContext: null,
    malformed: false,
  };
  const { cmsg_len, cmsg_level, cmsg_type } = abi.layouts.cmsghdr.fields;
  const { SOL_SOCKET } = abi.constants;
  const headerSize = lengthOf(abi, 0);
  let at = start;
  while (at + headerSize <= last) {
    const length = readField(view, [at + cmsg_len[0], cmsg_len[1]]);
    if (length < headerSize) {
      found.malformed = true;
      return found;
    }
    // What claims to be longer than the memory is read as far as that goes.
    const end = Math.min(at + length, last);
    const whole = at + length <= last;
    if (!whole) found.malformed = true;
    const level = readField(view, [at + cmsg_level[0], cmsg_level[1]]);
    const type = readField(view, [at + cmsg_type[0], cmsg_type[1]]);
    if (level === (SOL_SOCKET >>> 0)) {
      takePayload(abi, view, at + headerSize, end, type, found, whole);
    }
    at += align(abi, length);
  }
  // A kernel that runs out of room cuts within a payload, never within a header.
  if (at < last) found.malformed = true;
  return found;
}

function takePayload(
  abi: Abi,
  view: DataView,
  start: number,
  end: number,
  type: number,
  found: ControlMessages,
  whole: boolean,
): void {
  const { constants, linux, layouts } = abi;
  if (type === constants.SCM_RIGHTS) takeDescriptors(view, start, end, found.fds, found);
  if (linux === null) return;
  if (type === linux.SCM_PIDFD) takeDescriptors(view, start, end, found.pidfds, found);
  if (type === linux.SCM_CREDENTIALS) {
    const ucred = layouts.ucred!;
    // A short buffer leaves the beginning of a credential, which would read as somebody else's.
    if (!whole || end - start !== ucred.size) {
      found.malformed = true;
      return;
    }
    found.credentials = takeUcred(ucred, view, start);
  }
  if (type === linux.SCM_SECURITY) {
    const bytes = new Uint8Array(view.buffer, view.byteOffset + start, end - start);
    const nul = bytes.indexOf(0);
    found.securityContext = bytes.slice(0, nul === -1 ? bytes.length : nul);
  }
}

function takeDescriptors(
  view: DataView,
  start: number,
  end: number,
  into: number[],
  found: ControlMessages,
): void {
  if ((end - start) % 4 !== 0) found.malformed = true;
  for (let at = start; at + 4 <= end; at += 4) {
    const fd = view.getInt32(at, true);
    // Below zero is an errno in the place of a pidfd that could not be made.
    if (fd < 0) found.malformed = true;
    else into.push(fd);
  }
}
