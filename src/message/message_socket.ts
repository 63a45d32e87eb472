/**
 * The base class of datagram and seqpacket sockets, which send and receive whole messages.
 * @module
 */

import { native } from "../../ffi/mod.ts";
import type { Address } from "../address.ts";
import { type AncillaryOptions, Outgoing } from "./ancillary.ts";
import { batchesOf, type BatchResult, ReceiveBatch, SendBatch } from "./batch.ts";
import type { Descriptor } from "../io/descriptor.ts";
import { gatheredMessage, type Pieces } from "../io/pieces.ts";
import { DONE, ignore, NOT_TRIED, type Operation, SingleCall } from "../io/operation.ts";
import type { OperationQueue } from "../io/operation_queue.ts";
import { checkSize, type Message } from "./message.ts";
import {
  checkRoom,
  receiveManyNow,
  receiveMessageNow,
  type ReceiveMessageOptions,
  receiveNow,
  RECEIVING,
  receiving,
  SendingBatch,
  SendingMessage,
  sendMessageNow,
  sendNow,
  unresized,
} from "./message_operations.ts";
import type { ReceivedMessage } from "./received_message.ts";
import { Socket } from "../socket/socket.ts";
import {
  checkDeadline,
  checkSignal,
  type SignalOption,
  type TimeoutOption,
} from "../util/validate.ts";

/** Options of sending. */
export interface SendOptions {
  /** Fails with EAGAIN instead of waiting for room. */
  dontWait?: boolean | undefined;
}

/** Options of receiving. */
export interface ReceiveOptions {
  /**
   * The maximum number of bytes to receive of a message; the kernel cuts off what is beyond and it is
   * lost. Default: 524,288, more than a message can have with the kernel's default limits.
   */
  size?: number | undefined;
}

/** The base of the sockets that keep messages apart. */
export abstract class MessageSocket extends Socket {
  /** @ignore */
  protected constructor(descriptor: Descriptor, localAddr: Address | null) {
    super(descriptor, localAddr);
  }

