/**
 * What message sockets send and receive: one message at a time, through memory that is laid out
 * once for each thread.
 * @module
 */

import { cmsg, MessageBlock, native, sockaddr } from "../../ffi/mod.ts";
import { type Address, fromRawAddress, type UnnamedAddress } from "../address.ts";
import { checkInteger } from "../util/validate.ts";

/** A message, as it was received. */
export interface Message {
  /** The bytes, in memory of their own; fewer than `length` where the message was truncated. */
  data: Uint8Array<ArrayBuffer>;
  /** The sender's address: unnamed where it did not bind. */
  from: Address;
  /** How long the message really was, in bytes. */
  length: number;
  /** Whether `data` is only its beginning; the rest is lost, unless this was a peek. */
  truncated: boolean;
  /**
   * Whether `data` reaches the end of the record. On Linux each message is one record, and the
   * kernel never reports MSG_EOR: this is `!truncated`.
   */
  endOfRecord: boolean;
}

/**
 * Room for a message where the caller names none: more than an unprivileged sender can fill with
 * the kernel's default limits (425,952 bytes).
 */
export const DEFAULT_SIZE = 524_288;

/**
 * Room for the control message that tells an empty record from the end, and for nothing else: the
 * kernel discards descriptors that find no room, and they never become ours unasked. Only for
 * sockets that asked for the timestamp: where none comes, a descriptor would fit.
 */
export function timestampRoom(): number {
  return cmsg.timestampRoom(native().abi);
}

/** Where a message came from whose sender did not bind. */
export const UNNAMED: UnnamedAddress = Object.freeze({ kind: "unnamed" });

let shared: MessageBlock | null = null;
let large: WeakRef<MessageBlock> | null = null;

/** This thread's memory for one message, whose use ends before the next one's begins. */
export function blockFor(size: number): MessageBlock {
  if (size <= DEFAULT_SIZE && shared !== null) return shared;
  const control = cmsg.fullRoom(native().abi);
  const make = (data: number) => new MessageBlock({ messages: 1, data, control });
  if (size <= DEFAULT_SIZE) return shared ??= make(DEFAULT_SIZE);
  // More than the usual room is kept only as long as the collector leaves it.
  let block = large?.deref();
  if (block === undefined || block.room < size) {
    block = make(size);
    large = new WeakRef(block);
  }
  return block;
}

/** The options of a receipt, checked. */
export function checkSize(size: number | undefined): number {
  return size === undefined ? DEFAULT_SIZE : checkInteger(size, "a message size", 0, 0x7fff_0000);
}

/**
 * Receives one message, or null where nothing but an end can be so empty: not on a datagram socket.
 * A number is a negated errno.
 */
export function receiveOne(
  fd: number,
  flags: number,
  size: number,
  emptyMayBeEnd: boolean,
): Message | null | number {
  const block = blockFor(size);
  const length = block.receiveOne(fd, flags, emptyMayBeEnd ? timestampRoom() : 0, size);
  if (length < 0) return length;
  return emptyMayBeEnd && isEnd(block, 0, length) ? null : messageAt(block, 0, length, size);
}

/** Whether there was no message: an end has no bytes, no address and no control message. */
export function isEnd(block: MessageBlock, index: number, length: number): boolean {
  return length === 0 && block.controlLength(index) === 0 && block.nameLength(index) === 0;
}

/** Message `index` of a block, copied out of it. */
export function messageAt(
  block: MessageBlock,
  index: number,
  length: number,
  size: number,
): Message {
  const room = Math.min(size, block.room);
  const start = block.dataStart(index);
  const truncated = length > room;
  const data = block.data.slice(start, start + Math.min(length, room));
  return { data, from: senderAt(block, index), length, truncated, endOfRecord: !truncated };
}

/** Who sent message `index` of a block. */
export function senderAt(block: MessageBlock, index: number): Address {
  const length = block.nameLength(index);
  return length === 0 ? UNNAMED : sender(block.name(index), length);
}

/** The address in a buffer that the kernel filled. */
export function sender(name: Uint8Array, length: number): Address {
  if (length === 0) return UNNAMED;
  const layout = native().abi.layouts.sockaddr_un;
  return fromRawAddress(sockaddr.unpackSockaddr(layout, name, length));
}
