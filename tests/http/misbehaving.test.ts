import { test } from "node:test";
import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { UnixListener, UnixSocketError, type UnixStream } from "../../mod.ts";
import { createFetch, type CreateFetchOptions, type UnixFetch } from "../../http.ts";
import { bytes, readText, text, withTempSocketPath } from "../support/mod.ts";

/** A server of raw bytes: each connection is answered by the function. */
async function withRaw(
  answer: (stream: UnixStream) => void | Promise<void>,
  body: (fetch: UnixFetch, path: string) => Promise<void>,
  options?: CreateFetchOptions,
): Promise<void> {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const serving = (async () => {
      for await (const stream of listener) await answer(stream);
    })();
    using fetch = createFetch(path, options);
    await body(fetch, path);
    listener.close();
    await serving;
  });
}

/** Reads one request without a body, as text. */
async function request(stream: UnixStream): Promise<string> {
  let all = "";
  while (!all.endsWith("\r\n\r\n")) all += await readText(stream) ?? "\r\n\r\n";
  return all;
}

/** Answers each connection with these bytes, and closes it. */
function answering(response: string, close = true): (stream: UnixStream) => Promise<void> {
  return async (stream) => {
    await request(stream);
    await stream.writeAll(bytes(response)).catch(() => {});
    if (close) stream.close();
  };
}

const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

