/**
 * The receiving of a datagram into memory of the caller's.
 * @module
 */

import { failure, native, refusal, sockets } from "../../ffi/mod.ts";
import type { Address } from "../address.ts";
import type { Descriptor } from "../io/descriptor.ts";
import { FreeList } from "../io/free_list.ts";
import { type Operation, wouldBlock } from "../io/operation_queue.ts";
import { changed } from "../io/byte_operations.ts";
import { sender, UNNAMED } from "./message.ts";

/** What was received into a buffer of the caller's. */
export interface ReceivedInto {
  /** How many bytes of the buffer were filled. */
  bytes: number;
  /** How long the message really was. */
  length: number;
  /** Whether the buffer was too small; the rest of the message is lost. */
  truncated: boolean;
  /** The sender's address: unnamed where it did not bind. */
  from: Address;
}

/** This thread's memory for a sender's address, read before the next call. */
let from: sockets.ReceivedFrom | undefined;

const NOTHING = new Uint8Array(0);

class ReceivingInto implements Operation<ReceivedInto> {
  owner: object | null = null;
  descriptor: Descriptor | null = null;
  view: Uint8Array = NOTHING;
  expected = 0;

  attempt(): number {
    const { view, expected } = this;
    if (view.byteLength < expected) throw changed("receive");
    const { fd } = this.descriptor!;
    const { MSG_TRUNC, MSG_DONTWAIT } = native().abi.constants;
    from ??= sockets.roomForSender();
    const length = sockets.recvfrom(fd, view, expected, MSG_TRUNC | MSG_DONTWAIT, from);
    if (length === wouldBlock() && sockets.hasReadEnded(fd)) throw ended("recvfrom");
    return length;
  }

  outcome(length: number): ReceivedInto {
    const { expected } = this;
    this.owner = this.descriptor = null;
    this.view = NOTHING;
    receipts.giveBack(this);
    const { name, nameLength } = from!;
    return {
      bytes: Math.min(length, expected),
      length,
      truncated: length > expected,
      from: nameLength === 0 ? UNNAMED : sender(name, nameLength),
    };
  }

  fail(negated: number, detail?: string): Error {
    return failure(negated, { action: "Cannot receive", syscall: "recvfrom", detail });
  }
}

const receipts = new FreeList(() => new ReceivingInto());

export function receivingInto(
  owner: object,
  descriptor: Descriptor,
  view: Uint8Array,
): Operation<ReceivedInto> {
  const work = receipts.take();
  work.owner = owner;
  work.descriptor = descriptor;
  work.view = view;
  // No message is as long as more than that.
  work.expected = Math.min(view.byteLength, sockets.MAX_BYTES);
  return work;
}

/** The error of a receipt from a datagram socket that has ended its reading. */
export function ended(syscall: string): Error {
  const detail = "this socket has ended its reading";
  return refusal("ESHUTDOWN", { action: "Cannot receive", syscall, detail });
}
