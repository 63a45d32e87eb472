import { createServer, type Server, type ServerResponse } from "node:http";
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { UnixListener } from "../../mod.ts";
import { createFetch, type HttpService, peerCredentialsOf, serve } from "../../http.ts";
import { assertNoFdLeak, bytes, settled, text, withTempDir } from "../support/mod.ts";
import { join } from "@std/path";
import process from "node:process";
import { until } from "../support/waiting.ts";
import { pathOfLength } from "../support/addresses.ts";
import { freshName } from "../support/interop.ts";

/** A server that says what it got. */
function mirror(): Server {
  return createServer((request, response) => {
    let body = "";
    request.setEncoding("latin1").on("data", (chunk) => body += chunk).on("end", () => {
      const { method, url, headers } = request;
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ method, url, headers, body }));
    });
  });
}

interface Mirrored {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string;
}

/** Runs a body with a server on a path and the function that fetches from it. */
async function withServed(
  server: Server,
  body: (path: string, service: HttpService) => Promise<void>,
): Promise<void> {
  await withTempDir(async (directory) => {
    const path = join(directory, "http.sock");
    const service = serve(UnixListener.listen(path), server);
    try {
      await body(path, service);
    } finally {
      service.close();
      await service.finished;
    }
  });
}

test("createFetch() sends methods, headers and bodies of every kind", async () => {
  await withServed(mirror(), async (path) => {
    using fetch = createFetch(path);
    const ask = async (input: RequestInfo | URL, init?: RequestInit): Promise<Mirrored> => {
      const response = await fetch(input, init);
      assertEquals(response.status, 200);
      return await response.json();
    };
    const get = await ask("/a b?q=ä#hash", { headers: { "X-One": "1", "x-latin": "é" } });
    assertEquals([get.method, get.url, get.body], ["GET", "/a%20b?q=%C3%A4", ""]);
    assertEquals([get.headers.host, get.headers["x-one"]], ["localhost", "1"]);
    assertEquals(get.headers["x-latin"], "é");
    const form = new FormData();
    form.set("field", "value");
    const stream = () =>
      new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(bytes("in "));
          controller.enqueue(new Uint8Array(0));
          controller.enqueue(bytes("pieces"));
          controller.close();
        },
      });
    const url = new URL("http://some.host:81/x");
    const text = await ask(url, { method: "post", body: "text" });
    assertEquals([text.method, text.body, text.headers.host], ["POST", "text", "some.host:81"]);
    assertEquals(text.headers["content-length"], "4");
    assertEquals((await ask(url, { method: "PUT", body: bytes("bytes") })).body, "bytes");
    const blob = await ask(url, { method: "PUT", body: new Blob(["a blob"]) });
    assertEquals([blob.body, blob.headers["content-length"]], ["a blob", "6"]);
    const params = await ask(url, { method: "POST", body: new URLSearchParams({ a: "b c" }) });
    assertEquals(params.body, "a=b+c");
    assert(params.headers["content-type"]!.startsWith("application/x-www-form-urlencoded"));
    const multipart = await ask(url, { method: "POST", body: form });
    assert(multipart.body.includes('name="field"'));
    const chunked = await ask(url, { method: "POST", body: stream() });
    assertEquals([chunked.body, chunked.headers["transfer-encoding"]], ["in pieces", "chunked"]);
    const headers = { "content-length": "9" };
    const counted = await ask(url, { method: "POST", body: stream(), headers });
    assertEquals([counted.body, counted.headers["content-length"]], ["in pieces", "9"]);
    assertEquals(counted.headers["transfer-encoding"], undefined);
    const request = new Request("http://localhost/r", { method: "POST", body: "of a Request" });
    assertEquals((await ask(request)).body, "of a Request");
    const empty = await ask(url, { method: "POST" });
    assertEquals([empty.body, empty.headers["content-length"]], ["", "0"]);
    assertEquals((await ask(url, { method: "PATCH", body: "p" })).method, "PATCH");
    assertEquals(fetch.idle, 1);
  });
});

test("a large body goes both ways as it is read and written", async () => {
  const server = createServer((request, response) => {
    request.pipe(response);
  });
  await withServed(server, async (path) => {
    using fetch = createFetch(path);
    const size = 8 * 2 ** 20;
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent === size) return controller.close();
        controller.enqueue(new Uint8Array(65536).fill(sent / 65536));
        sent += 65536;
      },
    });
    const response = await fetch("/", { method: "POST", body });
    let received = 0;
    for await (const chunk of response.body!) {
      for (const byte of chunk) {
        if (byte !== (Math.floor(received / 65536) & 255)) throw new Error(`at ${received}`);
        received++;
      }
    }
    assertEquals(received, size);
    await settled();
    assertEquals(fetch.idle, 1);
  });
});

