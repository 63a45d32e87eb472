/**
 * Datagram sockets.
 * @module
 */

import { checked, errnoNumber, native, sockets } from "../ffi/mod.ts";
import { type Address, type AddressLike, formatAddress, parseAddress, quote } from "./address.ts";
import { Outgoing } from "./message/ancillary.ts";
import { messagesOver } from "./io/web_streams.ts";
import { Descriptor } from "./io/descriptor.ts";
import { type AddressedOperation, Destinations, sendBlocking } from "./message/send_queue.ts";
import type { Fd } from "./fd/fd.ts";
import { gatheredMessage, type Pieces } from "./io/pieces.ts";
import { type Operation, wouldBlock } from "./io/operation_queue.ts";
import { type Bound, createBound, type PathOptions } from "./socket/listen.ts";
import {
  MessageSocket,
  type ReceiveMessageOptions,
  type ReceiveMessageSyncOptions,
  type ReceiveOptions,
  type ReceiveSyncOptions,
  type SendMessageOptions,
  type SendMessageSyncOptions,
  type SendOptions,
} from "./message/message_socket.ts";
import { resized, sendWhole } from "./message/message_operations.ts";
import type { Message } from "./message/message.ts";
import { spendOrTurn } from "./io/reactor.ts";
import { ended, type ReceivedInto, receivingInto } from "./message/receive_into.ts";
import type { ReceivedMessage } from "./message/received_message.ts";
import { withPeerSockaddr } from "./socket/long_path.ts";
import { adoptSocket, createSocket } from "./socket/socket.ts";
import type { Bytes } from "./io/byte_transfer.ts";
import {
  asBytes,
  type AsyncOptions,
  checkDeadline,
  checkSignal,
  type SyncOptions,
} from "./util/validate.ts";

/** Options of {@linkcode UnixDatagram.bind}. */
export type BindOptions = PathOptions;

/** Where a message goes. */
export interface ToOption {
  /** The receiver's address; without it, the peer. */
  to?: AddressLike | undefined;
}

/** Options of {@linkcode UnixDatagram.sendMessage}. */
export interface SendMessageToOptions extends SendMessageOptions, ToOption {}

/** Options of {@linkcode UnixDatagram.sendMessageSync}. */
export interface SendMessageToSyncOptions extends SendMessageSyncOptions, ToOption {}

/** The line in which batches with destinations of their own wait: no address has this key. */
const BATCHES = "batches\0";

/**
 * A datagram socket (SOCK_DGRAM): messages that arrive whole, in order and, unlike UDP's, always.
 * An empty message is a message. There is no end: a peer that goes away is not noticed before the
 * next sending.
 *
 * Sending and receiving never wait for each other.
 *
 * @example
 * ```ts
 * import { UnixDatagram } from "@afunix/afunix";
 *
 * using server = UnixDatagram.bind("/run/time.sock");
 * for await (const { data, from } of server) {
 *   console.log(new TextDecoder().decode(data));
 *   if (from.kind !== "unnamed") await server.sendTo(new TextEncoder().encode("ACK"), from);
 * }
 * ```
 *
 * See unix(7), socket(2).
 */
export class UnixDatagram extends MessageSocket {
  readonly #destinations = new Destinations();
  #readable: ReadableStream<Message> | null = null;

  private constructor({ descriptor, localAddr }: Bound) {
    super(descriptor, localAddr);
  }

  /**
   * A socket with an address, at which others can reach it (bind(2)).
   *
   * @param address a path of any length on Linux, an abstract name, or `{ kind: "unnamed" }` for an
   * abstract name that the kernel chooses
   * @throws {UnixSocketError} EADDRINUSE: somebody receives there, or it is no socket. ENOENT,
   * ENOTDIR, EACCES, EROFS, EINVAL, ENAMETOOLONG, EMFILE
   * @throws {TypeError|RangeError} for arguments that make no sense
   */
  static override bind(address: AddressLike, options?: BindOptions): UnixDatagram {
    return new UnixDatagram(createBound(native().abi.constants.SOCK_DGRAM, address, options));
  }

