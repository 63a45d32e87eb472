/**
 * Stream sockets.
 * @module
 */

import { checked, errnoNumber, native, sockets } from "../ffi/mod.ts";
import type { Address, AddressLike } from "./address.ts";
import { type AncillaryOptions, Outgoing } from "./message/ancillary.ts";
import { streamCalls } from "./io/byte_calls.ts";
import { ByteTransfer } from "./io/byte_transfer.ts";
import { ChunkReader, iterateUntilClosed, readableOver, writableOver } from "./io/web_streams.ts";
import { connectAsync, connectBlocking, type Connected } from "./socket/connect.ts";
import { Descriptor } from "./io/descriptor.ts";
import type { Fd } from "./fd/fd.ts";
import { NOT_TRIED, type Operation } from "./io/operation.ts";
import { gathered, type Pieces } from "./io/pieces.ts";
import { type ReceiveMessageOptions, receiving } from "./message/message_operations.ts";
import type { ReceivedMessage } from "./message/received_message.ts";
import {
  checkStreamRoom,
  receiveOnStreamNow,
  sendFirstNow,
  SendingOnStream,
} from "./message/stream_message.ts";
import { adoptSocket, pairOf, Socket } from "./socket/socket.ts";
import {
  type Bytes,
  checkDeadline,
  checkInteger,
  checkSignal,
  type SignalOption,
  type TimeoutOption,
} from "./util/validate.ts";

/** Options of connecting. */
export interface ConnectOptions {
  /**
   * The address to bind to before connecting, for a server that wants to know its clients by name.
   * A path made this way is removed again when the socket closes.
   */
  from?: AddressLike | undefined;
}

let construct: (connected: Connected) => UnixStream;

/**
 * A connected stream socket (SOCK_STREAM): bytes in order, both ways, each way ended on its own.
 *
 * Reads and writes of one socket may overlap. Several reads, or several writes, that wait at the
 * same time are served in the order of their calls, each of them whole.
 *
 * @example Deno, Bun and Node.js
 * ```ts
 * import { UnixStream } from "@afunix/afunix";
 *
 * using stream = await UnixStream.connect("/run/echo.sock");
 * await stream.writeAll(new TextEncoder().encode("hello"));
 * stream.closeWrite();
 * for await (const chunk of stream) console.log(new TextDecoder().decode(chunk));
 * ```
 *
 * See unix(7), socket(2).
 */
export class UnixStream extends Socket {
  #remoteAddr: Address | null;
  readonly #transfer: ByteTransfer;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | null = null;
  #writable: WritableStream<Uint8Array> | null = null;
  #webStreamsFinished = 0;

  static {
    construct = ({ descriptor, localAddr, remoteAddr }) =>
      new UnixStream(descriptor, localAddr, remoteAddr);
  }

  private constructor(
    descriptor: Descriptor,
    localAddr: Address | null,
    remoteAddr: Address | null,
  ) {
    super(descriptor, localAddr);
    this.#remoteAddr = remoteAddr;
    this.#transfer = new ByteTransfer(this, descriptor, streamCalls(descriptor.shared));
  }

  /**
   * Connects to a listener (connect(2)). Where its backlog is full, tries again, first after 1 and
   * at last every 64 milliseconds.
   *
   * @param address where to; a path of any length on Linux
   * @param options `signal` gives up and leaves nothing open; `from` binds first
   * @throws {UnixSocketError} ENOENT: no such path. ECONNREFUSED: nobody listens there, or it is no
   * socket; on macOS a full backlog, too. EACCES: no write permission. EPROTOTYPE: a socket of another
   * type. EINVAL: an empty path, one with a NUL, or the unnamed address. ENAMETOOLONG, ENOTDIR, ELOOP,
   * EMFILE. EADDRINUSE: `from` is taken.
   * @throws {TypeError} if `address` is not an address
   */
  static async connect(
    address: AddressLike,
    options?: ConnectOptions & SignalOption,
  ): Promise<UnixStream> {
    const signal = checkSignal(options);
    const type = native().abi.constants.SOCK_STREAM;
    return construct(await connectAsync(address, options?.from, type, signal));
  }

  /**
   * {@linkcode connect}, blocking the thread.
   *
   * @throws {UnixSocketError} as `connect` does, and ETIMEDOUT
   */
  static connectSync(address: AddressLike, options?: ConnectOptions & TimeoutOption): UnixStream {
    const deadline = checkDeadline(options);
    const type = native().abi.constants.SOCK_STREAM;
    return construct(connectBlocking(address, options?.from, type, deadline));
  }

