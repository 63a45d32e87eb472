/**
 * `node:http` servers over listeners of this library.
 * @module
 */

import { inspectNodeSocket, openNodeSocket, refusal } from "../../ffi/mod.ts";
import { type Credentials, peerCredentials } from "../credentials.ts";
import type { UnixListener } from "../listener.ts";
import type { UnixStream } from "../stream.ts";
import { checkSignal, type SignalOption } from "../util/validate.ts";

/** What is used of a server: one of `node:http`, or another that takes its connections by an event. */
export interface ConnectionServer {
  /** Hands it a connection. */
  // deno-lint-ignore no-explicit-any
  emit(event: string, ...args: any[]): boolean;
  /** Looks at its requests. */
  // deno-lint-ignore no-explicit-any
  on(event: string, listener: (...args: any[]) => void): unknown;
  /** Looks no longer. */
  // deno-lint-ignore no-explicit-any
  off(event: string, listener: (...args: any[]) => void): unknown;
  /** How many look at an event. */
  listenerCount(event: string): number;
  /** Whether it listens by itself too. */
  readonly listening?: boolean;
  /** The most milliseconds that a client may take to send the head of a request; 0 for any. */
  headersTimeout?: number;
  /** The same for what follows the head. */
  requestTimeout?: number;
  /** How many milliseconds clients are told that an idle connection is kept; 0 for any. */
  keepAliveTimeout?: number;
  /** How many more it is kept, so that no request meets its end; 1,000 without it. */
  keepAliveTimeoutBuffer?: number;
}

interface Emitter {
  on(event: string, listener: (...args: unknown[]) => void): unknown;
}

interface ServedSocket extends Emitter {
  bytesRead: number;
  destroy(): unknown;
  destroySoon?(): unknown;
  end(): unknown;
}

interface ServedRequest extends Emitter {
  socket: object | null;
  /** Whether all of it has come, read or not. */
  complete: boolean;
}

interface ServedResponse extends Emitter {
  headersSent: boolean;
  shouldKeepAlive: boolean;
}

/** Who is at the other end of each socket. */
const peers = new WeakMap<object, Credentials | null>();

/**
 * Who sent a request, by the kernel's word (SO_PEERCRED): the process that connected, as of then.
 *
 * @param request a request of a `node:http` server, or its socket: over a connection that
 * {@linkcode serve} accepted, or over another whose descriptor the runtime shows
 * @returns null where the kernel knows no peer
 * @throws {TypeError} for what is neither
 * @throws {UnixSocketError} EBADF: the connection is gone, or hidden by the runtime
 */
export function peerCredentialsOf(request: object): Credentials | null {
  if (typeof request !== "object" || request === null) {
    throw new TypeError("Cannot tell the peer of this: expected a request");
  }
  const socket = "socket" in request ? request.socket as object | null : request;
  // A runtime takes the socket away from a request that is over.
  const known = peers.get(request) ?? (socket === null ? undefined : peers.get(socket));
  if (known !== undefined) return known;
  const state = inspectNodeSocket(socket);
  if (state === null) throw new TypeError("Cannot tell the peer of this: expected a request");
  if (state.fd >= 0) return peerCredentials(state);
  throw refusal("EBADF", {
    action: "Cannot find the descriptor",
    syscall: "fcntl",
    detail: "it is not connected, or was destroyed",
  });
}

/** A connection of the server. */
interface Served {
  socket: ServedSocket;
  /** The responses that are not over. */
  responses: Set<ServedResponse>;
  /** Whether it carries something else than HTTP from now on. */
  upgraded: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** The events that a request comes as; the last two hand the socket over. */
const REQUESTS = ["request", "checkContinue", "checkExpectation"];
const UPGRADES = ["upgrade", "connect"];

/** The most milliseconds that a timer takes. */
const MAX_TIMEOUT_MS = 0x7fff_ffff;

/** How many services each server has that does not listen by itself. */
const serving = new WeakMap<ConnectionServer, number>();

/** A server that is being given connections; made by {@linkcode serve}. */
export class HttpService implements AsyncDisposable {
  /**
   * Fulfilled when the listener is closed, by whomever, and the last connection is gone. Rejected with
   * an error of accepting that does not pass, after the same.
   */
  readonly finished: Promise<void>;
  readonly #listener: UnixListener;
  readonly #server: ConnectionServer;
  readonly #connections: Map<object, Served> = new Map();
  #draining = false;
  #allGone: () => void = () => {};