  /**
   * A socket without an address: it can send, and nobody can answer it.
   *
   * @throws {UnixSocketError} EMFILE, ENFILE
   */
  static unbound(): UnixDatagram {
    const type = native().abi.constants.SOCK_DGRAM;
    const fd = createSocket(type, "Cannot create a datagram socket", { kind: "unnamed" });
    return new UnixDatagram({ descriptor: new Descriptor(fd), localAddr: null });
  }

  /**
   * Two sockets that are connected to each other, both unnamed (socketpair(2)).
   *
   * @throws {UnixSocketError} EMFILE, ENFILE; nothing is left open then
   */
  static pair(): [UnixDatagram, UnixDatagram] {
    const ends: [number, number] = [-1, -1];
    checked(sockets.socketpair(native().abi.constants.SOCK_DGRAM, ends), {
      action: "Cannot create a pair of sockets",
      syscall: "socketpair",
    });
    const make = (fd: number) =>
      new UnixDatagram({ descriptor: new Descriptor(fd), localAddr: null });
    return [make(ends[0]), make(ends[1])];
  }

  /**
   * Takes over a descriptor that is a datagram socket. It becomes non-blocking, also for others
   * that share it, and close-on-exec.
   *
   * @throws {RangeError} for what is no descriptor number
   * @throws {UnixSocketError} EBADF, ENOTSOCK, EPROTOTYPE: not a Unix datagram socket. The
   * descriptor then stays the caller's.
   */
  static fromFd(fd: number | Fd): UnixDatagram {
    const adopted = adoptSocket(fd, {
      type: native().abi.constants.SOCK_DGRAM,
      what: "UnixDatagram",
    });
    return new UnixDatagram({ descriptor: new Descriptor(adopted, true), localAddr: null });
  }

  /**
   * Sets the peer: where {@linkcode send} sends to, and the only one to receive from (connect(2)).
   * Sending to a connected peer that is full waits for an event instead of trying again. May be
   * called again for another peer, which discards what has arrived from the former.
   *
   * @throws {UnixSocketError} ENOENT, ECONNREFUSED: nobody receives there. EACCES. EPROTOTYPE: a
   * socket of another type. EPERM: it is connected to somebody else. EINVAL. EBADF once closed.
   */
  connect(address: AddressLike): this {
    this.assertOpen("connect", "connect");
    const parsed = parseAddress(address, "connect");
    const result = parsed.kind === "unnamed"
      ? -errnoNumber("EINVAL")
      : withPeerSockaddr(parsed, (packed) => sockets.connect(this.fd, packed));
    checked(result, {
      action: `Cannot connect to ${quote(parsed)}`,
      syscall: "connect",
      address: formatAddress(parsed),
    });
    return this;
  }

  /**
   * Forgets the peer (connect(2) to AF_UNSPEC): receives from everybody again.
   *
   * @throws {UnixSocketError} EBADF once closed
   */
  disconnect(): this {
    this.assertOpen("disconnect", "connect");
    checked(sockets.disconnect(this.fd), { action: "Cannot disconnect", syscall: "connect" });
    return this;
  }

  /**
   * The peer's address (getpeername(2)), or null while there is no peer. The kernel drops the peer
   * when a sending finds that it is gone.
   *
   * @throws {UnixSocketError} EBADF once closed
   */
  get remoteAddr(): Address | null {
    try {
      return this.readAddress("getpeername");
    } catch (error) {
      if ((error as { code?: string }).code === "ENOTCONN") return null;
      throw error;
    }
  }

