/**
 * Reads and writes of bytes through the two queues of a descriptor, waiting or blocking. Streams and
 * plain descriptors differ only in their system calls.
 * @module
 */

import { errnoNumber, failure, file, refusal, sockets } from "../../ffi/mod.ts";
import type { ByteCalls } from "./byte_calls.ts";
import type { Descriptor } from "./descriptor.ts";
import { DONE, NOT_TRIED, Operation, SingleCall, YIELD } from "./operation.ts";
import { gatheredParts, type Part, type Pieces } from "./pieces.ts";
import {
  asBytes,
  type Bytes,
  checkDeadline,
  checkSignal,
  type SignalOption,
  type TimeoutOption,
} from "../util/validate.ts";

const READING = "Cannot read";
const WRITING = "Cannot write";

const READ_TARGET = "a buffer to read into";
const WRITE_SOURCE = "data to write";

/** The maximum number of calls that one write of everything makes in a turn. */
const MAX_WRITES = 16;

/** Reads and writes of one descriptor. `owner` is the public object whose methods these are. */
export class ByteTransfer {
  /** How many bytes were read so far, peeks not counted. */
  bytesRead = 0;
  /** How many bytes the kernel took so far. */
  bytesWritten = 0;
  readonly owner: object;
  readonly descriptor: Descriptor;
  readonly calls: ByteCalls;

  constructor(owner: object, descriptor: Descriptor, calls: ByteCalls) {
    this.owner = owner;
    this.descriptor = descriptor;
    this.calls = calls;
  }

  // The waiting methods are no async functions, which would allocate a frame and one more promise.

