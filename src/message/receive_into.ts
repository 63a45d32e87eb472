/**
 * Receipts of datagrams into memory of the caller's.
 * @module
 */

import { native, sockets } from "../../ffi/mod.ts";
import type { Address } from "../address.ts";
import type { Descriptor } from "../io/descriptor.ts";
import { unchanged } from "../io/byte_transfer.ts";
import { type Operation, SingleCall } from "../io/operation.ts";
import { sender, UNNAMED } from "./message.ts";
import { RECEIVING, unlessEnded } from "./message_operations.ts";

/** A datagram that was received into a buffer of the caller's. */
export interface ReceivedInto {
  /** The number of bytes of the buffer that were filled. */
  bytes: number;
  /** The length of the whole message. */
  length: number;
  /** Whether the buffer was too small; the rest of the message is lost. */
  truncated: boolean;
  /** The sender's address: unnamed if it did not bind. */
  from: Address;
}

/** This thread's memory for a sender's address, read before the next call. */
let from: sockets.ReceivedFrom | undefined;

/** Receives one datagram into a view: the length of the whole message, or a negated errno. */
export function receiveIntoNow(fd: number, view: Uint8Array, room: number): number {
  const { MSG_TRUNC, MSG_DONTWAIT } = native().abi.constants;
  from ??= sockets.roomForSender();
  const length = sockets.recvfrom(fd, view, room, MSG_TRUNC | MSG_DONTWAIT, from);
  return length < 0 ? unlessEnded(fd, false, length, "recvfrom") : length;
}

/** The outcome for the message that {@linkcode receiveIntoNow} has just received. */
export function receivedInto(length: number, room: number): ReceivedInto {
  const { name, nameLength } = from!;
  return {
    bytes: Math.min(length, room),
    length,
    truncated: length > room,
    from: nameLength === 0 ? UNNAMED : sender(name, nameLength),
  };
}

/** The maximum number of bytes of one message that a view can take: no message is longer. */
export function roomIn(view: Uint8Array): number {
  return Math.min(view.byteLength, sockets.MAX_BYTES);
}

/** A receipt into a view that waits. */
export function receivingInto(
  owner: object,
  descriptor: Descriptor,
  view: Uint8Array,
): Operation<ReceivedInto> {
  const room = roomIn(view);
  const attempt = () => receiveIntoNow(descriptor.fd, unchanged(view, room, "receive"), room);
  const outcome = (length: number) => receivedInto(length, room);
  return new SingleCall(owner, RECEIVING, "recvfrom", attempt, outcome);
}
