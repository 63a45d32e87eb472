/**
 * Messages with ancillary data: how one is sent and received, whole on the sockets that keep
 * messages apart, and along with bytes on streams.
 * @module
 */

import { cmsg, failure, native, sockets } from "../ffi/mod.ts";
import { checkMaxFds, type Outgoing, takeAncillary } from "./ancillary.ts";
import type { Work } from "./lane.ts";
import { blockFor, checkSize, DEFAULT_SIZE, isEnd, messageAt } from "./messages.ts";
import { ReceivedMessage } from "./received_message.ts";
import type { Transfers, WritingAll } from "./transfer.ts";
import { checkInteger } from "./validate.ts";

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
  at: { readonly fd: number },
  transfers: Transfers,
  view: Uint8Array,
  outgoing: Outgoing,
): WritingAll {
  const work = transfers.writingAll(view, {
    action: "Cannot send",
    syscall: "sendmsg",
    send(all) {
      const result = sendWhole(at.fd, all.subarray(0, FIRST_PART), outgoing, null);
      if (result > 0) outgoing.letGo();
      return result;
    },
  });
  return {
    ...work,
    beginWait() {
      if (work.progress() === 0) outgoing.hold();
    },
    endWait: () => outgoing.letGo(),
  };
}

/** How many bytes a stream's message has room for without a wish. */
const USUAL_STREAM_SIZE = 65_536;

/** A receipt from a stream. */
export interface StreamReceipt extends Work {
  message: ReceivedMessage | null;
}

/** The receiving of bytes from a stream, with what came along. */
export function streamReceiving(
  owner: object,
  at: { readonly fd: number },
  transfers: Transfers,
  options: ReceiveMessageRoom | undefined,
): StreamReceipt {
  const maxFds = checkMaxFds(options?.maxFds);
  const size = options?.size === undefined
    ? USUAL_STREAM_SIZE
    : checkInteger(options.size, "a number of bytes", 1, sockets.MOST_BYTES);
  // A stream may always return less.
  const room = Math.min(size, DEFAULT_SIZE);
  const receipt: StreamReceipt = {
    owner,
    message: null,
    attempt() {
      const block = blockFor(room);
      const length = block.receiveOne(at.fd, 0, cmsg.fullRoom(native().abi), room);
      if (length <= 0) return length;
      const ancillary = takeAncillary(block, 0, maxFds);
      const message = messageAt(block, 0, length, room);
      receipt.message = new ReceivedMessage({ ...message, endOfRecord: false }, ancillary);
      transfers.bytesRead += length;
      return length;
    },
    fail: (negated, detail) =>
      failure(negated, { action: "Cannot receive", syscall: "recvmsg", detail }),
  };
  return receipt;
}
