/**
 * Messages on macOS: the calls for many at once as loops, and the answers that Linux gives and this
 * system does not. Part of ffi/darwin/libc.ts.
 * @module
 */

import type { Abi, Field } from "../abi/mod.ts";
import type { DarwinParts } from "./parts.ts";
import { batchHeader } from "../structs/msghdr.ts";
import { readField, writeField } from "../structs/field.ts";
import type { Libc } from "../libc/symbols.ts";

/** The functions around messages. */
export function darwinMessages(parts: DarwinParts): Partial<Libc> {
  const option = optionReader(parts);
  return {
    ...receiving(parts, option),
    ...sending(parts, option),
    ioctl: counting(parts, option),
  };
}

/** Reads an integer option of a socket; −1 where it has none. */
type OptionReader = (fd: number, name: number) => number;

function optionReader({ abi, libc }: DarwinParts): OptionReader {
  const value = new Int32Array(new ArrayBuffer(4));
  const length = new Uint32Array(new ArrayBuffer(4));
  const { SOL_SOCKET } = abi.constants;
  return (fd, name) => {
    length[0] = 4;
    return libc.getsockopt(fd, SOL_SOCKET, name, value, length) === -1 ? -1 : value[0]!;
  };
}

/**
 * Receiving, with the real length of a message that was cut off: MSG_TRUNC is an output only here, and
 * what is cut off is gone, so that the length of the next message is asked for before. Whoever else
 * reads from the socket may have taken that message meanwhile; the answer is then one byte too many.
 */
function receiving({ abi, libc }: DarwinParts, option: OptionReader): Partial<Libc> {
  const { MSG_TRUNC } = abi.constants;
  const { SO_NREAD } = abi.darwin!;
  const receive: Libc["recvmsg"] = (fd, header, flags) => {
    const waiting = option(fd, SO_NREAD);
    const received = libc.recvmsg(fd, header, flags & ~MSG_TRUNC);
    if (received === -1) return -1;
    const cut = (memberOf(abi, header, "msg_flags") & MSG_TRUNC) !== 0;
    return cut ? Math.max(waiting, received + 1) : received;
  };
  return {
    recvmsg: receive,
    recvfrom(fd, buffer, length, flags, from, fromLength) {
      const waiting = (flags & MSG_TRUNC) === 0 ? -1 : option(fd, SO_NREAD);
      const received = libc.recvfrom(fd, buffer, length, flags & ~MSG_TRUNC, from, fromLength);
      return received === length ? Math.max(waiting, received) : received;
    },
    recvmmsg: (fd, headers, count, flags, _timeout) =>
      forEachHeader(abi, headers, count, (header) => receive(fd, header, flags)),
  };
}

/**
 * Sending. A receiver without room is ENOBUFS here. Where a message has a destination this becomes
 * EAGAIN, after which the caller tries again; through a connected socket it stays, because no
 * event would tell of room, and whoever waited for one would wait for ever.
 */
function sending(
  { abi, libc, errno, runtime }: DarwinParts,
  option: OptionReader,
): Partial<Libc> {
  const { MSG_DONTWAIT, F_GETFL, F_SETFL, O_NONBLOCK, SO_TYPE, SO_SNDBUF, SOCK_DGRAM } =
    abi.constants;
  const { ENOBUFS, EAGAIN, EMSGSIZE } = abi.errno;
  /** MSG_DONTWAIT is heard when receiving only, and others may have made the open file blocking. */
  const unblock = (fd: number, flags: number): void => {
    if ((flags & MSG_DONTWAIT) === 0) return;
    const status = libc.fcntl(fd, F_GETFL, 0);
    if (status !== -1 && (status & O_NONBLOCK) === 0) libc.fcntl(fd, F_SETFL, status | O_NONBLOCK);
  };
  const tryAgain = (result: number): number => {
    if (result === -1 && errno[0] === ENOBUFS) errno[0] = EAGAIN!;
    return result;
  };
  /** How many bytes of data a message has, all in one piece. */
  const dataLength = (header: ArrayBufferView): number => {
    const { size, fields } = abi.layouts.iovec;
    const vector = runtime.viewAt(memberOf(abi, header, "msg_iov"), size);
    return readField(new DataView(vector), fields.iov_len);
  };
  /**
   * Why a message with descriptors did not leave. A stream measures them by the room that is left now,
   * not by what there may be. A datagram and its descriptors share the room: what exceeds it together
   * never finds it.
   */
  const withDescriptors = (fd: number, header: ArrayBufferView, reason: number): number => {
    const isDatagram = option(fd, SO_TYPE) === SOCK_DGRAM;
    if (reason === EMSGSIZE) return isDatagram ? reason : EAGAIN!;
    if (reason !== EAGAIN || !isDatagram) return reason;
    const wanted = dataLength(header) + memberOf(abi, header, "msg_controllen");
    return wanted > option(fd, SO_SNDBUF) ? EMSGSIZE! : reason;
  };
  const sendmsg: Libc["sendmsg"] = (fd, header, flags) => {
    unblock(fd, flags);
    const result = libc.sendmsg(fd, header, flags);
    if (result !== -1) return result;
    const reason = errno[0]!;
    const along = memberOf(abi, header, "msg_controllen") > 0;
    errno[0] = along ? withDescriptors(fd, header, reason) : reason;
    return memberOf(abi, header, "msg_name") === 0 ? result : tryAgain(result);
  };
  return {
    sendmsg,
    send(fd, data, length, flags) {
      unblock(fd, flags);
      return libc.send(fd, data, length, flags);
    },
    sendto(fd, data, length, flags, to, toLength) {
      unblock(fd, flags);
      return tryAgain(libc.sendto(fd, data, length, flags, to, toLength));
    },
    sendmmsg: (fd, headers, count, flags) =>
      forEachHeader(abi, headers, count, (header) => sendmsg(fd, header, flags)),
  };
}

/**
 * How many bytes wait. FIONREAD counts the addresses of datagrams as well, and all of them; what is
 * wanted is the next message.
 */
function counting({ abi, libc, errno }: DarwinParts, option: OptionReader): Libc["ioctl"] {
  const { FIONREAD } = abi.constants;
  const { SO_NREAD } = abi.darwin!;
  return (fd, request, out) => {
    if (request !== FIONREAD) return libc.ioctl(fd, request, out);
    const count = option(fd, SO_NREAD);
    if (count === -1) {
      return errno[0] === abi.errno.ENOTSOCK ? libc.ioctl(fd, request, out) : -1;
    }
    new DataView(out.buffer, out.byteOffset, 4).setInt32(0, count, true);
    return 0;
  };
}

/** Makes a call for each header of a batch, until one fails; how many succeeded, or −1 for none. */
function forEachHeader(
  abi: Abi,
  headers: ArrayBufferView,
  count: number,
  call: (header: ArrayBufferView) => number,
): number {
  const { size, fields } = batchHeader(abi.layouts);
  for (let i = 0; i < count; i++) {
    const at = headers.byteOffset + i * size;
    const result = call(new Uint8Array(headers.buffer, at, size));
    if (result === -1) return i === 0 ? -1 : i;
    writeField(new DataView(headers.buffer, at, size), fields.msg_len, result);
  }
  return count;
}

function memberOf(
  abi: Abi,
  header: ArrayBufferView,
  name: keyof Abi["layouts"]["msghdr"]["fields"],
): number {
  const field: Field = abi.layouts.msghdr.fields[name];
  return readField(new DataView(header.buffer, header.byteOffset, header.byteLength), field);
}