  /** @ignore */
  constructor(listener: UnixListener, server: ConnectionServer, signal: AbortSignal | undefined) {
    this.#listener = listener;
    this.#server = server;
    refuseDescriptors(listener);
    this.#watch();
    const stop = () => void this.shutdown();
    signal?.addEventListener("abort", stop, { once: true });
    this.finished = this.#serve().finally(() => signal?.removeEventListener("abort", stop));
  }

  /** How many connections are open, upgraded ones included. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Closes the connections that carry no request at the moment; returns how many. */
  closeIdle(): number {
    let closed = 0;
    for (const served of [...this.#connections.values()]) {
      if (served.responses.size > 0 || served.upgraded) continue;
      served.socket.destroy();
      closed++;
    }
    return closed;
  }

  /**
   * Stops accepting, closes idle connections, and lets requests that came finish: their responses say
   * `Connection: close` where they have not begun. Fulfilled with {@linkcode finished}. Connections
   * that were upgraded are their owner's to end.
   */
  async shutdown(): Promise<void> {
    this.#listener.close();
    this.#drain();
    await this.finished;
  }

  /** Stops accepting and closes every connection at once. */
  close(): void {
    this.#listener.close();
    this.#drain();
    for (const { socket } of [...this.#connections.values()]) socket.destroy();
  }

  /** {@linkcode shutdown} at the end of an `await using` scope. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #serve(): Promise<void> {
    const unclaim = claim(this.#server);
    try {
      for await (const stream of this.#listener) this.#take(stream);
    } finally {
      this.#listener.close();
      this.#drain();
      if (this.#connections.size > 0) {
        await new Promise<void>((resolve) => this.#allGone = resolve);
      }
      for (const name of REQUESTS) this.#server.off(name, this.#onRequest);
      for (const name of UPGRADES) this.#server.off(name, this.#onUpgrade);
      unclaim();
    }
  }

  #take(stream: UnixStream): void {
    let socket;
    try {
      const peer = stream.peerCredentials();
      const context = { action: "Cannot make a node:net socket", syscall: "getsockopt" };
      socket = openNodeSocket(stream.intoFd(), context) as ServedSocket;
      peers.set(socket, peer);
    } catch (error) {
      stream.close();
      throw error;
    }
    const served: Served = { socket, responses: new Set(), upgraded: false, timer: undefined };
    this.#connections.set(socket, served);
    socket.on("close", () => this.#gone(served));
    this.#watch();
    this.#awaitHead(served);
    this.#server.emit("connection", socket);
    if (this.#draining) socket.destroy();
  }

  #gone(served: Served): void {
    clearTimeout(served.timer);
    this.#connections.delete(served.socket);
    if (this.#connections.size === 0) this.#allGone();
  }

  /**
   * Looks at requests in each way that the server's owner does: for most events, to be looked at at
   * all changes what a server does.
   */
  #watch(): void {
    for (const name of [...REQUESTS, ...UPGRADES]) {
      const look = REQUESTS.includes(name) ? this.#onRequest : this.#onUpgrade;
      this.#server.off(name, look);
      if (name === "request" || this.#server.listenerCount(name) > 0) this.#server.on(name, look);
    }
  }

  #onRequest = (request: ServedRequest, response: ServedResponse): void => {
    const served = this.#connections.get(request.socket!);
    if (served === undefined) return;
    peers.set(request, peers.get(served.socket) ?? null);
    served.responses.add(response);
    this.#awaitRequest(served, request);
    if (this.#draining) lastOf(response);
    request.on("end", () => this.#goOn(served, request));
    response.on("close", () => {
      served.responses.delete(response);
      this.#goOn(served, request);
    });
  };

  #onUpgrade = (request: ServedRequest): void => {
    const served = this.#connections.get(request.socket!);
    if (served === undefined) return;
    peers.set(request, peers.get(served.socket) ?? null);
    clearTimeout(served.timer);
    served.upgraded = true;
  };

  /** Goes on to the next request of a connection, or to its end, where this one and its response are over. */
  #goOn(served: Served, request: ServedRequest): void {
    // A response may close after its connection.
    if (!this.#connections.has(served.socket)) return;
    if (served.upgraded || served.responses.size > 0) return;
    if (this.#draining) endSoon(served.socket);
    else if (request.complete) this.#awaitNext(served);
  }

  /** Destroys a connection over which no head of a request comes in time. */
  #awaitHead(served: Served): void {
    this.#limit(served, this.#server.headersTimeout, () => served.socket.destroy());
  }

  /** Destroys one whose request does not come whole in time, while its response may take any time. */
  #awaitRequest(served: Served, request: ServedRequest): void {
    this.#limit(served, this.#server.requestTimeout, () => {
      if (request.complete) this.#goOn(served, request);
      else served.socket.destroy();
    });
  }

