/**
 * Message headers (`struct msghdr`, `struct mmsghdr`, `struct iovec`) in memory whose address is
 * known, packed once and used for every call.
 * @module
 */

import type { Field, Layouts } from "./abi/mod.ts";
import { putField, takeField } from "./struct.ts";

/** Room for the longest address that a kernel reports, in bytes. */
export const NAME_ROOM = 128;

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

/** A header inside a larger block, addressed by where it begins. */
export class MessageHeader {
  readonly #view: DataView;
  readonly #layouts: Layouts;
  readonly #plan: MessagePlan;
  readonly #base: number;

  /** `base` is the address of the view's first byte. */
  constructor(view: DataView, base: number, layouts: Layouts, plan: MessagePlan) {
    this.#view = view;
    this.#base = base;
    this.#layouts = layouts;
    this.#plan = plan;
    const { msghdr } = layouts;
    this.#put(msghdr.fields.msg_iov, base + plan.iovec);
    this.#put(msghdr.fields.msg_iovlen, 1);
    this.setData(plan.data, plan.dataRoom);
  }

  /** Points the message at bytes of the block. */
  setData(offset: number, length: number): void {
    const { iov_base, iov_len } = this.#layouts.iovec.fields;
    putField(this.#view, shifted(iov_base, this.#plan.iovec), this.#base + offset);
    putField(this.#view, shifted(iov_len, this.#plan.iovec), length);
  }

  /**
   * Before a receipt: room for an address, and for control messages if they are wanted. The kernel
   * overwrites these with what it used.
   */
  makeRoom(withControl: boolean): void {
    const { fields } = this.#layouts.msghdr;
    const { name, control } = this.#plan;
    const controlRoom = withControl ? this.#plan.controlRoom : 0;
    this.#put(fields.msg_name, this.#base + name);
    this.#put(fields.msg_namelen, NAME_ROOM);
    this.#put(fields.msg_control, controlRoom === 0 ? 0 : this.#base + control);
    this.#put(fields.msg_controllen, controlRoom);
    this.#put(fields.msg_flags, 0);
  }

  /** Before a sending: the destination, whose bytes are copied, or none. */
  setDestination(sockaddr: Uint8Array | null): void {
    const { fields } = this.#layouts.msghdr;
    this.#put(fields.msg_name, sockaddr === null ? 0 : this.#base + this.#plan.name);
    this.#put(fields.msg_namelen, sockaddr?.length ?? 0);
    if (sockaddr === null) return;
    const room = new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.#plan.name);
    room.set(sockaddr);
  }

  /** After a receipt: how long the sender's address is; 0 for none. */
  get nameLength(): number {
    return this.#take(this.#layouts.msghdr.fields.msg_namelen);
  }

  /** After a receipt: how many bytes of control messages came. */
  get controlLength(): number {
    // musl declares the upper half of this field as padding.
    const [offset] = this.#layouts.msghdr.fields.msg_controllen;
    return this.#view.getUint32(this.#plan.header + offset, true);
  }

  /** After a receipt: MSG_TRUNC and the like. */
  get flags(): number {
    return this.#take(this.#layouts.msghdr.fields.msg_flags);
  }

  #put(field: Field, value: number): void {
    putField(this.#view, shifted(field, this.#plan.header), value);
  }

  #take(field: Field): number {
    return takeField(this.#view, shifted(field, this.#plan.header));
  }
}

function shifted([offset, width]: Field, by: number): Field {
  return [offset + by, width];
}

/** Rounds up to the alignment of every struct here. */
export function aligned(offset: number): number {
  return (offset + 15) & ~15;
}
