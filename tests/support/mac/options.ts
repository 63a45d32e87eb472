/**
 * Socket options, and the counting of bytes.
 */

import { writeField } from "../../../ffi/structs/field.ts";
import type { Libc } from "../../../ffi/libc/symbols.ts";
import type { Parts } from "./libc.ts";
import { linux, mac, socketOption } from "./translation.ts";

const darwin = mac.darwin!;

/** The descriptors that were told not to raise SIGPIPE. */
export const silenced: Set<number> = new Set<number>();

export function options(
  { libc, fail, onClose }: Parts,
): Record<string, (...args: never[]) => number> {
  const { SOL_SOCKET } = mac.constants;
  onClose((fd) => silenced.delete(fd));
  const answer = (bytes: Uint8Array, value: ArrayBufferView, length: ArrayBufferView): number => {
    const room = new DataView(length.buffer, length.byteOffset, 4);
    const out = new Uint8Array(value.buffer, value.byteOffset, room.getUint32(0, true));
    out.set(bytes.subarray(0, out.length));
    room.setUint32(0, Math.min(bytes.length, out.length), true);
    return 0;
  };
  const integer = (number: number) => new Uint8Array(Int32Array.of(number).buffer);
  const counted = (fd: number, request: number): number | null => {
    const count = new Int32Array(1);
    return libc.ioctl(fd, request, count) === -1 ? null : count[0]!;
  };
  /** The three words of `struct ucred`, or null where there is no peer. */
  const peer = (fd: number): Int32Array | null => {
    const words = new Int32Array(3);
    const length = Uint32Array.of(12);
    const { SO_PEERCRED } = linux.linux!;
    const { SOL_SOCKET: level, SO_ACCEPTCONN } = linux.constants;
    const listens = new Int32Array(1);
    libc.getsockopt(fd, level, SO_ACCEPTCONN, listens, Uint32Array.of(4));
    // Linux would tell of the listener itself.
    if (listens[0] === 1) return null;
    const result = libc.getsockopt(fd, level, SO_PEERCRED, words, length);
    return result === -1 || words[1] === -1 ? null : words;
  };
  const local = (fd: number, name: number): Uint8Array | null => {
    const found = peer(fd);
    if (found === null) return null;
    const [pid, uid, gid] = found as unknown as [number, number, number];
    if (name === darwin.LOCAL_PEERPID) return integer(pid);
    if (name !== darwin.LOCAL_PEERCRED) throw new Error(`option ${name} is not part of this`);
    const { size, fields } = mac.layouts.xucred!;
    const view = new DataView(new ArrayBuffer(size));
    writeField(view, fields.cr_uid, uid >>> 0);
    writeField(view, fields.cr_ngroups, 1);
    writeField(view, [fields.cr_groups[0], 4], gid >>> 0);
    return new Uint8Array(view.buffer);
  };
  return {
    getsockopt(...[fd, level, name, value, length]: Parameters<Libc["getsockopt"]>) {
      if (level === darwin.SOL_LOCAL) {
        const found = local(fd, name);
        return found === null ? fail("ENOTCONN") : answer(found, value, length);
      }
      if (name === darwin.SO_NREAD) {
        const count = counted(fd, linux.constants.FIONREAD);
        return count === null ? -1 : answer(integer(count), value, length);
      }
      if (level !== SOL_SOCKET) return fail("ENOPROTOOPT");
      // macOS does not tell.
      if (name === mac.constants.SO_ACCEPTCONN) return fail("ENOPROTOOPT");
      return libc.getsockopt(fd, linux.constants.SOL_SOCKET, socketOption(name), value, length);
    },
    setsockopt(...[fd, level, name, value, length]: Parameters<Libc["setsockopt"]>) {
      if (level !== SOL_SOCKET) return fail("ENOPROTOOPT");
      if (name === darwin.SO_NOSIGPIPE) {
        silenced.add(fd);
        return 0;
      }
      return libc.setsockopt(fd, linux.constants.SOL_SOCKET, socketOption(name), value, length);
    },
    ioctl(fd: number, request: number, out: ArrayBufferView) {
      if (request !== mac.constants.FIONREAD) return fail("ENOTTY");
      return libc.ioctl(fd, linux.constants.FIONREAD, out);
    },
  };
}
