/**
 * recvmsg(2) with all that it reports, and options that the public API does not have.
 * @module
 */

import { native, sockets } from "../../ffi/mod.ts";
import { aligned, MessageHeader, NAME_ROOM } from "../../ffi/structs/msghdr.ts";
import { writeField } from "../../ffi/structs/field.ts";

/** One control message: `level` and `type` as in its header. */
export interface ControlMessage {
  level: number;
  type: number;
  data: Uint8Array;
}

/** What one recvmsg(2) came to; `result` is a length or a negated errno. */
export interface Received {
  result: number;
  data: Uint8Array;
  flags: number;
  control: ControlMessage[];
}

/** Receives into so many bytes, with room for control messages. */
export function recvmsg(fd: number, flags = 0, dataRoom = 64): Received {
  const { abi, calls, runtime } = native();
  const iovec = aligned(abi.layouts.msghdr.size);
  const name = aligned(iovec + abi.layouts.iovec.size);
  const control = aligned(name + NAME_ROOM);
  const controlRoom = 256;
  const data = control + controlRoom;
  const memory = new Uint8Array(new ArrayBuffer(data + dataRoom));
  const view = new DataView(memory.buffer);
  const plan = { header: 0, iovec, name, control, controlRoom, data, dataRoom };
  const header = new MessageHeader(view, runtime.addressOf(memory), abi.layouts, plan);
  header.makeRoom(controlRoom);
  const result = calls.recvmsg(fd, memory, flags);
  return {
    result,
    data: memory.slice(data, data + Math.max(0, Math.min(result, dataRoom))),
    flags: header.flags,
    control: result < 0 ? [] : controlMessages(view, control, header.controlLength),
  };
}

/** The control messages as Linux lays them out: a length of 8 bytes, a level, a type, the data. */
function controlMessages(view: DataView, start: number, length: number): ControlMessage[] {
  const found: ControlMessage[] = [];
  for (let at = start; at + 16 <= start + length;) {
    const size = view.getUint32(at, true);
    found.push({
      level: view.getInt32(at + 8, true),
      type: view.getInt32(at + 12, true),
      data: new Uint8Array(view.buffer.slice(at + 16, at + size)),
    });
    at += (size + 7) & ~7;
  }
  return found;
}

/** Sets a `struct timeval` option to so many milliseconds; 0 or a negated errno. */
export function setTimeval(fd: number, name: number, milliseconds: number): number {
  const { abi, calls } = native();
  const value = new DataView(new ArrayBuffer(16));
  writeField(value, [0, 8], Math.floor(milliseconds / 1000));
  writeField(value, [8, 8], (milliseconds % 1000) * 1000);
  return calls.setsockopt(fd, abi.constants.SOL_SOCKET, name, value, 16);
}

/** A `struct timeval` option, in milliseconds. */
export function getTimeval(fd: number, name: number): number {
  const value = new Uint8Array(new ArrayBuffer(16));
  const length = sockets.getsockoptBytes(fd, native().abi.constants.SOL_SOCKET, name, value);
  if (length !== 16) throw new Error(`getsockopt returned ${length}`);
  const view = new DataView(value.buffer);
  return Number(view.getBigInt64(0, true)) * 1000 + Number(view.getBigInt64(8, true)) / 1000;
}

/** Makes an open file blocking or non-blocking. */
export function setBlocking(fd: number, blocking: boolean): void {
  const { F_GETFL, F_SETFL, O_NONBLOCK } = native().abi.constants;
  const { libc } = native();
  const flags = libc.fcntl(fd, F_GETFL, 0);
  libc.fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/** Whether poll(2) reports one of these events at once. */
export function polls(fd: number, events: number): boolean {
  const { layouts } = native().abi;
  const entry = new DataView(new ArrayBuffer(layouts.pollfd.size));
  writeField(entry, layouts.pollfd.fields.fd, fd);
  writeField(entry, layouts.pollfd.fields.events, events);
  native().libc.poll(entry, 1, 0);
  return (entry.getUint16(layouts.pollfd.fields.revents[0], true) & events) !== 0;
}