  /**
   * Sends one message to the peer, whole or not at all (send(2), MSG_NOSIGNAL). An empty one is a
   * message too. Waits while the peer's queue, or the own buffer, is full.
   *
   * Several pieces are copied together, and make one message. The data must stay as they are until the
   * promise settles.
   *
   * @throws {UnixSocketError} EMSGSIZE: larger than the send buffer allows. ECONNREFUSED: the peer
   * is gone; a datagram socket is then no longer connected. ENOTCONN. EPIPE. ECONNRESET. EAGAIN with
   * `dontWait`. EBADF: closed, also while this waited. ENOBUFS: on macOS instead of a wait for the peer's
   * queue, of whose room no event tells.
   */
  send(data: Pieces, options?: SendOptions & SignalOption): Promise<void> {
    // No async function, which would allocate a frame and one more promise.
    try {
      const view = gatheredMessage(data);
      const signal = checkSignal(options);
      this.assertOpen("send", "send");
      const queue = this.descriptor.writing;
      const result = queue.mayTry() ? sendNow(this.descriptor, view) : NOT_TRIED;
      if (result >= 0) return DONE;
      return queue.goOn(result, this.#sending(view), signal, options?.dontWait);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * {@linkcode send}, blocking the thread.
   *
   * @throws {UnixSocketError} as `send` does, and ETIMEDOUT
   */
  sendSync(data: Pieces, options?: TimeoutOption): void {
    const view = gatheredMessage(data);
    const deadline = checkDeadline(options);
    this.assertOpen("send", "send");
    const queue = this.descriptor.writing;
    const result = queue.idle ? sendNow(this.descriptor, view) : NOT_TRIED;
    if (result >= 0) return;
    queue.goOnSync(result, this.#sending(view), deadline);
  }

  /**
   * Sends one message to the peer with descriptors or credentials (sendmsg(2)); else as
   * {@linkcode send}. An empty message carries them too.
   *
   * The descriptors are duplicated if this has to wait, so that they may be closed as soon as the
   * call has returned.
   *
   * @returns the number of bytes: all of them
   * @throws {RangeError|TypeError} more than 253 descriptors, or what is none
   * @throws {UnixSocketError} as `send` does, and: EBADF: a descriptor that is not open; nothing was
   * sent. EPERM: ids that this process may not claim, or a receiver that takes no descriptors. ESRCH:
   * no such process. EINVAL: a descriptor that cannot be sent, of io_uring. ETOOMANYREFS: too many are
   * under way, unread. EMFILE: no duplicate could be made. ENOTSUP: credentials on macOS.
   */
  sendMessage(
    data: Pieces,
    options?: SendOptions & AncillaryOptions & SignalOption,
  ): Promise<number> {
    try {
      const view = gatheredMessage(data);
      const signal = checkSignal(options);
      const outgoing = new Outgoing(options);
      this.assertOpen("send", "sendmsg");
      const queue = this.descriptor.writing;
      const result = queue.mayTry() ? sendMessageNow(this.fd, view, outgoing, null) : NOT_TRIED;
      if (result >= 0) return Promise.resolve(result);
      const sending = this.#sendingMessage(view, outgoing);
      return queue.goOn(result, sending, signal, options?.dontWait);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * {@linkcode sendMessage}, blocking the thread.
   *
   * @throws {UnixSocketError} as `sendMessage` does, and ETIMEDOUT
   */
  sendMessageSync(data: Pieces, options?: AncillaryOptions & TimeoutOption): number {
    const view = gatheredMessage(data);
    const deadline = checkDeadline(options);
    const outgoing = new Outgoing(options);
    this.assertOpen("send", "sendmsg");
    const queue = this.descriptor.writing;
    const result = queue.idle ? sendMessageNow(this.fd, view, outgoing, null) : NOT_TRIED;
    if (result >= 0) return result;
    return queue.goOnSync(
      result,
      this.#sendingMessage(view, outgoing),
      deadline,
    );
  }

  /**
   * Sends a batch by as few calls as can be (sendmmsg(2)), waiting for room as {@linkcode send}
   * does. Rejects only when nothing was sent; else the result says how many left and what stopped
   * the next. Between a batch with destinations of its own and {@linkcode UnixDatagram.sendTo} there
   * is no order while they wait.
   *
   * @param messages a {@linkcode SendBatch}, or up to 1,024 messages for the peer
   * @throws {UnixSocketError} as `send` does for the first message
   */
  async sendMany(
    messages: SendBatch | readonly Pieces[],
    options?: SendOptions & SignalOption,
  ): Promise<BatchResult> {
    const signal = checkSignal(options);
    const batch = messages instanceof SendBatch ? messages : batchesOf(messages);
    this.assertOpen("send", "sendmmsg");
    const sending = new SendingBatch(this, this.descriptor, batch);
    const queue = this.batchQueue(batch);
    batch.beginSending();
    try {
      await queue.run(sending, signal, options?.dontWait);
    } catch (error) {
      if (sending.sent === 0) throw error;
      return { sent: sending.sent, error };
    } finally {
      batch.endSending();
    }
    return { sent: sending.sent, error: null };
  }

  /**
   * {@linkcode sendMany}, blocking the thread.
   *
   * @throws {UnixSocketError} as `sendMany` does, and ETIMEDOUT, when nothing was sent
   */
  sendManySync(messages: SendBatch | readonly Pieces[], options?: TimeoutOption): BatchResult {
    const deadline = checkDeadline(options);
    const batch = messages instanceof SendBatch ? messages : batchesOf(messages);
    this.assertOpen("send", "sendmmsg");
    const sending = new SendingBatch(this, this.descriptor, batch);
    batch.beginSending();
    try {
      this.batchQueue(batch).runSync(sending, deadline);
    } catch (error) {
      if (sending.sent === 0) throw error;
      return { sent: sending.sent, error };
    } finally {
      batch.endSending();
    }
    return { sent: sending.sent, error: null };
  }

  /**
   * Receives as many messages as there are and as the batch holds (recvmmsg(2)), waiting for the
   * first.
   *
   * @returns how many; 0 at the end of a connection
   * @throws {UnixSocketError} ECONNRESET, ENOTCONN, EBADF
   */
  async receiveMany(batch: ReceiveBatch, options?: SignalOption): Promise<number> {
    checkBatch(batch);
    const signal = checkSignal(options);
    const receiving = this.#receivingBatch(batch);
    batch.beginReceiving();
    try {
      return await this.descriptor.reading.run(receiving, signal);
    } finally {
      batch.endReceiving();
    }
  }

  /**
   * {@linkcode receiveMany}, blocking the thread.
   *
   * @throws {UnixSocketError} as `receiveMany` does, and ETIMEDOUT
   */
  receiveManySync(batch: ReceiveBatch, options?: TimeoutOption): number {
    checkBatch(batch);
    const deadline = checkDeadline(options);
    const receiving = this.#receivingBatch(batch);
    batch.beginReceiving();
    try {
      return this.descriptor.reading.runSync(receiving, deadline);
    } finally {
      batch.endReceiving();
    }
  }

  /**
   * Whether the kernel reports the end as an empty message (seqpacket). It reports the end of a datagram
   * socket, whose reading was shut down, as nothing to receive.
   * @ignore
   */
  protected abstract readonly endIsEmpty: boolean;

  /**
   * The queue in which a batch waits for room.
   * @ignore
   */
  protected batchQueue(_batch: SendBatch): OperationQueue {
    return this.descriptor.writing;
  }

  /** @ignore */
  protected receivePlain(
    options: ReceiveOptions & SignalOption | undefined,
    peek: boolean,
  ): Promise<Message | null> {
    try {
      const signal = checkSignal(options);
      const size = checkSize(options?.size);
      const flags = this.#flags(peek);
      const queue = this.descriptor.reading;
      const message = queue.mayTry()
        ? receiveNow(this.fd, this.endIsEmpty, flags, size)
        : NOT_TRIED;
      if (typeof message !== "number") return Promise.resolve(message);
      return queue.goOn(message, this.#receiving(flags, size), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @ignore */
  protected receivePlainSync(
    options: ReceiveOptions & TimeoutOption | undefined,
    peek: boolean,
  ): Message | null {
    const deadline = checkDeadline(options);
    const size = checkSize(options?.size);
    const flags = this.#flags(peek);
    const queue = this.descriptor.reading;
    const message = queue.idle ? receiveNow(this.fd, this.endIsEmpty, flags, size) : NOT_TRIED;
    if (typeof message !== "number") return message;
    return queue.goOnSync(message, this.#receiving(flags, size), deadline);
  }

  /** @ignore */
  protected receiveAncillary(
    options: ReceiveMessageOptions & SignalOption | undefined,
  ): Promise<ReceivedMessage | null> {
    try {
      const signal = checkSignal(options);
      const { size, maxFds } = checkRoom(options);
      this.assertOpen("receive", "recvmsg");
      const queue = this.descriptor.reading;
      const message = queue.mayTry()
        ? receiveMessageNow(this.fd, this.endIsEmpty, size, maxFds)
        : NOT_TRIED;
      if (typeof message !== "number") return Promise.resolve(message);
      return queue.goOn(message, this.#receivingMessage(size, maxFds), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @ignore */
  protected receiveAncillarySync(
    options: ReceiveMessageOptions & TimeoutOption | undefined,
  ): ReceivedMessage | null {
    const deadline = checkDeadline(options);
    const { size, maxFds } = checkRoom(options);
    this.assertOpen("receive", "recvmsg");
    const queue = this.descriptor.reading;
    const message = queue.idle
      ? receiveMessageNow(this.fd, this.endIsEmpty, size, maxFds)
      : NOT_TRIED;
    if (typeof message !== "number") return message;
    return queue.goOnSync(message, this.#receivingMessage(size, maxFds), deadline);
  }

  /** The flags of a plain receipt, for which the socket has to be open. */
  #flags(peek: boolean): number {
    this.assertOpen("receive", "recvmsg");
    return peek ? native().abi.constants.MSG_PEEK : 0;
  }

  #sending(view: Uint8Array): Operation<void> {
    const length = view.byteLength;
    const attempt = () => sendNow(this.descriptor, unresized(view, length));
    return new SendingMessage(this, "send", attempt, ignore);
  }

  #sendingMessage(view: Uint8Array, outgoing: Outgoing): Operation {
    const length = view.byteLength;
    const attempt = () => sendMessageNow(this.fd, unresized(view, length), outgoing, null);
    return new SendingMessage(this, "sendmsg", attempt, () => length, outgoing);
  }

  #receiving(flags: number, size: number): Operation<Message | null> {
    return receiving(this, () => receiveNow(this.fd, this.endIsEmpty, flags, size));
  }

  #receivingMessage(size: number, maxFds: number): Operation<ReceivedMessage | null> {
    return receiving(this, () => receiveMessageNow(this.fd, this.endIsEmpty, size, maxFds));
  }

  #receivingBatch(batch: ReceiveBatch): Operation {
    this.assertOpen("receive", "recvmmsg");
    const attempt = () => receiveManyNow(this.fd, this.endIsEmpty, batch);
    return new SingleCall(this, RECEIVING, "recvmmsg", attempt, (count) => count);
  }
}

function checkBatch(batch: unknown): void {
  if (batch instanceof ReceiveBatch) return;
  throw new TypeError("Cannot receive into this: expected a ReceiveBatch");
}
