/**
 * `fetch` over Unix sockets.
 * @module
 */

import { type AddressLike, formatAddress, parseAddress } from "../address.ts";
import { type AllowedServers, type AuthorizeServer, serverGate } from "./peer.ts";
import { Exchange, isStale, type Received } from "./exchange.ts";
import { ConnectionPool } from "./pool.ts";
import { type OutgoingRequest, requestOf, urlOf } from "./request.ts";
import { responseOf } from "./response.ts";
import { checkInteger, checkSignal, ifAbsent, type SignalOption } from "../util/validate.ts";

/** Options of {@linkcode createFetch}. */
export interface CreateFetchOptions extends SignalOption {
  /**
   * Which server to talk to: lists of ids, or a function that decides. Asked for each connection
   * before a byte is sent; one that fails is closed, and the fetch rejects.
   */
  authorize?: AllowedServers | AuthorizeServer | undefined;
  /**
   * The most connections that are open at once, idle ones included: from 1 to 2,147,483,647; any number
   * without it. Further requests wait for one, in the order of the calls, until they are aborted. A
   * connection is free when the body of its response was read or cancelled.
   */
  maxConnections?: number | undefined;
  /** How many idle connections are kept for later requests: from 0 to 1,024; 8 without it. */
  maxIdle?: number | undefined;
  /**
   * How many milliseconds an idle connection is kept, or less where the server says so: from 1 to
   * 2,147,483,647; 4,000 without it.
   */
  idleTimeout?: number | undefined;
  /**
   * The most bytes of a response's head, and of its trailers: from 256 to 1,048,576; 16,384 without it.
   */
  maxHeaderSize?: number | undefined;
}

/** A `fetch` that talks to one address; see {@linkcode createFetch}. */
export interface UnixFetch extends Disposable {
  /** Requests a resource, as the standard function of this name. */
  (input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /** How many connections are idle. */
  readonly idle: number;
  /** How many connections carry a request or its response, up to the end of the body. */
  readonly active: number;
  /** How many requests wait because `maxConnections` are open. */
  readonly waiting: number;
  /**
   * Closes idle connections now, and others after their responses. Later requests connect anew, and so
   * do those that wait.
   */
  close(): void;
}

/** How many redirects are followed, as by every fetch. */
const MAX_REDIRECTS = 20;
const REDIRECTS = [301, 302, 303, 307, 308];

/** The methods that may be sent twice, where the first try met a connection that had ended. */
const REPEATABLE = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];

/**
 * A function like the standard `fetch` whose connections go to one address: HTTP/1.1 over a stream
 * socket, whatever host a URL names. A relative URL belongs to `http://localhost/`.
 *
 * Bodies of any kind go out; a ReadableStream, and a Request's, in chunks, or whole where a
 * `content-length` is given. Responses are standard ones, whose bodies are read as they are
 * consumed; gzip, deflate and br are decoded, though not asked for, and trailers are checked and
 * dropped. Connections are kept and used again; read or cancel each body, so that its connection
 * becomes free. Redirects go to the same socket. `mode`, `credentials`, `referrer`, `cache` and
 * `keepalive` concern browsers and change nothing.
 *
 * The function rejects with the signal's reason when it is aborted, at any stage, and otherwise with
 * a TypeError whose `cause` says why: a UnixSocketError of connecting, for instance. A body that
 * cannot be read to its end fails with the same.
 *
 * @param address a path of any length on Linux, or an abstract name
 * @param options `signal` aborts all requests, and further ones, for good
 * @throws {TypeError|RangeError} if an argument is invalid
 *
 * @example
 * ```ts
 * import { createFetch } from "@afunix/afunix/http";
 *
 * using fetch = createFetch("/run/docker.sock", { authorize: { uid: [0] } });
 * const response = await fetch("/containers/json?all=true");
 * console.log(response.status, await response.json());
 * ```
 */