test("serve() tells the peer's credentials on each request, by peerCredentialsOf()", async () => {
  const server = createServer((request, response) => {
    response.end(JSON.stringify(peerCredentialsOf(request)));
  });
  await withServed(server, async (path) => {
    using fetch = createFetch(path);
    const mine = { pid: process.pid, uid: process.getuid!(), gid: process.getgid!() };
    assertEquals(await (await fetch("/")).json(), mine);
    assertEquals(await (await fetch("/again")).json(), mine);
  });
});

test("createFetch() reaches abstract names and paths of more than 107 bytes", async () => {
  const server = mirror();
  await withTempDir(async (directory) => {
    for (const address of [`\0${freshName()}`, pathOfLength(directory, 300)]) {
      const service = serve(UnixListener.listen(address), server);
      using fetch = createFetch(address);
      assertEquals((await (await fetch("/x")).json()).url, "/x");
      fetch.close();
      await service.shutdown();
    }
  });
});

test("connections are kept, as many as maxIdle says, and used again", async () => {
  await withServed(mirror(), async (path, service) => {
    using fetch = createFetch(path, { maxIdle: 2 });
    for (let i = 0; i < 5; i++) await (await fetch(`/${i}`)).text();
    assertEquals([fetch.idle, service.connections], [1, 1]);
    await Promise.all([1, 2, 3, 4].map(async (i) => (await fetch(`/${i}`)).text()));
    assertEquals(fetch.idle, 2);
    fetch.close();
    assertEquals(fetch.idle, 0);
    await (await fetch("/")).text();
    assertEquals(fetch.idle, 1);
    using single = createFetch(path, { maxIdle: 0 });
    const response = await single("/");
    assertEquals((await response.json()).headers.connection, "close");
    assertEquals(single.idle, 0);
  });
});

test("a connection that the server ended while it was idle is not used again", async () => {
  await withServed(mirror(), async (path, service) => {
    using fetch = createFetch(path);
    await (await fetch("/")).text();
    assertEquals([fetch.idle, service.closeIdle()], [1, 1]);
    await settled();
    assertEquals((await (await fetch("/2", { method: "POST", body: "x" })).json()).body, "x");
  });
});

test("redirects are followed on the same socket, returned, or refused", async () => {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => body += chunk).on("end", () => {
      const { method, url, headers } = request;
      seen.push(`${method} ${headers.host}${url} ${body} ${headers.authorization}`);
      const [, status, location] = /^\/(\d+)\?(.+)$/.exec(url!) ?? [];
      if (status === undefined) response.end("there");
      else response.writeHead(Number(status), { location: decodeURIComponent(location!) }).end();
    });
  });
  await withServed(server, async (path) => {
    using fetch = createFetch(path);
    const headers = { authorization: "secret" };
    const ask = async (url: string, init: RequestInit = {}): Promise<Response> => {
      seen.length = 0;
      const response = await fetch(url, { headers, ...init });
      await response.text();
      return response;
    };
    const followed = await ask("/302?/end#here");
    assertEquals([followed.url, followed.redirected], ["http://localhost/end", true]);
    assertEquals(seen.length, 2);
    assertEquals(seen[1], "GET localhost/end  secret");
    await ask("/303?/end", { method: "PUT", body: "x" });
    assertEquals(seen[1], "GET localhost/end  secret");
    await ask("/301?/end", { method: "POST", body: "x" });
    assertEquals(seen[1], "GET localhost/end  secret");
    await ask("/307?/end", { method: "POST", body: "x" });
    assertEquals(seen[1], "POST localhost/end x secret");
    await ask("/308?http%3A%2F%2Fother%2Fend");
    assertEquals(seen[1], "GET other/end  undefined");
    const manual = await ask("/302?/end", { redirect: "manual" });
    assertEquals([manual.status, manual.headers.get("location")], [302, "/end"]);
    assertEquals(manual.redirected, false);
    const rejects = async (url: string, init: RequestInit, why: string) => {
      await assertRejects(() => ask(url, init), TypeError, why);
    };
    await rejects("/302?/end", { redirect: "error" }, "The server redirects");
    await rejects("/302?https%3A%2F%2Fa%2F", {}, "expected http:");
    await rejects("/302?%2F302%3F%2Fend", { redirect: "error" }, "redirects");
    const body = new Blob(["x"]).stream() as ReadableStream<Uint8Array>;
    await rejects("/307?/end", { method: "POST", body }, "can be sent only once");
  });
});

