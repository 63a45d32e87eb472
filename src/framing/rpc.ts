/**
 * JSON-RPC 2.0 over any framing, both ways.
 * @module
 */

import { FramingError } from "./framing.ts";
import type { Framing } from "./framing.ts";
import { JsonChannel } from "./lines.ts";
import { abortable } from "../util/abort.ts";
import {
  classify,
  type Incoming,
  isParams,
  RpcCode,
  RpcError,
  type RpcId,
  type RpcParams,
} from "./rpc_messages.ts";
import {
  checkInteger,
  checkOptions,
  checkSignal,
  ifAbsent,
  type SignalOption,
} from "../util/validate.ts";

/** What a handler knows of its call. */
export interface RpcCall {
  /** The name that was called. */
  method: string;
  /** Whether nobody waits for the result. */
  notification: boolean;
  /** Aborted when the caller cancels the request, and when the connection ends. */
  signal: AbortSignal;
  /** The connection it came over, to call back. */
  connection: RpcConnection;
}

/** Answers a request: with a JSON value, undefined for null. Throw an {@linkcode RpcError} to refuse. */
export type RpcHandler = (params: RpcParams | undefined, call: RpcCall) => unknown;

/** Options of {@linkcode RpcConnection}. */
export interface RpcOptions {
  /** The methods that the peer may call, by their names; only the object's own. */
  handlers?: Readonly<Record<string, RpcHandler>> | undefined;
  /**
   * How many calls of the peer run at once, counted until their answers are sent: from 1 to 65,536;
   * 64 without it. A batch counts as one: its calls run one after the other. Beyond, reading pauses.
   *
   * While requests of this side are open it goes on, since their answers are to come: further
   * notifications run, and further requests are answered with `Busy`. At twice as many it pauses all
   * the same, until one of them is over, however long that takes; requests of this side wait
   * meanwhile, so that a handler that makes one had better give it a signal. The connection ends only
   * where nothing of the answers can be sent for 5 seconds: the peer takes none, or waits as well. (Of
   * a stream that does not tell its `bytesWritten`: no whole answer.)
   */
  maxConcurrent?: number | undefined;
  /** How many messages one batch of the peer may have: from 1 to 65,536; 100 without it. */
  maxBatch?: number | undefined;
  /**
   * The notification that cancels a request, with `{ id }` as its arguments, in both directions:
   * `"$/cancelRequest"` without it; null for none.
   */
  cancelMethod?: string | null | undefined;
  /**
   * Told what nobody else is: an error of a handler that is no RpcError (its caller only gets
   * "Internal error"), one of a notification's handler, and answers that make no sense.
   */
  onError?: ((error: unknown) => void) | undefined;
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/**
 * One connection of JSON-RPC 2.0. Both sides may call, at any time and many at once; each answer
 * finds its request by the id. Batches of the peer are answered; none are sent.
 *
 * @example Calls a method of a server that frames by `Content-Length`
 * ```ts
 * import { UnixStream } from "@afunix/afunix";
 * import { ContentLengthFraming, RpcConnection } from "@afunix/afunix/framing";
 *
 * const stream = await UnixStream.connect("/run/calculator.sock");
 * using rpc = new RpcConnection(new ContentLengthFraming(stream));
 * console.log(await rpc.request("add", [1, 2], { signal: AbortSignal.timeout(1000) }));
 * ```
 */
export class RpcConnection implements Disposable {
  /**
   * Fulfilled when the peer has ended and all its calls are answered, and after {@linkcode close};
   * rejected with what ended the connection otherwise. Nothing is unhandled if nobody looks.
   */
  readonly finished: Promise<void>;
  readonly #channel: JsonChannel;
  readonly #handlers: Readonly<Record<string, RpcHandler>>;
  readonly #maxConcurrent: number;
  readonly #maxBatch: number;
  readonly #cancelMethod: string | null;
  readonly #onError: (error: unknown) => void;
  readonly #pending: Map<number, Pending> = new Map();
  /** The calls of the peer by their ids. */
  readonly #running: Map<RpcId, AbortController> = new Map();
  readonly #ending: AbortController = new AbortController();
  readonly #finished: PromiseWithResolvers<void> = Promise.withResolvers();
  #lastId = 0;
  /** How many messages of the peer are being worked on, up to the end of their answers. */
  #active = 0;
  /** How many answers are on their way out, and how many have gone. */
  #answering = 0;
  #answered = 0;
  #wake: () => void = () => {};
  #readEnded = false;