  /**
   * Two sockets that are connected to each other, both unnamed (socketpair(2)).
   *
   * @throws {UnixSocketError} EMFILE, ENFILE; nothing is left open then
   */
  static pair(): [UnixStream, UnixStream] {
    const type = native().abi.constants.SOCK_STREAM;
    return pairOf(type, (fd) => new UnixStream(new Descriptor(fd), null, null));
  }

  /**
   * Takes over a descriptor that is a stream socket: one that was inherited, received, or made
   * elsewhere. It becomes non-blocking, also for others that share it, and close-on-exec.
   *
   * @throws {RangeError} if `fd` is not a descriptor number
   * @throws {UnixSocketError} EBADF, ENOTSOCK, EPROTOTYPE: not a Unix stream socket, EINVAL: it
   * listens. The descriptor then stays the caller's.
   */
  static fromFd(fd: number | Fd): UnixStream {
    const type = native().abi.constants.SOCK_STREAM;
    const adopted = adoptSocket(fd, {
      type,
      what: "UnixStream",
      listening: false,
      listener: "UnixListener",
    });
    return new UnixStream(new Descriptor(adopted, true), null, null);
  }

  /**
   * The address of the peer (getpeername(2)): unnamed where it did not bind, as most clients.
   *
   * @throws {UnixSocketError} EBADF once closed, ENOTCONN; not if it was asked before
   */
  get remoteAddr(): Address {
    return this.#remoteAddr ??= this.readAddress("getpeername");
  }

  /** How many bytes were read so far, peeks not counted. */
  get bytesRead(): number {
    return this.#transfer.bytesRead;
  }

  /** How many bytes the kernel took so far; tells how far a write came that was aborted. */
  get bytesWritten(): number {
    return this.#transfer.bytesWritten;
  }

  /**
   * Reads what is there, at most the whole buffer, and waits while nothing is (recv(2)).
   *
   * An abort loses no byte. The buffer must not be detached or shrunk while the read waits.
   *
   * @returns the number of bytes, or null at the end; 0 only for an empty buffer, which waits for
   * data as any other
   * @throws {UnixSocketError} ECONNRESET: the peer closed without reading all that was sent to it
   * (once; null follows). EBADF: closed, also while this waited.
   */
  read(
    buffer: Bytes,
    options?: SignalOption,
  ): Promise<number | null> {
    return this.#transfer.read(buffer, options);
  }

  /**
   * {@linkcode read}, blocking the thread. Reads that already wait are served first.
   *
   * @throws {UnixSocketError} as `read` does, and ETIMEDOUT
   */
  readSync(buffer: Bytes, options?: TimeoutOption): number | null {
    return this.#transfer.readSync(buffer, options);
  }

  /**
   * {@linkcode read} without taking the bytes away: the next read gets them again (MSG_PEEK).
   *
   * @throws {UnixSocketError} as `read` does
   */
  peek(
    buffer: Bytes,
    options?: SignalOption,
  ): Promise<number | null> {
    return this.#transfer.read(buffer, options, true);
  }

  /**
   * {@linkcode peek}, blocking the thread.
   *
   * @throws {UnixSocketError} as `read` does, and ETIMEDOUT
   */
  peekSync(buffer: Bytes, options?: TimeoutOption): number | null {
    return this.#transfer.readSync(buffer, options, true);
  }

  /**
   * Writes as much as fits now, and waits while nothing does (send(2), MSG_NOSIGNAL).
   *
   * The data must stay as they are until the promise settles: they are not copied.
   *
   * @returns the number of bytes taken, perhaps fewer than there are
   * @throws {UnixSocketError} EPIPE: the peer closed or ended its reading, or this side its writing;
   * never a SIGPIPE. ECONNRESET. EBADF: closed, also while this waited. A write that already waits
   * is not told when the peer ends only its reading: it goes on waiting until the peer closes.
   */
  write(data: Bytes, options?: SignalOption): Promise<number> {
    return this.#transfer.write(data, options);
  }

  /**
   * {@linkcode write}, blocking the thread. Writes that already wait are finished first.
   *
   * @throws {UnixSocketError} as `write` does, and ETIMEDOUT
   */
  writeSync(data: Bytes, options?: TimeoutOption): number {
    return this.#transfer.writeSync(data, options);
  }

  /**
   * Writes everything. The bytes of writes that overlap never mix: each goes out whole.
   *
   * Several pieces go out one after another with few calls, as writev(2) would write them, however many
   * there are: small ones are copied together at once, large ones stay where they are, and must stay as
   * they are until the promise settles.
   *
   * After an abort a part may have been sent; {@linkcode bytesWritten} tells how much.
   *
   * @throws {UnixSocketError} as `write` does; `bytesTransferred` says how far it came
   *
   * @example A header and a body
   * ```ts
   * import { UnixStream } from "@afunix/afunix";
   *
   * using stream = await UnixStream.connect("/run/service.sock");
   * const body = new TextEncoder().encode("hello");
   * const header = new Uint32Array([body.length]);
   * await stream.writeAll([header, body]);
   * ```
   */
  writeAll(data: Pieces, options?: SignalOption): Promise<void> {
    return this.#transfer.writeAll(data, options);
  }

