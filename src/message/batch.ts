/**
 * Many messages by one system call, through memory that is laid out once.
 * @module
 */

import { cmsg, MessageBlock, native, refusal } from "../../ffi/mod.ts";
import { type Address, type AddressLike, formatAddress, parseAddress, quote } from "../address.ts";
import {
  type Ancillary,
  type AncillaryOptions,
  checkMaxFds,
  Outgoing,
  takeAncillary,
} from "./ancillary.ts";
import { gathered, type Pieces } from "../io/pieces.ts";
import { isEnd, messageAt, senderAt, timestampRoom } from "./message.ts";
import { ReceivedMessage } from "./received_message.ts";
import { maxPlainPath, packPlain } from "../socket/long_path.ts";
import { checkInteger, checkOptions, ifAbsent } from "../util/validate.ts";

/** How much room a batch has. */
export interface BatchOptions {
  /** The most messages, from 1 to 1,024; 64 without it. */
  messages?: number | undefined;
  /** Bytes of data for each message; 2,048 without it. */
  size?: number | undefined;
  /**
   * The most descriptors of one message, from 0 to 253. Without it a batch to send carries none,
   * and a batch to receive lets none in, nor credentials.
   */
  maxFds?: number | undefined;
}

const MAX_MESSAGES = 1024;
const DEFAULT_MESSAGES = 64;
const DEFAULT_MESSAGE_SIZE = 2048;

function makeBlock(options: BatchOptions | undefined, control: number) {
  checkOptions(options);
  const messages = checkInteger(
    ifAbsent(options?.messages, DEFAULT_MESSAGES),
    "a number of messages",
    1,
    MAX_MESSAGES,
  );
  const size = checkInteger(
    ifAbsent(options?.size, DEFAULT_MESSAGE_SIZE),
    "a message size",
    1,
    0x100_0000,
  );
  return { messages, size, block: new MessageBlock({ messages, data: messages * size, control }) };
}

/**
 * Messages to be sent together. Filled, sent, cleared and filled again, it allocates nothing.
 *
 * @example
 * ```ts
 * import { SendBatch, UnixDatagram } from "@afunix/afunix";
 *
 * using socket = UnixDatagram.unbound().connect("/run/statsd.sock");
 * const batch = new SendBatch();
 * for (const name of ["a", "b"]) batch.add(new TextEncoder().encode(`${name}:1|c`));
 * const { sent, error } = await socket.sendMany(batch);
 * console.log(sent, error);
 * ```
 */
export class SendBatch implements Disposable {
  /** @ignore */
  readonly block: MessageBlock;
  /** How many messages it can hold. */
  readonly capacity: number;
  readonly #dataCapacity: number;
  #count = 0;
  #used = 0;
  #addressed = false;
  readonly #maxFds: number;
  #outgoing: Outgoing[] = [];
  /** How many calls are sending it now. */
  #sendings = 0;
  #disposed = false;

