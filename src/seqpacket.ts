/**
 * Seqpacket sockets: connections that keep messages apart.
 * @module
 */

import { linuxConstants } from "../ffi/mod.ts";
import type { Address, AddressLike } from "./address.ts";
import { iterateUntilClosed, messagesOver, writableOver } from "./io/web_streams.ts";
import { connectAsync, connectBlocking, type Connected } from "./socket/connect.ts";
import { Descriptor } from "./io/descriptor.ts";
import type { Fd } from "./fd/fd.ts";
import {
  type AdoptListenerOptions,
  adoptListening,
  type Bound,
  createListening,
  Listener,
  type ListenOptions,
} from "./socket/listen.ts";
import { MessageSocket, type ReceiveOptions } from "./message/message_socket.ts";
import type { Message } from "./message/message.ts";
import type { ReceiveMessageOptions } from "./message/message_operations.ts";
import type { ReceivedMessage } from "./message/received_message.ts";
import { adoptSocket, pairOf } from "./socket/socket.ts";
import type { ConnectOptions } from "./stream.ts";
import {
  type Bytes,
  checkDeadline,
  checkSignal,
  type SignalOption,
  type TimeoutOption,
} from "./util/validate.ts";

const SEQPACKETS = "sockets of the type SOCK_SEQPACKET";

/** @throws {UnixSocketError} ENOTSUP on macOS, which has none */
function socketType(syscall: "socket" | "socketpair"): number {
  return linuxConstants(SEQPACKETS, syscall).SOCK_SEQPACKET;
}

let construct: (connected: Connected) => UnixSeqpacket;

/**
 * A connected seqpacket socket (SOCK_SEQPACKET, Linux): records in order, each received whole, and
 * an end.
 *
 * An empty record is a record: {@linkcode UnixSeqpacket.receive} resolves with no bytes for it, and
 * with null at the end. The kernel's answer is the same for both; the difference is made by a
 * timestamp that is asked for with each record (SO_TIMESTAMP), so a program that turns this
 * option off by other means cannot tell them apart. MSG_EOR has no meaning on Linux: each message
 * is one record.
 *
 * @example
 * ```ts
 * import { UnixSeqpacket } from "@afunix/afunix";
 *
 * using socket = await UnixSeqpacket.connect("/run/control.sock");
 * await socket.send(new TextEncoder().encode("status"));
 * const reply = await socket.receive();
 * if (reply !== null) console.log(new TextDecoder().decode(reply.data));
 * ```
 *
 * See unix(7), socket(2).
 */
export class UnixSeqpacket extends MessageSocket {
  #remoteAddr: Address | null;
  #readable: ReadableStream<Message> | null = null;
  #writable: WritableStream<Bytes> | null = null;
  #webStreamsFinished = 0;

  static {
    construct = (connected) => new UnixSeqpacket(connected);
  }

  private constructor({ descriptor, localAddr, remoteAddr }: Connected) {
    super(descriptor, localAddr);
    this.#remoteAddr = remoteAddr;
    const { SO_TIMESTAMP } = linuxConstants(SEQPACKETS, "setsockopt");
    this.setOption(SO_TIMESTAMP, 1, "marks of records");
  }

  /**
   * Connects to a listener (connect(2)); waits, tries again and fails as `UnixStream.connect` does.
   *
   * @throws {UnixSocketError} ENOENT, ECONNREFUSED, EACCES, EPROTOTYPE, EINVAL, ENAMETOOLONG, EMFILE,
   * ENOTSUP: macOS
   */
  static async connect(
    address: AddressLike,
    options?: ConnectOptions & SignalOption,
  ): Promise<UnixSeqpacket> {
    const signal = checkSignal(options);
    const type = socketType("socket");
    return construct(await connectAsync(address, options?.from, type, signal));
  }

  /**
   * {@linkcode connect}, blocking the thread.
   *
   * @throws {UnixSocketError} as `connect` does, and ETIMEDOUT
   */
  static connectSync(
    address: AddressLike,
    options?: ConnectOptions & TimeoutOption,
  ): UnixSeqpacket {
    const deadline = checkDeadline(options);
    const type = socketType("socket");
    return construct(connectBlocking(address, options?.from, type, deadline));
  }

  /**
   * Two sockets that are connected to each other, both unnamed (socketpair(2)).
   *
   * @throws {UnixSocketError} EMFILE, ENFILE; nothing is left open then. ENOTSUP: macOS
   */
  static pair(): [UnixSeqpacket, UnixSeqpacket] {
    return pairOf(
      socketType("socketpair"),
      (fd) => construct({ descriptor: new Descriptor(fd), localAddr: null, remoteAddr: null }),
    );
  }

  /**
   * Takes over a descriptor that is a seqpacket socket. It becomes non-blocking, also for others
   * that share it, and close-on-exec.
   *
   * @throws {RangeError} if `fd` is not a descriptor number
   * @throws {UnixSocketError} EBADF, ENOTSOCK, EPROTOTYPE, EINVAL: it listens. The descriptor then
   * stays the caller's.
   */
  static fromFd(fd: number | Fd): UnixSeqpacket {
    const type = socketType("socket");
    const adopted = adoptSocket(fd, {
      type,
      what: "UnixSeqpacket",
      listening: false,
      listener: "UnixSeqpacketListener",
    });
    const descriptor = new Descriptor(adopted, true);
    return construct({ descriptor, localAddr: null, remoteAddr: null });
  }