test("a redirect to itself ends after 20", async () => {
  let requests = 0;
  const server = createServer((_request, response) => {
    requests++;
    response.writeHead(302, { location: "/" }).end();
  });
  await withServed(server, async (path) => {
    using fetch = createFetch(path);
    await assertRejects(() => fetch("/"), TypeError, "too often");
    assertEquals(requests, 21);
  });
});

test("HEAD, 204 and 304 have no body, and leave the connection in order", async () => {
  const server = createServer((request, response) => {
    const status = Number(request.url!.slice(1));
    if (status === 200) response.setHeader("content-length", "5");
    response.writeHead(status).end(status === 200 ? "hello" : undefined);
  });
  await withServed(server, async (path, service) => {
    using fetch = createFetch(path);
    const head = await fetch("/200", { method: "HEAD" });
    assertEquals([head.body, head.headers.get("content-length")], [null, "5"]);
    assertEquals((await fetch("/204")).body, null);
    assertEquals((await fetch("/304")).status, 304);
    assertEquals(await (await fetch("/200")).text(), "hello");
    assertEquals(service.connections, 1);
  });
});

test("bodies with a content-encoding are decoded", async () => {
  const { gzipSync, brotliCompressSync, deflateSync } = process.getBuiltinModule("node:zlib");
  const codings: Record<string, (data: string) => Uint8Array> = {
    gzip: gzipSync,
    br: brotliCompressSync,
    deflate: deflateSync,
  };
  const server = createServer((request, response) => {
    const name = request.url!.slice(1);
    response.setHeader("content-encoding", name);
    response.end(codings[name]?.("squeezed") ?? "as it is");
  });
  await withServed(server, async (path) => {
    using fetch = createFetch(path);
    for (const name of Object.keys(codings)) {
      assertEquals(await (await fetch(`/${name}`)).text(), "squeezed");
    }
    assertEquals(await (await fetch("/own")).text(), "as it is");
  });
});

test("an empty body with a content-encoding is empty, whenever its end comes", async () => {
  const ends: (() => void)[] = [];
  const server = createServer((request, response) => {
    response.setHeader("content-encoding", request.url!.slice(1));
    response.flushHeaders();
    ends.push(() => response.end());
  });
  await withServed(server, async (path) => {
    using fetch = createFetch(path);
    for (const coding of ["gzip", "deflate", "br", "gzip,%20br"]) {
      const response = await fetch(`/${decodeURI(coding)}`);
      const body = response.text();
      ends.pop()!();
      assertEquals(await body, "", coding);
      assertEquals([fetch.idle, fetch.active], [1, 0]);
    }
  });
});

test("a decoded body that is cancelled, or breaks off, ends its connection", async () => {
  const { gzipSync } = process.getBuiltinModule("node:zlib");
  const responses: ServerResponse[] = [];
  const server = createServer((request, response) => {
    responses.push(response);
    response.setHeader("content-encoding", "gzip");
    if (request.url === "/begins") response.write(gzipSync("squeezed"));
    else response.flushHeaders();
  });
  await withServed(server, async (path) => {
    using fetch = createFetch(path);
    const freed = () => until(() => fetch.active === 0, "the end of the connection");
    for (const url of ["/begins", "/waits"]) {
      const reader = (await fetch(url)).body!.getReader();
      const first = reader.read();
      if (url === "/begins") assertEquals(text((await first).value!), "squeezed");
      await reader.cancel();
      await freed();
    }
    const body = (await fetch("/breaks")).text();
    responses.at(-1)!.destroy();
    await assertRejects(() => body, TypeError);
    await freed();
    assertEquals(fetch.idle, 0);
  });
});

test("requests, responses and services leave no descriptor behind", async () => {
  await assertNoFdLeak(() =>
    withServed(mirror(), async (path) => {
      using fetch = createFetch(path);
      await (await fetch("/")).text();
      await (await fetch("/"))!.body!.cancel();
      await assertRejects(() => fetch("/", { signal: AbortSignal.abort() }));
    })
  );
});
