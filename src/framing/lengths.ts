/**
 * Messages whose length stands before them: as a number of 4 bytes, or in a header.
 * @module
 */

import {
  checkLimit,
  type FramedStream,
  Framing,
  FramingError,
  type LengthLimit,
} from "./framing.ts";
import { splitHeader, TOKEN } from "../util/header.ts";
import { fromLatin1 } from "../util/latin1.ts";
import {
  type Bytes,
  checkInteger,
  checkOptions,
  checkSignal,
  checkWord,
  ifAbsent,
  type SignalOption,
} from "../util/validate.ts";

/** Options of {@linkcode LengthPrefixed}. */
export interface LengthPrefixedOptions extends LengthLimit {
  /** The order of the four bytes: `"big"`, the most significant first, without it. */
  endian?: "big" | "little" | undefined;
}

const PREFIX = 4;

/**
 * Messages with their length before them, an unsigned number of 4 bytes.
 *
 * @example
 * ```ts
 * import { UnixStream } from "@afunix/afunix";
 * import { LengthPrefixed } from "@afunix/afunix/framing";
 *
 * const stream = await UnixStream.connect("/run/agent.sock");
 * using messages = new LengthPrefixed(stream, { endian: "big", maxLength: 262_144 });
 * await messages.send(Uint8Array.of(11));
 * console.log(await messages.receive());
 * ```
 */
export class LengthPrefixed extends Framing {
  readonly #littleEndian: boolean;
  /** The length of the message that comes; −1 where that is unknown. */
  #length = -1;

  /**
   * Takes a stream over.
   *
   * @throws {TypeError|RangeError} if an argument is invalid
   */
  constructor(stream: FramedStream, options?: LengthPrefixedOptions) {
    checkOptions(options);
    super(stream, checkLimit(options));
    const endian = checkWord(ifAbsent(options?.endian, "big"), "endian", ["big", "little"]);
    this.#littleEndian = endian === "little";
  }

