/**
 * What datagram and seqpacket sockets share: sending and receiving whole messages.
 * @module
 */

import { failure, native, sockets } from "../../ffi/mod.ts";
import type { Address } from "../address.ts";
import { type AncillaryOptions, Outgoing } from "./ancillary.ts";
import { batchesOf, type BatchResult, ReceiveBatch, SendBatch } from "./batch.ts";
import type { Descriptor } from "../io/descriptor.ts";
import { gatheredMessage, type Pieces } from "../io/pieces.ts";
import { type Operation, wouldBlock, YIELD } from "../io/operation_queue.ts";
import { checkSize, type Message, receiveOne } from "./message.ts";
import {
  checkRoom,
  type ReceiveMessageRoom,
  receiveWhole,
  resized,
  sending,
  sendWhole,
} from "./message_operations.ts";
import { spendOrTurn } from "../io/reactor.ts";
import type { ReceivedMessage } from "./received_message.ts";
import { Socket } from "../socket/socket.ts";
import {
  type AsyncOptions,
  checkDeadline,
  checkSignal,
  type SyncOptions,
} from "../util/validate.ts";

/** Options of sending. */
export interface SendOptions extends AsyncOptions {
  /** Fails with EAGAIN instead of waiting for room. */
  dontWait?: boolean | undefined;
}

/** The room for a message. */
export interface SizeOption {
  /**
   * The most bytes to receive of a message; what is beyond is cut off and lost. 524,288 without
   * it, more than a message can have with the kernel's default limits.
   */
  size?: number | undefined;
}

/** Options of receiving. */
export interface ReceiveOptions extends AsyncOptions, SizeOption {}

/** Options of receiving while blocking the thread. */
export interface ReceiveSyncOptions extends SyncOptions, SizeOption {}

/** Options of sending a message with what goes along. */
export interface SendMessageOptions extends SendOptions, AncillaryOptions {}

/** Options of sending a message with what goes along, while blocking the thread. */
export interface SendMessageSyncOptions extends SyncOptions, AncillaryOptions {}

/** Options of receiving a message with what came along. */
export interface ReceiveMessageOptions extends AsyncOptions, ReceiveMessageRoom {}

/** Options of receiving a message with what came along, while blocking the thread. */
export interface ReceiveMessageSyncOptions extends SyncOptions, ReceiveMessageRoom {}

