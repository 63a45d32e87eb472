/**
 * The socket functions of libc, one wrapper each. A result below zero is a negated errno.
 * @module
 */

import { darwinPeerUser } from "../darwin/credentials.ts";
import { MessageBlock } from "./message_block.ts";
import { NAME_ROOM } from "../structs/msghdr.ts";
import { native } from "../native.ts";
import { getsockopt } from "./options.ts";
import { readField, writeField } from "../structs/field.ts";

export * from "./credentials.ts";
export * from "./options.ts";

/** The direction that an operation waits for. */
export type Direction = "readable" | "writable";

/** The most bytes for one call: what Linux transfers at most, and a 32-bit length can hold. */
export const MAX_BYTES = 0x7fff_f000;

/** Scratch memory for out-parameters; every use ends before the next call. */
const pair = new Int32Array(new ArrayBuffer(8));
const lengthWord = new Int32Array(new ArrayBuffer(4));
const zero = new Int32Array(new ArrayBuffer(4));

/** A new non-blocking, close-on-exec socket of the family AF_UNIX. */
export function socket(type: number): number {
  const { calls, abi } = native();
  return calls.socket(abi.constants.AF_UNIX, type | abi.creationFlags, 0);
}

/** Two connected sockets, non-blocking and close-on-exec; 0, or a negated errno. */
export function socketpair(type: number, ends: [number, number]): number {
  const { calls, abi } = native();
  const result = calls.socketpair(abi.constants.AF_UNIX, type | abi.creationFlags, 0, pair);
  if (result < 0) return result;
  ends[0] = pair[0]!;
  ends[1] = pair[1]!;
  return 0;
}

/** Gives a socket an address. */
export function bind(fd: number, sockaddr: Uint8Array): number {
  return native().calls.bind(fd, sockaddr, sockaddr.length);
}

/** Connects. On AF_UNIX this is done at once or fails; EAGAIN is a full backlog. */
export function connect(fd: number, sockaddr: Uint8Array): number {
  return native().calls.connect(fd, sockaddr, sockaddr.length);
}

/** Makes a bound socket accept connections. */
export function listen(fd: number, backlog: number): number {
  return native().calls.listen(fd, backlog);
}

/** The descriptor of the next connection, non-blocking and close-on-exec. */
export function accept(fd: number): number {
  const { calls, abi } = native();
  return calls.accept4(fd, null, null, abi.creationFlags);
}

/** Ends one direction or both. */
export function shutdown(fd: number, how: number): number {
  return native().calls.shutdown(fd, how);
}

/** Sends; never raises SIGPIPE. */
export function send(fd: number, data: ArrayBufferView, length: number, flags: number): number {
  const { calls, abi } = native();
  return calls.send(fd, data, length, flags | abi.constants.MSG_NOSIGNAL);
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
  const { calls, runtime, abi } = native();
  // write(2) of nothing would be a message on Linux and nowhere else.
  if (shared || !runtime.prefersFewArguments || length === 0) {
    return send(fd, data, length, shared ? abi.constants.MSG_DONTWAIT : 0);
  }
  return calls.writeSocket(fd, data, length);
}

/** Receives into a buffer. */
export function recv(fd: number, buffer: ArrayBufferView, length: number, flags: number): number {
  const { calls, runtime } = native();
  // Without flags, read(2) is the same, unless there is no room.
  const plain = runtime.prefersFewArguments && flags === 0 && length > 0;
  return plain ? calls.readSocket(fd, buffer, length) : calls.recv(fd, buffer, length, flags);
}

/** Sends to an address; never raises SIGPIPE. */
export function sendto(
  fd: number,
  data: ArrayBufferView,
  length: number,
  flags: number,
  to: Uint8Array,
): number {
  const { calls, abi } = native();
  const all = flags | abi.constants.MSG_NOSIGNAL;
  return calls.sendto(fd, data, length, all, to, to.length);
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
  const { calls, runtime } = native();
  if (runtime.prefersFewArguments && length <= MAX_COPIED) {
    return recvfromByCopy(fd, buffer, length, flags, from);
  }
  lengthWord[0] = from.name.length;
  const result = calls.recvfrom(fd, buffer, length, flags, from.name, lengthWord);
  if (result >= 0) from.nameLength = lengthWord[0]!;
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

/** The own or the peer's address into `buffer`; the length that the kernel reports. */
export function socketName(
  which: "getsockname" | "getpeername",
  fd: number,
  buffer: Uint8Array,
): number {
  lengthWord[0] = buffer.length;
  const result = native().calls[which](fd, buffer, lengthWord);
  return result < 0 ? result : lengthWord[0]!;
}

/** Ends a datagram socket's connection: connect(2) to AF_UNSPEC. */
export function disconnect(fd: number): number {
  const { calls, abi } = native();
  const { size, fields } = abi.layouts.sockaddr_un;
  const unspecified = new DataView(new ArrayBuffer(size));
  writeField(unspecified, fields.sun_family, abi.constants.AF_UNSPEC);
  const result = calls.connect(fd, unspecified, 16);
  if (result >= 0 || abi.os === "linux") return result;
  // macOS dissolves the connection, and then complains about the address.
  const gone = -abi.errno.ENOTCONN!;
  return socketName("getpeername", fd, new Uint8Array(new ArrayBuffer(256))) === gone ? 0 : result;
}

let pollEntry: DataView | undefined;

/**
 * Blocks this thread until the descriptor is ready, or `timeout` milliseconds have passed (−1: no
 * limit). 1 when ready, 0 when the time is over, −EINTR when a signal came.
 */
export function pollOne(fd: number, direction: Direction, timeout: number): number {
  const { POLLIN, POLLOUT } = native().abi.constants;
  return poll(fd, direction === "readable" ? POLLIN : POLLOUT, timeout);
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
  if (poll(fd, event, 0) !== 1) return false;
  return (readField(pollEntry!, native().abi.layouts.pollfd.fields.revents) & event) !== 0;
}

/** poll(2) of one descriptor, whose answer is left in {@linkcode pollEntry}. */
function poll(fd: number, events: number, timeout: number): number {
  const { calls, abi } = native();
  const { size, fields } = abi.layouts.pollfd;
  pollEntry ??= new DataView(new ArrayBuffer(size));
  writeField(pollEntry, fields.fd, fd);
  writeField(pollEntry, fields.events, events);
  return calls.poll(pollEntry, 1, timeout);
}

/** Blocks this thread for so many milliseconds, or until a signal comes. */
export function sleepBlocking(milliseconds: number): void {
  native().calls.poll(zero, 0, milliseconds);
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