  /**
   * Sends one message to an address, whole or not at all (sendto(2), MSG_NOSIGNAL).
   *
   * While the receiver is full this tries again, first after 1 and at last every 64 milliseconds:
   * no event tells of room there. {@linkcode connect} for speed. Messages to one address leave in
   * the order of the calls.
   *
   * @throws {UnixSocketError} ENOENT, ECONNREFUSED: nobody receives there. EACCES. EMSGSIZE.
   * EPROTOTYPE: a socket of another type. EPERM: the receiver is connected to somebody else. EPIPE:
   * it has ended its reading. EAGAIN with `dontWait`. EBADF: closed, also while this waited. EISCONN: on
   * macOS, while connected.
   */
  async sendTo(data: Pieces, to: AddressLike, options?: SendOptions): Promise<void> {
    const view = gatheredMessage(data);
    const signal = checkSignal(options);
    this.assertOpen("send", "sendto");
    const work = this.#destinations.sending(this, this.descriptor, view, to);
    const result = this.#destinations.attempt(work);
    if (result >= 0) return await spendOrTurn();
    if (result !== wouldBlock() || options?.dontWait) throw work.fail(result);
    await this.#destinations.wait(work, this.descriptor, signal, this.closing);
  }

  /**
   * {@linkcode sendTo}, blocking the thread. May overtake messages to the same address that wait.
   *
   * @throws {UnixSocketError} as `sendTo` does, and ETIMEDOUT
   */
  sendToSync(data: Pieces, to: AddressLike, options?: SyncOptions): void {
    const view = gatheredMessage(data);
    const deadline = checkDeadline(options);
    this.assertOpen("send", "sendto");
    const work = this.#destinations.sending(this, this.descriptor, view, to);
    sendBlocking(work, deadline);
  }

  /**
   * Sends one message with descriptors or credentials (sendmsg(2)), to the peer or to an address; see
   * `sendMessage` of the base class. To an address it waits in turn with {@linkcode sendTo}.
   *
   * @throws {UnixSocketError} as the base class and `sendTo` do
   */
  override async sendMessage(data: Pieces, options?: SendMessageToOptions): Promise<number> {
    if (options?.to === undefined) return await super.sendMessage(data, options);
    const view = gatheredMessage(data);
    const signal = checkSignal(options);
    const work = this.#sendingMessageTo(view, options.to, new Outgoing(options));
    const result = this.#destinations.attempt(work);
    if (result >= 0) await spendOrTurn();
    else if (result !== wouldBlock() || options.dontWait) throw work.fail(result);
    else await this.#destinations.wait(work, this.descriptor, signal, this.closing);
    return view.byteLength;
  }

  /**
   * {@linkcode sendMessage}, blocking the thread.
   *
   * @throws {UnixSocketError} as `sendMessage` does, and ETIMEDOUT
   */
  override sendMessageSync(data: Pieces, options?: SendMessageToSyncOptions): number {
    if (options?.to === undefined) return super.sendMessageSync(data, options);
    const view = gatheredMessage(data);
    const deadline = checkDeadline(options);
    const work = this.#sendingMessageTo(view, options.to, new Outgoing(options));
    sendBlocking(work, deadline);
    return view.byteLength;
  }

  /**
   * The next message, waiting while there is none (recvmsg(2)).
   *
   * @throws {UnixSocketError} ECONNRESET: the peer connected elsewhere. ESHUTDOWN: this socket has
   * ended its reading and nothing is left. EBADF: closed, also while this waited.
   */
  async receive(options?: ReceiveOptions): Promise<Message> {
    return this.#message(await this.receivePlain(options, false));
  }

  /**
   * {@linkcode receive}, blocking the thread.
   *
   * @throws {UnixSocketError} as `receive` does, and ETIMEDOUT
   */
  receiveSync(options?: ReceiveSyncOptions): Message {
    return this.#message(this.receivePlainSync(options, false));
  }

  /**
   * The next message with the descriptors and credentials that came along (recvmsg(2), MSG_CMSG_CLOEXEC),
   * waiting while there is none. Use it only where descriptors are wanted: {@linkcode receive}
   * never lets any in.
   *
   * The caller owns what it returns: take the descriptors, or close the message.
   *
   * @throws {UnixSocketError} as `receive` does
   */
  async receiveMessage(options?: ReceiveMessageOptions): Promise<ReceivedMessage> {
    return this.#message(await this.receiveAncillary(options));
  }