  /** @ignore */
  protected override async next(signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer> | null> {
    if (this.#length === -1) {
      while (this.reader.available === 0) {
        if (!await this.reader.fill(PREFIX, signal)) return null;
      }
      const prefix = await this.exactly(PREFIX, "the length of a message", signal);
      const length = new DataView(prefix.buffer, prefix.byteOffset).getUint32(
        0,
        this.#littleEndian,
      );
      if (length > this.maxLength) {
        throw new FramingError(
          "limit",
          `A message of ${length} bytes is longer than ${this.maxLength}`,
        );
      }
      this.#length = length;
    }
    const message = await this.exactly(this.#length, "a message", signal);
    this.#length = -1;
    return message;
  }

  /** @ignore */
  protected override pack(data: Uint8Array): Uint8Array<ArrayBuffer> {
    const frame = new Uint8Array(new ArrayBuffer(PREFIX + data.length));
    new DataView(frame.buffer).setUint32(0, data.length, this.#littleEndian);
    frame.set(data, PREFIX);
    return frame;
  }
}

/** Options of {@linkcode ContentLengthFraming}. */
export interface ContentLengthOptions extends LengthLimit {
  /** The most bytes of all headers of one message: from 32 to 1,048,576; 8,192 without it. */
  maxHeaderLength?: number | undefined;
}

/** A message with its headers. */
export interface HeadedMessage {
  /** All headers by their names in lower case, those of one name joined with a comma. */
  headers: ReadonlyMap<string, string>;
  /** What followed them. */
  body: Uint8Array<ArrayBuffer>;
}

/** Options of {@linkcode ContentLengthFraming.send}. */
export interface HeadedSendOptions extends SignalOption {
  /** More headers, sent before `Content-Length`. */
  headers?: Readonly<Record<string, string>> | undefined;
}

const VALUE = /^[\t\x20-\x7e]*$/;
const LENGTH = "content-length";
const CR = 13;

/**
 * Messages with headers before them, of which `Content-Length` says how long they are: the framing of
 * the language server protocol and of JSON-RPC over streams. Headers end with CRLF, their names are
 * the same in any case, and unknown ones are kept.
 *
 * @example
 * ```ts
 * import { UnixStream } from "@afunix/afunix";
 * import { ContentLengthFraming } from "@afunix/afunix/framing";
 *
 * using messages = new ContentLengthFraming(await UnixStream.connect("/run/language.sock"));
 * await messages.send('{"jsonrpc":"2.0","method":"exit"}');
 * const message = await messages.receiveMessage();
 * console.log(message?.headers.get("content-type"), message?.body.length);
 * ```
 */
export class ContentLengthFraming extends Framing {
  readonly #most: number;
  #headers = new Map<string, string>();
  #headerBytes = 0;
  #headersDone = false;

  /**
   * Takes a stream over.
   *
   * @throws {TypeError|RangeError} if an argument is invalid
   */
  constructor(stream: FramedStream, options?: ContentLengthOptions) {
    checkOptions(options);
    super(stream, checkLimit(options));
    const most = ifAbsent(options?.maxHeaderLength, 8192);
    this.#most = checkInteger(most, "maxHeaderLength", 32, 2 ** 20);
  }

  /**
   * {@linkcode receive}, with the headers.
   *
   * @throws {FramingError|UnixSocketError} as `receive` does
   */
  receiveMessage(options?: SignalOption): Promise<HeadedMessage | null> {
    return this.inTurn(options, (signal) => this.#nextMessage(signal));
  }

  /**
   * Sends one message whole, with headers; see {@linkcode Framing.send}.
   *
   * @throws {TypeError} headers that cannot be sent, or `Content-Length` among them
   */
  override async send(data: Bytes | string, options?: HeadedSendOptions): Promise<void> {
    const signal = checkSignal(options);
    const frame = packed(this.checkMessage(data), options?.headers);
    await this.put(frame, signal);
  }

  /** @ignore */
  protected override async next(signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer> | null> {
    return (await this.#nextMessage(signal))?.body ?? null;
  }

  /** @ignore */
  protected override pack(data: Uint8Array): Uint8Array<ArrayBuffer> {
    return packed(data, undefined);
  }

  async #nextMessage(signal?: AbortSignal): Promise<HeadedMessage | null> {
    while (!this.#headersDone) if (!await this.#readHeader(signal)) return null;
    const length = this.#bodyLength();
    const body = await this.exactly(length, "the body of a message", signal);
    const headers = this.#headers;
    this.#headers = new Map();
    this.#headerBytes = 0;
    this.#headersDone = false;
    return { headers, body };
  }

  /** Takes one line of the headers; false at the end of the stream. */
  async #readHeader(signal?: AbortSignal): Promise<boolean> {
    const { reader } = this;
    const left = this.#most - this.#headerBytes;
    const line = reader.takeLine(left);
    if (line === "long") {
      throw new FramingError("limit", `The headers of a message exceed ${this.#most} bytes`);
    }
    if (line === null) {
      if (await reader.fill(left + 1, signal)) return true;
      if (this.#headerBytes === 0 && reader.available === 0) return false;
      throw new FramingError("truncated", "The stream ended in the headers of a message");
    }
    this.#headerBytes += line.length + 1;
    if (line.at(-1) !== CR) throw malformed("A header does not end with CRLF", line);
    if (line.length === 1) {
      this.#headersDone = true;
      return true;
    }
    this.#keep(line.subarray(0, -1));
    return true;
  }

  #keep(line: Uint8Array): void {
    const header = splitHeader(fromLatin1(line));
    if (header === null) throw malformed("A header has no colon", line);
    const [name, value] = header;
    if (!TOKEN.test(name)) throw malformed("A header has no proper name", line);
    if (!VALUE.test(value)) throw malformed(`The header ${name} has no proper value`, line);
    const key = name.toLowerCase();
    const known = this.#headers.get(key);
    if (key === LENGTH) {
      if (known !== undefined) throw malformed("There are two Content-Length headers", line);
      if (!/^[0-9]+$/.test(value)) throw malformed("Content-Length is no number", line);
    }
    this.#headers.set(key, known === undefined ? value : `${known}, ${value}`);
  }

  #bodyLength(): number {
    const value = this.#headers.get(LENGTH);
    if (value === undefined) {
      throw new FramingError("malformed", "A message has no Content-Length header");
    }
    const length = Number(value);
    if (length <= this.maxLength) return length;
    throw new FramingError("limit", `A message of ${value} bytes is longer than ${this.maxLength}`);
  }
}

/** The maximum number of bytes of a wrong line that an error shows. */
const MAX_SHOWN = 60;

function malformed(what: string, line: Uint8Array): FramingError {
  const shown = JSON.stringify(fromLatin1(line.subarray(0, MAX_SHOWN)));
  return new FramingError("malformed", `${what}: ${shown}`);
}

function packed(
  data: Uint8Array,
  headers: Readonly<Record<string, string>> | undefined,
): Uint8Array<ArrayBuffer> {
  let head = "";
  for (const [name, value] of Object.entries(headers ?? {})) {
    const valid = TOKEN.test(name) && typeof value === "string" && VALUE.test(value);
    if (!valid || name.toLowerCase() === LENGTH) {
      throw new TypeError(`Cannot send the header ${JSON.stringify(name)}`);
    }
    head += `${name}: ${value}\r\n`;
  }
  const bytes = new TextEncoder().encode(`${head}Content-Length: ${data.length}\r\n\r\n`);
  const frame = new Uint8Array(new ArrayBuffer(bytes.length + data.length));
  frame.set(bytes);
  frame.set(data, bytes.length);
  return frame;
}
