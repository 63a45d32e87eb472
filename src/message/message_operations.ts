/**
 * Messages that are sent and received whole: one attempt of each kind, and the operation that waits.
 * @module
 */

import { cmsg, native, refusal, sockets } from "../../ffi/mod.ts";
import { checkMaxFds, type Outgoing, takeAncillary } from "./ancillary.ts";
import type { ReceiveBatch, SendBatch } from "./batch.ts";
import type { Descriptor } from "../io/descriptor.ts";
import { Operation, SingleCall, wouldBlock, YIELD } from "../io/operation.ts";
import { blockFor, checkSize, isEnd, type Message, messageAt, receiveOne } from "./message.ts";
import { ReceivedMessage } from "./received_message.ts";

/** The room for a message and its ancillary data. */
export interface ReceiveMessageOptions {
  /**
   * The maximum number of bytes of data. Default: 65,536 on a stream; 524,288 elsewhere, where the
   * kernel cuts off what is beyond and it is lost.
   */
  size?: number | undefined;
  /**
   * The maximum number of descriptors, from 0 to 253. Default: 253. Descriptors beyond it are closed,
   * and `controlTruncated` says so.
   */
  maxFds?: number | undefined;
}

/** The room on a socket that keeps messages apart, checked. */
export function checkRoom(
  options: ReceiveMessageOptions | undefined,
): { size: number; maxFds: number } {
  return { size: checkSize(options?.size), maxFds: checkMaxFds(options?.maxFds) };
}

const SENDING = "Cannot send";
export const RECEIVING = "Cannot receive";

/** The view of a message that waited; throws if its memory was taken away meanwhile. */
export function unresized(view: Uint8Array, length: number): Uint8Array {
  if (view.byteLength === length) return view;
  throw new TypeError("Cannot send: the message was detached or resized while it waited");
}

/** Sends one message to the peer. */
export function sendNow({ fd, shared }: Descriptor, view: Uint8Array): number {
  return sockets.sendRecord(fd, view, view.byteLength, shared);
}

/** Sends one message with its ancillary data, to the peer or to an address. */
export function sendMessageNow(
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

/** A message that waits for room, and holds duplicates of its descriptors meanwhile. */
export class SendingMessage<T> extends SingleCall<T> {
  readonly #outgoing: Outgoing | null;

  constructor(
    owner: object,
    syscall: string,
    attempt: () => number,
    outcome: (result: number) => T,
    outgoing: Outgoing | null = null,
  ) {
    super(owner, SENDING, syscall, attempt, outcome);
    this.#outgoing = outgoing;
  }

  override beginWait(): void {
    this.#outgoing?.duplicate();
  }

  override endWait(): void {
    this.#outgoing?.closeDuplicates();
  }
}

/** The maximum number of calls that one batch makes in a turn. */
const MAX_CALLS = 16;

/** The sending of a batch, by as few calls as possible. */
export class SendingBatch extends Operation<void> {
  readonly #descriptor: Descriptor;
  readonly #batch: SendBatch;
  readonly #count: number;
  /** How many messages have left. */
  sent = 0;

  constructor(owner: object, descriptor: Descriptor, batch: SendBatch) {
    super(owner, SENDING, "sendmmsg");
    this.#descriptor = descriptor;
    this.#batch = batch;
    this.#count = batch.count;
  }

  override progress(): number {
    return this.sent;
  }

  attempt(): number {
    for (let calls = 0; this.sent < this.#count; calls++) {
      if (calls === MAX_CALLS) return YIELD;
      const result = this.#batch.block.sendMany(this.#descriptor.fd, this.sent, this.#count);
      if (result < 0) return result;
      this.sent += result;
    }
    return 0;
  }

  outcome(): void {}
}

/**
 * Whether nothing more can come, after the kernel said that nothing is there: a datagram socket whose
 * reading was shut down would block for ever.
 */
function hasEnded(fd: number, endIsEmpty: boolean, result: number): boolean {
  return !endIsEmpty && result === wouldBlock() && sockets.hasReadEnded(fd);
}

/** A negated errno; throws ESHUTDOWN for a datagram socket whose reading has ended. */
export function unlessEnded(
  fd: number,
  endIsEmpty: boolean,
  result: number,
  syscall: string,
): number {
  if (!hasEnded(fd, endIsEmpty, result)) return result;
  const detail = "this socket has ended its reading";
  throw refusal("ESHUTDOWN", { action: RECEIVING, syscall, detail });
}

/**
 * Receives one message; null at the end, a number is a negated errno. `endIsEmpty`: whether the kernel
 * reports the end as an empty message (seqpacket) or as nothing to receive (datagram).
 */
export function receiveNow(
  fd: number,
  endIsEmpty: boolean,
  flags: number,
  size: number,
): Message | null | number {
  const message = receiveOne(fd, flags, size, endIsEmpty);
  return typeof message === "number" ? unlessEnded(fd, endIsEmpty, message, "recvmsg") : message;
}

/** Receives one message with its ancillary data, as {@linkcode receiveNow}. */
export function receiveMessageNow(
  fd: number,
  endIsEmpty: boolean,
  size: number,
  maxFds: number,
): ReceivedMessage | null | number {
  const block = blockFor(size);
  const length = block.receiveOne(fd, 0, cmsg.fullRoom(native().abi), size);
  if (length < 0) return unlessEnded(fd, endIsEmpty, length, "recvmsg");
  if (endIsEmpty && isEnd(block, 0, length)) return null;
  const ancillary = takeAncillary(block, 0, maxFds);
  return new ReceivedMessage(messageAt(block, 0, length, size), ancillary);
}

/** Receives messages into a batch: how many, 0 at the end, or a negated errno. */
export function receiveManyNow(fd: number, endIsEmpty: boolean, batch: ReceiveBatch): number {
  const count = batch.fill(fd, endIsEmpty);
  return hasEnded(fd, endIsEmpty, count) ? 0 : count;
}

/** A receipt that waits, by a function such as {@linkcode receiveNow}. */
export function receiving<T extends object>(
  owner: object,
  receive: () => T | null | number,
): Operation<T | null> {
  let message: T | null = null;
  const attempt = () => {
    const result = receive();
    if (typeof result === "number") return result;
    message = result;
    return 0;
  };
  return new SingleCall(owner, RECEIVING, "recvmsg", attempt, () => message);
}
