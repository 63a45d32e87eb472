/**
 * What a request is made of, from the arguments of `fetch`.
 * @module
 */

import { TOKEN } from "../util/header.ts";
import { checkWord } from "../util/validate.ts";

/** What the body of a request comes from. */
export interface RequestBody {
  /** Its bytes, where they are there; a stream otherwise. */
  source: Uint8Array<ArrayBuffer> | (() => ReadableStream<Uint8Array>);
  /** How many bytes; null where that is unknown. */
  length: number | null;
  /** Whether the source can be had again. */
  repeatable: boolean;
}

/** A request, checked. */
export interface OutgoingRequest {
  method: string;
  url: URL;
  headers: Headers;
  body: RequestBody | null;
  redirect: "follow" | "manual" | "error";
  signals: AbortSignal[];
}

const NORMALIZED_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
const METHODS_WITH_BODY = ["PATCH", "POST", "PUT"];
const FORBIDDEN_METHODS = ["CONNECT", "TRACE", "TRACK"];

/** Headers that say how a message is framed, or how the connection is used. */
const OWN_HEADERS = ["transfer-encoding", "expect", "upgrade", "keep-alive", "trailer"];

/** A body of no bytes, whose length is said all the same. */
const EMPTY: RequestBody = { source: new Uint8Array(0), length: 0, repeatable: true };

/** Options of other implementations that choose where to connect: never to be overlooked. */
const FOREIGN_OPTIONS = ["dispatcher", "client", "unix", "proxy", "tls"];

/** Where relative URLs start. */
const BASE = "http://localhost/";

/** Makes a request of the arguments of `fetch`, or throws a TypeError. */
export async function requestOf(
  input: RequestInfo | URL,
  init: RequestInit | undefined,
): Promise<OutgoingRequest> {
  const given = input instanceof Request ? input : null;
  if (init !== undefined && (typeof init !== "object" || init === null)) {
    throw new TypeError("Cannot use this as the options of fetch: expected an object");
  }
  for (const name of FOREIGN_OPTIONS) {
    if ((init as Record<string, unknown> | undefined)?.[name] === undefined) continue;
    throw new TypeError(`Cannot use the option ${name}: this fetch has its own connections`);
  }
  if ((init?.integrity ?? given?.integrity ?? "") !== "") {
    throw new TypeError("Cannot check the integrity of a response");
  }
  if ((init?.cache ?? given?.cache) === "only-if-cached") {
    throw new TypeError("Cannot take a response from a cache: there is none");
  }
  const redirects = ["follow", "manual", "error"] as const;
  const redirect = checkWord(init?.redirect ?? given?.redirect ?? "follow", "redirect", redirects);
  const signals = signalsOf(init, given);
  const url = urlOf(given === null ? input as string | URL : given.url);
  const method = methodOf(init?.method ?? given?.method ?? "GET");
  const hasBody = (init?.body ?? given?.body ?? null) !== null;
  if (hasBody && (method === "GET" || method === "HEAD")) {
    throw new TypeError(`Cannot send a body with ${method}`);
  }
  // The runtime checks the headers, and makes a stream and a type of the body.
  const made = new Request(given ?? url.href, {
    method: hasBody ? "POST" : "GET",
    ...(init?.headers === undefined ? {} : { headers: init.headers }),
    ...(init?.body === undefined || init.body === null ? {} : { body: init.body }),
    ...(hasBody ? { duplex: "half" } : {}),
  } as RequestInit);
  const headers = new Headers(made.headers);
  for (const name of OWN_HEADERS) {
    if (headers.has(name)) throw new TypeError(`Cannot send the header ${name}`);
  }
  const connection = headers.get("connection")?.toLowerCase() ?? "keep-alive";
  if (connection !== "close" && connection !== "keep-alive") {
    throw new TypeError(`Cannot send the header connection: ${JSON.stringify(connection)}`);
  }
  checkHost(headers.get("host"));
  const stated = statedLength(headers);
  if (!hasBody) checkLength(stated, 0);
  const empty = stated === 0 || METHODS_WITH_BODY.includes(method) ? EMPTY : null;
  const body = hasBody ? await bodyOf(made, init?.body ?? null, stated) : empty;
  return { method, url, headers, body, redirect, signals };
}

function signalsOf(init: RequestInit | undefined, given: Request | null): AbortSignal[] {
  const signal = init?.signal === undefined ? given?.signal : init.signal;
  if (signal === undefined || signal === null) return [];
  if (signal instanceof AbortSignal) return [signal];
  throw new TypeError("Cannot use this as signal: expected an AbortSignal");
}

function methodOf(method: string): string {
  const upper = `${method}`.toUpperCase();
  if (!TOKEN.test(upper) || FORBIDDEN_METHODS.includes(upper)) {
    throw new TypeError(`Cannot use ${JSON.stringify(method)} as a method`);
  }
  return NORMALIZED_METHODS.includes(upper) ? upper : method;
}

/** The URL of a request; a relative one belongs to `http://localhost/`. */
export function urlOf(input: string | URL, base: string | URL = BASE): URL {
  const url = new URL(input, base);
  if (url.protocol !== "http:") {
    throw new TypeError(`Cannot fetch ${url.protocol} over a Unix socket: expected http:`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError("Cannot fetch a URL with a user or a password: use a header");
  }
  return url;
}

async function bodyOf(
  made: Request,
  body: BodyInit | null,
  stated: number | null,
): Promise<RequestBody> {
  if (body instanceof Blob) {
    checkLength(stated, body.size);
    return { source: () => body.stream(), length: body.size, repeatable: true };
  }
  const streams = body === null || body instanceof ReadableStream ||
    (typeof body === "object" && Symbol.asyncIterator in body);
  if (streams) {
    const stream = made.body!;
    return { source: () => stream, length: stated, repeatable: false };
  }
  const bytes = new Uint8Array(await made.arrayBuffer());
  checkLength(stated, bytes.length);
  return { source: bytes, length: bytes.length, repeatable: true };
}

/** One host and perhaps a port: several headers of this name have become one with a comma. */
function checkHost(host: string | null): void {
  if (host === null || /^[^\s,/?#@]*$/.test(host)) return;
  throw new TypeError(`Cannot send the header host: ${JSON.stringify(host)}`);
}

/** The length that the caller gives, which a stream then has to keep to. */
function statedLength(headers: Headers): number | null {
  const value = headers.get("content-length");
  headers.delete("content-length");
  if (value === null) return null;
  if (!/^\d{1,15}$/.test(value)) throw new TypeError("Cannot use this content-length");
  return Number(value);
}

function checkLength(stated: number | null, length: number): void {
  if (stated === null || stated === length) return;
  throw new TypeError(`Cannot send a body of ${length} bytes with content-length ${stated}`);
}
