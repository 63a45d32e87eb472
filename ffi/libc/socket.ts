/**
 * The socket functions of libc, one wrapper each. A result below zero is a negated errno.
 * @module
 */

import { again, negatedErrno } from "./errno_gate.ts";
import { darwinPeerCredentials, darwinPeerUser } from "../darwin/credentials.ts";
import { MessageBlock } from "../structs/message_block.ts";
import { NAME_ROOM } from "../structs/msghdr.ts";
import { native } from "../native.ts";
import { readField, writeField } from "../structs/field.ts";

/** What a lane can wait for. */
export type Direction = "readable" | "writable";

/** The most bytes for one call: what Linux transfers at most, and a 32-bit length can hold. */
export const MAX_BYTES = 0x7fff_f000;

/** Scratch memory for out-parameters; every use ends before the next call. */
const words = new Int32Array(new ArrayBuffer(16));
const oneWord = words.subarray(0, 1);
const lengthWord = words.subarray(2, 3);
const pair = words.subarray(0, 2);
const zero = new Int32Array(new ArrayBuffer(4));

/** A new non-blocking, close-on-exec socket of the family AF_UNIX. */
export function socket(type: number): number {
  const { libc, abi } = native();
  let result;
  do result = libc.socket(abi.constants.AF_UNIX, type | abi.creationFlags, 0); while (
    result === -1 && again("socket")
  );
  return result === -1 ? negatedErrno : result;
}

/** Two connected sockets, non-blocking and close-on-exec; 0, or a negated errno. */
export function socketpair(type: number, ends: [number, number]): number {
  const { libc, abi } = native();
  let result;
  do result = libc.socketpair(abi.constants.AF_UNIX, type | abi.creationFlags, 0, pair); while (
    result === -1 && again("socketpair")
  );
  if (result === -1) return negatedErrno;
  ends[0] = pair[0]!;
  ends[1] = pair[1]!;
  return 0;
}

/** Gives a socket an address. */
export function bind(fd: number, sockaddr: Uint8Array): number {
  const { libc } = native();
  let result;
  do result = libc.bind(fd, sockaddr, sockaddr.length); while (result === -1 && again("bind"));
  return result === -1 ? negatedErrno : result;
}

/** Connects. On AF_UNIX this is done at once or fails; EAGAIN is a full backlog. */
export function connect(fd: number, sockaddr: Uint8Array): number {
  const { libc } = native();
  let result;
  do result = libc.connect(fd, sockaddr, sockaddr.length); while (
    result === -1 && again("connect")
  );
  return result === -1 ? negatedErrno : result;
}

/** Makes a bound socket accept connections. */
export function listen(fd: number, backlog: number): number {
  const { libc } = native();
  let result;
  do result = libc.listen(fd, backlog); while (result === -1 && again("listen"));
  return result === -1 ? negatedErrno : result;
}

/** The descriptor of the next connection, non-blocking and close-on-exec. */
export function accept(fd: number): number {
  const { libc, abi } = native();
  let result;
  do result = libc.accept4(fd, null, null, abi.creationFlags); while (
    result === -1 && again("accept4")
  );
  return result === -1 ? negatedErrno : result;
}

/** Ends one direction or both. */
export function shutdown(fd: number, how: number): number {
  const { libc } = native();
  let result;
  do result = libc.shutdown(fd, how); while (result === -1 && again("shutdown"));
  return result === -1 ? negatedErrno : result;
}

/** Sends; never raises SIGPIPE. */
export function send(fd: number, data: ArrayBufferView, length: number, flags: number): number {
  const { libc, abi } = native();
  const all = flags | abi.constants.MSG_NOSIGNAL;
  let result;
  do result = libc.send(fd, data, length, all); while (result === -1 && again("send"));
  return result === -1 ? negatedErrno : result;
}

/**
 * Sends a message through a connected socket that keeps messages apart: no such socket raises
 * SIGPIPE, so that no flag is needed. `shared`: others may have set its open file to blocking.
 */
export function sendRecord(
  fd: number,
  data: ArrayBufferView,
  length: number,
  shared: boolean,
): number {
  const { libc, runtime, abi } = native();
  // write(2) of nothing would be a message on Linux and nowhere else.
  if (shared || !runtime.prefersFewArguments || length === 0) {
    return send(fd, data, length, shared ? abi.constants.MSG_DONTWAIT : 0);
  }
  let result;
  do result = libc.write(fd, data, length); while (result === -1 && again("send"));
  return result === -1 ? negatedErrno : result;
}

