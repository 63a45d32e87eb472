/**
 * Moving bytes through the two lanes of a descriptor, waiting or blocking. Streams and plain
 * descriptors differ only in the system calls.
 * @module
 */

import { failure, file, refusal, sockets } from "../../ffi/mod.ts";
import {
  type ByteCalls,
  type ByteEnd,
  changed,
  type FirstPart,
  READING,
  reading,
  WRITING,
  writingAll,
  writingParts,
} from "./byte_operations.ts";
import type { Descriptor } from "./descriptor.ts";
import { gatheredParts, type Pieces } from "./pieces.ts";
import type { Operation } from "./operation_queue.ts";
import {
  asBytes,
  type AsyncOptions,
  checkDeadline,
  checkSignal,
  type SyncOptions,
} from "../util/validate.ts";

/** Memory to read into, or to write from. */
export type Bytes = ArrayBufferView | ArrayBuffer;

/** Reads and writes of one descriptor. `owner` is the public object whose methods these are. */
export class Transfers implements ByteEnd {
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

  read(buffer: Bytes, options: AsyncOptions | undefined, peek = false): Promise<number | null> {
    try {
      const view = asBytes(buffer, READ_TARGET);
      const signal = checkSignal(options);
      assertOpen(this.descriptor, READING, this.calls.readName);
      if (view.byteLength > 0) {
        return this.descriptor.reading.run(reading(this, view, peek), signal);
      }
      if (this.calls.peek === undefined) return Promise.resolve(0);
      return this.descriptor.reading.run(this.#lookingForData(), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  readSync(buffer: Bytes, options: SyncOptions | undefined, peek = false): number | null {
    const view = asBytes(buffer, READ_TARGET);
    const deadline = checkDeadline(options);
    assertOpen(this.descriptor, READING, this.calls.readName);
    if (view.byteLength > 0) {
      return this.descriptor.reading.runSync(reading(this, view, peek), deadline);
    }
    if (this.calls.peek === undefined) return 0;
    return this.descriptor.reading.runSync(this.#lookingForData(), deadline);
  }

  write(data: Bytes, options: AsyncOptions | undefined): Promise<number> {
    try {
      const view = asBytes(data, WRITE_SOURCE);
      const signal = checkSignal(options);
      assertOpen(this.descriptor, WRITING, this.calls.writeName);
      return this.descriptor.writing.run(this.#writing(view), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  writeSync(data: Bytes, options: SyncOptions | undefined): number {
    const view = asBytes(data, WRITE_SOURCE);
    const deadline = checkDeadline(options);
    assertOpen(this.descriptor, WRITING, this.calls.writeName);
    return this.descriptor.writing.runSync(this.#writing(view), deadline);
  }

  writeAll(data: Pieces, options: AsyncOptions | undefined): Promise<void> {
    try {
      const work = this.#writingAll(data);
      const signal = checkSignal(options);
      assertOpen(this.descriptor, WRITING, this.calls.writeName);
      return this.descriptor.writing.run(work, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  writeAllSync(data: Pieces, options: SyncOptions | undefined): void {
    const work = this.#writingAll(data);
    const deadline = checkDeadline(options);
    assertOpen(this.descriptor, WRITING, this.calls.writeName);
    this.descriptor.writing.runSync(work, deadline);
  }

  #writingAll(data: Pieces): Operation<void> {
    if (!Array.isArray(data)) return writingAll(this, asBytes(data, WRITE_SOURCE));
    return writingParts(this, gatheredParts(data, WRITE_SOURCE));
  }

  /** A write of all of it, whose first part goes another way. */
  writingFirst(view: Uint8Array, first: FirstPart): Operation<void> {
    assertOpen(this.descriptor, first.action, first.syscall);
    return writingAll(this, view, first);
  }

  /** A write of as much as fits now. */
  #writing(view: Uint8Array): Operation {
    const { descriptor } = this;
    const { writeName, write } = this.calls;
    const expected = view.byteLength;
    return {
      owner: this.owner,
      attempt: () => {
        if (view.byteLength < expected) throw changed("write");
        return write(descriptor.fd, view, Math.min(expected, sockets.MAX_BYTES));
      },
      outcome: (count) => {
        this.bytesWritten += count;
        return count;
      },
      fail: (negated, detail) => failure(negated, { action: WRITING, syscall: writeName, detail }),
    };
  }

  /** Waits until there is a byte, or the end. A peek at a byte would move the peek offset. */
  #lookingForData(): Operation<0 | null> {
    const { descriptor } = this;
    const peek = reading(this, new Uint8Array(1), true);
    return {
      owner: this.owner,
      attempt: () => file.bytesReadable(descriptor.fd) > 0 ? 1 : peek.attempt(),
      outcome: (count) => count === 0 ? null : 0,
      fail: (negated, detail) => peek.fail(negated, detail),
    };
  }
}

const READ_TARGET = "a buffer to read into";
const WRITE_SOURCE = "data to write";

/** Refuses to work on a closed descriptor. */
export function assertOpen(descriptor: Descriptor, action: string, syscall: string): void {
  if (!descriptor.closed) return;
  throw refusal("EBADF", { action, syscall, detail: "the descriptor is closed" });
}