  /**
   * {@linkcode writeAll}, blocking the thread.
   *
   * @throws {UnixSocketError} as `write` does, and ETIMEDOUT; `bytesTransferred` says how far it came
   */
  writeAllSync(data: Pieces, options?: TimeoutOption): void {
    return this.#transfer.writeAllSync(data, options);
  }

  /**
   * Writes everything, with descriptors or credentials that go along with the first byte
   * (sendmsg(2)). It goes out whole, in turn with other writes. At least one byte has to carry
   * descriptors.
   *
   * The descriptors are duplicated if this has to wait, so that they may be closed as soon as the
   * call has returned. They leave with the first byte, and never twice: an abort or an error after
   * that (see `bytesTransferred`) does not call them back.
   *
   * @returns the number of bytes: all of them
   * @throws {RangeError|TypeError} descriptors without a byte, more than 253, or what is none
   * @throws {UnixSocketError} as `write` does, and: EBADF: a descriptor that is not open; nothing was
   * sent. EPERM: ids that this process may not claim, or a receiver that takes no descriptors. ESRCH:
   * no such process. EINVAL: a descriptor that cannot be sent, of io_uring. ETOOMANYREFS: too many are
   * under way, unread. EMFILE: no duplicate could be made.
   *
   * @example Give an open file to another process
   * ```ts
   * import { Fd, UnixStream } from "@afunix/afunix";
   *
   * using stream = await UnixStream.connect("/run/reader.sock");
   * using file = Fd.open("/etc/hostname");
   * await stream.sendMessage(new TextEncoder().encode("hostname\n"), { fds: [file] });
   * ```
   */
  sendMessage(data: Pieces, options?: AncillaryOptions & SignalOption): Promise<number> {
    try {
      const view = gathered(data, "a message");
      const signal = checkSignal(options);
      const outgoing = this.#outgoing(view, options);
      const queue = this.descriptor.writing;
      // Read before the attempt, which may run code of the caller's.
      const length = view.byteLength;
      if (length === 0) {
        return queue.run(new SendingOnStream(this.#transfer, view, 0, outgoing), signal);
      }
      const count = queue.mayTry() ? sendFirstNow(this.#transfer, view, outgoing) : NOT_TRIED;
      if (count === length) return Promise.resolve(count);
      const rest = new SendingOnStream(this.#transfer, view, length, outgoing, Math.max(count, 0));
      return queue.goOn(count < 0 ? count : rest.attempt(), rest, signal);
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
    const view = gathered(data, "a message");
    const deadline = checkDeadline(options);
    const outgoing = this.#outgoing(view, options);
    const queue = this.descriptor.writing;
    const length = view.byteLength;
    if (length === 0) {
      return queue.runSync(new SendingOnStream(this.#transfer, view, 0, outgoing), deadline);
    }
    const count = queue.idle ? sendFirstNow(this.#transfer, view, outgoing) : NOT_TRIED;
    if (count === length) return count;
    const rest = new SendingOnStream(this.#transfer, view, length, outgoing, Math.max(count, 0));
    return queue.goOnSync(count < 0 ? count : rest.attempt(), rest, deadline);
  }

  /**
   * Reads what is there, with the descriptors and credentials that came along (recvmsg(2),
   * MSG_CMSG_CLOEXEC), and waits while nothing is. Use it only where descriptors are wanted:
   * {@linkcode read} never lets any in.
   *
   * A stream has no messages: this returns bytes of one or of several writes. Descriptors come with
   * the first byte of the write that sent them, which need not be the first byte here, and no byte of
   * a later write comes with them. The caller owns what it returns: take the descriptors, or close
   * the message.
   *
   * @returns null at the end
   * @throws {UnixSocketError} as `read` does
   */
  receiveMessage(options?: ReceiveMessageOptions & SignalOption): Promise<ReceivedMessage | null> {
    try {
      const signal = checkSignal(options);
      const { size, maxFds } = checkStreamRoom(options);
      this.assertOpen("receive", "recvmsg");
      const queue = this.descriptor.reading;
      const message = queue.mayTry() ? receiveOnStreamNow(this.#transfer, size, maxFds) : NOT_TRIED;
      if (typeof message !== "number") return Promise.resolve(message);
      return queue.goOn(message, this.#receivingMessage(size, maxFds), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * {@linkcode receiveMessage}, blocking the thread.
   *
   * @throws {UnixSocketError} as `read` does, and ETIMEDOUT
   */
  receiveMessageSync(options?: ReceiveMessageOptions & TimeoutOption): ReceivedMessage | null {
    const deadline = checkDeadline(options);
    const { size, maxFds } = checkStreamRoom(options);
    this.assertOpen("receive", "recvmsg");
    const queue = this.descriptor.reading;
    const message = queue.idle ? receiveOnStreamNow(this.#transfer, size, maxFds) : NOT_TRIED;
    if (typeof message !== "number") return message;
    return queue.goOnSync(message, this.#receivingMessage(size, maxFds), deadline);
  }

  /**
   * Sends one urgent byte (MSG_OOB; Linux 5.15 and later, if built with it). It stands apart from
   * the bytes in order: reads stop before its place and go on behind it, and
   * {@linkcode takeOutOfBand} gets it. A second one that comes before the first was taken makes the
   * first an ordinary byte.
   *
   * @param byte from 0 to 255
   * @throws {UnixSocketError} ENOTSUP where the kernel cannot; EAGAIN when the peer does not read;
   * EPIPE, EBADF
   */
  sendOutOfBand(byte: number): void {
    const data = Uint8Array.of(checkInteger(byte, "an urgent byte", 0, 255));
    this.assertOpen("send out of band", "send");
    const { MSG_OOB, MSG_DONTWAIT } = native().abi.constants;
    const sent = sockets.send(this.fd, data, 1, MSG_OOB | MSG_DONTWAIT);
    checked(sent, { action: "Cannot send out of band", syscall: "send" });
  }

  /**
   * The urgent byte that has arrived, or null where there is none (recv(2), MSG_OOB). Never waits.
   *
   * @throws {UnixSocketError} ENOTSUP where the kernel cannot; EBADF
   */
  takeOutOfBand(): number | null {
    this.assertOpen("receive out of band", "recv");
    const byte = new Uint8Array(1);
    const { MSG_OOB, MSG_DONTWAIT } = native().abi.constants;
    const received = sockets.recv(this.fd, byte, 1, MSG_OOB | MSG_DONTWAIT);
    // Linux answers EINVAL, or EAGAIN, where none is there.
    if (received === -errnoNumber("EINVAL") || received === -errnoNumber("EAGAIN")) return null;
    checked(received, { action: "Cannot receive out of band", syscall: "recv" });
    return received === 0 ? null : byte[0]!;
  }

  /**
   * Ends this side's writing: the peer reads what is under way, and then the end. Reading goes on.
   * Writes that wait reject with EPIPE.
   *
   * @throws {UnixSocketError} EBADF once closed
   */
  closeWrite(): void {
    this.shutdown("write");
  }

  /**
   * What arrives as a web stream of bytes, also for BYOB readers. Cancelling it ends the reading.
   * When both this and {@linkcode writable} have ended, the socket closes. Always the same object.
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= readableOver(
      (view) => this.read(view),
      () => this.#shutdownIfOpen("read"),
      this.#webStreamFinished,
    );
  }

  /**
   * A web stream that writes. Closing or aborting it ends the writing. When both this and
   * {@linkcode readable} have ended, the socket closes. Always the same object.
   */
  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= writableOver(
      (chunk, signal) => this.writeAll(chunk, { signal }),
      () => this.#shutdownIfOpen("write"),
      () => this.#shutdownIfOpen("write"),
      this.#webStreamFinished,
    );
  }

  /**
   * The chunks that arrive, each a Uint8Array of its own. Ends at the end of the stream, and when
   * this socket is closed meanwhile. Leaving the loop leaves the socket open.
   *
   * @throws {UnixSocketError} as `read` does
   */
  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    const chunks = new ChunkReader((view) => this.read(view));
    return iterateUntilClosed(this, () => chunks.next());
  }

  /** The ancillary data of a message, which needs a byte to carry it. */
  #outgoing(view: Uint8Array, options: AncillaryOptions | undefined): Outgoing {
    const outgoing = new Outgoing(options);
    if (view.byteLength === 0 && outgoing.control !== null) {
      throw new RangeError("Cannot send descriptors or credentials on a stream without a byte");
    }
    this.assertOpen("send", "sendmsg");
    return outgoing;
  }

  #receivingMessage(size: number, maxFds: number): Operation<ReceivedMessage | null> {
    return receiving(this, () => receiveOnStreamNow(this.#transfer, size, maxFds));
  }

  #shutdownIfOpen(how: "read" | "write"): void {
    if (!this.closed) this.shutdown(how);
  }

  #webStreamFinished = (): void => {
    if (++this.#webStreamsFinished === 2) this.close();
  };
}

/** The stream over a connection that was accepted. */
export function acceptedStream(fd: number, localAddr: Address): UnixStream {
  return construct({ descriptor: new Descriptor(fd), localAddr, remoteAddr: null });
}