/** How many calls one batch makes before it lets others have a turn. */
const MAX_CALLS = 16;

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
  send(data: Pieces, options?: SendOptions): Promise<void> {
    // Not async, which would allocate a frame and one more promise.
    try {
      const view = gatheredMessage(data);
      const signal = checkSignal(options);
      this.assertOpen("send", "send");
      const work = sending(this, this.descriptor, view);
      return options?.dontWait ? this.#once(work) : this.descriptor.writing.run(work, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * {@linkcode send}, blocking the thread.
   *
   * @throws {UnixSocketError} as `send` does, and ETIMEDOUT
   */
  sendSync(data: Pieces, options?: SyncOptions): void {
    const view = gatheredMessage(data);
    const deadline = checkDeadline(options);
    this.assertOpen("send", "send");
    this.descriptor.writing.runSync(sending(this, this.descriptor, view), deadline);
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
  async sendMessage(data: Pieces, options?: SendMessageOptions): Promise<number> {
    const view = gatheredMessage(data);
    const signal = checkSignal(options);
    const work = this.#sendingMessage(view, new Outgoing(options));
    await (options?.dontWait ? this.#once(work) : this.descriptor.writing.run(work, signal));
    return view.byteLength;
  }

  /**
   * {@linkcode sendMessage}, blocking the thread.
   *
   * @throws {UnixSocketError} as `sendMessage` does, and ETIMEDOUT
   */
  sendMessageSync(data: Pieces, options?: SendMessageSyncOptions): number {
    const view = gatheredMessage(data);
    const deadline = checkDeadline(options);
    const work = this.#sendingMessage(view, new Outgoing(options));
    this.descriptor.writing.runSync(work, deadline);
    return view.byteLength;
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
    options?: SendOptions,
  ): Promise<BatchResult> {
    const signal = checkSignal(options);
    const batch = messages instanceof SendBatch ? messages : batchesOf(messages);
    const work = this.#sendingMany(batch);
    batch.beginSending();
    try {
      await (options?.dontWait
        ? this.#once(work, batch.addressed)
        : this.runSend(work, signal, batch.addressed));
    } catch (error) {
      if (work.sent === 0) throw error;
      return { sent: work.sent, error };
    } finally {
      batch.endSending();
    }
    return { sent: work.sent, error: null };
  }

  /**
   * {@linkcode sendMany}, blocking the thread.
   *
   * @throws {UnixSocketError} as `sendMany` does, and ETIMEDOUT, when nothing was sent
   */
  sendManySync(messages: SendBatch | readonly Pieces[], options?: SyncOptions): BatchResult {
    const deadline = checkDeadline(options);
    const batch = messages instanceof SendBatch ? messages : batchesOf(messages);
    const work = this.#sendingMany(batch);
    batch.beginSending();
    try {
      this.runSendSync(work, deadline, batch.addressed);
    } catch (error) {
      if (work.sent === 0) throw error;
      return { sent: work.sent, error };
    } finally {
      batch.endSending();
    }
    return { sent: work.sent, error: null };
  }

  /**
   * Receives as many messages as there are and as the batch holds (recvmmsg(2)), waiting for the
   * first.
   *
   * @returns how many; 0 at the end of a connection
   * @throws {UnixSocketError} ECONNRESET, ENOTCONN, EBADF
   */
  async receiveMany(batch: ReceiveBatch, options?: AsyncOptions): Promise<number> {
    checkBatch(batch);
    const signal = checkSignal(options);
    const work = this.#receivingMany(batch);
    batch.beginReceiving();
    try {
      return await this.descriptor.reading.run(work, signal);
    } finally {
      batch.endReceiving();
    }
  }

  /**
   * {@linkcode receiveMany}, blocking the thread.
   *
   * @throws {UnixSocketError} as `receiveMany` does, and ETIMEDOUT
   */
  receiveManySync(batch: ReceiveBatch, options?: SyncOptions): number {
    checkBatch(batch);
    const deadline = checkDeadline(options);
    const work = this.#receivingMany(batch);
    batch.beginReceiving();
    try {
      return this.descriptor.reading.runSync(work, deadline);
    } finally {
      batch.endReceiving();
    }
  }

  /**
   * Whether the kernel reports the end as an empty message (seqpacket). It reports that of a
   * datagram socket, whose reading was shut down, as nothing to receive.
   * @ignore
   */
  protected abstract readonly endIsEmpty: boolean;

  /**
   * Whether nothing more can come, after the kernel said that nothing is there.
   * @ignore
   */
  protected hasEnded(result: number): boolean {
    return !this.endIsEmpty && result === wouldBlock() && sockets.hasReadEnded(this.fd);
  }

  /** @ignore */
  protected async receivePlain(
    options: ReceiveOptions | undefined,
    peek: boolean,
  ): Promise<Message | null> {
    const signal = checkSignal(options);
    const work = this.#receiving(checkSize(options?.size), peek);
    return await this.descriptor.reading.run(work, signal);
  }

  /** @ignore */
  protected receivePlainSync(
    options: ReceiveSyncOptions | undefined,
    peek: boolean,
  ): Message | null {
    const deadline = checkDeadline(options);
    const work = this.#receiving(checkSize(options?.size), peek);
    return this.descriptor.reading.runSync(work, deadline);
  }

  /** @ignore */
  protected async receiveAncillary(
    options: ReceiveMessageOptions | undefined,
  ): Promise<ReceivedMessage | null> {
    const signal = checkSignal(options);
    return await this.descriptor.reading.run(this.#receivingMessage(options), signal);
  }

  /** @ignore */
  protected receiveAncillarySync(
    options: ReceiveMessageSyncOptions | undefined,
  ): ReceivedMessage | null {
    const deadline = checkDeadline(options);
    return this.descriptor.reading.runSync(this.#receivingMessage(options), deadline);
  }

  /**
   * Runs the sending of a batch. A subclass that has destinations of their own waits otherwise.
   * @ignore
   */
  protected runSend(
    work: Operation<void>,
    signal: AbortSignal | undefined,
    _addressed: boolean,
  ): Promise<void> {
    return this.descriptor.writing.run(work, signal);
  }

  /**
   * Whether others wait to send, whom nobody may overtake.
   * @ignore
   */
  protected sendWaits(_addressed: boolean): boolean {
    return !this.descriptor.writing.idle;
  }

  /** @ignore */
  protected runSendSync(work: Operation<void>, deadline: number, _addressed: boolean): void {
    this.descriptor.writing.runSync(work, deadline);
  }

  #sendingMany(batch: SendBatch): Operation<void> & { readonly sent: number } {
    this.assertOpen("send", "sendmmsg");
    const { descriptor } = this;
    const { count, block } = batch;
    let sent = 0;
    return {
      owner: this,
      get sent() {
        return sent;
      },
      progress: () => sent,
      attempt() {
        for (let calls = 0; sent < count; calls++) {
          if (calls === MAX_CALLS) return YIELD;
          const result = block.sendMany(descriptor.fd, sent, count);
          if (result < 0) return result;
          sent += result;
        }
        return 0;
      },
      outcome: () => {},
      fail: (negated, detail) =>
        failure(negated, { action: "Cannot send", syscall: "sendmmsg", detail }),
    };
  }

  #sendingMessage(view: Uint8Array, outgoing: Outgoing): Operation<void> {
    this.assertOpen("send", "sendmsg");
    const { descriptor } = this;
    const expected = view.byteLength;
    return {
      owner: this,
      attempt() {
        if (view.byteLength !== expected) throw resized();
        return sendWhole(descriptor.fd, view, outgoing, null);
      },
      outcome: () => {},
      beginWait: () => outgoing.duplicate(),
      endWait: () => outgoing.closeDuplicates(),
      fail: (negated, detail) =>
        failure(negated, { action: "Cannot send", syscall: "sendmsg", detail }),
    };
  }

  #receiving(size: number, peek: boolean): Operation<Message | null> {
    const flags = peek ? native().abi.constants.MSG_PEEK : 0;
    return this.#receipt(() => receiveOne(this.fd, flags, size, this.endIsEmpty));
  }

  #receivingMessage(options: ReceiveMessageRoom | undefined): Operation<ReceivedMessage | null> {
    const { size, maxFds } = checkRoom(options);
    return this.#receipt(() => receiveWhole(this.fd, size, maxFds, this.endIsEmpty));
  }

  /** The receiving of one message, or of null at the end. */
  #receipt<T extends object>(receive: () => T | null | number): Operation<T | null> {
    this.assertOpen("receive", "recvmsg");
    let message: T | null = null;
    return {
      owner: this,
      attempt: () => {
        const result = receive();
        if (typeof result === "number") return this.hasEnded(result) ? 0 : result;
        message = result;
        return 0;
      },
      outcome: () => message,
      fail: (negated, detail) =>
        failure(negated, { action: "Cannot receive", syscall: "recvmsg", detail }),
    };
  }

  #receivingMany(batch: ReceiveBatch): Operation {
    this.assertOpen("receive", "recvmmsg");
    return {
      owner: this,
      attempt: () => {
        const count = batch.fill(this.fd, this.endIsEmpty);
        return this.hasEnded(count) ? 0 : count;
      },
      outcome: (count) => count,
      fail: (negated, detail) =>
        failure(negated, { action: "Cannot receive", syscall: "recvmmsg", detail }),
    };
  }

  /** Makes one attempt, after which nothing waits for room. */
  async #once(work: Operation<void>, addressed = false): Promise<void> {
    let result;
    do result = this.sendWaits(addressed) ? wouldBlock() : work.attempt(); while (
      result === YIELD
    );
    if (result < 0) throw work.fail(result);
    work.outcome(result);
    await spendOrTurn();
  }
}

function checkBatch(batch: unknown): void {
  if (batch instanceof ReceiveBatch) return;
  throw new TypeError("Cannot receive into this: expected a ReceiveBatch");
}
