/**
 * Messages with ancillary data: how one is sent and received, whole on the sockets that keep
 * messages apart, and along with bytes on streams.
 * @module
 */

import { cmsg, failure, native, sockets } from "../../ffi/mod.ts";
import { checkMaxFds, type Outgoing, takeAncillary } from "./ancillary.ts";
import type { FirstPart } from "../io/byte_operations.ts";
import type { Descriptor } from "../io/descriptor.ts";
import { FreeList } from "../io/free_list.ts";
import type { Operation } from "../io/operation_queue.ts";
import { blockFor, checkSize, DEFAULT_SIZE, isEnd, messageAt } from "./message.ts";
import { ReceivedMessage } from "./received_message.ts";
import type { Transfers } from "../io/byte_transfer.ts";
import { checkInteger } from "../util/validate.ts";

/** The room for a message and for what comes along. */
export interface ReceiveMessageRoom {
  /**
   * The most bytes of data. On a stream 65,536 without it; elsewhere 524,288, and what is beyond is
   * cut off and lost.
   */
  size?: number | undefined;
  /**
   * The most descriptors, from 0 to 253, which is also the value without it. What comes beyond is
   * closed, and `controlTruncated` says so.
   */
  maxFds?: number | undefined;
}

/** The error of a message whose memory was taken away while it waited. */
export function resized(): TypeError {
  return new TypeError("Cannot send: the message was detached or resized while it waited");
}

const NOTHING = new Uint8Array(0);

/** The sending of one whole message to the peer, with nothing along. */
class Sending implements Operation<void> {
  owner: object | null = null;
  descriptor: Descriptor | null = null;
  view: Uint8Array = NOTHING;
  expected = 0;

  attempt(): number {
    const { view, expected } = this;
    if (view.byteLength !== expected) throw resized();
    const { fd, shared } = this.descriptor!;
    return sockets.sendRecord(fd, view, expected, shared);
  }

  outcome(): void {
    this.owner = this.descriptor = null;
    this.view = NOTHING;
    sendings.giveBack(this);
  }

  fail(negated: number, detail?: string): Error {
    return failure(negated, { action: "Cannot send", syscall: "send", detail });
  }
}

const sendings = new FreeList(() => new Sending());

export function sending(owner: object, descriptor: Descriptor, view: Uint8Array): Operation<void> {
  const work = sendings.take();
  work.owner = owner;
  work.descriptor = descriptor;
  work.view = view;
  work.expected = view.byteLength;
  return work;
}

/** Sends one whole message, with what goes along; its length or a negated errno. */
export function sendWhole(
  fd: number,
  view: Uint8Array,
  outgoing: Outgoing,
  sockaddr: Uint8Array | null,
): number {
  const block = blockFor(view.byteLength);
  block.data.set(view);
  block.describe(0, 0, view.byteLength, sockaddr, outgoing.control);
  const result = block.sendOne(fd);
  if (result >= 0) outgoing.sent();
  return result;
}

/** Receives one message with what came along; null at the end, a number is a negated errno. */
export function receiveWhole(
  fd: number,
  size: number,
  maxFds: number,
  endIsEmpty: boolean,
): ReceivedMessage | null | number {
  const block = blockFor(size);
  const length = block.receiveOne(fd, 0, cmsg.fullRoom(native().abi), size);
  if (length < 0) return length;
  if (endIsEmpty && isEnd(block, 0, length)) return null;
  const ancillary = takeAncillary(block, 0, maxFds);
  return new ReceivedMessage(messageAt(block, 0, length, size), ancillary);
}

/** The room on a socket that keeps messages apart, checked. */
export function checkRoom(
  options: ReceiveMessageRoom | undefined,
): { size: number; maxFds: number } {
  return { size: checkSize(options?.size), maxFds: checkMaxFds(options?.maxFds) };
}

/** How many bytes go out together with the ancillary data of a stream; the rest follows. */
const FIRST_PART = 65_536;

/**
 * The sending of bytes through a stream, of which the first carry the ancillary data. The kernel
 * takes these with the first byte: what follows after a short send goes without.
 */
export function streamSending(
  transfers: Transfers,
  view: Uint8Array,
  outgoing: Outgoing,
): Operation<void> {
  return transfers.writingFirst(view, new CarryingPart(transfers, outgoing));
}

/** The part of a stream's message that carries what goes along. */
class CarryingPart implements FirstPart {
  readonly action = "Cannot send";
  readonly syscall = "sendmsg";
  readonly #transfers: Transfers;
  readonly #outgoing: Outgoing;

  constructor(transfers: Transfers, outgoing: Outgoing) {
    this.#transfers = transfers;
    this.#outgoing = outgoing;
  }

  send(all: Uint8Array): number {
    const { fd } = this.#transfers.descriptor;
    const part = all.byteLength <= FIRST_PART ? all : all.subarray(0, FIRST_PART);
    const result = sendWhole(fd, part, this.#outgoing, null);
    if (result > 0) this.#outgoing.closeDuplicates();
    return result;
  }

  duplicate(): void {
    this.#outgoing.duplicate();
  }

  closeDuplicates(): void {
    this.#outgoing.closeDuplicates();
  }
}

/** How many bytes a stream's message has room for without a wish. */
const DEFAULT_STREAM_SIZE = 65_536;

/** The receiving of bytes from a stream, with what came along; null at the end. */
export function streamReceiving(
  transfers: Transfers,
  options: ReceiveMessageRoom | undefined,
): Operation<ReceivedMessage | null> {
  const maxFds = checkMaxFds(options?.maxFds);
  const size = options?.size === undefined
    ? DEFAULT_STREAM_SIZE
    : checkInteger(options.size, "a number of bytes", 1, sockets.MAX_BYTES);
  // A stream may always return less.
  const room = Math.min(size, DEFAULT_SIZE);
  const { descriptor } = transfers;
  let received: ReceivedMessage | null = null;
  return {
    owner: transfers,
    attempt() {
      const block = blockFor(room);
      const length = block.receiveOne(descriptor.fd, 0, cmsg.fullRoom(native().abi), room);
      if (length <= 0) return length;
      const ancillary = takeAncillary(block, 0, maxFds);
      const message = messageAt(block, 0, length, room);
      message.endOfRecord = false;
      received = new ReceivedMessage(message, ancillary);
      transfers.bytesRead += length;
      return length;
    },
    outcome: () => received,
    fail: (negated, detail) =>
      failure(negated, { action: "Cannot receive", syscall: "recvmsg", detail }),
  };
}
