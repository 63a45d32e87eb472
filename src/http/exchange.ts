/**
 * One request and its response over one connection.
 * @module
 */

import { ByteReader } from "../util/byte_reader.ts";
import { BodyReader, MalformedResponse } from "./body.ts";
import { packHead, readHead, type ResponseHead } from "./head.ts";
import type { OutgoingRequest, RequestBody } from "./request.ts";
import { toLatin1 } from "../util/latin1.ts";
import type { UnixStream } from "../stream.ts";

/** A connection to a server, and what was read ahead of it. */
export interface Connection {
  stream: UnixStream;
  reader: ByteReader;
  /** Whether it has carried a request before. */
  used: boolean;
}

/** A new connection's. */
export function connectionOver(stream: UnixStream): Connection {
  return { stream, reader: new ByteReader(stream), used: false };
}

/** A connection for one exchange, which ends with one of these calls; further ones do nothing. */
export interface Lease {
  readonly connection: Connection;
  /** Gives it back: it can carry another request, for so many milliseconds. */
  release(keepFor: number): void;
  /** Closes it. */
  close(): void;
}

/** What an exchange needs to know. */
export interface ExchangeOptions {
  maxHeaderSize: number;
  signal: AbortSignal | undefined;
  /** Whether this connection is to be kept. */
  keep: boolean;
}

/** The server ended the connection before the first byte of a response. */
export class NoResponse extends Error {
  /** Always `NoResponse`. */
  override name = "NoResponse";
}

/** A response as far as it has come. */
export interface Received {
  head: ResponseHead;
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null;
}

/** Sends a request and reads a response. It ends the lease. */
export class Exchange {
  readonly #lease: Lease;
  readonly #connection: Connection;
  readonly #options: ExchangeOptions;
  #failure: { reason: unknown } | null = null;
  #source: ReadableStreamDefaultReader<Uint8Array> | null = null;
  #sent = false;
  #controller: ReadableByteStreamController | null = null;

  constructor(lease: Lease, options: ExchangeOptions) {
    this.#lease = lease;
    this.#connection = lease.connection;
    this.#options = options;
    options.signal?.addEventListener("abort", this.#abort);
  }

  /**
   * Sends the request, and returns when the head of the response is there. The request's body may go
   * on going out meanwhile.
   */
  async run(request: OutgoingRequest): Promise<Received> {
    let sending: unknown = null;
    const { keep } = this.#options;
    const upload = this.#send(request, keep).then(() => this.#sent = true, (error) => {
      sending = error;
      // A server may answer, and end, before it has read all: then its answer counts.
      if (!isGone(error)) this.#fail(error);
    });
    try {
      const head = await readHead(
        this.#connection.reader,
        request.method,
        this.#options.maxHeaderSize,
      );
      if (head === null) {
        throw new NoResponse("The server sent no response", { cause: sending });
      }
      return { head, body: this.#body(head) };
    } catch (error) {
      this.#fail(error);
      await upload;
      throw this.#failure!.reason;
    }
  }

  #abort = (): void => this.#fail(this.#options.signal!.reason);

  /** Ends everything, with the first reason there was. */
  #fail(reason: unknown): void {
    if (this.#failure !== null) return;
    this.#failure = { reason };
    this.#finish(false, 0);
    const aborted = this.#options.signal?.aborted === true;
    this.#controller?.error(aborted ? reason : unreadable(reason));
  }

