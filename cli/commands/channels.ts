/**
 * The three types of socket as one thing that arrivals come from and data go to.
 * @module
 */

import {
  type Address,
  type AncillaryOptions,
  type Credentials,
  type ListenOptions,
  type Message,
  type ReceivedMessage,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import type { SocketType } from "../arguments.ts";

/** Bytes of a stream, or a message. */
export type Arrival = Pick<Message, "data" | "from" | "length" | "truncated">;

const UNNAMED: Address = { kind: "unnamed" };
const CHUNK = 65536;

/** A socket that is ready to talk. */
export interface Channel extends Disposable {
  /** Whether both directions have ended. */
  readonly hungUp: boolean;
  /** Whether there is a connection, which has an end. */
  readonly connected: boolean;
  /** Whether there is somebody to send to. */
  readonly answerable: boolean;
  /** The next bytes, or the next message; null at the end. The data of a stream are lent until the next call. */
  receive(): Promise<Arrival | null>;
  /** Bytes with what comes along; null at the end. */
  receiveWithDescriptors(): Promise<ReceivedMessage | null>;
  /** Sends bytes, or one message. */
  send(data: Uint8Array, along?: AncillaryOptions): Promise<void>;
  /** The most bytes of one message; null where there are no messages. */
  readonly longestMessage: number | null;
  /** Says that nothing more will be sent, where that can be said. */
  endSending(): void;
  /** Who is at the other end; null where the kernel does not know. */
  peer(): Credentials | null;
  close(): void;
}

/** What listens, or receives datagrams. */
export interface Service extends Disposable {
  readonly address: Address;
  /** The connections; for datagrams the one channel, again and again. */
  channels(): AsyncIterable<Channel>;
  close(): void;
}

class StreamChannel implements Channel {
  readonly connected = true;
  readonly answerable = true;
  readonly longestMessage = null;
  readonly #stream: UnixStream;
  readonly #buffer = new Uint8Array(new ArrayBuffer(CHUNK));

  constructor(stream: UnixStream) {
    this.#stream = stream;
  }

  get hungUp(): boolean {
    return this.#stream.hungUp;
  }

  async receive(): Promise<Arrival | null> {
    const length = await this.#stream.read(this.#buffer);
    if (length === null) return null;
    return { data: this.#buffer.subarray(0, length), from: UNNAMED, length, truncated: false };
  }

  receiveWithDescriptors(): Promise<ReceivedMessage | null> {
    return this.#stream.receiveMessage();
  }

  async send(data: Uint8Array, along?: AncillaryOptions): Promise<void> {
    if (along === undefined) await this.#stream.writeAll(data);
    else await this.#stream.sendMessage(data, along);
  }

  endSending(): void {
    this.#stream.closeWrite();
  }

  peer(): Credentials | null {
    return this.#stream.peerCredentials();
  }

  close(): void {
    this.#stream.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

class SeqpacketChannel implements Channel {
  readonly connected = true;
  readonly answerable = true;
  readonly #socket: UnixSeqpacket;

  constructor(socket: UnixSeqpacket) {
    this.#socket = socket;
  }

  get hungUp(): boolean {
    return this.#socket.hungUp;
  }

  get longestMessage(): number {
    return this.#socket.sendBufferSize;
  }

  receive(): Promise<Arrival | null> {
    return this.#socket.receive();
  }

  receiveWithDescriptors(): Promise<ReceivedMessage | null> {
    return this.#socket.receiveMessage();
  }

  async send(data: Uint8Array, along?: AncillaryOptions): Promise<void> {
    await this.#socket.sendMessage(data, along);
  }

  endSending(): void {
    this.#socket.closeWrite();
  }

  peer(): Credentials | null {
    return this.#socket.peerCredentials();
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A datagram socket that has a peer, or that answers whoever wrote last. */
class DatagramChannel implements Channel {
  readonly connected = false;
  readonly #socket: UnixDatagram;
  readonly #hasPeer: boolean;
  #lastSender: Address | null = null;
  readonly #wrote = Promise.withResolvers<void>();

  constructor(socket: UnixDatagram, hasPeer: boolean) {
    this.#socket = socket;
    this.#hasPeer = hasPeer;
  }

  get hungUp(): boolean {
    return this.#socket.hungUp;
  }

  get answerable(): boolean {
    return this.#hasPeer || this.#lastSender !== null;
  }

  get longestMessage(): number {
    return this.#socket.sendBufferSize;
  }

  async receive(): Promise<Arrival> {
    return this.#heard(await this.#socket.receive());
  }

  async receiveWithDescriptors(): Promise<ReceivedMessage> {
    return this.#heard(await this.#socket.receiveMessage());
  }

  async send(data: Uint8Array, along?: AncillaryOptions): Promise<void> {
    if (!this.#hasPeer) await this.#wrote.promise;
    await this.#socket.sendMessage(data, { ...along, to: this.#lastSender ?? undefined });
  }

  endSending(): void {
    // A datagram socket has no end to send.
  }

  peer(): null {
    return null;
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #heard<T extends Arrival>(message: T): T {
    if (!this.#hasPeer && message.from.kind !== "unnamed") {
      this.#lastSender = message.from;
      this.#wrote.resolve();
    }
    return message;
  }
}

/** Connects. A datagram socket gets an address, so that it can be answered. */
export async function connect(
  type: SocketType,
  address: Address,
  from: Address | undefined,
): Promise<Channel> {
  const options = from === undefined ? {} : { from };
  if (type === "stream") return new StreamChannel(await UnixStream.connect(address, options));
  if (type === "seqpacket") {
    return new SeqpacketChannel(await UnixSeqpacket.connect(address, options));
  }
  const socket = UnixDatagram.bind(from ?? UNNAMED);
  try {
    return new DatagramChannel(socket.connect(address), true);
  } catch (error) {
    socket.close();
    throw error;
  }
}

class ListenerService implements Service {
  readonly #listener: UnixListener | UnixSeqpacketListener;

  constructor(listener: UnixListener | UnixSeqpacketListener) {
    this.#listener = listener;
  }

  get address(): Address {
    return this.#listener.localAddr;
  }

  async *channels(): AsyncGenerator<Channel, void, void> {
    for await (const connection of this.#listener) {
      yield connection instanceof UnixStream
        ? new StreamChannel(connection)
        : new SeqpacketChannel(connection);
    }
  }

  close(): void {
    this.#listener.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

class DatagramService implements Service {
  readonly #socket: UnixDatagram;

  constructor(socket: UnixDatagram) {
    this.#socket = socket;
  }

  get address(): Address {
    return this.#socket.localAddr;
  }

  async *channels(): AsyncGenerator<Channel, void, void> {
    const channel = new DatagramChannel(this.#socket, false);
    for (;;) yield channel;
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Listens, or binds for datagrams. */
export function serve(
  type: SocketType,
  address: Address,
  options: Pick<ListenOptions, "mode" | "authorize">,
): Service {
  if (type === "stream") return new ListenerService(UnixListener.listen(address, options));
  if (type === "seqpacket") {
    return new ListenerService(UnixSeqpacketListener.listen(address, options));
  }
  return new DatagramService(UnixDatagram.bind(address, { mode: options.mode }));
}
