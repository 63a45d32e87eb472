/**
 * Standard responses of what was received.
 * @module
 */

import type { Received } from "./exchange.ts";

/** The codings that are decoded, and what the standard calls them. */
const CODINGS: Readonly<Record<string, string>> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "deflate",
  br: "brotli",
};

const MAX_CODINGS = 5;

type Body = ReadableStream<Uint8Array<ArrayBuffer>>;

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

function decode(body: Body, headers: Headers): Body {
  const names = (headers.get("content-encoding") ?? "").toLowerCase().split(",");
  const codings = names.map((name) => name.trim()).filter((name) => name !== "");
  if (codings.length > MAX_CODINGS) {
    body.cancel().catch(() => {});
    throw new TypeError(`The body has more than ${MAX_CODINGS} codings`);
  }
  // What is unknown is left to the caller, and so is what is below it.
  if (!codings.every((name) => Object.hasOwn(CODINGS, name))) return body;
  if (codings.length === 0) return body;
  return unlessEmpty(body, (encoded) =>
    codings.reduceRight((stream, name) => {
      const decoder = new DecompressionStream(CODINGS[name] as CompressionFormat);
      return stream.pipeThrough(
        decoder as ReadableWritablePair<Uint8Array<ArrayBuffer>, Uint8Array>,
      );
    }, encoded));
}

/** A body as it is decoded; an empty one, which no coding allows, as it is. */
function unlessEmpty(body: Body, decoded: (body: Body) => Body): Body {
  const encoded = body.getReader();
  let reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | null = null;
  return new ReadableStream({
    async pull(controller) {
      if (reader === null) {
        const first = await encoded.read();
        if (first.done) return controller.close();
        reader = decoded(following(first.value, encoded)).getReader();
      }
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => (reader ?? encoded).cancel(reason),
  }, { highWaterMark: 0 });
}

/** The rest of a body after its first piece, with that piece. */
function following(
  first: Uint8Array<ArrayBuffer>,
  rest: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
): Body {
  return new ReadableStream({
    start: (controller) => controller.enqueue(first),
    async pull(controller) {
      const { done, value } = await rest.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => rest.cancel(reason),
  }, { highWaterMark: 0 });
}
