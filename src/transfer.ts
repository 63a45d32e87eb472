/**
 * Moving bytes through the two lanes of a descriptor, waiting or blocking. Streams and plain
 * descriptors differ only in the system calls.
 * @module
 */

import { failure, type FailureContext, file, refusal, sockets } from "../ffi/mod.ts";
import type { Descriptor } from "./descriptor.ts";
import { type Work, YIELD } from "./lane.ts";
import {
  asBytes,
  type AsyncOptions,
  checkDeadline,
  checkSignal,
  type SyncOptions,
} from "./validate.ts";

/** Memory to read into, or to write from. */
export type Bytes = ArrayBufferView | ArrayBuffer;

/** The system calls of one kind of descriptor. A result below zero is a negated errno. */
export interface ByteCalls {
  readonly readName: string;
  readonly writeName: string;
  read(fd: number, buffer: Uint8Array, length: number): number;
  write(fd: number, data: Uint8Array, length: number): number;
  /** Reads without taking away; absent where that cannot be done. */
  peek?(fd: number, buffer: Uint8Array, length: number): number;
}

/** A first part that goes another way than the rest of a write. */
export interface FirstPart {
  readonly action: string;
  readonly syscall: string;
  /** Sends as much as it likes of what there is; how many bytes, or a negated errno. */
  send(view: Uint8Array): number;
}

/** A write of everything. */
export interface WritingAll extends Work {
  progress(): number;
}

/** How many calls one write of everything makes before it lets others have a turn. */
const MOST_WRITES = 16;

/** Reads and writes of one descriptor. `owner` is the public object whose methods these are. */
export class Transfers {
  /** How many bytes were read so far, peeks not counted. */
  bytesRead = 0;
  /** How many bytes the kernel took so far. */
  bytesWritten = 0;
  readonly #owner: object;
  readonly #descriptor: Descriptor;
  readonly #calls: ByteCalls;

  constructor(owner: object, descriptor: Descriptor, calls: ByteCalls) {
    this.#owner = owner;
    this.#descriptor = descriptor;
    this.#calls = calls;
  }

  async read(buffer: Bytes, options: AsyncOptions | undefined): Promise<number | null> {
    const view = asBytes(buffer, READ_TARGET);
    const signal = checkSignal(options);
    if (view.byteLength === 0) return await this.#readNothing(signal);
    const result = this.#descriptor.reading.run(this.#reading(view), signal);
    return this.#countRead(typeof result === "number" ? result : await result);
  }

  readSync(buffer: Bytes, options: SyncOptions | undefined): number | null {
    const view = asBytes(buffer, READ_TARGET);
    const deadline = checkDeadline(options);
    if (view.byteLength === 0) return this.#readNothingSync(deadline);
    const work = this.#reading(view);
    return this.#countRead(this.#descriptor.reading.runSync(work, deadline, this.#readExpired));
  }

  async peek(buffer: Bytes, options: AsyncOptions | undefined): Promise<number | null> {
    const view = asBytes(buffer, READ_TARGET);
    const signal = checkSignal(options);
    if (view.byteLength === 0) return await this.#readNothing(signal);
    return await this.#descriptor.reading.run(this.#reading(view, true), signal) || null;
  }

  peekSync(buffer: Bytes, options: SyncOptions | undefined): number | null {
    const view = asBytes(buffer, READ_TARGET);
    const deadline = checkDeadline(options);
    if (view.byteLength === 0) return this.#readNothingSync(deadline);
    const work = this.#reading(view, true);
    return this.#descriptor.reading.runSync(work, deadline, this.#readExpired) || null;
  }

  async write(data: Bytes, options: AsyncOptions | undefined): Promise<number> {
    const view = asBytes(data, WRITE_SOURCE);
    const signal = checkSignal(options);
    return await this.#descriptor.writing.run(this.#writing(view), signal);
  }

