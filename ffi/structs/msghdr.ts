/**
 * Message headers (`struct msghdr`, `struct mmsghdr`, `struct iovec`) in memory whose address is
 * known, packed once and used for every call.
 * @module
 */

import type { Field, Layout, Layouts } from "../abi/mod.ts";

/** Room for the longest address that a kernel reports, in bytes: 255 on macOS. */
export const NAME_ROOM = 256;

/**
 * A header as a member of an array, with the length of the message behind it: `struct mmsghdr`, and the
 * like of it where the system has no call for many messages.
 */
export function batchHeader(layouts: Layouts): Layout<"msg_hdr" | "msg_len"> {
  if (layouts.mmsghdr !== null) return layouts.mmsghdr;
  const { size } = layouts.msghdr;
  return { size: aligned(size + 4), fields: { msg_hdr: [0, size], msg_len: [size, 4] } };
}

/** Where the parts of one message stand, relative to the block of memory that holds them all. */
export interface MessagePlan {
  header: number;
  iovec: number;
  name: number;
  control: number;
  controlRoom: number;
  data: number;
  dataRoom: number;
}

/**
 * A header inside a larger block, addressed by where it begins. Its members are written as 32-bit
 * words at places that are computed once: this runs for every message.
 */
export class MessageHeader {
  readonly #words: Uint32Array;
  readonly #name: Uint8Array;
  readonly #plan: MessagePlan;
  readonly #base: number;
  readonly #nameAt: number;
  readonly #nameLengthAt: number;
  readonly #controlAt: number;
  readonly #controlLengthAt: number;
  readonly #flagsAt: number;
  readonly #dataAt: number;
  readonly #dataLengthAt: number;

  /** `base` is the address of the view's first byte, which is aligned to 4 bytes in its buffer. */
  constructor(view: DataView, base: number, layouts: Layouts, plan: MessagePlan) {
    this.#words = new Uint32Array(view.buffer, view.byteOffset, view.byteLength >> 2);
    this.#name = new Uint8Array(view.buffer, view.byteOffset + plan.name, NAME_ROOM);
    this.#plan = plan;
    this.#base = base;
    const { fields } = layouts.msghdr;
    const word = ([offset, width]: Field, base = plan.header) => {
      const at = (base + offset) >> 2;
      // The upper half stays zero: no length here fills it.
      if (width === 8) this.#words[at + 1] = 0;
      return at;
    };
    this.#nameAt = word(fields.msg_name);
    this.#nameLengthAt = word(fields.msg_namelen);
    this.#controlAt = word(fields.msg_control);
    this.#controlLengthAt = word(fields.msg_controllen);
    this.#flagsAt = word(fields.msg_flags);
    this.#dataAt = word(layouts.iovec.fields.iov_base, plan.iovec);
    this.#dataLengthAt = word(layouts.iovec.fields.iov_len, plan.iovec);
    this.#putAddress(word(fields.msg_iov), base + plan.iovec);
    this.#words[word(fields.msg_iovlen)] = 1;
    this.setData(plan.data, plan.dataRoom);
  }

  /** Points the message at bytes of the block. */
  setData(offset: number, length: number): void {
    this.#putAddress(this.#dataAt, this.#base + offset);
    this.#words[this.#dataLengthAt] = length;
  }

  /**
   * Before a receipt: room for an address, and for so many bytes of control messages. The kernel
   * overwrites these with what it used.
   */
  makeRoom(controlRoom: number): void {
    this.#putAddress(this.#nameAt, this.#base + this.#plan.name);
    this.#words[this.#nameLengthAt] = NAME_ROOM;
    this.setControl(controlRoom);
    this.#words[this.#flagsAt] = 0;
  }

  /** Before a sending: the destination, whose bytes are copied, or none. */
  setDestination(sockaddr: Uint8Array | null): void {
    this.#putAddress(this.#nameAt, sockaddr === null ? 0 : this.#base + this.#plan.name);
    this.#words[this.#nameLengthAt] = sockaddr?.length ?? 0;
    if (sockaddr !== null) this.#name.set(sockaddr);
  }

  /** How many bytes of control messages there are, or may come; none where it is 0. */
  setControl(length: number): void {
    if (length > this.#plan.controlRoom) throw new RangeError("No room for control messages");
    this.#putAddress(this.#controlAt, length === 0 ? 0 : this.#base + this.#plan.control);
    this.#words[this.#controlLengthAt] = length;
  }

  /** After a receipt: how long the sender's address is; 0 for none. */
  get nameLength(): number {
    return this.#words[this.#nameLengthAt]!;
  }

  /** After a receipt: how many bytes of control messages came. */
  get controlLength(): number {
    return this.#words[this.#controlLengthAt]!;
  }

  /** After a receipt: MSG_TRUNC and the like. */
  get flags(): number {
    return this.#words[this.#flagsAt]!;
  }

  #putAddress(at: number, address: number): void {
    this.#words[at] = address >>> 0;
    this.#words[at + 1] = Math.floor(address / 2 ** 32);
  }
}

/** Rounds up to the alignment of every struct here. */
export function aligned(offset: number): number {
  return (offset + 15) & ~15;
}