  /** Lays out the memory: `messages` times `size` bytes, shared by all messages. */
  constructor(options?: BatchOptions) {
    checkOptions(options);
    this.#maxFds = checkMaxFds(ifAbsent(options?.maxFds, 0));
    const control = cmsg.sendingRoom(native().abi, this.#maxFds);
    const { messages, size, block } = makeBlock(options, control);
    this.block = block;
    this.capacity = messages;
    this.#dataCapacity = messages * size;
  }

  /** How many messages it holds. */
  get count(): number {
    return this.#count;
  }

  /** Whether any message has a destination of its own. */
  get addressed(): boolean {
    return this.#addressed;
  }

  /**
   * Copies a message into the batch.
   *
   * @param to where it goes; without it, to the socket's peer. A path has to fit into a
   * sockaddr_un here (107 bytes).
   * @param along descriptors, of which the batch keeps duplicates until it is cleared, and
   * credentials
   * @returns false, and the batch unchanged, where the messages or the bytes are full
   * @throws {RangeError} for a message larger than the whole batch, or more descriptors than `maxFds`
   * @throws {TypeError} while the batch is being sent
   * @throws {UnixSocketError} EBADF: a descriptor that is not open. EMFILE
   */
  add(data: Pieces, to?: AddressLike, along?: Omit<AncillaryOptions, "transfer">): boolean {
    this.#assertIdle();
    const bytes = gathered(data, "a message");
    if (bytes.length > this.#dataCapacity) {
      throw new RangeError(
        `Cannot add a message of ${bytes.length} bytes: the batch holds ${this.#dataCapacity}`,
      );
    }
    const packed = to === undefined ? null : packDestination(to);
    const outgoing = along === undefined ? null : this.#outgoingOf(along);
    if (this.#count === this.capacity) return false;
    if (this.#used + bytes.length > this.#dataCapacity) return false;
    outgoing?.duplicate();
    this.block.data.set(bytes, this.#used);
    this.block.describe(this.#count, this.#used, bytes.length, packed, outgoing?.control ?? null);
    if (outgoing !== null) this.#outgoing.push(outgoing);
    this.#count++;
    this.#used += bytes.length;
    if (packed !== null) this.#addressed = true;
    return true;
  }

  /**
   * Empties the batch, and closes its duplicates of descriptors.
   *
   * @throws {TypeError} while the batch is being sent
   */
  clear(): void {
    this.#assertIdle();
    for (const outgoing of this.#outgoing) outgoing.closeDuplicates();
    this.#outgoing = [];
    this.#count = 0;
    this.#used = 0;
    this.#addressed = false;
  }

  /** Closes the batch's duplicates of descriptors, once it is no longer being sent. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    if (this.#sendings === 0) this.clear();
  }

  /**
   * Keeps the batch as it is until the matching {@linkcode endSending}.
   * @ignore
   */
  beginSending(): void {
    this.#sendings++;
  }

  /** @ignore */
  endSending(): void {
    if (--this.#sendings === 0 && this.#disposed) this.clear();
  }

  #assertIdle(): void {
    if (this.#sendings > 0) throw new TypeError("Cannot change a batch that is being sent");
  }

  #outgoingOf(along: AncillaryOptions): Outgoing {
    const { fds, credentials } = along;
    if (along.transfer) {
      throw new TypeError("Cannot transfer descriptors to a batch: it keeps duplicates");
    }
    const outgoing = new Outgoing({ fds, credentials });
    if (outgoing.count <= this.#maxFds) return outgoing;
    throw new RangeError(
      `Cannot add a message with ${outgoing.count} descriptors: the batch was made with maxFds ` +
        `${this.#maxFds}`,
    );
  }
}

/** The sockaddr of a destination, which has to fit as it is. */
function packDestination(to: AddressLike): Uint8Array {
  const { address, raw } = parseAddress(to, "connect");
  const refuse = (code: string, detail: string) =>
    refusal(code, {
      action: `Cannot send to ${quote(address)}`,
      syscall: "sendto",
      address: formatAddress(address),
      detail,
    });
  if (raw.kind === "unnamed") throw refuse("EINVAL", "it has no name to send to");
  const packed = packPlain(raw);
  if (packed === null) throw refuse("ENAMETOOLONG", `at most ${maxPlainPath()} bytes fit here`);
  return packed;
}

/** What became of a batch. */
export interface BatchResult {
  /** How many messages left, from the first on. */
  sent: number;
  /**
   * What stopped the rest, or null where all left: a UnixSocketError for message number `sent`, or
   * the reason of the signal.
   */
  error: unknown;
}

/**
 * Room for messages that are received together, used again for each call.
 *
 * @example
 * ```ts
 * import { ReceiveBatch, UnixDatagram } from "@afunix/afunix";
 *
 * using socket = UnixDatagram.bind("/run/statsd.sock");
 * const batch = new ReceiveBatch({ messages: 256, size: 1500 });
 * const count = await socket.receiveMany(batch);
 * for (let i = 0; i < count; i++) console.log(new TextDecoder().decode(batch.data(i)));
 * ```
 */
export class ReceiveBatch implements Iterable<ReceivedMessage>, Disposable {
  /** @ignore */
  readonly block: MessageBlock;
  /** How many messages it can hold. */
  readonly capacity: number;
  /** How many bytes of one message it can hold; more are cut off. */
  readonly size: number;
  readonly #maxFds: number | null;
  readonly #controlRoom: number;
  #receiving = false;
  #disposed = false;
  #count = 0;
  #ancillary: Ancillary[] = [];

  /** Lays out the memory: `messages` times `size` bytes, `size` for each message. */
  constructor(options?: BatchOptions) {
    checkOptions(options);
    this.#maxFds = options?.maxFds === undefined ? null : checkMaxFds(options.maxFds);
    this.#controlRoom = this.#maxFds === null ? timestampRoom() : cmsg.fullRoom(native().abi);
    const { messages, size, block } = makeBlock(options, this.#controlRoom);
    this.block = block;
    this.capacity = messages;
    this.size = size;
  }

  /** How many messages the last call received. */
  get count(): number {
    return this.#count;
  }

  /** The bytes of message `i`: a view of the batch's own memory, valid until the next call. */
  data(i: number): Uint8Array<ArrayBuffer> {
    this.#check(i);
    const start = this.block.dataStart(i);
    return this.block.data.subarray(start, start + Math.min(this.block.length(i), this.size));
  }

  /** How long message `i` really was. */
  length(i: number): number {
    this.#check(i);
    return this.block.length(i);
  }

  /** Whether message `i` was longer than there was room for. */
  truncated(i: number): boolean {
    return this.length(i) > this.size;
  }

  /** Who sent message `i`. */
  from(i: number): Address {
    this.#check(i);
    return senderAt(this.block, i);
  }

  /**
   * What came along with message `i`. The descriptors are the batch's until they are taken out of
   * the array: the next call to receive closes the others.
   */
  ancillary(i: number): Ancillary {
    this.#check(i);
    return this.#ancillary[i] ?? noAncillary();
  }

  /** The messages, each copied out of the batch, with what came along, once. */
  *[Symbol.iterator](): IterableIterator<ReceivedMessage> {
    for (let i = 0; i < this.#count; i++) {
      const message = messageAt(this.block, i, this.block.length(i), this.size);
      const ancillary = this.ancillary(i);
      const own = { ...ancillary, fds: ancillary.fds.splice(0) };
      ancillary.pidfd = null;
      yield new ReceivedMessage(message, own);
    }
  }

  /**
   * Reserves the batch until the matching {@linkcode endReceiving}.
   * @ignore
   */
  beginReceiving(): void {
    if (this.#receiving) throw new TypeError("Cannot receive into a batch that is receiving");
    this.#receiving = true;
  }

  /** @ignore */
  endReceiving(): void {
    this.#receiving = false;
    if (this.#disposed) this.clear();
  }

  /** Closes the descriptors that came and were not taken, and forgets the messages. */
  clear(): void {
    for (const { fds, pidfd } of this.#ancillary) {
      for (const fd of fds) fd.close();
      pidfd?.close();
    }
    this.#ancillary = [];
    this.#count = 0;
  }

  /** Closes the descriptors that came and were not taken, or that a pending call still receives. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.clear();
  }

  /**
   * Receives what is there; how many messages, 0 at the end, or a negated errno.
   * @ignore
   */
  fill(fd: number, endIsEmpty: boolean): number {
    this.clear();
    const controlRoom = this.#maxFds !== null || endIsEmpty ? this.#controlRoom : 0;
    let count = this.block.receiveMany(fd, this.capacity, controlRoom);
    if (count <= 0) return count;
    // At the end the kernel fills every place with the same nothing.
    while (endIsEmpty && count > 0 && isEnd(this.block, count - 1, this.block.length(count - 1))) {
      count--;
    }
    if (this.#maxFds !== null) {
      for (let i = 0; i < count; i++) {
        this.#ancillary.push(takeAncillary(this.block, i, this.#maxFds));
      }
    }
    return this.#count = count;
  }

  #check(i: number): void {
    checkInteger(i, "a message's index", 0, this.#count - 1);
  }
}

function noAncillary(): Ancillary {
  return {
    fds: [],
    credentials: null,
    pidfd: null,
    securityContext: null,
    controlTruncated: false,
  };
}

/** The messages of an array in batches as large as need be. */
export function batchesOf(messages: readonly Pieces[]): SendBatch {
  if (!Array.isArray(messages)) {
    throw new TypeError("Cannot send this: expected a SendBatch or an array of messages");
  }
  if (messages.length === 0) return new SendBatch({ messages: 1, size: 1 });
  const views = messages.map((message) => gathered(message, "a message"));
  const total = views.reduce((sum, view) => sum + view.length, 0);
  const batch = new SendBatch({
    messages: checkInteger(messages.length, "a number of messages", 1, MAX_MESSAGES),
    size: Math.max(1, Math.ceil(total / messages.length)),
  });
  for (const view of views) batch.add(view);
  return batch;
}
