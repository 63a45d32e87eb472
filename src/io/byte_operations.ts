/**
 * The reads and writes of bytes, as operations of a lane.
 * @module
 */

import { errnoNumber, failure, sockets } from "../../ffi/mod.ts";
import type { Descriptor } from "./descriptor.ts";
import { FreeList } from "./free_list.ts";
import type { Part } from "./pieces.ts";
import { type Operation, YIELD } from "./operation_queue.ts";

/** The system calls of one kind of descriptor. A result below zero is a negated errno. */
export interface ByteCalls {
  readonly readName: string;
  readonly writeName: string;
  read(fd: number, buffer: Uint8Array, length: number): number;
  write(fd: number, data: Uint8Array, length: number): number;
  /** Reads without taking away; absent where that cannot be done. */
  peek?(fd: number, buffer: Uint8Array, length: number): number;
}

/** What is read and written, and how far it has come. */
export interface ByteEnd {
  readonly descriptor: Descriptor;
  readonly calls: ByteCalls;
  bytesRead: number;
  bytesWritten: number;
}

/** A first part that goes another way than the rest of a write. */
export interface FirstPart {
  readonly action: string;
  readonly syscall: string;
  /** Sends as much as it likes of what there is; how many bytes, or a negated errno. */
  send(view: Uint8Array): number;
  /** Called before the first part waits. */
  duplicate(): void;
  /** Called when what waited is over. */
  closeDuplicates(): void;
}

export const READING = "Cannot read";
export const WRITING = "Cannot write";

/** The error of an operation whose buffer was taken away while it waited. */
export function changed(what: string): TypeError {
  return new TypeError(`Cannot ${what}: its buffer was detached or shrunk while it waited`);
}

/** How many calls one write of everything makes before it lets others have a turn. */
const MAX_WRITES = 16;

const reads = new FreeList(() => new Reading());
const writes = new FreeList(() => new WritingAll());
const NOTHING = new Uint8Array(0);
const NO_MORE: readonly Part[] = [];

/** A read of what is there, at most a whole view. */
export function reading(end: ByteEnd, view: Uint8Array, peek: boolean): Operation<number | null> {
  const work = reads.take();
  work.owner = end;
  work.view = view;
  work.expected = view.byteLength;
  work.peek = peek;
  return work;
}

/**
 * A write of all there is; keeps its place in the lane until the last byte. `first` sends the first
 * part, and is called until it has.
 */
export function writingAll(
  end: ByteEnd,
  view: Uint8Array,
  first: FirstPart | null = null,
): Operation<void> {
  return writing(end, view, NO_MORE, first);
}

/** A write of all parts, one after another, none of which is empty. */
export function writingParts(end: ByteEnd, parts: readonly Part[]): Operation<void> {
  return writing(end, NOTHING, parts, null);
}

function writing(
  end: ByteEnd,
  view: Uint8Array,
  more: readonly Part[],
  first: FirstPart | null,
): Operation<void> {
  const work = writes.take();
  work.owner = end;
  work.view = view;
  work.expected = view.byteLength;
  work.written = 0;
  work.before = 0;
  work.more = more;
  work.next = 0;
  work.first = first;
  return work;
}

class Reading implements Operation<number | null> {
  owner: ByteEnd | null = null;
  view: Uint8Array = NOTHING;
  expected = 0;
  peek = false;

  attempt(): number {
    const { view, expected } = this;
    const { descriptor, calls } = this.owner!;
    if (view.byteLength < expected) throw changed("read");
    const length = Math.min(expected, sockets.MAX_BYTES);
    return this.peek
      ? calls.peek!(descriptor.fd, view, length)
      : calls.read(descriptor.fd, view, length);
  }

  outcome(count: number): number | null {
    if (!this.peek) this.owner!.bytesRead += count;
    this.owner = null;
    this.view = NOTHING;
    reads.giveBack(this);
    return count === 0 ? null : count;
  }

  fail(negated: number, detail?: string): Error {
    return failure(negated, { action: READING, syscall: this.owner!.calls.readName, detail });
  }
}

class WritingAll implements Operation<void> {
  owner: ByteEnd | null = null;
  view: Uint8Array = NOTHING;
  expected = 0;
  /** How much of `view` is written, and how much was before it. */
  written = 0;
  before = 0;
  /** What follows, and which of it is next. */
  more: readonly Part[] = NO_MORE;
  next = 0;
  first: FirstPart | null = null;

  progress(): number {
    return this.before + this.written;
  }

  attempt(): number {
    for (let writes = 0; this.written < this.expected || this.#turnToNext(); writes++) {
      if (writes === MAX_WRITES) return YIELD;
      const result = this.#writePart();
      if (result < 0) return result;
      this.written += result;
      this.owner!.bytesWritten += result;
    }
    return 0;
  }

  outcome(): void {
    this.owner = null;
    this.view = NOTHING;
    this.more = NO_MORE;
    this.first = null;
    writes.giveBack(this);
  }

  beginWait(): void {
    if (this.written === 0) this.first?.duplicate();
  }

  endWait(): void {
    this.first?.closeDuplicates();
  }

  fail(negated: number, detail?: string): Error {
    const late = negated === -errnoNumber("ETIMEDOUT");
    return failure(negated, {
      action: this.first?.action ?? WRITING,
      syscall: this.first?.syscall ?? this.owner!.calls.writeName,
      detail: late ? `after ${this.progress()} bytes` : detail,
      bytesTransferred: this.progress(),
    });
  }

  #turnToNext(): boolean {
    const part = this.more[this.next];
    if (part === undefined) return false;
    this.next++;
    this.before += this.written;
    this.view = part.view;
    this.expected = part.length;
    this.written = 0;
    return true;
  }

  #writePart(): number {
    const { view, expected, written } = this;
    if (view.byteLength < expected) throw changed("write");
    if (written === 0 && this.first !== null) {
      return this.first.send(view.byteLength === expected ? view : view.subarray(0, expected));
    }
    const { descriptor, calls } = this.owner!;
    const rest = written === 0 ? view : view.subarray(written);
    return calls.write(descriptor.fd, rest, Math.min(expected - written, sockets.MAX_BYTES));
  }
}