  writeSync(data: Bytes, options: SyncOptions | undefined): number {
    const view = asBytes(data, WRITE_SOURCE);
    const deadline = checkDeadline(options);
    const expired = () => timedOut("Cannot write", this.#calls.writeName);
    return this.#descriptor.writing.runSync(this.#writing(view), deadline, expired);
  }

  async writeAll(data: Bytes, options: AsyncOptions | undefined): Promise<void> {
    const view = asBytes(data, WRITE_SOURCE);
    const signal = checkSignal(options);
    const result = this.#descriptor.writing.run(this.writingAll(view), signal);
    if (typeof result !== "number") await result;
  }

  writeAllSync(data: Bytes, options: SyncOptions | undefined): void {
    const view = asBytes(data, WRITE_SOURCE);
    const deadline = checkDeadline(options);
    const work = this.writingAll(view);
    const expired = () => timedOut("Cannot write", this.#calls.writeName, work.progress());
    this.#descriptor.writing.runSync(work, deadline, expired);
  }

  /** A read of what is there, at most a whole view. */
  #reading(view: Uint8Array, peek = false): Work {
    const descriptor = this.#descriptor;
    const { readName } = this.#calls;
    const call = peek ? this.#calls.peek! : this.#calls.read;
    assertOpen(descriptor, "Cannot read", readName);
    const expected = view.byteLength;
    return {
      owner: this.#owner,
      attempt() {
        if (view.byteLength < expected) throw changed("read");
        return call(descriptor.fd, view, Math.min(expected, sockets.MOST_BYTES));
      },
      fail: failing({ action: "Cannot read", syscall: readName }),
    };
  }

  /** A write of as much as fits now. */
  #writing(view: Uint8Array): Work {
    const descriptor = this.#descriptor;
    const { writeName, write } = this.#calls;
    assertOpen(descriptor, "Cannot write", writeName);
    const expected = view.byteLength;
    return {
      owner: this.#owner,
      attempt: () => {
        if (view.byteLength < expected) throw changed("write");
        const result = write(descriptor.fd, view, Math.min(expected, sockets.MOST_BYTES));
        if (result > 0) this.bytesWritten += result;
        return result;
      },
      fail: failing({ action: "Cannot write", syscall: writeName }),
    };
  }

  /**
   * A write of all there is; keeps its place in the lane until the last byte. `first` sends the first
   * part, and is called until it has.
   */
  writingAll(view: Uint8Array, first?: FirstPart): WritingAll {
    const descriptor = this.#descriptor;
    const { writeName, write } = this.#calls;
    const action = first?.action ?? "Cannot write";
    assertOpen(descriptor, action, first?.syscall ?? writeName);
    const expected = view.byteLength;
    let written = 0;
    return {
      owner: this.#owner,
      progress: () => written,
      attempt: () => {
        for (let writes = 0; written < expected; writes++) {
          if (writes === MOST_WRITES) return YIELD;
          if (view.byteLength < expected) throw changed("write");
          const rest = written === 0 ? view : view.subarray(written);
          const length = Math.min(expected - written, sockets.MOST_BYTES);
          const result = written === 0 && first !== undefined
            ? first.send(view.subarray(0, expected))
            : write(descriptor.fd, rest, length);
          if (result < 0) return result;
          written += result;
          this.bytesWritten += result;
        }
        return 0;
      },
      fail: (negated, detail) =>
        failure(negated, {
          action,
          syscall: written === 0 && first !== undefined ? first.syscall : writeName,
          detail,
          bytesTransferred: written,
        }),
    };
  }

  /** A read into no room: waits for data where that can be seen, without taking any. */
  async #readNothing(signal: AbortSignal | undefined): Promise<number | null> {
    assertOpen(this.#descriptor, "Cannot read", this.#calls.readName);
    if (this.#calls.peek === undefined) return 0;
    return await this.#descriptor.reading.run(this.#lookingForData(), signal) === 0 ? null : 0;
  }

  #readNothingSync(deadline: number): number | null {
    assertOpen(this.#descriptor, "Cannot read", this.#calls.readName);
    if (this.#calls.peek === undefined) return 0;
    const work = this.#lookingForData();
    return this.#descriptor.reading.runSync(work, deadline, this.#readExpired) === 0 ? null : 0;
  }

  /** Waits until there is a byte, or the end. A peek at a byte would move the peek offset. */
  #lookingForData(): Work {
    const peek = this.#reading(new Uint8Array(1), true);
    const descriptor = this.#descriptor;
    return { ...peek, attempt: () => file.bytesReadable(descriptor.fd) > 0 ? 1 : peek.attempt() };
  }

  #readExpired = (): Error => timedOut("Cannot read", this.#calls.readName);

  #countRead(count: number): number | null {
    this.bytesRead += count;
    return count === 0 ? null : count;
  }
}

const READ_TARGET = "a buffer to read into";
const WRITE_SOURCE = "data to write";

/** The error of an operation whose buffer was taken away while it waited. */
export function changed(what: string): TypeError {
  return new TypeError(`Cannot ${what}: its buffer was detached or shrunk while it waited`);
}

function failing(context: FailureContext): Work["fail"] {
  return (negated, detail) => failure(negated, { ...context, detail });
}

/** Refuses to work on a closed descriptor. */
export function assertOpen(descriptor: Descriptor, action: string, syscall: string): void {
  if (!descriptor.closed) return;
  throw refusal("EBADF", { action, syscall, detail: "the descriptor is closed" });
}

/** The error of a blocking call whose time is over. */
export function timedOut(action: string, syscall: string, bytesTransferred?: number): Error {
  return refusal("ETIMEDOUT", {
    action,
    syscall,
    bytesTransferred,
    detail: bytesTransferred === undefined ? undefined : `after ${bytesTransferred} bytes`,
  });
}