  /**
   * Begins to read at once.
   *
   * @throws {TypeError|RangeError} if an argument is invalid
   */
  constructor(framing: Framing, options?: RpcOptions) {
    checkOptions(options);
    const { handlers = {}, onError = () => {} } = options ?? {};
    if (typeof handlers !== "object" || handlers === null) {
      throw new TypeError("Cannot use this as handlers: expected an object");
    }
    for (const [name, handler] of Object.entries(handlers)) {
      if (typeof handler === "function") continue;
      throw new TypeError(`Cannot use this as the handler of ${JSON.stringify(name)}`);
    }
    if (typeof onError !== "function") throw new TypeError("Cannot use this as onError");
    const cancelMethod = ifAbsent(options?.cancelMethod, "$/cancelRequest");
    if (cancelMethod !== null && typeof cancelMethod !== "string") {
      throw new TypeError("Cannot use this as cancelMethod: expected text or null");
    }
    this.#handlers = handlers;
    this.#onError = onError;
    this.#cancelMethod = cancelMethod;
    const { maxConcurrent, maxBatch } = options ?? {};
    this.#maxConcurrent = checkInteger(ifAbsent(maxConcurrent, 64), "maxConcurrent", 1, 65536);
    this.#maxBatch = checkInteger(ifAbsent(maxBatch, 100), "maxBatch", 1, 65536);
    this.#channel = new JsonChannel(framing);
    this.finished = this.#finished.promise;
    this.finished.catch(() => {});
    this.#serve().then(() => this.#end(undefined), (error) => this.#end(error));
  }