const MALFORMED: [what: string, response: string, why: string][] = [
  ["no response", "", "sent no response"],
  ["another protocol", "SSH-2.0-x\r\n\r\n", "The status line is malformed"],
  ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", "The status line is malformed"],
  ["the status 600", "HTTP/1.1 600 No\r\n\r\n", "The status is 600"],
  ["the protocol HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "The status line is malformed"],
  ["an end in the head", `${OK}A: b\r\n`, "ended in the head"],
  ["an empty line first", `\r\n${OK}\r\n`, "The status line is empty"],
  ["a header without a colon", `${OK}nonsense\r\n\r\n`, "A header is malformed"],
  ["a space before a colon", `${OK}A : b\r\n\r\n`, "A header is malformed"],
  ["a folded header", `${OK}A: b\r\n c\r\n\r\n`, "A header is malformed"],
  ["a NUL in a header", `${OK}A: b\0c\r\n\r\n`, "A header is malformed"],
  ["a length that is no number", `${OK}Content-Length: +5\r\n\r\nhello`, "Content-Length is"],
  ["a negative length", `${OK}Content-Length: -1\r\n\r\n`, "Content-Length is"],
  [
    "two lengths",
    `${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
    "several Content-Length",
  ],
  [
    "a length and chunks",
    `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    "Transfer-Encoding and Content-Length",
  ],
  [
    "a coding that is unknown",
    `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`,
    "Transfer-Encoding",
  ],
  ["another protocol after 101", "HTTP/1.1 101 Switching\r\n\r\n", "switches"],
  ["interim responses without an end", "HTTP/1.1 100 \r\n\r\n".repeat(40), "interim"],
  ["a head without an end", `${OK}A: ${"b".repeat(20000)}`, "longer than 16384 bytes"],
  ["many headers", OK + "A: b\r\n".repeat(5000), "longer than 16384 bytes"],
];

for (const [what, response, why] of MALFORMED) {
  test(`fetch() rejects with a TypeError for ${what}`, async () => {
    await withRaw(answering(response), async (fetch) => {
      const error = await assertRejects(() => fetch("/"), TypeError, why);
      assertInstanceOf(error.cause, Error);
      assertEquals(fetch.idle, 0);
    });
  });
}

const BAD_BODIES: [what: string, response: string, why: string][] = [
  ["ends early", `${OK}Content-Length: 10\r\n\r\nhello`, "ended in the body"],
  ["has a chunk without a size", `${CHUNKED}x\r\n\r\n`, "A chunk has no size"],
  ["has a chunk with a negative size", `${CHUNKED}-5\r\nhello\r\n0\r\n\r\n`, "no size"],
  ["has a chunk of a size in hex notation", `${CHUNKED}0x5\r\nhello\r\n0\r\n\r\n`, "no size"],
  ["has a chunk that is too long", `${CHUNKED}3\r\nhello\r\n0\r\n\r\n`, "longer than its size"],
  ["has a size that is huge", `${CHUNKED}${"f".repeat(17)}\r\n`, "no size"],
  [
    "has a size line that is long",
    `${CHUNKED}5;${"x".repeat(5000)}`,
    "size of a chunk is too long",
  ],
  ["has lines that end with LF", `${CHUNKED}5\nhello\n0\n\n`, "CRLF"],
  ["ends in a chunk", `${CHUNKED}5\r\nhel`, "ended in the body"],
  ["ends before its trailers", `${CHUNKED}0\r\n`, "ended in the body"],
  ["has a trailer that is none", `${CHUNKED}0\r\nnonsense\r\n\r\n`, "A header is malformed"],
  ["has trailers without an end", `${CHUNKED}0\r\n${"A: b\r\n".repeat(5000)}`, "trailers are too"],
];

for (const [what, response, why] of BAD_BODIES) {
  test(`a body that ${what} fails, and is not kept`, async () => {
    await withRaw(answering(response), async (fetch) => {
      const error = await assertRejects(async () => (await fetch("/")).text());
      const all = `${error} ${(error as Error).cause}`;
      assert(new RegExp(why).test(all), all);
      assertInstanceOf(error, TypeError);
      assertEquals(fetch.idle, 0);
    });
  });
}

test("fetch() passes over interim responses, takes chunks with extensions, and checks trailers", async () => {
  const response = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" +
    `${CHUNKED}5;a=b\r\nhello\r\n6 \r\n world\r\n0\r\nX-Sum: 1\r\n\r\n`;
  await withRaw(answering(response, false), async (fetch) => {
    const answer = await fetch("/");
    assertEquals([answer.headers.get("link"), await answer.text()], [null, "hello world"]);
    assertEquals(fetch.idle, 1);
  });
});

test("a response is understood however it is cut", async () => {
  const response = `HTTP/1.1 201 Made\nA: b\r\n\r\n`.replace(
    "\r\n\r\n",
    "\r\nTransfer-Encoding: chunked\r\n\r\n",
  ) +
    "5\r\nhello\r\n0\r\n\r\n";
  await withRaw(async (stream) => {
    await request(stream);
    for (const byte of bytes(response)) {
      await stream.writeAll(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }, async (fetch) => {
    const answer = await fetch("/");
    assertEquals([answer.status, answer.statusText, await answer.text()], [201, "Made", "hello"]);
  });
});

test("a body without a length ends with the connection", async () => {
  await withRaw(answering("HTTP/1.0 200 OK\r\n\r\nall of it"), async (fetch) => {
    assertEquals(await (await fetch("/")).text(), "all of it");
    assertEquals(fetch.idle, 0);
  });
});

test("bytes after a response that nobody asked for end the connection", async () => {
  const response = `${OK}Content-Length: 2\r\n\r\nok${OK}Content-Length: 4\r\n\r\nevil`;
  await withRaw(answering(response, false), async (fetch) => {
    for (let i = 0; i < 2; i++) assertEquals(await (await fetch("/")).text(), "ok");
    assertEquals(fetch.idle, 0);
  });
});

for (const method of ["GET", "POST"]) {
  const again = method === "GET";
  test(`${method} ${again ? "goes" : "never goes"} out again where a kept connection has ended`, async () => {
    const seen: string[] = [];
    const lineOf = (head: string) => head.split(" HTTP")[0]!;
    await withRaw(async (stream) => {
      seen.push(lineOf(await request(stream)));
      await stream.writeAll(bytes(`${OK}Content-Length: 2\r\n\r\nok`));
      if (seen.length > 1) return;
      // The second request over this connection is read, and not answered.
      void request(stream).then((next) => {
        seen.push(lineOf(next));
        stream.close();
      });
    }, async (fetch) => {
      assertEquals(await (await fetch("/1")).text(), "ok");
      if (again) assertEquals(await (await fetch("/2", { method })).text(), "ok");
      else await assertRejects(() => fetch("/2", { method }), TypeError, "no response");
      const second = `${method} /2`;
      assertEquals(seen, again ? ["GET /1", second, second] : ["GET /1", second]);
    });
  });
}

test("fetch() never writes the end of a line into a head", async () => {
  let head = "";
  await withRaw(async (stream) => {
    head = await request(stream);
    await stream.writeAll(bytes(`${OK}Content-Length: 0\r\n\r\n`));
  }, async (fetch) => {
    await fetch("/a\r\nX-Evil: 1\r\n\r\nGET /b?c\td e");
    assertEquals(head.split("\r\n")[0], "GET /aX-Evil:%201GET%20/b?cd%20e HTTP/1.1");
    const refused: RequestInit[] = [
      { headers: { a: "b\r\nc: d" } },
      { headers: { "a\r\nb": "c" } },
      { headers: { a: "\0" } },
      { method: "GET /\r\nA" },
      { method: "CONNECT" },
      { method: "TRACE" },
      { headers: { "transfer-encoding": "chunked" } },
      { headers: { expect: "100-continue" } },
      { headers: { upgrade: "h2c" } },
      { headers: { connection: "upgrade" } },
      { method: "POST", body: "abc", headers: { "content-length": "5" } },
      { method: "POST", body: "abc", headers: { "content-length": "3, 3" } },
      { headers: { "content-length": "5" } },
      { method: "POST", headers: { "Content-Length": "5" } },
      { method: "HEAD", headers: { "content-length": "5" } },
      { headers: [["content-length", "0"], ["Content-Length", "5"]] },
      { headers: { "content-length": "" } },
      { headers: { "Transfer-Encoding": "chunked" } },
      { headers: { "transfer-encoding ": "chunked" } },
      { headers: { trailer: "x-sum" } },
      { headers: { connection: "keep-alive, content-length" } },
      { headers: [["host", "a"], ["Host", "b"]] },
      { headers: { host: "a b" } },
      { body: "x" },
      { integrity: "sha256-x" },
      { cache: "only-if-cached" },
      { signal: {} as AbortSignal },
      { redirect: "never" as RequestRedirect },
      { unix: "/other.sock" } as RequestInit,
    ];
    for (const init of refused) {
      await assertRejects(() => fetch("/", init), TypeError, undefined, JSON.stringify(init));
    }
    for (const url of ["https://a/", "ftp://a/", "http://u:p@a/", "http://["]) {
      await assertRejects(() => fetch(url), TypeError, undefined, url);
    }
    assertEquals(fetch.idle, 1);
  });
});

test("fetch() says once that a body is empty, where the caller or the method says it", async () => {
  let head = "";
  await withRaw(async (stream) => {
    for (;;) {
      head = await request(stream);
      await stream.writeAll(bytes(`${OK}Content-Length: 0\r\n\r\n`)).catch(() => {});
      if (stream.closed || head === "\r\n\r\n") return stream.close();
    }
  }, async (fetch) => {
    const lengths = async (init: RequestInit) => {
      await fetch("/", init);
      return head.match(/^content-length: .*$/gim);
    };
    const headers = { "content-length": "0" };
    assertEquals(await lengths({ method: "POST", headers }), ["content-length: 0"]);
    assertEquals(await lengths({ method: "POST" }), ["content-length: 0"]);
    assertEquals(await lengths({ method: "POST", body: "" }), ["content-length: 0"]);
    assertEquals(await lengths({ method: "DELETE", headers }), ["content-length: 0"]);
    assertEquals(await lengths({ headers }), ["content-length: 0"]);
    assertEquals(await lengths({ method: "DELETE" }), null);
    fetch.close();
  });
});

test("a server that answers before it has read the body is heard", async () => {
  await withRaw(async (stream) => {
    await stream.read(new Uint8Array(100));
    await stream.writeAll(bytes(`HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno`));
    stream.closeWrite();
  }, async (fetch) => {
    let cancelled: () => void;
    const told = new Promise<void>((resolve) => cancelled = resolve);
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(65536)),
      cancel: () => cancelled(),
    });
    const response = await fetch("/", { method: "POST", body });
    assertEquals([response.status, await response.text()], [413, "no"]);
    await told;
    assertEquals(fetch.idle, 0);
  });
});

