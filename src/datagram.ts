/**
 * Datagram sockets.
 * @module
 */

import { checked, errnoNumber, failure, native, sockets } from "../ffi/mod.ts";
import { type Address, type AddressLike, formatAddress, parseAddress, quote } from "./address.ts";
import { type AncillaryOptions, Outgoing } from "./message/ancillary.ts";
import type { SendBatch } from "./message/batch.ts";
import { iterateUntilClosed, messagesOver } from "./io/web_streams.ts";
import { Descriptor } from "./io/descriptor.ts";
import {
  type Destination,
  Destinations,
  SendingTo,
  sendMessageToNow,
  sendToNow,
} from "./message/destinations.ts";
import type { Fd } from "./fd/fd.ts";
import { gatheredMessage, type Pieces } from "./io/pieces.ts";
import { ignore, NOT_TRIED, type Operation } from "./io/operation.ts";
import type { OperationQueue } from "./io/operation_queue.ts";
import { type BindOptions, type Bound, createBound } from "./socket/listen.ts";
import { MessageSocket, type ReceiveOptions, type SendOptions } from "./message/message_socket.ts";
import type { Message } from "./message/message.ts";
import { type ReceiveMessageOptions, unresized } from "./message/message_operations.ts";
import {
  type ReceivedInto,
  receivedInto,
  receiveIntoNow,
  receivingInto,
  roomIn,
} from "./message/receive_into.ts";
import type { ReceivedMessage } from "./message/received_message.ts";
import { withPeerSockaddr } from "./socket/long_path.ts";
import { adoptSocket, createSocket, pairOf } from "./socket/socket.ts";
import { fulfilled } from "./io/reactor.ts";
import {
  asBytes,
  type Bytes,
  checkDeadline,
  checkSignal,
  type SignalOption,
  type TimeoutOption,
} from "./util/validate.ts";

/** Where a message goes. */
export interface ToOption {
  /** The receiver's address; without it, the peer. */
  to?: AddressLike | undefined;
}