  /**
   * The address of the peer (getpeername(2)): unnamed where it did not bind, as most clients.
   *
   * @throws {UnixSocketError} EBADF once closed, ENOTCONN; not if it was asked before
   */
  get remoteAddr(): Address {
    return this.#remoteAddr ??= this.readAddress("getpeername");
  }

  /**
   * The next record, waiting while there is none (recvmsg(2)); null at the end.
   *
   * @throws {UnixSocketError} ECONNRESET: the peer closed without receiving all that was sent to it
   * (once; null follows). EBADF: closed, also while this waited.
   */
  receive(options?: ReceiveOptions & SignalOption): Promise<Message | null> {
    return this.receivePlain(options, false);
  }

  /**
   * {@linkcode receive}, blocking the thread.
   *
   * @throws {UnixSocketError} as `receive` does, and ETIMEDOUT
   */
  receiveSync(options?: ReceiveOptions & TimeoutOption): Message | null {
    return this.receivePlainSync(options, false);
  }

  /**
   * The next record with the descriptors and credentials that came along (recvmsg(2), MSG_CMSG_CLOEXEC),
   * waiting while there is none; null at
   * the end. Use it only where descriptors are wanted: {@linkcode receive}
   * never lets any in.
   *
   * The caller owns what it returns: take the descriptors, or close the message.
   *
   * @throws {UnixSocketError} as `receive` does
   */
  receiveMessage(options?: ReceiveMessageOptions & SignalOption): Promise<ReceivedMessage | null> {
    return this.receiveAncillary(options);
  }

  /**
   * {@linkcode receiveMessage}, blocking the thread.
   *
   * @throws {UnixSocketError} as `receive` does, and ETIMEDOUT
   */
  receiveMessageSync(options?: ReceiveMessageOptions & TimeoutOption): ReceivedMessage | null {
    return this.receiveAncillarySync(options);
  }

  /** {@linkcode receive} without taking the record away (MSG_PEEK). */
  peek(options?: ReceiveOptions & SignalOption): Promise<Message | null> {
    return this.receivePlain(options, true);
  }

  /** {@linkcode peek}, blocking the thread. */
  peekSync(options?: ReceiveOptions & TimeoutOption): Message | null {
    return this.receivePlainSync(options, true);
  }

  /**
   * Ends this side's sending: the peer receives what is under way, and then the end.
   *
   * @throws {UnixSocketError} EBADF once closed
   */
  closeWrite(): void {
    this.shutdown("write");
  }

  /**
   * The records as a web stream. Cancelling it ends the reading. When both this and
   * {@linkcode writable} have ended, the socket closes. Always the same object.
   */
  get readable(): ReadableStream<Message> {
    return this.#readable ??= messagesOver(
      () => this.receive(),
      () => this.#shutdownIfOpen("read"),
      this.#webStreamFinished,
    );
  }

  /**
   * A web stream each of whose chunks is sent as one record. Closing or aborting it ends the
   * sending. When both this and {@linkcode readable} have ended, the socket closes. Always the same
   * object.
   */
  get writable(): WritableStream<Bytes> {
    const end = () => this.#shutdownIfOpen("write");
    return this.#writable ??= writableOver<Bytes>(
      (chunk, signal) => this.send(chunk, { signal }),
      end,
      end,
      this.#webStreamFinished,
    );
  }

  /**
   * The records, until the end or until this socket closes. Leaving the loop leaves it open.
   *
   * @throws {UnixSocketError} as `receive` does
   */
  [Symbol.asyncIterator](): AsyncGenerator<Message, void, void> {
    return iterateUntilClosed(this, () => this.receive());
  }

  #shutdownIfOpen(how: "read" | "write"): void {
    if (!this.closed) this.shutdown(how);
  }

  #webStreamFinished = (): void => {
    if (++this.#webStreamsFinished === 2) this.close();
  };

  /** @ignore */
  protected override get endIsEmpty(): boolean {
    return true;
  }
}

function acceptedSeqpacket(fd: number, localAddr: Address): UnixSeqpacket {
  return construct({ descriptor: new Descriptor(fd), localAddr, remoteAddr: null });
}

/**
 * A socket that accepts seqpacket connections (Linux). Works as `UnixListener` does.
 *
 * @example
 * ```ts
 * import { UnixSeqpacketListener } from "@afunix/afunix";
 *
 * using listener = UnixSeqpacketListener.listen("/run/control.sock", { mode: 0o600 });
 * for await (const socket of listener) {
 *   const request = await socket.receive();
 *   if (request !== null) await socket.send(request.data);
 *   socket.close();
 * }
 * ```
 */
export class UnixSeqpacketListener extends Listener<UnixSeqpacket> {
  private constructor(bound: Bound) {
    super(bound, acceptedSeqpacket);
  }

  /**
   * Binds and listens (bind(2), listen(2)).
   *
   * @throws {UnixSocketError} as `UnixListener.listen` does
   * @throws {TypeError|RangeError} if an argument is invalid
   */
  static listen(address: AddressLike, options?: ListenOptions): UnixSeqpacketListener {
    const type = socketType("socket");
    return new UnixSeqpacketListener(createListening(type, address, options));
  }

  /**
   * Takes over a descriptor that listens. Its path is not removed on close.
   *
   * @throws {RangeError} if `fd` is not a descriptor number
   * @throws {UnixSocketError} EBADF, ENOTSOCK, EPROTOTYPE, EINVAL: it does not listen
   */
  static fromFd(fd: number | Fd, options?: AdoptListenerOptions): UnixSeqpacketListener {
    const type = socketType("socket");
    return new UnixSeqpacketListener(adoptListening(fd, type, "UnixSeqpacketListener", options));
  }
}