  /**
   * Calls a method of the peer and waits for its answer. An abort rejects with the signal's reason and
   * sends the peer the notification `cancelMethod`; an answer that comes later is dropped.
   *
   * @throws {RpcError} the peer answered with an error
   * @throws {TypeError} arguments that are no array or object, or no JSON
   * @throws {Error} the connection ended; its `cause` is what ended it
   */
  async request(method: string, params?: RpcParams, options?: SignalOption): Promise<unknown> {
    const signal = checkSignal(options);
    const id = this.#lastId + 1;
    const message = { ...this.#call(method, params), id };
    this.#lastId = id;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const abort = () => {
      this.#pending.delete(id);
      reject(signal!.reason);
      if (this.#cancelMethod === null || this.#ending.signal.aborted) return;
      this.notify(this.#cancelMethod, { id }).catch(() => {});
    };
    this.#pending.set(id, { resolve, reject });
    this.#wake();
    signal?.addEventListener("abort", abort, { once: true });
    try {
      // Not aborted while it goes out: the next message would find this one cut.
      this.#channel.send(message).catch(reject);
      return await promise;
    } finally {
      this.#pending.delete(id);
      signal?.removeEventListener("abort", abort);
    }
  }

  /**
   * Calls a method of the peer that answers nothing; fulfilled when it was sent.
   *
   * @throws {TypeError} arguments that are no array or object, or no JSON
   * @throws {UnixSocketError} as the stream's `writeAll` does
   */
  async notify(method: string, params?: RpcParams): Promise<void> {
    await this.#channel.send(this.#call(method, params));
  }

  /** Closes the stream. Requests that wait reject, and running handlers are told by their signals. */
  close(): void {
    this.#end(undefined);
  }

  /** Closes the stream at the end of a `using` scope. */
  [Symbol.dispose](): void {
    this.close();
  }

  #call(method: string, params: RpcParams | undefined) {
    if (typeof method !== "string") throw new TypeError("Cannot call this: expected a method");
    if (params !== undefined && !isParams(params)) {
      throw new TypeError("Cannot use this as params: expected an array or an object");
    }
    if (this.#ending.signal.aborted || this.#readEnded) throw ended(undefined);
    return { jsonrpc: "2.0", method, ...(params === undefined ? {} : { params }) };
  }

  async #serve(): Promise<void> {
    for (;;) {
      await this.#room();
      let value: unknown;
      try {
        value = await abortable(this.#channel.receive(), this.#ending.signal);
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        void this.#start(() =>
          this.#refuse(null, RpcCode.ParseError, "Parse error", error.message)
        );
        continue;
      }
      if (value === undefined) break;
      this.#take(value);
    }
    this.#readEnded = true;
    this.#rejectAll(ended(undefined));
    while (this.#active > 0) await this.#turn();
  }

  /** Whether nothing more is to be read for now. */
  get #full(): boolean {
    const most = this.#pending.size === 0 ? this.#maxConcurrent : 2 * this.#maxConcurrent;
    return this.#active >= most;
  }

  /** Resolves when there is room for another message. */
  async #room(): Promise<void> {
    if (!this.#full) return;
    const watch = this.#watchAnswers();
    try {
      while (this.#full) await this.#turn();
    } finally {
      clearInterval(watch);
    }
  }

  /** Ends the connection where twice as many as may run are there, and answers get nowhere. */
  #watchAnswers(): ReturnType<typeof setInterval> {
    let before = -1;
    let seconds = 0;
    const watch = setInterval(() => {
      const now = this.#answered + (this.#channel.framing.bytesWritten ?? 0);
      const stuck = this.#answering > 0 && this.#active >= 2 * this.#maxConcurrent;
      seconds = stuck && now === before ? seconds + 1 : 0;
      before = now;
      if (seconds < PATIENCE_SECONDS) return;
      this.#end(new Error("The peer calls, and does not take the answers"));
    }, 1000);
    (watch as unknown as { unref?(): void }).unref?.();
    return watch;
  }

  /** Resolves when a call has been answered or a request was made; rejects when the connection ends. */
  #turn(): Promise<void> {
    return abortable(new Promise((resolve) => this.#wake = resolve), this.#ending.signal);
  }

  #take(value: unknown): void {
    if (Array.isArray(value)) return void this.#start((busy) => this.#batch(value, busy));
    const message = classify(value);
    if (isAnswer(message)) this.#settle(message);
    else void this.#start((busy) => this.#run(message, busy));
  }

  /** Does what a message asks for, and sends the answer, if there is one. */
  async #start(work: (busy: boolean) => Promise<unknown>): Promise<void> {
    const busy = ++this.#active > this.#maxConcurrent;
    try {
      const reply = await work(busy);
      if (reply !== undefined) await this.#reply(reply);
    } catch (error) {
      this.#end(error);
    } finally {
      this.#active--;
      this.#wake();
    }
  }

  /** Sends an answer; one that is too long or no JSON becomes an error. */
  async #reply(reply: unknown): Promise<void> {
    this.#answering++;
    try {
      await this.#channel.send(reply);
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
      this.#tell(error);
      const { id } = reply as { id?: RpcId };
      await this.#channel.send(failed(id ?? null, RpcCode.InternalError, "Internal error"));
    } finally {
      this.#answering--;
      this.#answered++;
    }
  }

