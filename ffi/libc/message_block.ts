/**
 * Memory for a number of messages, laid out once: headers, addresses, control messages and data in
 * one block whose address is known, so that sending and receiving allocate nothing.
 * @module
 */

import type { Field } from "../abi/mod.ts";
import {
  type ControlMessages,
  type ControlToSend,
  putControl,
  sizeOfControl,
  takeControl,
} from "../structs/cmsg.ts";
import { closeOnExec } from "./file.ts";
import { aligned, batchHeader, MessageHeader, NAME_ROOM } from "../structs/msghdr.ts";
import { native } from "../native.ts";
import { readField } from "../structs/field.ts";

/** So many bytes of control messages every version of musl takes in sendmsg(3). */
const MAX_CONTROL_OF_MUSL = 1024;

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
  readonly #lengthField: Field;
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
    const { size: headerSize, fields } = batchHeader(layouts);
    this.#headerSize = headerSize;
    this.#lengthField = fields.msg_len;
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
    const [offset, width] = this.#lengthField;
    return readField(this.#view, [i * this.#headerSize + offset, width]);
  }

  /** The control messages that came with message `i`, as the kernel wrote them. */
  control(i: number): Uint8Array<ArrayBuffer> {
    const start = this.#controlsAt + i * this.#controlRoom;
    return this.#memory.subarray(start, this.#controlEnd(i, start));
  }

  /** The same, parsed, for once: descriptors among them are close-on-exec from now on. */
  controlMessages(i: number): ControlMessages {
    const { abi } = native();
    const start = this.#controlsAt + i * this.#controlRoom;
    const found = takeControl(abi, this.#view, start, this.#controlEnd(i, start));
    // Without MSG_CMSG_CLOEXEC they arrive as they were sent.
    if (abi.linux === null) { for (const fd of found.fds) closeOnExec(fd); }
    return found;
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
    const { calls, abi } = native();
    this.#assertAttached();
    const flags = abi.constants.MSG_NOSIGNAL | abi.constants.MSG_DONTWAIT;
    const result = calls.sendmsg(fd, this.#memory, flags);
    return result < 0 ? this.#pastLibc(fd, 0, result) : result;
  }

  /**
   * musl copies control messages into memory of 1,056 bytes, of which versions like 1.2.3 use 1,024,
   * and refuses more with ENOMEM: the most descriptors take 1,032, and 1,064 with credentials. Where
   * sending message `i` failed so, it is sent past the C library. How many bytes left, or a negated
   * errno: the one given where this was another failure.
   */
  #pastLibc(fd: number, i: number, failed: number): number {
    const { calls, abi, runtime } = native();
    const { syscalls } = abi;
    if (syscalls === null || failed !== -abi.errno.ENOMEM!) return failed;
    if (this.#headers[i]!.controlLength <= MAX_CONTROL_OF_MUSL) return failed;
    const number = BigInt(syscalls.sendmsg);
    const header = BigInt(runtime.addressOf(this.#memory) + i * this.#headerSize);
    // Without MSG_NOSIGNAL and MSG_DONTWAIT, for which this way has no room: every runtime ignores
    // SIGPIPE, which only streams raise, and every descriptor was made non-blocking.
    return calls.syscall(number, BigInt(fd), header, null, 0n);
  }

  /**
   * recvmsg(2) of at most `room` bytes into message 0: the real length, or a negated errno. The
   * kernel discards descriptors among the control messages that find no room.
   */
  receiveOne(fd: number, flags: number, controlRoom: number, room: number): number {
    const { calls, abi } = native();
    const all = flags | abi.receiptFlags | abi.constants.MSG_DONTWAIT;
    this.#assertAttached();
    const header = this.#headers[0]!;
    header.setData(this.#dataAt, room);
    header.makeRoom(controlRoom);
    return calls.recvmsg(fd, this.#memory, all);
  }

  /** recvmmsg(2) into up to `most` messages: how many came, or a negated errno. */
  receiveMany(fd: number, most: number, controlRoom: number): number {
    const { calls, abi } = native();
    const flags = abi.receiptFlags | abi.constants.MSG_DONTWAIT;
    this.#assertAttached();
    const count = Math.min(most, this.#size.messages);
    for (let i = 0; i < count; i++) this.#headers[i]!.makeRoom(controlRoom);
    return calls.recvmmsg(fd, this.#memory, count, flags, null);
  }

  /** sendmmsg(2) of the messages from `first` up to `end`: how many left, or a negated errno. */
  sendMany(fd: number, first: number, end: number): number {
    const { calls, abi } = native();
    this.#assertAttached();
    const headers = first === 0 ? this.#memory : this.#memory.subarray(first * this.#headerSize);
    const flags = abi.constants.MSG_NOSIGNAL | abi.constants.MSG_DONTWAIT;
    const result = calls.sendmmsg(fd, headers, end - first, flags);
    if (result >= 0) return result;
    const alone = this.#pastLibc(fd, first, result);
    return alone < 0 ? alone : 1;
  }

  /** A batch's data are the user's to see, and so to transfer away. */
  #assertAttached(): void {
    if (this.#memory.byteLength === 0) {
      throw new TypeError("Cannot use this batch: its memory was transferred away");
    }
  }
}
