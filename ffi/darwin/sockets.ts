/**
 * What macOS's kernel does otherwise with sockets that are connected or were. Part of ffi/darwin/libc.ts.
 *
 * Sources: xnu, bsd/kern/uipc_socket.c (soreceive_ctl, soshutdown, sosendcheck) and uipc_usrreq.c.
 * @module
 */

import type { Abi } from "../abi/mod.ts";
import { fullRoom, takeControl } from "../structs/cmsg.ts";
import type { DarwinParts } from "./parts.ts";
import { readField, writeField } from "../structs/field.ts";
import type { Libc } from "../libc/symbols.ts";

type HeaderField = keyof Abi["layouts"]["msghdr"]["fields"];

/** Receiving, ending, and the peer's name. */
export function darwinSockets(parts: DarwinParts): Partial<Libc> {
  return { ...receiving(parts), ...ending(parts), ...naming(parts) };
}

/**
 * Receiving, with room for all the descriptors that may come: where there is none they are opened all the
 * same, and nobody would know them. What does not fit into the caller's room is closed.
 */
function receiving({ abi, libc, errno, runtime }: DarwinParts): Partial<Libc> {
  const { msghdr, iovec } = abi.layouts;
  const { MSG_PEEK, MSG_CTRUNC } = abi.constants;
  const control = new DataView(new ArrayBuffer(fullRoom(abi)));
  const controlAddress = runtime.addressOf(control);

  const recvmsg: Libc["recvmsg"] = (fd, given, flags) => {
    const header = new DataView(given.buffer, given.byteOffset, msghdr.size);
    const get = (name: HeaderField) => readField(header, msghdr.fields[name]);
    const set = (name: HeaderField, value: number) =>
      writeField(header, msghdr.fields[name], value);
    const [address, room] = [get("msg_control"), get("msg_controllen")];
    // A look opens none.
    if (flags & MSG_PEEK || room >= control.byteLength) return libc.recvmsg(fd, given, flags);
    set("msg_control", controlAddress);
    set("msg_controllen", control.byteLength);
    const received = libc.recvmsg(fd, given, flags);
    const came = received === -1 ? room : get("msg_controllen");
    set("msg_control", address);
    set("msg_controllen", Math.min(came, room));
    if (received === -1 || came === 0) return received;
    if (came <= room) {
      new Uint8Array(runtime.viewAt(address, came)).set(new Uint8Array(control.buffer, 0, came));
      return received;
    }
    for (const each of takeControl(abi, control, 0, came).fds) libc.close(each);
    set("msg_controllen", 0);
    set("msg_flags", get("msg_flags") | MSG_CTRUNC);
    return received;
  };

  const plain = new DataView(new ArrayBuffer(msghdr.size));
  const vector = new DataView(new ArrayBuffer(iovec.size));
  const vectorAddress = runtime.addressOf(vector);
  /** The sender's address, if wanted, and its length. */
  type From = [address: ArrayBufferView, length: ArrayBufferView];
  const receive = (
    fd: number,
    buffer: ArrayBufferView,
    length: number,
    flags: number,
    ...from: From | []
  ): number => {
    const set = (name: HeaderField, value: number) => writeField(plain, msghdr.fields[name], value);
    const nameLength = from[1] && new DataView(from[1].buffer, from[1].byteOffset, 4);
    // Asking for its buffer takes a small array off the engine's heap, where a collection could move it.
    const memory = new DataView(buffer.buffer, buffer.byteOffset, length);
    writeField(vector, iovec.fields.iov_base, length === 0 ? 0 : runtime.addressOf(memory));
    writeField(vector, iovec.fields.iov_len, length);
    set("msg_iov", vectorAddress);
    set("msg_iovlen", 1);
    set("msg_name", from[0] === undefined ? 0 : runtime.addressOf(from[0]));
    set("msg_namelen", nameLength?.getUint32(0, true) ?? 0);
    set("msg_control", 0);
    set("msg_controllen", 0);
    const received = recvmsg(fd, plain, flags);
    if (received !== -1) {
      nameLength?.setUint32(0, readField(plain, msghdr.fields.msg_namelen), true);
    }
    return received;
  };
  return {
    recvmsg,
    recv: (fd, buffer, length, flags) => receive(fd, buffer, length, flags),
    recvfrom: (fd, buffer, length, flags, from, fromLength) =>
      receive(fd, buffer, length, flags, from, fromLength),
    read(fd, buffer, length) {
      const received = receive(fd, buffer, length, 0);
      const isOther = received === -1 && errno[0] === abi.errno.ENOTSOCK;
      return isOther ? libc.read(fd, buffer, length) : received;
    },
  };
}

/** Whether a stream has, or had, a peer. Leaves errno as it was. */
function connectionTest({ abi, libc, errno }: DarwinParts): (fd: number) => boolean {
  const { SOL_LOCAL, LOCAL_PEERCRED } = abi.darwin!;
  const value = new Uint8Array(new ArrayBuffer(abi.layouts.xucred!.size));
  const length = new Uint32Array(new ArrayBuffer(4));
  return (fd) => {
    const reason = errno[0]!;
    length[0] = value.length;
    const result = libc.getsockopt(fd, SOL_LOCAL, LOCAL_PEERCRED, value, length);
    errno[0] = reason;
    return result === 0;
  };
}

/** Ending what has ended, by either side, is ENOTCONN: elsewhere it does nothing. */
function ending(parts: DarwinParts): Partial<Libc> {
  const { abi, libc, errno } = parts;
  const { SHUT_RD, SHUT_WR, SHUT_RDWR } = abi.constants;
  const wasConnected = connectionTest(parts);
  const end = (fd: number, how: number): number => {
    if (libc.shutdown(fd, how) === 0) return 0;
    return errno[0] === abi.errno.ENOTCONN && wasConnected(fd) ? 0 : -1;
  };
  return {
    // Of both at once, neither ends where one has ended already.
    shutdown: (fd, how) =>
      how === SHUT_RDWR ? Math.min(end(fd, SHUT_RD), end(fd, SHUT_WR)) : end(fd, how),
  };
}

/** A peer that is gone has no name any more: it is shown as one without a name. */
function naming(parts: DarwinParts): Partial<Libc> {
  const { abi, libc, errno } = parts;
  const { EINVAL, ENOTCONN } = abi.errno;
  const { sockaddr_un } = abi.layouts;
  const wasConnected = connectionTest(parts);
  return {
    getpeername(fd, name, length) {
      if (libc.getpeername(fd, name, length) === 0) return 0;
      const isGone = errno[0] === EINVAL || errno[0] === ENOTCONN;
      if (!isGone || !wasConnected(fd)) return -1;
      const nothing = sockaddr_un.fields.sun_path[0];
      new DataView(length.buffer, length.byteOffset, 4).setUint32(0, nothing, true);
      return 0;
    },
  };
}