  async #batch(values: unknown[], busy: boolean): Promise<unknown> {
    if (values.length === 0) return await this.#refuse(null, RpcCode.InvalidRequest, INVALID);
    if (values.length > this.#maxBatch) {
      const why = `more than ${this.#maxBatch} in a batch`;
      return await this.#refuse(null, RpcCode.InvalidRequest, INVALID, why);
    }
    const incoming = values.map(classify);
    // First the answers: a call of the same batch may wait for one.
    for (const message of incoming) if (isAnswer(message)) this.#settle(message);
    const replies: unknown[] = [];
    for (const message of incoming) {
      const reply = isAnswer(message) ? undefined : await this.#run(message, busy);
      if (reply !== undefined) replies.push(reply);
    }
    return replies.length === 0 ? undefined : replies;
  }

  #settle(message: Answer): void {
    const { id } = message;
    const pending = typeof id === "number" ? this.#pending.get(id) : undefined;
    if (pending === undefined) {
      // The answer to a request that was cancelled is none of anybody's.
      const old = typeof id === "number" && id > 0 && id <= this.#lastId;
      if (!old) this.#tell(new Error(`An answer to no request: id ${JSON.stringify(id)}`));
      return;
    }
    this.#pending.delete(id as number);
    if (message.kind === "result") pending.resolve(message.result);
    else if (message.kind === "error") pending.reject(message.error);
    else pending.reject(new Error(`The answer makes no sense: ${message.why}`));
  }

  /** Runs one call; what it answers, or undefined. */
  async #run(message: Exclude<Incoming, Answer>, busy: boolean): Promise<unknown> {
    if (message.kind === "invalid") {
      return await this.#refuse(message.id, RpcCode.InvalidRequest, INVALID, message.why);
    }
    if (message.kind === "notification") return await this.#notified(message);
    const { id, method, params } = message;
    if (this.#running.has(id)) {
      return await this.#refuse(id, RpcCode.InvalidRequest, INVALID, "its id is in use");
    }
    if (busy) return await this.#refuse(id, RpcCode.Busy, "Too many calls at once");
    const handler = this.#handlerOf(method);
    if (handler === undefined) {
      return await this.#refuse(id, RpcCode.MethodNotFound, "Method not found", method);
    }
    const controller = new AbortController();
    this.#running.set(id, controller);
    try {
      const call = { method, notification: false, signal: controller.signal, connection: this };
      const result = await handler(params, call);
      return { jsonrpc: "2.0", id, result: result === undefined ? null : result };
    } catch (error) {
      if (error instanceof RpcError) return failed(id, error.code, error.message, error.data);
      if (controller.signal.aborted) return failed(id, RpcCode.Cancelled, "Cancelled");
      this.#tell(error);
      return failed(id, RpcCode.InternalError, "Internal error");
    } finally {
      this.#running.delete(id);
    }
  }

  async #notified({ method, params }: { method: string; params: RpcParams | undefined }) {
    if (method === this.#cancelMethod) {
      const id = (params as { id?: RpcId } | undefined)?.id;
      if (id !== undefined) this.#running.get(id)?.abort();
      return;
    }
    const handler = this.#handlerOf(method);
    if (handler === undefined) return;
    try {
      const { signal } = this.#ending;
      await handler(params, { method, notification: true, signal, connection: this });
    } catch (error) {
      this.#tell(error);
    }
  }

  #handlerOf(method: string): RpcHandler | undefined {
    return Object.hasOwn(this.#handlers, method) ? this.#handlers[method] : undefined;
  }

  #refuse(id: RpcId, code: number, message: string, data?: unknown): Promise<unknown> {
    return Promise.resolve(failed(id, code, message, data));
  }

  #tell(error: unknown): void {
    try {
      this.#onError(error);
    } catch {
      // There is nobody left to tell.
    }
  }

  /** Closes the stream, and tells everybody who waits. Only the first end counts. */
  #end(cause: unknown): void {
    if (this.#ending.signal.aborted) return;
    const reason = cause ?? new Error("The connection was closed");
    this.#ending.abort(reason);
    this.#rejectAll(ended(cause));
    for (const controller of this.#running.values()) controller.abort(reason);
    if (cause === undefined) this.#finished.resolve();
    else this.#finished.reject(cause);
    try {
      this.#channel.close();
    } catch (error) {
      this.#tell(error);
    }
  }

  #rejectAll(error: Error): void {
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
  }
}

/** How many seconds answers may make no progress before the connection ends. */
const PATIENCE_SECONDS = 5;

const INVALID = "Invalid Request";

type Answer = Extract<Incoming, { kind: "result" | "error" | "strange answer" }>;

function isAnswer(message: Incoming): message is Answer {
  return message.kind === "result" || message.kind === "error" || message.kind === "strange answer";
}

/** Whether one message could not be read, while those after it can. */
function isUnreadable(error: unknown): error is FramingError {
  return error instanceof FramingError && /^A message is not (JSON|UTF-8)$/.test(error.message);
}

function failed(id: RpcId, code: number, message: string, data?: unknown) {
  return { jsonrpc: "2.0", id, error: { code, message, ...(data === undefined ? {} : { data }) } };
}

function ended(cause: unknown): Error {
  return new Error("The connection has ended", cause === undefined ? undefined : { cause });
}