  /** Gives the connection back, or closes it, and forgets the request. */
  #finish(reusable: boolean, keepFor: number): void {
    this.#options.signal?.removeEventListener("abort", this.#abort);
    const { reader } = this.#connection;
    if (reusable && this.#sent && this.#failure === null && reader.available === 0) {
      this.#connection.used = true;
      return this.#lease.release(keepFor);
    }
    this.#lease.close();
    this.#source?.cancel(this.#failure?.reason).catch(() => {});
  }

  #body(head: ResponseHead): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    const reusable = head.keepAlive && this.#options.keep;
    // 205 has no body in a Response; one that comes nevertheless goes with the connection.
    if (head.body === null || head.status === 205) {
      this.#finish(reusable && (head.body === null || head.body === 0), head.keepFor);
      return null;
    }
    const body = new BodyReader(this.#connection.reader, head.body, this.#options.maxHeaderSize);
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    let piece;
    while ((piece = body.tryNext())) pieces.push(piece);
    const complete = piece === null;
    // A body that is there is taken at once: the connection is free, whether or not anybody reads it.
    if (complete) this.#finish(reusable, head.keepFor);
    const source: UnderlyingByteSource = {
      type: "bytes",
      start: (controller) => {
        for (const ready of pieces) controller.enqueue(ready);
        if (complete) controller.close();
        else this.#controller = controller;
      },
      pull: async (controller) => {
        let next;
        try {
          next = await body.next();
        } catch (error) {
          this.#fail(error);
          return;
        }
        if (this.#failure !== null) return;
        if (next !== null) return controller.enqueue(next);
        this.#controller = null;
        this.#finish(reusable, head.keepFor);
        controller.close();
        controller.byobRequest?.respond(0);
      },
      cancel: () => {
        this.#controller = null;
        this.#finish(false, 0);
      },
    };
    return new ReadableStream(source) as ReadableStream<Uint8Array<ArrayBuffer>>;
  }

  async #send({ method, url, headers, body }: OutgoingRequest, keep: boolean): Promise<void> {
    const lines: [string, string][] = [["host", headers.get("host") ?? url.host]];
    for (const [name, value] of headers) if (name !== "host") lines.push([name, value]);
    if (!keep && !headers.has("connection")) lines.push(["connection", "close"]);
    if (!headers.has("accept")) lines.push(["accept", "*/*"]);
    if (body?.length === null) lines.push(["transfer-encoding", "chunked"]);
    else if (body !== null) lines.push(["content-length", String(body.length)]);
    const head = packHead(method, url.pathname + url.search, lines);
    const { stream } = this.#connection;
    if (body?.source instanceof Uint8Array) return await stream.writeAll([head, body.source]);
    await stream.writeAll(head);
    if (body !== null) await this.#stream(body.source as () => ReadableStream<Uint8Array>, body);
  }

  async #stream(open: () => ReadableStream<Uint8Array>, { length }: RequestBody): Promise<void> {
    const source = this.#source = open().getReader();
    if (this.#failure !== null) return await source.cancel(this.#failure.reason);
    const { stream } = this.#connection;
    let left = length ?? Infinity;
    for (let part; !(part = await source.read()).done;) {
      const chunk: unknown = part.value;
      if (!(chunk instanceof Uint8Array)) {
        throw new TypeError("Cannot send this as a body: expected chunks that are Uint8Arrays");
      }
      if (chunk.length === 0) continue;
      if (chunk.length > left) throw new TypeError("The body is longer than its content-length");
      left -= chunk.length;
      const size = `${chunk.length.toString(16)}\r\n`;
      await stream.writeAll(length === null ? [toLatin1(size), chunk, CRLF] : chunk);
    }
    if (this.#failure !== null || stream.closed) return;
    if (length !== null && left > 0) throw new TypeError("The body is shorter than its length");
    if (length === null) await stream.writeAll(toLatin1("0\r\n\r\n"));
  }
}

const CRLF = toLatin1("\r\n");

/** What reading a body fails with, as with every fetch. */
function unreadable(cause: unknown): TypeError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TypeError(`Cannot read the body: ${why}`, { cause });
}

/** Whether a write failed because the peer reads no longer. */
function isGone(error: unknown): boolean {
  return ["EPIPE", "ECONNRESET"].includes((error as { code?: string } | null)?.code ?? "");
}

/** Whether a connection that was used before had already ended when the request came. */
export function isStale(error: unknown): boolean {
  return error instanceof NoResponse || (!(error instanceof MalformedResponse) && isGone(error));
}
