/**
 * Bytes of a source, gathered until what a protocol asks for is there: lines, and counted bytes.
 * @module
 */

import type { SignalOption } from "./validate.ts";

/** What bytes are read from: a UnixStream, an Fd, or anything else that reads this way. */
export interface ByteSource {
  /** Reads what is there into the buffer and returns its length; null at the end. */
  read(buffer: Uint8Array<ArrayBuffer>, options?: SignalOption): Promise<number | null>;
}

/** The size of the buffer at first, and again whenever it is empty, in bytes. */
const DEFAULT_SIZE = 65536;

const LF = 10;

/** Gathers bytes in one buffer, which grows no further than asked for. One caller at a time. */
export class ByteReader {
  readonly #source: ByteSource;
  #buffer = new Uint8Array(new ArrayBuffer(0));
  #start = 0;
  #end = 0;
  /** How many of the bytes, from the first on, hold no line feed. */
  #searched = 0;
  #ended = false;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** How many bytes were read and not taken. */
  get available(): number {
    return this.#end - this.#start;
  }

  /**
   * Reads more, where fewer than `most` are there; false at the end of the source. The buffer grows
   * with what arrives, not with what was announced. An abort loses nothing.
   */
  async fill(most: number, signal?: AbortSignal): Promise<boolean> {
    if (this.#ended) return false;
    this.#makeRoom(Math.max(most, DEFAULT_SIZE));
    const room = this.#buffer.subarray(this.#end);
    const count = await this.#source.read(room, signal === undefined ? undefined : { signal });
    if (count === null) {
      this.#ended = true;
      return false;
    }
    if (!(count >= 0 && count <= room.length)) {
      throw new RangeError(`Cannot take ${count} as the number of bytes that were read`);
    }
    this.#end += count;
    return true;
  }

  /**
   * The bytes before the next line feed, which is taken too; null while there is none.
   * `"long"` where they are more than `most`, whether or not the line feed is there.
   */
  takeLine(most: number): Uint8Array<ArrayBuffer> | null | "long" {
    const { available } = this;
    const from = this.#start + this.#searched;
    const index = this.#buffer.subarray(from, this.#end).indexOf(LF);
    if (index === -1) {
      this.#searched = available;
      return available > most ? "long" : null;
    }
    const length = this.#searched + index;
    if (length > most) return "long";
    const line = this.take(length);
    this.#start++;
    this.#settle();
    return line;
  }

  /** So many bytes, which have to be there. The caller owns their memory. */
  take(count: number): Uint8Array<ArrayBuffer> {
    const end = this.#start + count;
    if (end === this.#end && count > DEFAULT_SIZE && count >= this.#buffer.length / 2) {
      // Handed over with its buffer: a large frame is not copied.
      const taken = this.#buffer.subarray(this.#start, end);
      this.#buffer = new Uint8Array(new ArrayBuffer(0));
      this.#start = this.#end = this.#searched = 0;
      return taken;
    }
    const taken = this.#buffer.slice(this.#start, end);
    this.#start = end;
    this.#searched = 0;
    this.#settle();
    return taken;
  }

  /** Nothing is kept of a buffer that was large and is empty. */
  #settle(): void {
    if (this.#start !== this.#end) return;
    this.#start = this.#end = 0;
    if (this.#buffer.length > DEFAULT_SIZE) this.#buffer = new Uint8Array(new ArrayBuffer(0));
  }

  #makeRoom(most: number): void {
    if (this.#end < this.#buffer.length) return;
    const held = this.#buffer.subarray(this.#start, this.#end);
    if (this.#start >= this.#buffer.length / 2 && this.#start > 0) {
      this.#buffer.set(held);
    } else {
      const size = Math.max(DEFAULT_SIZE, Math.min(this.#buffer.length * 2, most), held.length + 1);
      const larger = new Uint8Array(new ArrayBuffer(size));
      larger.set(held);
      this.#buffer = larger;
    }
    this.#end = held.length;
    this.#start = 0;
  }
}