/** Receives into a buffer. */
export function recv(fd: number, buffer: ArrayBufferView, length: number, flags: number): number {
  const { libc, runtime } = native();
  // Without flags, read(2) is the same, unless there is no room.
  const plain = runtime.prefersFewArguments && flags === 0 && length > 0;
  let result;
  do {
    result = plain ? libc.read(fd, buffer, length) : libc.recv(fd, buffer, length, flags);
  } while (result === -1 && again("recv"));
  return result === -1 ? negatedErrno : result;
}

/** Sends to an address; never raises SIGPIPE. */
export function sendto(
  fd: number,
  data: ArrayBufferView,
  length: number,
  flags: number,
  to: Uint8Array,
): number {
  const { libc, abi } = native();
  const all = flags | abi.constants.MSG_NOSIGNAL;
  let result;
  do result = libc.sendto(fd, data, length, all, to, to.length); while (
    result === -1 && again("sendto")
  );
  return result === -1 ? negatedErrno : result;
}

/** Where {@linkcode recvfrom} leaves the sender's address. */
export interface ReceivedFrom {
  readonly name: Uint8Array;
  /** What the kernel reported; 0 for a sender without an address. */
  nameLength: number;
}

/** Room for any sender's address. */
export function roomForSender(): ReceivedFrom {
  return { name: new Uint8Array(new ArrayBuffer(NAME_ROOM)), nameLength: 0 };
}

/** Receives, with the sender's address. */
export function recvfrom(
  fd: number,
  buffer: Uint8Array,
  length: number,
  flags: number,
  from: ReceivedFrom,
): number {
  const { libc, runtime } = native();
  if (runtime.prefersFewArguments && length <= MAX_COPIED) {
    return recvfromByCopy(fd, buffer, length, flags, from);
  }
  let result;
  do {
    lengthWord[0] = from.name.length;
    result = libc.recvfrom(fd, buffer, length, flags, from.name, lengthWord);
  } while (result === -1 && again("recvfrom"));
  if (result === -1) return negatedErrno;
  from.nameLength = lengthWord[0]!;
  return result;
}

/** Up to so many bytes it is cheaper to copy than to describe the memory. */
const MAX_COPIED = 4096;
let copied: MessageBlock | undefined;

/** {@linkcode recvfrom} by recvmsg(2) into prepared memory, with MSG_TRUNC. */
function recvfromByCopy(
  fd: number,
  buffer: Uint8Array,
  length: number,
  flags: number,
  from: ReceivedFrom,
): number {
  copied ??= new MessageBlock({ messages: 1, data: MAX_COPIED, control: 0 });
  const result = copied.receiveOne(fd, flags, 0, length);
  if (result < 0) return result;
  const bytes = Math.min(result, length);
  const { data } = copied;
  // A loop is faster than a view for a short message.
  if (bytes > 64) buffer.set(data.subarray(0, bytes));
  else for (let i = 0; i < bytes; i++) buffer[i] = data[i]!;
  from.nameLength = copied.nameLength(0);
  if (from.nameLength > 0) from.name.set(copied.name(0));
  return result;
}

/** An integer option that is never below zero. */
export function getsockopt(fd: number, level: number, name: number): number {
  const { libc } = native();
  let result;
  do {
    lengthWord[0] = 4;
    result = libc.getsockopt(fd, level, name, oneWord, lengthWord);
  } while (result === -1 && again("getsockopt"));
  return result === -1 ? negatedErrno : oneWord[0]!;
}

/** An option of any shape, into `value`; the length that the kernel reports, or a negated errno. */
export function getsockoptBytes(
  fd: number,
  level: number,
  name: number,
  value: Uint8Array,
): number {
  const { libc } = native();
  let result;
  do {
    lengthWord[0] = value.length;
    result = libc.getsockopt(fd, level, name, value, lengthWord);
  } while (result === -1 && again("getsockopt"));
  return result === -1 ? negatedErrno : lengthWord[0]!;
}

/** Sets an integer option. */
export function setsockopt(fd: number, level: number, name: number, value: number): number {
  const { libc } = native();
  let result;
  do {
    oneWord[0] = value;
    result = libc.setsockopt(fd, level, name, oneWord, 4);
  } while (result === -1 && again("setsockopt"));
  return result === -1 ? negatedErrno : result;
}

/** The own or the peer's address into `buffer`; the length that the kernel reports. */
export function socketName(
  which: "getsockname" | "getpeername",
  fd: number,
  buffer: Uint8Array,
): number {
  const { libc } = native();
  let result;
  do {
    lengthWord[0] = buffer.length;
    result = libc[which](fd, buffer, lengthWord);
  } while (result === -1 && again(which));
  return result === -1 ? negatedErrno : lengthWord[0]!;
}