  /** Destroys one that stays idle, later than was announced; a request that has begun has its own time. */
  #awaitNext(served: Served): void {
    const { headersTimeout, keepAliveTimeout = 0, keepAliveTimeoutBuffer = 1000 } = this.#server;
    const { bytesRead } = served.socket;
    const ends = keepAliveTimeout > 0;
    const idle = ends ? keepAliveTimeout + keepAliveTimeoutBuffer : headersTimeout;
    this.#limit(served, idle, () => {
      if (served.socket.bytesRead !== bytesRead) this.#awaitHead(served);
      else if (ends) served.socket.destroy();
      else this.#awaitNext(served);
    });
  }

  /** Does this after so many milliseconds, unless something else is awaited by then. */
  #limit(served: Served, milliseconds: number | undefined, exceeded: () => void): void {
    clearTimeout(served.timer);
    if (typeof milliseconds !== "number" || !(milliseconds > 0)) return;
    served.timer = setTimeout(exceeded, Math.min(milliseconds, MAX_TIMEOUT_MS));
    (served.timer as unknown as { unref?(): void }).unref?.();
  }

  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    for (const { responses } of this.#connections.values()) responses.forEach(lastOf);
    this.closeIdle();
  }
}

/**
 * Lets nobody send descriptors who connects from now on: HTTP has no use for them, and the kernel would
 * drop them here, which for some takes as long as their sender likes. Linux before 6.16 cannot.
 */
function refuseDescriptors(listener: UnixListener): void {
  try {
    listener.passDescriptors = false;
  } catch {
    // Nor is a listener that is closed in any danger.
  }
}

/** Has a response say that it is the last of its connection. */
function lastOf(response: ServedResponse): void {
  if (!response.headersSent) response.shouldKeepAlive = false;
}

function endSoon(socket: ServedSocket): void {
  if (typeof socket.destroySoon === "function") socket.destroySoon();
  else socket.end();
}

/**
 * Says that a server listens while it is given connections: Deno otherwise ends each of them after
 * one response. Returns what takes that back.
 */
function claim(server: ConnectionServer): () => void {
  const count = serving.get(server) ?? 0;
  if (count === 0 && server.listening !== false) return () => {};
  if (count === 0) Object.defineProperty(server, "listening", { configurable: true, value: true });
  serving.set(server, count + 1);
  return () => {
    const left = serving.get(server)! - 1;
    serving.set(server, left);
    if (left === 0) delete (server as { listening?: boolean }).listening;
  };
}

/**
 * Gives a server of `node:http` the connections of a listener, which may be abstract, inherited, or
 * open to certain users only. The server must not listen to it by itself; it counts as `listening`
 * meanwhile. Peers that connect from now on cannot send descriptors (`passDescriptors`, Linux 6.16).
 *
 * The server's times hold for these connections too: `headersTimeout` for the head of the first
 * request, `requestTimeout` for what follows a head, whether or not anybody reads it, and
 * `keepAliveTimeout` with its buffer for a connection that is idle. The head of a later request has
 * `headersTimeout` too, counted from when the connection would have ended idle.
 *
 * @param listener is closed when the service stops; closing it stops the service
 * @param server a server of `node:http`, on any runtime
 * @param options `signal` begins a {@linkcode HttpService.shutdown}
 * @throws {TypeError} for what is no listener or no server
 *
 * @example
 * ```ts
 * import { createServer } from "node:http";
 * import { UnixListener } from "@afunix/afunix";
 * import { peerCredentialsOf, serve } from "@afunix/afunix/http";
 *
 * const server = createServer((request, response) => {
 *   response.end(`You are user ${peerCredentialsOf(request)?.uid}\n`);
 * });
 * const service = serve(UnixListener.listen("/run/whoami.sock"), server);
 * await service.finished;
 * ```
 */
export function serve(
  listener: UnixListener,
  server: ConnectionServer,
  options?: SignalOption,
): HttpService {
  if (typeof listener?.accept !== "function" || !(Symbol.asyncIterator in listener)) {
    throw new TypeError("Cannot serve connections of this: expected a UnixListener");
  }
  if (typeof server?.emit !== "function" || typeof server.listenerCount !== "function") {
    throw new TypeError("Cannot give connections to this: expected a server of node:http");
  }
  return new HttpService(listener, server, checkSignal(options));
}
