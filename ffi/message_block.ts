/**
 * Memory for a number of messages, laid out once: headers, addresses, control messages and data in
 * one block whose address is known, so that sending and receiving allocate nothing.
 * @module
 */

import { again, negatedErrno } from "./call.ts";
import {
  type ControlMessages,
  type ControlToSend,
  putControl,
  sizeOfControl,
  takeControl,
} from "./cmsg.ts";
import { aligned, MessageHeader, NAME_ROOM } from "./msghdr.ts";
import { native } from "./native.ts";
import { takeField } from "./struct.ts";

/** How much room a block has. */
export interface BlockSize {
  /** How many messages. */
  messages: number;
  /** Bytes of data in all, shared evenly when receiving and as it comes when sending. */
  data: number;
  /** Bytes of control messages for each message. */
  control: number;
}

/** A block of messages. */
export class MessageBlock {
  readonly #size: BlockSize;
  readonly #view: DataView;
  readonly #memory: Uint8Array<ArrayBuffer>;
  readonly #headers: MessageHeader[] = [];
  readonly #headerSize: number;
  readonly #namesAt: number;
  readonly #controlsAt: number;
  readonly #controlRoom: number;
  readonly #dataAt: number;
  /** The data of all messages: what is sent is written here first. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** Bytes of data that one received message may fill. */
  readonly room: number;

