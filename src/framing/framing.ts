/**
 * Messages over a stream of bytes: what every way of framing them shares.
 * @module
 */

import { ByteReader, type ByteSource } from "../util/byte_reader.ts";
import { Mutex } from "../util/mutex.ts";
import {
  asBytes,
  type Bytes,
  checkInteger,
  checkSignal,
  ifAbsent,
  type SignalOption,
} from "../util/validate.ts";

/**
 * What is wrong with what arrived. `"limit"`: it is longer than allowed. `"malformed"`: it is not what
 * the framing asks for. `"truncated"`: the stream ended in the middle of a message. `"torn"`: a
 * message was sent only in part, so that none can follow.
 */
export type FramingProblem = "limit" | "malformed" | "truncated" | "torn";

/**
 * The peer does not keep to the framing, or a message was cut. Where a message begins is then
 * unknown: every later call fails with the same error, unless its documentation says otherwise.
 */
export class FramingError extends Error {
  /** Always `FramingError`. */
  override name = "FramingError";
  /** What is wrong. */
  readonly code: FramingProblem;

  /** An error of this kind. */
  constructor(code: FramingProblem, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What frames go over: a UnixStream, or anything that reads and writes this way. */
export interface FramedStream extends ByteSource {
  /** Writes everything. */
  writeAll(data: Uint8Array<ArrayBuffer>, options?: SignalOption): Promise<unknown>;
  /** How many bytes were written so far: where it is there, an abort before the first is harmless. */
  readonly bytesWritten?: number;
  /** Closes it. */
  close?(): void;
}

/** How long a message may be. */
export interface LengthLimit {
  /**
   * The most bytes of one message, in either direction and without what frames it: from 1 to
   * 1,073,741,824; 16,777,216 (16 MiB) without it. Memory is taken as the bytes arrive, not as they
   * are announced.
   */
  maxLength?: number | undefined;
}

const MAX_LIMIT = 2 ** 30;
const DEFAULT_MAX = 2 ** 24;

const encoder = new TextEncoder();

/** The limit that an options object asks for. */
export function checkLimit(options: LengthLimit | undefined, absent: number = DEFAULT_MAX): number {
  return checkInteger(ifAbsent(options?.maxLength, absent), "maxLength", 1, MAX_LIMIT);
}

/**
 * Messages over a stream, each whole: the base of {@linkcode LineFraming},
 * {@linkcode ContentLengthFraming} and {@linkcode LengthPrefixed}. Nobody else may read from the
 * stream, or write to it, meanwhile. `using` closes the stream.
 */
export abstract class Framing implements Disposable {
  /** The most bytes of one message. */
  readonly maxLength: number;
  readonly #stream: FramedStream;
  readonly #receiving: Mutex = new Mutex();
  readonly #sending: Mutex = new Mutex();
  #broken: FramingError | null = null;
  #torn: FramingError | null = null;

  /** @ignore */
  protected readonly reader: ByteReader;

  /** @ignore */
  protected constructor(stream: FramedStream, maxLength: number) {
    if (typeof stream?.read !== "function" || typeof stream.writeAll !== "function") {
      throw new TypeError("Cannot frame messages over this: expected a stream with read, writeAll");
    }
    this.#stream = stream;
    this.reader = new ByteReader(stream);
    this.maxLength = maxLength;
  }

  /**
   * The next message, or null at the end of the stream. Several that wait are served in the order of
   * their calls. An abort loses nothing: the next call goes on where it was.
   *
   * @throws {FramingError} for what breaks the framing, and ever after
   * @throws {UnixSocketError} as the stream's `read` does
   */
  receive(options?: SignalOption): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.inTurn(options, (signal) => this.next(signal));
  }

  /**
   * Sends one message whole, in turn with others. Text goes out as UTF-8. The data are copied: they
   * may be used again as soon as this has returned.
   *
   * An abort while other messages go out sends nothing; one in the middle of this message leaves it
   * cut, and every later message then fails with `"torn"`.
   *
   * @throws {RangeError} more than `maxLength` bytes
   * @throws {FramingError} `"torn"`: an earlier message was cut
   * @throws {UnixSocketError} as the stream's `writeAll` does
   */
  async send(data: Bytes | string, options?: SignalOption): Promise<void> {
    const signal = checkSignal(options);
    await this.put(this.pack(this.checkMessage(data)), signal);
  }

  /**
   * The messages, one after the other, until the end of the stream. Leaving the loop leaves the stream
   * open.
   *
   * @throws {FramingError|UnixSocketError} as `receive` does
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    for (let message; (message = await this.receive()) !== null;) yield message;
  }

  /**
   * Takes the bytes that were read ahead and belong to no message yet, for what goes on with the
   * stream in another way. Not while a `receive` waits.
   */
  takeRest(): Uint8Array<ArrayBuffer> {
    return this.reader.take(this.reader.available);
  }

  /** @ignore */
  get bytesWritten(): number | undefined {
    return this.#stream.bytesWritten;
  }

  /** Closes the stream, where it can be closed. */
  close(): void {
    this.#stream.close?.();
  }

  /** Closes the stream at the end of a `using` scope. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @ignore */
  protected abstract next(signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer> | null>;

  /** @ignore */
  protected abstract pack(data: Uint8Array): Uint8Array<ArrayBuffer>;

  /** @ignore */
  protected checkMessage(data: Bytes | string): Uint8Array {
    const view = typeof data === "string" ? encoder.encode(data) : asBytes(data, "a message");
    if (view.length <= this.maxLength) return view;
    throw new RangeError(
      `Cannot send a message of ${view.length} bytes: at most ${this.maxLength} are allowed`,
    );
  }

  /** @ignore */
  protected async inTurn<T>(
    options: SignalOption | undefined,
    next: (signal?: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const signal = checkSignal(options);
    return await this.#receiving.run(async () => {
      if (this.#broken !== null) throw this.#broken;
      try {
        return await next(signal);
      } catch (error) {
        if (error instanceof FramingError) this.#broken = error;
        throw error;
      }
    }, signal);
  }

  /** @ignore */
  protected async put(frame: Uint8Array<ArrayBuffer>, signal?: AbortSignal): Promise<void> {
    const stream = this.#stream;
    await this.#sending.run(async () => {
      if (this.#torn !== null) throw this.#torn;
      signal?.throwIfAborted();
      const before = stream.bytesWritten;
      try {
        await stream.writeAll(frame, signal === undefined ? undefined : { signal });
      } catch (cause) {
        if (before === undefined || stream.bytesWritten !== before) {
          this.#torn = new FramingError(
            "torn",
            "Cannot send a message: an earlier one was sent only in part",
            { cause },
          );
        }
        throw cause;
      }
    }, signal);
  }

  /** @ignore */
  protected async exactly(
    count: number,
    what: string,
    signal?: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    while (this.reader.available < count) {
      if (await this.reader.fill(count, signal)) continue;
      throw new FramingError(
        "truncated",
        `The stream ended in ${what}, after ${this.reader.available} of ${count} bytes`,
      );
    }
    return this.reader.take(count);
  }
}