export function createFetch(address: AddressLike, options?: CreateFetchOptions): UnixFetch {
  const signal = checkSignal(options);
  const { address: parsed } = parseAddress(address, "connect");
  if (parsed.kind === "unnamed") throw new TypeError("Cannot fetch from the unnamed address");
  const { maxConnections, maxIdle, idleTimeout, maxHeaderSize } = options ?? {};
  const pool = new ConnectionPool(parsed, {
    gate: serverGate(options?.authorize),
    maxIdle: checkInteger(ifAbsent(maxIdle, 8), "maxIdle", 0, 1024),
    idleTimeout: checkInteger(ifAbsent(idleTimeout, 4000), "idleTimeout", 1, 0x7fff_ffff),
    maxConnections: maxConnections === undefined
      ? Infinity
      : checkInteger(maxConnections, "maxConnections", 1, 0x7fff_ffff),
  });
  const most = checkInteger(ifAbsent(maxHeaderSize, 16384), "maxHeaderSize", 256, 2 ** 20);
  signal?.addEventListener("abort", () => pool.close(), { once: true });

  const fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = await requestOf(input, init);
    const signals = signal === undefined ? request.signals : [...request.signals, signal];
    const any = signals.length > 1 ? AbortSignal.any(signals) : signals[0];
    try {
      any?.throwIfAborted();
      return await followed(pool, request, most, any);
    } catch (error) {
      if (any?.aborted) throw any.reason;
      const why = error instanceof Error ? error.message : String(error);
      throw new TypeError(
        `Cannot fetch ${request.url.href} from ${formatAddress(parsed)}: ${why}`,
        {
          cause: error,
        },
      );
    }
  };
  return Object.defineProperties(fetch, {
    idle: { get: () => pool.idle },
    active: { get: () => pool.active },
    waiting: { get: () => pool.waiting },
    close: { value: () => pool.close() },
    [Symbol.dispose]: { value: () => pool.close() },
  }) as UnixFetch;
}

/** The response to a request, after its redirects. */
async function followed(
  pool: ConnectionPool,
  first: OutgoingRequest,
  most: number,
  signal: AbortSignal | undefined,
): Promise<Response> {
  let request = first;
  for (let redirects = 0;; redirects++) {
    const received = await exchanged(pool, request, most, signal);
    const { status, headers } = received.head;
    const location = REDIRECTS.includes(status) ? headers.get("location") : null;
    if (location === null || request.redirect === "manual") {
      return responseOf(received, request.url, redirects > 0);
    }
    received.body?.cancel().catch(() => {});
    if (request.redirect === "error") throw new TypeError("The server redirects");
    if (redirects === MAX_REDIRECTS) throw new TypeError("The server redirects too often");
    request = redirected(request, status, location);
  }
}

function redirected(request: OutgoingRequest, status: number, location: string): OutgoingRequest {
  const url = urlOf(location, request.url);
  if (url.hash === "") url.hash = request.url.hash;
  const headers = new Headers(request.headers);
  let { method, body } = request;
  const toGet = status === 303
    ? method !== "GET" && method !== "HEAD"
    : status < 303 && method === "POST";
  if (toGet) {
    method = "GET";
    body = null;
    for (const name of ["encoding", "language", "location", "type"]) {
      headers.delete(`content-${name}`);
    }
  } else if (body !== null && !body.repeatable) {
    throw new TypeError("The server redirects a request whose body can be sent only once");
  }
  if (url.origin !== request.url.origin) {
    for (const name of ["authorization", "cookie", "host", "proxy-authorization"]) {
      headers.delete(name);
    }
  }
  return { ...request, method, url, headers, body };
}

/** Sends a request over a connection that is kept, or a new one. */
async function exchanged(
  pool: ConnectionPool,
  request: OutgoingRequest,
  maxHeaderSize: number,
  signal: AbortSignal | undefined,
): Promise<Received> {
  const keep = pool.keeps && request.headers.get("connection")?.toLowerCase() !== "close";
  const again = REPEATABLE.includes(request.method) && (request.body?.repeatable ?? true);
  for (;;) {
    const lease = await pool.take(signal);
    const { used } = lease.connection;
    if (signal?.aborted) {
      lease.close();
      throw signal.reason;
    }
    const exchange = new Exchange(lease, { maxHeaderSize, signal, keep });
    try {
      return await exchange.run(request);
    } catch (error) {
      if (!used || !again || signal?.aborted || !isStale(error)) throw error;
    }
  }
}
