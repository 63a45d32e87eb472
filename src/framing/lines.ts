/**
 * Messages that are lines, and lines that are JSON.
 * @module
 */

import type { ByteSource } from "../util/byte_reader.ts";
import { ByteReader } from "../util/byte_reader.ts";
import {
  checkLimit,
  type FramedStream,
  Framing,
  FramingError,
  type LengthLimit,
} from "./framing.ts";
import { checkOptions, checkSignal, type SignalOption } from "../util/validate.ts";

const LF = 10;
const CR = 13;
const DEFAULT_MAX_LINE = 65536;

/** How long a line may be. */
export interface LineLimit {
  /**
   * The most bytes of a line, without its end: from 1 to 1,073,741,824; 65,536 without it.
   */
  maxLength?: number | undefined;
}

/** Options of {@linkcode linesOf}. */
export interface LinesOptions extends LineLimit, SignalOption {}

/** The next line of what a reader reads; null at the end. A last line needs no end. */
async function nextLine(
  reader: ByteReader,
  most: number,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer> | null> {
  for (;;) {
    // With room for the CR of a CRLF.
    const line = reader.takeLine(most + 1);
    if (line === "long") throw tooLong(most);
    if (line !== null) return withoutCr(line, most);
    if (await reader.fill(most + 2, signal)) continue;
    return reader.available === 0 ? null : withoutCr(reader.take(reader.available), most, false);
  }
}

function withoutCr(
  line: Uint8Array<ArrayBuffer>,
  most: number,
  ended = true,
): Uint8Array<ArrayBuffer> {
  const content = ended && line.at(-1) === CR ? line.subarray(0, -1) : line;
  if (content.length > most) throw tooLong(most);
  return content;
}

function tooLong(most: number): FramingError {
  return new FramingError("limit", `A line is longer than ${most} bytes`);
}

/**
 * The lines that arrive, as text, without their ends: LF or CRLF. A last line needs no end; a byte
 * order mark is a character like others. Leaving the loop leaves the stream open; what was read ahead
 * is then lost, so use {@linkcode LineFraming} where something else follows.
 *
 * @param stream a UnixStream, an Fd, or anything else that reads this way
 * @param options `maxLength`, and `signal`, which ends the loop with its reason
 * @throws {TypeError|RangeError} if an argument is invalid
 * @throws {FramingError} `"limit"`: a line is too long. `"malformed"`: it is not UTF-8
 * @throws {UnixSocketError} as the stream's `read` does
 *
 * @example
 * ```ts
 * import { UnixStream } from "@afunix/afunix";
 * import { linesOf } from "@afunix/afunix/framing";
 *
 * using stream = await UnixStream.connect("/run/events.sock");
 * for await (const line of linesOf(stream, { maxLength: 4096 })) console.log(line);
 * ```
 */
export function linesOf(
  stream: ByteSource,
  options?: LinesOptions,
): AsyncGenerator<string, void, void> {
  checkOptions(options);
  const most = checkLimit(options, DEFAULT_MAX_LINE);
  const signal = checkSignal(options);
  if (typeof stream?.read !== "function") {
    throw new TypeError("Cannot read lines of this: expected a stream with read");
  }
  return textLines(new ByteReader(stream), most, signal);
}

async function* textLines(
  reader: ByteReader,
  most: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<string, void, void> {
  for (;;) {
    signal?.throwIfAborted();
    const line = await nextLine(reader, most, signal);
    if (line === null) return;
    yield decodeText(line, "A line");
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeText(data: Uint8Array, what: string): string {
  try {
    return decoder.decode(data);
  } catch (cause) {
    throw new FramingError("malformed", `${what} is not UTF-8`, { cause });
  }
}

/**
 * Messages that are lines: bytes up to an LF, or CRLF. Sent lines end with an LF.
 *
 * @example
 * ```ts
 * import { UnixStream } from "@afunix/afunix";
 * import { LineFraming } from "@afunix/afunix/framing";
 *
 * using lines = new LineFraming(await UnixStream.connect("/run/control.sock"));
 * await lines.send("status");
 * const answer = await lines.receive();
 * console.log(new TextDecoder().decode(answer ?? undefined));
 * ```
 */
export class LineFraming extends Framing {
  /**
   * Takes a stream over.
   *
   * @throws {TypeError|RangeError} if an argument is invalid
   */
  constructor(stream: FramedStream, options?: LineLimit) {
    checkOptions(options);
    super(stream, checkLimit(options, DEFAULT_MAX_LINE));
  }

  /** @ignore */
  protected override next(signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer> | null> {
    return nextLine(this.reader, this.maxLength, signal);
  }

  /** @ignore */
  protected override pack(data: Uint8Array): Uint8Array<ArrayBuffer> {
    if (data.includes(LF) || data.at(-1) === CR) {
      throw new TypeError("Cannot send this as a line: it contains the end of one");
    }
    const frame = new Uint8Array(new ArrayBuffer(data.length + 1));
    frame.set(data);
    frame[data.length] = LF;
    return frame;
  }
}

/**
 * JSON values over any framing: lines, lengths, or `Content-Length` headers. {@linkcode jsonLines}
 * makes the one over lines.
 *
 * @example
 * ```ts
 * import { UnixStream } from "@afunix/afunix";
 * import { JsonChannel, LengthPrefixed } from "@afunix/afunix/framing";
 *
 * const stream = await UnixStream.connect("/run/values.sock");
 * using values = new JsonChannel(new LengthPrefixed(stream));
 * await values.send({ temperature: 21.5 });
 * console.log(await values.receive());
 * ```
 */
export class JsonChannel implements Disposable {
  /** What the values go over. */
  readonly framing: Framing;

  /**
   * Takes a framing over.
   *
   * @throws {TypeError} for what is no framing
   */
  constructor(framing: Framing) {
    if (typeof framing?.receive !== "function" || typeof framing.send !== "function") {
      throw new TypeError("Cannot send JSON over this: expected a framing");
    }
    this.framing = framing;
  }

  /**
   * The next value, or undefined at the end of the stream. Empty messages, and such of nothing but
   * white space, are passed over.
   *
   * @throws {FramingError} `"malformed"`: not JSON, or not UTF-8; the next call gets the next message.
   * Others as the framing's `receive`
   */
  async receive(options?: SignalOption): Promise<unknown> {
    for (let message; (message = await this.framing.receive(options)) !== null;) {
      const text = decodeText(message, "A message");
      if (/^[ \t\r\n]*$/.test(text)) continue;
      try {
        return JSON.parse(text);
      } catch (cause) {
        throw new FramingError("malformed", "A message is not JSON", { cause });
      }
    }
    return undefined;
  }

  /**
   * Sends a value as JSON.
   *
   * @throws {TypeError} for what is no JSON: undefined, a function, a bigint, a circle
   * @throws {RangeError|FramingError|UnixSocketError} as the framing's `send` does
   */
  async send(value: unknown, options?: SignalOption): Promise<void> {
    const text: string | undefined = JSON.stringify(value);
    if (text === undefined) throw new TypeError(`Cannot send ${typeof value} as JSON`);
    await this.framing.send(text, options);
  }

  /** The values, one after the other, until the end of the stream; `receive` for each. */
  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, void> {
    for (let value; (value = await this.receive()) !== undefined;) yield value;
  }

  /** Closes the stream. */
  close(): void {
    this.framing.close();
  }

  /** Closes the stream at the end of a `using` scope. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * JSON values, one a line. `maxLength` is 16 MiB without it.
 *
 * @throws {TypeError|RangeError} if an argument is invalid
 *
 * @example
 * ```ts
 * import { UnixStream } from "@afunix/afunix";
 * import { jsonLines } from "@afunix/afunix/framing";
 *
 * using channel = jsonLines(await UnixStream.connect("/run/log.sock"));
 * await channel.send({ level: "info", text: "up" });
 * ```
 */
export function jsonLines(stream: FramedStream, options?: LengthLimit): JsonChannel {
  checkOptions(options);
  return new JsonChannel(new LineFraming(stream, { maxLength: checkLimit(options) }));
}