/** The key of the queue in which batches with destinations of their own wait: no address has it. */
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
   * @throws {TypeError|RangeError} if an argument is invalid
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
    const fd = createSocket(type, () => ({ action: "Cannot create a datagram socket" }));
    return new UnixDatagram({ descriptor: new Descriptor(fd), localAddr: null });
  }

  /**
   * Two sockets that are connected to each other, both unnamed (socketpair(2)).
   *
   * @throws {UnixSocketError} EMFILE, ENFILE; nothing is left open then
   */
  static pair(): [UnixDatagram, UnixDatagram] {
    const type = native().abi.constants.SOCK_DGRAM;
    return pairOf(
      type,
      (fd) => new UnixDatagram({ descriptor: new Descriptor(fd), localAddr: null }),
    );
  }

  /**
   * Takes over a descriptor that is a datagram socket. It becomes non-blocking, also for others
   * that share it, and close-on-exec.
   *
   * @throws {RangeError} if `fd` is not a descriptor number
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
    const result = parsed.raw.kind === "unnamed"
      ? -errnoNumber("EINVAL")
      : withPeerSockaddr(parsed.raw, (packed) => sockets.connect(this.fd, packed));
    if (result < 0) {
      throw failure(result, {
        action: `Cannot connect to ${quote(parsed.address)}`,
        syscall: "connect",
        address: formatAddress(parsed.address),
      });
    }
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
  sendTo(data: Pieces, to: AddressLike, options?: SendOptions & SignalOption): Promise<void> {
    try {
      const view = gatheredMessage(data);
      const signal = checkSignal(options);
      this.assertOpen("send", "sendto");
      const destination = this.#destinations.find(to);
      const result = this.descriptor.retries(destination)
        ? NOT_TRIED
        : sendToNow(this.fd, view, destination);
      if (result >= 0) return fulfilled(undefined);
      const sending = this.#sendingTo(view, destination);
      const queue = this.descriptor.retrying(destination.key);
      return queue.goOn(result, sending, signal, options?.dontWait);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * {@linkcode sendTo}, blocking the thread. Messages to the same address that wait are sent first.
   *
   * @throws {UnixSocketError} as `sendTo` does, and ETIMEDOUT
   */
  sendToSync(data: Pieces, to: AddressLike, options?: TimeoutOption): void {
    const view = gatheredMessage(data);
    const deadline = checkDeadline(options);
    this.assertOpen("send", "sendto");
    const destination = this.#destinations.find(to);
    const result = this.descriptor.retries(destination)
      ? NOT_TRIED
      : sendToNow(this.fd, view, destination);
    if (result >= 0) return;
    const sending = this.#sendingTo(view, destination);
    this.descriptor.retrying(destination.key).goOnSync(result, sending, deadline);
  }

  /**
   * Sends one message with descriptors or credentials (sendmsg(2)), to the peer or to an address; see
   * `sendMessage` of the base class. To an address it waits in turn with {@linkcode sendTo}.
   *
   * @throws {UnixSocketError} as the base class and `sendTo` do
   */
  override sendMessage(
    data: Pieces,
    options?: SendOptions & AncillaryOptions & ToOption & SignalOption,
  ): Promise<number> {
    if (options?.to === undefined) return super.sendMessage(data, options);
    try {
      const view = gatheredMessage(data);
      const signal = checkSignal(options);
      const outgoing = new Outgoing(options);
      this.assertOpen("send", "sendmsg");
      const destination = this.#destinations.find(options.to);
      const result = this.descriptor.retries(destination)
        ? NOT_TRIED
        : sendMessageToNow(this.fd, view, destination, outgoing);
      if (result >= 0) return fulfilled(result);
      const sending = this.#sendingMessageTo(view, destination, outgoing);
      const queue = this.descriptor.retrying(destination.key);
      return queue.goOn(result, sending, signal, options.dontWait);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * {@linkcode sendMessage}, blocking the thread.
   *
   * @throws {UnixSocketError} as `sendMessage` does, and ETIMEDOUT
   */
  override sendMessageSync(
    data: Pieces,
    options?: AncillaryOptions & ToOption & TimeoutOption,
  ): number {
    if (options?.to === undefined) return super.sendMessageSync(data, options);
    const view = gatheredMessage(data);
    const deadline = checkDeadline(options);
    const outgoing = new Outgoing(options);
    this.assertOpen("send", "sendmsg");
    const destination = this.#destinations.find(options.to);
    const result = this.descriptor.retries(destination)
      ? NOT_TRIED
      : sendMessageToNow(this.fd, view, destination, outgoing);
    if (result >= 0) return result;
    const sending = this.#sendingMessageTo(view, destination, outgoing);
    return this.descriptor.retrying(destination.key).goOnSync(result, sending, deadline);
  }

  /**
   * The next message, waiting while there is none (recvmsg(2)).
   *
   * @throws {UnixSocketError} ECONNRESET: the peer connected elsewhere. ESHUTDOWN: this socket has
   * ended its reading and nothing is left. EBADF: closed, also while this waited.
   */
  receive(options?: ReceiveOptions & SignalOption): Promise<Message> {
    // Never null: the end of a datagram socket is the error ESHUTDOWN.
    return this.receivePlain(options, false) as Promise<Message>;
  }

  /**
   * {@linkcode receive}, blocking the thread.
   *
   * @throws {UnixSocketError} as `receive` does, and ETIMEDOUT
   */
  receiveSync(options?: ReceiveOptions & TimeoutOption): Message {
    return this.receivePlainSync(options, false)!;
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
  receiveMessage(options?: ReceiveMessageOptions & SignalOption): Promise<ReceivedMessage> {
    return this.receiveAncillary(options) as Promise<ReceivedMessage>;
  }

  /**
   * {@linkcode receiveMessage}, blocking the thread.
   *
   * @throws {UnixSocketError} as `receive` does, and ETIMEDOUT
   */
  receiveMessageSync(options?: ReceiveMessageOptions & TimeoutOption): ReceivedMessage {
    return this.receiveAncillarySync(options)!;
  }

  /** {@linkcode receive} without taking the message away (MSG_PEEK). */
  peek(options?: ReceiveOptions & SignalOption): Promise<Message> {
    return this.receivePlain(options, true) as Promise<Message>;
  }

  /** {@linkcode peek}, blocking the thread. */
  peekSync(options?: ReceiveOptions & TimeoutOption): Message {
    return this.receivePlainSync(options, true)!;
  }

  /**
   * The next message into a buffer of the caller's, without a copy (recvfrom(2)).
   *
   * @throws {UnixSocketError} as `receive` does
   */
  receiveInto(buffer: Bytes, options?: SignalOption): Promise<ReceivedInto> {
    try {
      const view = asBytes(buffer, "a buffer to receive into");
      const signal = checkSignal(options);
      this.assertOpen("receive", "recvfrom");
      const room = roomIn(view);
      const queue = this.descriptor.reading;
      const length = queue.mayTry() ? receiveIntoNow(this.fd, view, room) : NOT_TRIED;
      if (length >= 0) return Promise.resolve(receivedInto(length, room));
      return queue.goOn(length, receivingInto(this, this.descriptor, view), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * {@linkcode receiveInto}, blocking the thread.
   *
   * @throws {UnixSocketError} as `receive` does, and ETIMEDOUT
   */
  receiveIntoSync(buffer: Bytes, options?: TimeoutOption): ReceivedInto {
    const view = asBytes(buffer, "a buffer to receive into");
    const deadline = checkDeadline(options);
    this.assertOpen("receive", "recvfrom");
    const room = roomIn(view);
    const queue = this.descriptor.reading;
    const length = queue.idle ? receiveIntoNow(this.fd, view, room) : NOT_TRIED;
    if (length >= 0) return receivedInto(length, room);
    return queue.goOnSync(length, receivingInto(this, this.descriptor, view), deadline);
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
  [Symbol.asyncIterator](): AsyncGenerator<Message, void, void> {
    return iterateUntilClosed(this, () => this.#messageOrEnd());
  }

  /** @ignore */
  protected override get endIsEmpty(): boolean {
    return false;
  }

  /** @ignore */
  protected override batchQueue(batch: SendBatch): OperationQueue {
    return batch.addressed ? this.descriptor.retrying(BATCHES) : super.batchQueue(batch);
  }

  #sendingTo(view: Uint8Array, to: Destination): Operation<void> {
    const length = view.byteLength;
    return new SendingTo(this, to, () => sendToNow(this.fd, unresized(view, length), to), ignore);
  }

  #sendingMessageTo(view: Uint8Array, to: Destination, outgoing: Outgoing): Operation {
    const length = view.byteLength;
    const attempt = () => sendMessageToNow(this.fd, unresized(view, length), to, outgoing);
    return new SendingTo(this, to, attempt, () => length, outgoing);
  }

  /** The next message; null once this socket is closed or has ended its reading. */
  async #messageOrEnd(): Promise<Message | null> {
    try {
      return await this.receive();
    } catch (error) {
      if (this.closed || (error as { code?: string }).code === "ESHUTDOWN") return null;
      throw error;
    }
  }
}
