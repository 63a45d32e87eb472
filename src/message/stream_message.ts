/**
 * Bytes of a stream together with ancillary data.
 * @module
 */

import { cmsg, native, sockets } from "../../ffi/mod.ts";
import { checkMaxFds, type Outgoing, takeAncillary } from "./ancillary.ts";
import { type ByteTransfer, WritingAll } from "../io/byte_transfer.ts";
import { blockFor, DEFAULT_SIZE, messageAt } from "./message.ts";
import { type ReceiveMessageOptions, sendMessageNow } from "./message_operations.ts";
import { ReceivedMessage } from "./received_message.ts";
import { checkInteger } from "../util/validate.ts";

/** The maximum number of bytes that leave with the ancillary data; the rest follows by send(2). */
const FIRST_PART = 65_536;

/**
 * Sends the first bytes with the ancillary data, which the kernel takes with the first byte: bytes that
 * follow after a short send go without. The number of bytes, or a negated errno.
 */
export function sendFirstNow(transfer: ByteTransfer, view: Uint8Array, outgoing: Outgoing): number {
  const part = view.byteLength <= FIRST_PART ? view : view.subarray(0, FIRST_PART);
  const count = sendMessageNow(transfer.descriptor.fd, part, outgoing, null);
  if (count > 0) transfer.bytesWritten += count;
  return count;
}

/** The sending of all bytes of a view, of which the first carry the ancillary data. */
export class SendingOnStream extends WritingAll<number> {
  readonly #length: number;
  readonly #outgoing: Outgoing;

  /** `written`: how many bytes the kernel took already. */
  constructor(
    transfer: ByteTransfer,
    view: Uint8Array,
    length: number,
    outgoing: Outgoing,
    written = 0,
  ) {
    super(transfer, length === 0 ? [] : [{ view, length }], written, "Cannot send", "sendmsg");
    this.#length = length;
    this.#outgoing = outgoing;
  }

  protected override writeSome(view: Uint8Array, length: number): number {
    if (this.progress() > 0) return super.writeSome(view, length);
    const count = sendFirstNow(
      this.transfer,
      view.byteLength === length ? view : view.subarray(0, length),
      this.#outgoing,
    );
    if (count > 0) this.#outgoing.closeDuplicates();
    return count;
  }

  override outcome(): number {
    return this.#length;
  }

  override beginWait(): void {
    if (this.progress() === 0) this.#outgoing.duplicate();
  }

  override endWait(): void {
    this.#outgoing.closeDuplicates();
  }
}

const DEFAULT_STREAM_SIZE = 65_536;

/** The room of a receipt from a stream, checked. A stream may always return less. */
export function checkStreamRoom(
  options: ReceiveMessageOptions | undefined,
): { size: number; maxFds: number } {
  const maxFds = checkMaxFds(options?.maxFds);
  const size = options?.size === undefined
    ? DEFAULT_STREAM_SIZE
    : checkInteger(options.size, "a number of bytes", 1, sockets.MAX_BYTES);
  return { size: Math.min(size, DEFAULT_SIZE), maxFds };
}

/** Receives bytes with their ancillary data; null at the end, a number is a negated errno. */
export function receiveOnStreamNow(
  transfer: ByteTransfer,
  size: number,
  maxFds: number,
): ReceivedMessage | null | number {
  const block = blockFor(size);
  const length = block.receiveOne(transfer.descriptor.fd, 0, cmsg.fullRoom(native().abi), size);
  if (length <= 0) return length === 0 ? null : length;
  const ancillary = takeAncillary(block, 0, maxFds);
  const message = messageAt(block, 0, length, size);
  message.endOfRecord = false;
  transfer.bytesRead += length;
  return new ReceivedMessage(message, ancillary);
}