test("a body that fails, is no bytes, or has another length than it says fails the fetch", async () => {
  await withRaw((stream) => void stream.read(new Uint8Array(1)), async (fetch) => {
    const of = (...chunks: unknown[]) =>
      new ReadableStream({
        pull(controller) {
          const chunk = chunks.shift();
          if (chunk === undefined) controller.close();
          else if (chunk instanceof Error) controller.error(chunk);
          else controller.enqueue(chunk);
        },
      });
    const post = (body: ReadableStream, headers: HeadersInit = {}) =>
      assertRejects(() => fetch("/", { method: "POST", body, headers }), TypeError);
    const why = new Error("the source fails");
    assertEquals((await post(of(bytes("a"), why))).cause, why);
    await post(of("text"));
    await post(of(bytes("abc")), { "content-length": "2" });
    await post(of(bytes("abc")), { "content-length": "4" });
  });
});

test("fetch() rejects with the signal's reason at every stage, and closes the connection", async () => {
  const reason = new Error("enough");
  let controller = new AbortController();
  let ended: Promise<unknown> = Promise.resolve();
  let answer = "";
  await withRaw(async (stream) => {
    await request(stream);
    await stream.writeAll(bytes(answer));
    if (answer === "" || answer === OK) controller.abort(reason);
    ended = stream.read(new Uint8Array(1)).catch(() => null);
  }, async (fetch) => {
    const aborted = async (action: (signal: AbortSignal) => Promise<unknown>) => {
      controller = new AbortController();
      const error = await action(controller.signal).then(() => null, (error) => error);
      assertEquals(error, reason);
      assertEquals(await ended, null);
      assertEquals(fetch.idle, 0);
    };
    await aborted((signal) => fetch("/", { signal }));
    await aborted((signal) => fetch(new Request("http://localhost/", { signal })));
    answer = OK;
    await aborted((signal) => fetch("/", { signal }));
    answer = `${OK}Content-Length: 100\r\n\r\nsome`;
    await aborted(async (signal) => {
      const response = await fetch("/", { signal });
      controller.abort(reason);
      return await response.text();
    });
    await aborted(async (signal) => {
      const reader = (await fetch("/", { signal })).body!.getReader();
      assertEquals(text((await reader.read()).value!), "some");
      const reading = reader.read();
      controller.abort(reason);
      return await reading;
    });
  });
});

test("the signal of createFetch() ends all its requests, and those to come", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const reason = new Error("over");
  await withRaw(async (stream) => {
    await request(stream);
    controller.abort(reason);
  }, async (fetch) => {
    assertEquals(await fetch("/").catch((error) => error), reason);
    const other = new AbortController().signal;
    assertEquals(await fetch("/", { signal: other }).catch((error) => error), reason);
  }, { signal });
});

test("fetch() from nobody is a TypeError whose cause is the UnixSocketError", async () => {
  await withTempSocketPath(async (path) => {
    using fetch = createFetch(path);
    const error = await assertRejects(() => fetch("/x"), TypeError, path);
    assertInstanceOf(error.cause, UnixSocketError);
    assertEquals(error.cause.code, "ENOENT");
  });
});