  /**
   * {@linkcode receiveMessage}, blocking the thread.
   *
   * @throws {UnixSocketError} as `receive` does, and ETIMEDOUT
   */
  receiveMessageSync(options?: ReceiveMessageSyncOptions): ReceivedMessage {
    return this.#message(this.receiveAncillarySync(options));
  }

  /** {@linkcode receive} without taking the message away (MSG_PEEK). */
  async peek(options?: ReceiveOptions): Promise<Message> {
    return this.#message(await this.receivePlain(options, true));
  }

  /** {@linkcode peek}, blocking the thread. */
  peekSync(options?: ReceiveSyncOptions): Message {
    return this.#message(this.receivePlainSync(options, true));
  }

  /**
   * The next message into a buffer of the caller's, without a copy (recvfrom(2)).
   *
   * @throws {UnixSocketError} as `receive` does
   */
  receiveInto(buffer: Bytes, options?: AsyncOptions): Promise<ReceivedInto> {
    // Not async, which would allocate a frame and one more promise.
    try {
      const view = asBytes(buffer, "a buffer to receive into");
      const signal = checkSignal(options);
      this.assertOpen("receive", "recvfrom");
      return this.descriptor.reading.run(receivingInto(this, this.descriptor, view), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * {@linkcode receiveInto}, blocking the thread.
   *
   * @throws {UnixSocketError} as `receive` does, and ETIMEDOUT
   */
  receiveIntoSync(buffer: Bytes, options?: SyncOptions): ReceivedInto {
    const view = asBytes(buffer, "a buffer to receive into");
    const deadline = checkDeadline(options);
    this.assertOpen("receive", "recvfrom");
    return this.descriptor.reading.runSync(receivingInto(this, this.descriptor, view), deadline);
  }

  /** The messages as a web stream. Cancelling it closes the socket. Always the same object. */
  get readable(): ReadableStream<Message> {
    return this.#readable ??= messagesOver(() => this.#messageOrEnd(), () => this.close());
  }

  /** A web stream each of whose chunks is sent to the peer as one message. */
  get writable(): WritableStream<Bytes> {
    return new WritableStream({ write: (chunk, { signal }) => this.send(chunk, { signal }) });
  }

  /** The messages, until the socket closes. Leaving the loop leaves it open. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Message, void, void> {
    for (;;) {
      const message = await this.#messageOrEnd();
      if (message === null) return;
      yield message;
    }
  }

  /** @ignore */
  protected override get endIsEmpty(): boolean {
    return false;
  }

  /** @ignore */
  protected override async runSend(
    work: Operation<void>,
    signal: AbortSignal | undefined,
    addressed: boolean,
  ): Promise<void> {
    if (!addressed) return await super.runSend(work, signal, addressed);
    const inLine = { ...work, key: BATCHES };
    await this.#destinations.wait(inLine, this.descriptor, signal, this.closing);
  }

  /** @ignore */
  protected override sendWaits(addressed: boolean): boolean {
    return addressed ? this.#destinations.waits(BATCHES) : super.sendWaits(addressed);
  }

  /** @ignore */
  protected override runSendSync(
    work: Operation<void>,
    deadline: number,
    addressed: boolean,
  ): void {
    if (addressed) sendBlocking(work, deadline);
    else super.runSendSync(work, deadline, addressed);
  }

  #sendingMessageTo(view: Uint8Array, to: AddressLike, outgoing: Outgoing): AddressedOperation {
    this.assertOpen("send", "sendmsg");
    const expected = view.byteLength;
    const work = this.#destinations.sendingBy("sendmsg", this, to, (sockaddr) => {
      if (view.byteLength !== expected) throw resized();
      return sendWhole(this.fd, view, outgoing, sockaddr);
    });
    return {
      ...work,
      beginWait: () => outgoing.duplicate(),
      endWait: () => outgoing.closeDuplicates(),
    };
  }

  #message<T extends Message>(message: T | null): T {
    if (message === null) throw ended("recvmsg");
    return message;
  }

  async #messageOrEnd(): Promise<Message | null> {
    try {
      return await this.receivePlain(undefined, false);
    } catch (error) {
      if (this.closed) return null;
      throw error;
    }
  }
}
