/**
 * Standard responses of what was received.
 * @module
 */

import type { Received } from "./http_exchange.ts";

/** The codings that are decoded, and what the standard calls them. */
const CODINGS: Readonly<Record<string, string>> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "deflate",
  br: "brotli",
};

const MOST_CODINGS = 5;

/** The standard Response, with the URL it came from. */
export function responseOf({ head, body }: Received, from: URL, redirected: boolean): Response {
  const { status, statusText, headers } = head;
  const decoded = body === null || head.body === 0 ? body : decode(body, headers);
  const url = new URL(from);
  url.hash = "";
  const response = new Response(decoded, { status, statusText, headers });
  return described(response, url.href, redirected);
}

/** A Response that was made by hand knows no URL; its clones have to know it too. */
function described(response: Response, url: string, redirected: boolean): Response {
  const clone = response.clone;
  return Object.defineProperties(response, {
    url: { value: url },
    redirected: { value: redirected },
    clone: { value: () => described(clone.call(response), url, redirected) },
  });
}

function decode(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  headers: Headers,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const names = (headers.get("content-encoding") ?? "").toLowerCase().split(",");
  const codings = names.map((name) => name.trim()).filter((name) => name !== "");
  if (codings.length > MOST_CODINGS) {
    body.cancel().catch(() => {});
    throw new TypeError(`The body has more than ${MOST_CODINGS} codings`);
  }
  // What is unknown is left to the caller, and so is what is below it.
  if (!codings.every((name) => Object.hasOwn(CODINGS, name))) return body;
  return codings.reduceRight((stream, name) => {
    const decoder = new DecompressionStream(CODINGS[name] as CompressionFormat);
    return stream.pipeThrough(decoder as ReadableWritablePair<Uint8Array<ArrayBuffer>, Uint8Array>);
  }, body);
}
