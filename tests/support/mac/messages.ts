/**
 * sendmsg(2) and recvmsg(2), whose headers and control messages have other layouts.
 */

import { lengthOf, spaceFor } from "../../../ffi/structs/cmsg.ts";
import type { Abi, Field } from "../../../ffi/abi/mod.ts";
import { readField, writeField } from "../../../ffi/structs/field.ts";
import type { Parts } from "./libc.ts";
import { isDatagram, toLinux, toMac } from "./sockets.ts";
import { linux, mac, messageFlags, told } from "./translation.ts";

const ROOM = 4096;

/** A header of Linux, with memory of its own for the address and the control messages. */
class Header {
  readonly view = new DataView(new ArrayBuffer(linux.layouts.msghdr.size));
  readonly name = new Uint8Array(128);
  readonly control = new DataView(new ArrayBuffer(ROOM));
}

type HeaderField = keyof Abi["layouts"]["msghdr"]["fields"];

export function messages(
  { runtime, libc, fail, isLinuxErrno }: Parts,
): Record<string, (...args: never[]) => number> {
  /** The member of a header of macOS. */
  const of = (header: DataView, name: HeaderField): number =>
    readField(header, mac.layouts.msghdr.fields[name]);
  const memory = (address: number, length: number): Uint8Array =>
    length === 0 ? new Uint8Array(0) : new Uint8Array(runtime.viewAt(address, length));
  const begin = (given: DataView): { header: Header; set(name: HeaderField, to: number): void } => {
    const header = new Header();
    const set = (name: HeaderField, to: number) =>
      writeField(header.view, linux.layouts.msghdr.fields[name] as Field, to);
    set("msg_iov", of(given, "msg_iov"));
    set("msg_iovlen", of(given, "msg_iovlen"));
    return { header, set };
  };
  const viewOf = (header: ArrayBufferView) =>
    new DataView(header.buffer, header.byteOffset, mac.layouts.msghdr.size);

  return {
    sendmsg(fd: number, message: ArrayBufferView, flags: number) {
      const given = viewOf(message);
      const { header, set } = begin(given);
      const nameLength = of(given, "msg_namelen");
      if (of(given, "msg_name") !== 0) {
        header.name.set(toLinux(memory(of(given, "msg_name"), nameLength), nameLength));
        set("msg_name", runtime.addressOf(header.name));
        set("msg_namelen", nameLength);
      }
      const controlLength = of(given, "msg_controllen");
      if (controlLength > 0) {
        const control = memory(of(given, "msg_control"), controlLength);
        const fds = onlyRights(control);
        if (fds === null) return fail("EINVAL");
        const { cmsghdr } = linux.layouts;
        writeField(header.control, cmsghdr.fields.cmsg_len, lengthOf(linux, fds.length));
        writeField(header.control, cmsghdr.fields.cmsg_level, linux.constants.SOL_SOCKET);
        writeField(header.control, cmsghdr.fields.cmsg_type, linux.constants.SCM_RIGHTS);
        new Uint8Array(header.control.buffer).set(fds, lengthOf(linux, 0));
        set("msg_control", runtime.addressOf(header.control));
        set("msg_controllen", spaceFor(linux, fds.length));
      }
      const result = libc.sendmsg(fd, header.view, messageFlags(flags));
      if (result !== -1 || !isLinuxErrno("EAGAIN")) return result;
      if (isDatagram(libc, fd)) return fail("ENOBUFS");
      // Descriptors are measured by the room that is left.
      return controlLength > 0 ? fail("EMSGSIZE") : result;
    },

    recvmsg(fd: number, message: ArrayBufferView, flags: number) {
      if (flags & mac.constants.MSG_TRUNC) throw new Error("MSG_TRUNC is an output only");
      const given = viewOf(message);
      const { header, set } = begin(given);
      const nameRoom = of(given, "msg_namelen");
      set("msg_name", runtime.addressOf(header.name));
      set("msg_namelen", header.name.length);
      const controlRoom = of(given, "msg_controllen");
      // All descriptors are opened, wanted or not; a look opens none.
      const peeks = (flags & mac.constants.MSG_PEEK) !== 0;
      if (!peeks) {
        set("msg_control", runtime.addressOf(header.control));
        set("msg_controllen", ROOM);
      }
      const result = libc.recvmsg(fd, header.view, messageFlags(flags));
      if (result === -1) return -1;
      const left = (name: HeaderField) => readField(header.view, linux.layouts.msghdr.fields[name]);
      if (of(given, "msg_name") !== 0) {
        const length = Uint32Array.of(left("msg_namelen"));
        toMac(header.name, length);
        const out = memory(of(given, "msg_name"), nameRoom);
        out.set(header.name.subarray(0, Math.min(nameRoom, length[0]!)));
        put(given, "msg_namelen", length[0]!);
      }
      put(given, "msg_flags", told("messages", left("msg_flags")));
      let controlLength = 0;
      if (!peeks && left("msg_controllen") > lengthOf(linux, 0)) {
        const payload = readField(header.control, linux.layouts.cmsghdr.fields.cmsg_len) -
          lengthOf(linux, 0);
        if (lengthOf(mac, payload) > controlRoom) throw new Error("descriptors are lost");
        const out = new DataView(new ArrayBuffer(lengthOf(mac, payload)));
        writeField(out, mac.layouts.cmsghdr.fields.cmsg_len, out.byteLength);
        writeField(out, mac.layouts.cmsghdr.fields.cmsg_level, mac.constants.SOL_SOCKET);
        writeField(out, mac.layouts.cmsghdr.fields.cmsg_type, mac.constants.SCM_RIGHTS);
        const fds = new Uint8Array(header.control.buffer, lengthOf(linux, 0), payload);
        new Uint8Array(out.buffer).set(fds, lengthOf(mac, 0));
        memory(of(given, "msg_control"), controlRoom).set(new Uint8Array(out.buffer));
        controlLength = out.byteLength;
      }
      put(given, "msg_controllen", controlLength);
      return result;
    },
  };
}

function put(header: DataView, name: HeaderField, value: number): void {
  writeField(header, mac.layouts.msghdr.fields[name], value);
}

/** The payload of the one control message that macOS takes; null for anything else. */
function onlyRights(control: Uint8Array): Uint8Array | null {
  const view = new DataView(control.buffer, control.byteOffset, control.byteLength);
  const { fields } = mac.layouts.cmsghdr;
  const { SOL_SOCKET, SCM_RIGHTS } = mac.constants;
  const is = readField(view, fields.cmsg_len) === control.length &&
    readField(view, fields.cmsg_level) === SOL_SOCKET &&
    readField(view, fields.cmsg_type) === SCM_RIGHTS;
  return is ? control.subarray(lengthOf(mac, 0)) : null;
}