  constructor(size: BlockSize) {
    const { abi, runtime } = native();
    const { layouts } = abi;
    const count = size.messages;
    this.#size = size;
    this.#headerSize = layouts.mmsghdr!.size;
    const iovecsAt = aligned(this.#headerSize * count);
    this.#namesAt = aligned(iovecsAt + layouts.iovec.size * count);
    this.#controlsAt = aligned(this.#namesAt + NAME_ROOM * count);
    this.#controlRoom = aligned(size.control);
    this.#dataAt = aligned(this.#controlsAt + this.#controlRoom * count);
    this.room = Math.floor(size.data / count);
    const buffer = new ArrayBuffer(this.#dataAt + size.data);
    this.#view = new DataView(buffer);
    this.#memory = new Uint8Array(buffer);
    this.data = this.#memory.subarray(this.#dataAt);
    const base = runtime.addressOf(this.#memory);
    for (let i = 0; i < count; i++) {
      this.#headers.push(
        new MessageHeader(this.#view, base, layouts, {
          header: i * this.#headerSize,
          iovec: iovecsAt + i * layouts.iovec.size,
          name: this.#namesAt + i * NAME_ROOM,
          control: this.#controlsAt + i * this.#controlRoom,
          controlRoom: size.control,
          data: this.#dataAt + i * this.room,
          dataRoom: this.room,
        }),
      );
    }
  }

  /** Where message `i` begins when receiving, in {@linkcode data}. */
  dataStart(i: number): number {
    return i * this.room;
  }

  /** The sender's address as the kernel wrote it; its real length is `nameLength(i)`. */
  name(i: number): Uint8Array<ArrayBuffer> {
    const start = this.#namesAt + i * NAME_ROOM;
    return this.#memory.subarray(start, start + NAME_ROOM);
  }

  nameLength(i: number): number {
    return this.#headers[i]!.nameLength;
  }

  controlLength(i: number): number {
    return this.#headers[i]!.controlLength;
  }

  flags(i: number): number {
    return this.#headers[i]!.flags;
  }

  /** The length of message `i` of a batch, which exceeds the room where it was truncated. */
  length(i: number): number {
    const [offset, width] = native().abi.layouts.mmsghdr!.fields.msg_len;
    return takeField(this.#view, [i * this.#headerSize + offset, width]);
  }

  /** The control messages that came with message `i`, as the kernel wrote them. */
  control(i: number): Uint8Array<ArrayBuffer> {
    const start = this.#controlsAt + i * this.#controlRoom;
    return this.#memory.subarray(start, this.#controlEnd(i, start));
  }

  /** The same, parsed. */
  controlMessages(i: number): ControlMessages {
    const start = this.#controlsAt + i * this.#controlRoom;
    return takeControl(native().abi, this.#view, start, this.#controlEnd(i, start));
  }

  #controlEnd(i: number, start: number): number {
    return start + Math.min(this.controlLength(i), this.#size.control);
  }

  /**
   * Describes message `i` for sending: a part of {@linkcode data}, where to, and the control
   * messages that go along, packed or not.
   */
  describe(
    i: number,
    start: number,
    length: number,
    sockaddr: Uint8Array | null,
    control: ControlToSend | Uint8Array | null,
  ): void {
    const header = this.#headers[i]!;
    header.setData(this.#dataAt + start, length);
    header.setDestination(sockaddr);
    if (control === null) return header.setControl(0);
    const at = this.#controlsAt + i * this.#controlRoom;
    if (control instanceof Uint8Array) {
      header.setControl(control.length);
      return this.#memory.set(control, at);
    }
    const { abi } = native();
    header.setControl(sizeOfControl(abi, control));
    putControl(abi, this.#view, at, control);
  }

  /** sendmsg(2) of message 0; never raises SIGPIPE. How many bytes left, or a negated errno. */
  sendOne(fd: number): number {
    const { libc, abi } = native();
    this.#assertAttached();
    let result;
    do result = libc.sendmsg(fd, this.#memory, abi.constants.MSG_NOSIGNAL); while (
      result === -1 && again("sendmsg")
    );
    return result === -1 ? negatedErrno : result;
  }

  /**
   * recvmsg(2) of at most `room` bytes into message 0: the real length, or a negated errno. The
   * kernel discards descriptors among the control messages that find no room.
   */
  receiveOne(fd: number, flags: number, controlRoom: number, room: number): number {
    const { libc, abi } = native();
    const all = flags | abi.constants.MSG_TRUNC | abi.linux!.MSG_CMSG_CLOEXEC;
    this.#assertAttached();
    const header = this.#headers[0]!;
    header.setData(this.#dataAt, room);
    let result;
    do {
      header.makeRoom(controlRoom);
      result = libc.recvmsg(fd, this.#memory, all);
    } while (result === -1 && again("recvmsg"));
    return result === -1 ? negatedErrno : result;
  }

  /** recvmmsg(2) into up to `most` messages: how many came, or a negated errno. */
  receiveMany(fd: number, most: number, controlRoom: number): number {
    const { libc, abi } = native();
    const flags = abi.constants.MSG_TRUNC | abi.constants.MSG_DONTWAIT |
      abi.linux!.MSG_CMSG_CLOEXEC;
    this.#assertAttached();
    const count = Math.min(most, this.#size.messages);
    for (let i = 0; i < count; i++) this.#headers[i]!.makeRoom(controlRoom);
    let result;
    do result = libc.recvmmsg(fd, this.#memory, count, flags, null); while (
      result === -1 && again("recvmmsg")
    );
    return result === -1 ? negatedErrno : result;
  }

  /** sendmmsg(2) of the messages from `first` up to `end`: how many left, or a negated errno. */
  sendMany(fd: number, first: number, end: number): number {
    const { libc, abi } = native();
    this.#assertAttached();
    const headers = first === 0 ? this.#memory : this.#memory.subarray(first * this.#headerSize);
    const flags = abi.constants.MSG_NOSIGNAL;
    let result;
    do result = libc.sendmmsg(fd, headers, end - first, flags); while (
      result === -1 && again("sendmmsg")
    );
    return result === -1 ? negatedErrno : result;
  }

  /** A batch's data are the user's to see, and so to transfer away. */
  #assertAttached(): void {
    if (this.#memory.byteLength === 0) {
      throw new TypeError("Cannot use this batch: its memory was transferred away");
    }
  }
}