  read(buffer: Bytes, options: SignalOption | undefined, peek = false): Promise<number | null> {
    try {
      const view = asBytes(buffer, READ_TARGET);
      const signal = checkSignal(options);
      assertOpen(this.descriptor, READING, this.calls.readName);
      const queue = this.descriptor.reading;
      if (view.byteLength === 0) {
        if (this.calls.peek === undefined) return Promise.resolve(0);
        return queue.run(this.#lookingForData(), signal);
      }
      const count = queue.mayTry() ? this.readNow(view, view.byteLength, peek) : NOT_TRIED;
      if (count >= 0) return Promise.resolve(nullAtEnd(count));
      return queue.goOn(count, this.#reading(view, peek), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  readSync(buffer: Bytes, options: TimeoutOption | undefined, peek = false): number | null {
    const view = asBytes(buffer, READ_TARGET);
    const deadline = checkDeadline(options);
    assertOpen(this.descriptor, READING, this.calls.readName);
    const queue = this.descriptor.reading;
    if (view.byteLength === 0) {
      if (this.calls.peek === undefined) return 0;
      return queue.runSync(this.#lookingForData(), deadline);
    }
    const count = queue.idle ? this.readNow(view, view.byteLength, peek) : NOT_TRIED;
    if (count >= 0) return nullAtEnd(count);
    return queue.goOnSync(count, this.#reading(view, peek), deadline);
  }

  write(data: Bytes, options: SignalOption | undefined): Promise<number> {
    try {
      const view = asBytes(data, WRITE_SOURCE);
      const signal = checkSignal(options);
      assertOpen(this.descriptor, WRITING, this.calls.writeName);
      const queue = this.descriptor.writing;
      const count = queue.mayTry() ? this.writeNow(view, view.byteLength) : NOT_TRIED;
      if (count >= 0) return Promise.resolve(count);
      return queue.goOn(count, this.#writing(view), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  writeSync(data: Bytes, options: TimeoutOption | undefined): number {
    const view = asBytes(data, WRITE_SOURCE);
    const deadline = checkDeadline(options);
    assertOpen(this.descriptor, WRITING, this.calls.writeName);
    const queue = this.descriptor.writing;
    const count = queue.idle ? this.writeNow(view, view.byteLength) : NOT_TRIED;
    return count >= 0 ? count : queue.goOnSync(count, this.#writing(view), deadline);
  }

  writeAll(data: Pieces, options: SignalOption | undefined): Promise<void> {
    try {
      const parts = partsOf(data);
      const signal = checkSignal(options);
      assertOpen(this.descriptor, WRITING, this.calls.writeName);
      const queue = this.descriptor.writing;
      if (!ArrayBuffer.isView(parts)) return queue.run(new WritingAll(this, parts), signal);
      const length = parts.byteLength;
      const count = queue.mayTry() ? this.writeNow(parts, length) : NOT_TRIED;
      if (count === length) return DONE;
      const rest = new WritingAll(this, [{ view: parts, length }], Math.max(count, 0));
      return queue.goOn(count < 0 ? count : rest.attempt(), rest, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  writeAllSync(data: Pieces, options: TimeoutOption | undefined): void {
    const parts = partsOf(data);
    const deadline = checkDeadline(options);
    assertOpen(this.descriptor, WRITING, this.calls.writeName);
    const queue = this.descriptor.writing;
    if (!ArrayBuffer.isView(parts)) return queue.runSync(new WritingAll(this, parts), deadline);
    const length = parts.byteLength;
    const count = queue.idle ? this.writeNow(parts, length) : NOT_TRIED;
    if (count === length) return;
    const rest = new WritingAll(this, [{ view: parts, length }], Math.max(count, 0));
    queue.goOnSync(count < 0 ? count : rest.attempt(), rest, deadline);
  }

  /** One attempt to read: the number of bytes, or a negated errno. */
  readNow(view: Uint8Array, length: number, peek: boolean): number {
    const { calls, descriptor: { fd } } = this;
    const most = Math.min(length, sockets.MAX_BYTES);
    if (peek) return calls.peek!(fd, view, most);
    const count = calls.read(fd, view, most);
    if (count > 0) this.bytesRead += count;
    return count;
  }

  /** One attempt to write: the number of bytes that the kernel took, or a negated errno. */
  writeNow(view: Uint8Array, length: number): number {
    const count = this.calls.write(this.descriptor.fd, view, Math.min(length, sockets.MAX_BYTES));
    if (count > 0) this.bytesWritten += count;
    return count;
  }

  #reading(view: Uint8Array, peek: boolean): Operation<number | null> {
    const length = view.byteLength;
    const attempt = () => this.readNow(unchanged(view, length, "read"), length, peek);
    return new SingleCall(this, READING, this.calls.readName, attempt, nullAtEnd);
  }

  /** A read into an empty buffer, which waits for a byte or the end, and takes nothing. */
  #lookingForData(): Operation<0 | null> {
    const attempt = () => {
      // A peek at a byte would move the peek offset.
      if (file.bytesReadable(this.descriptor.fd) > 0) return 1;
      return this.readNow(new Uint8Array(1), 1, true);
    };
    const outcome = (count: number) => count === 0 ? null : 0;
    return new SingleCall(this, READING, this.calls.readName, attempt, outcome);
  }

  /** A write of as much as fits, which waits while nothing does. */
  #writing(view: Uint8Array): Operation {
    const length = view.byteLength;
    const attempt = () => this.writeNow(unchanged(view, length, "write"), length);
    return new SingleCall(this, WRITING, this.calls.writeName, attempt, (count) => count);
  }
}

function nullAtEnd(count: number): number | null {
  return count === 0 ? null : count;
}

/** The view of an operation that waited; throws if its buffer was taken away meanwhile. */
export function unchanged(view: Uint8Array, length: number, what: string): Uint8Array {
  if (view.byteLength >= length) return view;
  throw new TypeError(`Cannot ${what}: its buffer was detached or shrunk while it waited`);
}

/** The data in one view; in parts if they came in several pieces, and none if there is not a byte. */
function partsOf(data: Pieces): Uint8Array | readonly Part[] {
  if (Array.isArray(data)) return gatheredParts(data, WRITE_SOURCE);
  const view = asBytes(data, WRITE_SOURCE);
  return view.byteLength === 0 ? [] : view;
}

/** A write of everything, which keeps its place in the queue until the last byte. */
export class WritingAll<T = void> extends Operation<T> {
  protected readonly transfer: ByteTransfer;
  readonly #parts: readonly Part[];
  /** The part that is being written, how many of its bytes are written, and how many of all. */
  #index = 0;
  #within: number;
  #written: number;

  /** `written`: how many bytes of the first part the kernel took already. */
  constructor(
    transfer: ByteTransfer,
    parts: readonly Part[],
    written = 0,
    action = WRITING,
    syscall = transfer.calls.writeName,
  ) {
    super(transfer, action, syscall);
    this.transfer = transfer;
    this.#parts = parts;
    this.#within = this.#written = written;
  }

  override progress(): number {
    return this.#written;
  }

  attempt(): number {
    for (let calls = 0; this.#index < this.#parts.length; calls++) {
      if (calls === MAX_WRITES) return YIELD;
      const { view, length } = this.#parts[this.#index]!;
      const within = this.#within;
      unchanged(view, length, "write");
      const count = this.writeSome(within === 0 ? view : view.subarray(within), length - within);
      if (count < 0) return count;
      this.#written += count;
      this.#within += count;
      if (this.#within === length) {
        this.#index++;
        this.#within = 0;
      }
    }
    return 0;
  }

  /** Makes one system call: the number of bytes that the kernel took, or a negated errno. */
  protected writeSome(view: Uint8Array, length: number): number {
    return this.transfer.writeNow(view, length);
  }

  outcome(_result: number): T {
    return undefined as T;
  }

  override fail(negated: number, detail?: string): Error {
    const late = negated === -errnoNumber("ETIMEDOUT");
    return failure(negated, {
      action: this.action,
      syscall: this.syscall,
      detail: late ? `after ${this.#written} bytes` : detail,
      bytesTransferred: this.#written,
    });
  }
}

/** Refuses to work on a closed descriptor. */
export function assertOpen(descriptor: Descriptor, action: string, syscall: string): void {
  if (!descriptor.closed) return;
  throw refusal("EBADF", { action, syscall, detail: "the descriptor is closed" });
}
