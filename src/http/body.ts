/**
 * The bodies of HTTP/1.1 responses.
 * @module
 */

import type { ByteReader } from "../util/byte_reader.ts";
import { splitHeader, TOKEN } from "../util/header.ts";
import { fromLatin1 } from "../util/latin1.ts";

/** A response that breaks the rules of HTTP/1.1. */
export class MalformedResponse extends Error {
  /** Always `MalformedResponse`. */
  override name = "MalformedResponse";
}

/** How a body ends: after a number of bytes, by chunks, or with the connection. */
export type BodyLength = number | "chunked" | "connection";

/** The maximum length of a line with the size of a chunk, in bytes. */
const MAX_CHUNK_LINE = 4096;

/** The maximum number of characters of wrong text that an error shows. */
const MAX_SHOWN = 60;

const CR = 13;

/** The minimum number of bytes to have room for before a read. */
export const MIN_READ = 65536;

/** Takes a body out of what a connection reads, piece by piece. */
export class BodyReader {
  readonly #reader: ByteReader;
  readonly #length: BodyLength;
  readonly #maxTrailers: number;
  /** What is left of the body, or of the chunk. */
  #left: number;
  #state: "size" | "data" | "data end" | "trailers" | "done";
  #trailers = 0;

  constructor(reader: ByteReader, length: BodyLength, maxTrailers: number) {
    this.#reader = reader;
    this.#length = length;
    this.#maxTrailers = maxTrailers;
    this.#left = typeof length === "number" ? length : 0;
    this.#state = length === "chunked" ? "size" : length === 0 ? "done" : "data";
  }

  /** The next piece, null at the end; reads as much as that takes. */
  async next(): Promise<Uint8Array<ArrayBuffer> | null> {
    for (;;) {
      const piece = this.tryNext();
      if (piece !== undefined) return piece;
      if (await this.#reader.fill(MIN_READ)) continue;
      if (this.#length === "connection") {
        this.#state = "done";
        return null;
      }
      throw new MalformedResponse("The connection ended in the body");
    }
  }

  /** The next piece of what has arrived, null at the end; undefined where more has to be read. */
  tryNext(): Uint8Array<ArrayBuffer> | null | undefined {
    for (;;) {
      switch (this.#state) {
        case "done":
          return null;
        case "data": {
          const piece = this.#takeData();
          return piece.length === 0 ? undefined : piece;
        }
        case "size":
          if (!this.#readSize()) return undefined;
          break;
        case "data end": {
          const line = this.#line(1, "a chunk is longer than its size");
          if (line === null) return undefined;
          this.#state = "size";
          break;
        }
        case "trailers":
          if (!this.#readTrailer()) return undefined;
          break;
      }
    }
  }

  #takeData(): Uint8Array<ArrayBuffer> {
    const { available } = this.#reader;
    if (this.#length === "connection") return this.#reader.take(available);
    const piece = this.#reader.take(Math.min(this.#left, available));
    this.#left -= piece.length;
    if (this.#left === 0) this.#state = this.#length === "chunked" ? "data end" : "done";
    return piece;
  }

  #readSize(): boolean {
    const line = this.#line(MAX_CHUNK_LINE, "the line with the size of a chunk is too long");
    if (line === null) return false;
    const size = /^([0-9A-Fa-f]{1,12})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/.exec(line)?.[1];
    if (size === undefined) {
      throw new MalformedResponse(`A chunk has no size: ${shown(line)}`);
    }
    this.#left = parseInt(size, 16);
    this.#state = this.#left === 0 ? "trailers" : "data";
    return true;
  }

  #readTrailer(): boolean {
    const line = this.#line(this.#maxTrailers - this.#trailers, "the trailers are too long");
    if (line === null) return false;
    this.#trailers += line.length + 2;
    if (line === "") this.#state = "done";
    else parseHeader(line);
    return true;
  }

  /** A line without its CRLF, which it has to have; null while it is not there. */
  #line(most: number, tooLong: string): string | null {
    const line = this.#reader.takeLine(Math.max(most, 1));
    if (line === "long") throw new MalformedResponse(`In the body ${tooLong}`);
    if (line === null) return null;
    if (line.at(-1) !== CR) {
      throw new MalformedResponse("A line in the body does not end with CRLF");
    }
    return fromLatin1(line.subarray(0, -1));
  }
}

/** The beginning of what is wrong, as an error shows it. */
export function shown(text: string): string {
  return JSON.stringify(text.slice(0, MAX_SHOWN));
}

/** Returns the name and the value of a header line. */
export function parseHeader(line: string): [name: string, value: string] {
  const header = splitHeader(line);
  if (header !== null && TOKEN.test(header[0]) && !/[\0\r\n]/.test(header[1])) return header;
  throw new MalformedResponse(`A header is malformed: ${shown(line)}`);
}