/** Ends a datagram socket's connection: connect(2) to AF_UNSPEC. */
export function disconnect(fd: number): number {
  const { libc, abi } = native();
  const { size, fields } = abi.layouts.sockaddr_un;
  const unspecified = new DataView(new ArrayBuffer(size));
  writeField(unspecified, fields.sun_family, abi.constants.AF_UNSPEC);
  let result;
  do result = libc.connect(fd, unspecified, 16); while (result === -1 && again("connect"));
  if (result !== -1) return result;
  const failed = negatedErrno;
  if (abi.os === "linux") return failed;
  // macOS dissolves the connection, and then complains about the address.
  const gone = -abi.errno.ENOTCONN!;
  return socketName("getpeername", fd, new Uint8Array(new ArrayBuffer(256))) === gone ? 0 : failed;
}

let pollEntry: DataView | undefined;

/**
 * Blocks this thread until the descriptor is ready, or `timeout` milliseconds have passed (−1: no
 * limit). 1 when ready, 0 when the time is over, −EINTR when a signal came.
 */
export function pollOne(fd: number, direction: Direction, timeout: number): number {
  const { libc, abi, errno } = native();
  const { size, fields } = abi.layouts.pollfd;
  pollEntry ??= new DataView(new ArrayBuffer(size));
  const { POLLIN, POLLOUT } = abi.constants;
  writeField(pollEntry, fields.fd, fd);
  writeField(pollEntry, fields.events, direction === "readable" ? POLLIN : POLLOUT);
  const result = libc.poll(pollEntry, 1, timeout);
  return result === -1 ? -errno[0]! : result;
}

/** Whether a socket's reading was shut down, at whichever end. */
export function hasReadEnded(fd: number): boolean {
  const { linux, constants } = native().abi;
  // macOS says so of either direction.
  return hasPollEvent(fd, linux === null ? constants.POLLHUP : linux.POLLRDHUP);
}

/** Whether both directions of a connection have ended. */
export function hasHungUp(fd: number): boolean {
  return hasPollEvent(fd, native().abi.constants.POLLHUP);
}

function hasPollEvent(fd: number, event: number): boolean {
  const { libc, abi } = native();
  const { size, fields } = abi.layouts.pollfd;
  pollEntry ??= new DataView(new ArrayBuffer(size));
  writeField(pollEntry, fields.fd, fd);
  writeField(pollEntry, fields.events, event);
  if (libc.poll(pollEntry, 1, 0) !== 1) return false;
  return (readField(pollEntry, fields.revents) & event) !== 0;
}

/** Blocks this thread for so many milliseconds, or until a signal comes. */
export function sleepBlocking(milliseconds: number): void {
  native().libc.poll(zero, 0, milliseconds);
}

/** The family of a socket, AF_UNIX or another. */
export function familyOf(fd: number): number {
  const { abi } = native();
  if (abi.linux !== null) return getsockopt(fd, abi.constants.SOL_SOCKET, abi.linux.SO_DOMAIN);
  // No option tells it: every address does, also that of a socket without a name.
  const name = new Uint8Array(new ArrayBuffer(256));
  const length = socketName("getsockname", fd, name);
  if (length < 0) return length;
  return readField(new DataView(name.buffer), abi.layouts.sockaddr_un.fields.sun_family);
}

/** Whether a socket listens; null where that cannot be told: macOS tells only of what is connected. */
export function isListening(fd: number): boolean | null {
  const { os, constants: { SOL_SOCKET, SO_ACCEPTCONN } } = native().abi;
  const answer = getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN);
  if (answer >= 0) return answer > 0;
  const peer = os === "darwin" ? darwinPeerUser(fd) : null;
  return peer === null || typeof peer === "number" ? null : false;
}

/** Who connected: `struct ucred` of SO_PEERCRED. Null where the kernel knows nobody. */
export interface RawCredentials {
  pid: number;
  uid: number;
  gid: number;
}

/** SO_PEERCRED into `out`; 0, or a negated errno. */
export function peerCredentials(fd: number, out: RawCredentials): number {
  const { abi } = native();
  if (abi.os === "darwin") return darwinPeerCredentials(fd, out);
  const layout = abi.layouts.ucred!;
  const value = new Uint8Array(new ArrayBuffer(layout.size));
  const { SOL_SOCKET } = abi.constants;
  const result = getsockoptBytes(fd, SOL_SOCKET, abi.linux!.SO_PEERCRED, value);
  if (result < 0) return result;
  const view = new DataView(value.buffer);
  out.pid = readField(view, layout.fields.pid);
  out.uid = readField(view, layout.fields.uid);
  out.gid = readField(view, layout.fields.gid);
  return 0;
}

/** The ids of this process as the kernel stamps them on a message: the real ones. */
export function ownCredentials(): RawCredentials {
  const { libc } = native();
  return { pid: libc.getpid(), uid: libc.getuid() >>> 0, gid: libc.getgid() >>> 0 };
}
