import { createServer, type Server, type ServerResponse } from "node:http";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { UnixListener } from "../../mod.ts";
import { createFetch, type HttpService, serve } from "../../http.ts";
import { assertNoFdLeak, bytes, readText, settled, withTempSocketPath } from "../support/mod.ts";
import { isPending, until } from "../support/waiting.ts";

/** A server that answers when it is told to, and what it was asked so far. */
interface Held {
  server: Server;
  /** The paths, in the order of their coming. */
  asked: string[];
  /** Those that wait for an answer. */
  open: ServerResponse[];
  /** The most that ever waited at once. */
  most: number;
  answer(count?: number): void;
}

function holding(): Held {
  const open: ServerResponse[] = [];
  const asked: string[] = [];
  const held: Held = {
    asked,
    open,
    most: 0,
    server: createServer((request, response) => {
      asked.push(request.url!);
      open.push(response);
      held.most = Math.max(held.most, open.length);
    }),
    answer: (count = open.length) => open.splice(0, count).forEach((each) => each.end("answer")),
  };
  return held;
}

async function withHeld(
  body: (held: Held, path: string, service: HttpService) => Promise<void>,
): Promise<void> {
  await withTempSocketPath(async (path) => {
    const held = holding();
    const service = serve(UnixListener.listen(path), held.server);
    try {
      await body(held, path, service);
    } finally {
      service.close();
      await service.finished;
    }
  });
}

async function textOf(response: Promise<Response>): Promise<string> {
  return await (await response).text();
}

test("createFetch({ maxConnections }) opens no more, and lets requests wait in the order of the calls", async () => {
  await withHeld(async (held, path, service) => {
    using fetch = createFetch(path, { maxConnections: 3 });
    const answers = Array.from({ length: 10 }, (_, i) => textOf(fetch(`/${i}`)));
    await until(() => held.open.length === 3 && fetch.waiting === 7, "the first three");
    await settled();
    assertEquals([fetch.active, fetch.idle, fetch.waiting, service.connections], [3, 0, 7, 3]);
    for (let answered = 1; answered <= 10; answered++) {
      held.answer(1);
      const came = Math.min(10, 3 + answered);
      await until(() => held.asked.length === came, "the next");
    }
    assertEquals(await Promise.all(answers), Array(10).fill("answer"));
    // Three connect at the same time, and the server may see them in any order.
    const order = held.asked.map((url) => Number(url.slice(1)));
    assertEquals(order.slice(0, 3).sort(), [0, 1, 2]);
    assertEquals(order.slice(3), [3, 4, 5, 6, 7, 8, 9]);
    assertEquals([held.most, service.connections], [3, 3]);
    assertEquals([fetch.active, fetch.idle, fetch.waiting], [0, 3, 0]);
  });
});

test("createFetch() without maxConnections opens one for each request", async () => {
  await withHeld(async (held, path) => {
    using fetch = createFetch(path);
    const answers = Array.from({ length: 40 }, (_, i) => textOf(fetch(`/${i}`)));
    await until(() => held.open.length === 40, "all");
    assertEquals([fetch.active, fetch.waiting], [40, 0]);
    held.answer();
    await Promise.all(answers);
    assertEquals([fetch.active, fetch.idle], [0, 8]);
  });
});

test("a request that waits for a connection is aborted at once, and those behind it keep their order", async () => {
  await withHeld(async (held, path, service) => {
    const every = new AbortController();
    using fetch = createFetch(path, { maxConnections: 1, signal: every.signal });
    const first = textOf(fetch("/first"));
    await until(() => held.open.length === 1, "the first");
    const { signal: given, ...one } = controllerOf();
    const second = fetch("/second", { signal: given });
    const third = textOf(fetch("/third"));
    const fourth = fetch("/fourth");
    fourth.catch(() => {});
    await until(() => fetch.waiting === 3, "those that wait");
    one.abort("enough");
    assertEquals(await second.catch((reason) => reason), "enough");
    assertEquals(fetch.waiting, 2);
    held.answer();
    assertEquals(await first, "answer");
    await until(() => held.open.length === 1, "the third");
    held.answer();
    assertEquals(await third, "answer");
    await until(() => held.open.length === 1, "the fourth");
    const fifth = fetch("/fifth");
    await until(() => fetch.waiting === 1, "the fifth");
    every.abort("all");
    assertEquals(await fourth.catch((reason) => reason), "all");
    assertEquals(await fifth.catch((reason) => reason), "all");
    assertEquals(held.asked, ["/first", "/third", "/fourth"]);
    assertEquals([fetch.active, fetch.idle, fetch.waiting], [0, 0, 0]);
    await until(() => service.connections === 0, "the end of the connection");
  });
});

function controllerOf(): { signal: AbortSignal; abort: (reason: unknown) => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (reason) => controller.abort(reason) };
}

test("a connection is free when its body was read or cancelled, and not before", async () => {
  await withTempSocketPath(async (path) => {
    const server = createServer((_request, response) => {
      // More than the socket's buffers hold, so that the body's end cannot be there at once.
      response.end(new Uint8Array(2 << 20));
    });
    const service = serve(UnixListener.listen(path), server);
    using fetch = createFetch(path, { maxConnections: 1 });
    const first = await fetch("/1");
    const second = fetch("/2");
    await until(() => fetch.waiting === 1, "the second");
    assert(await isPending(second));
    assertEquals((await first.arrayBuffer()).byteLength, 2 << 20);
    const third = fetch("/3");
    await (await second).body!.cancel();
    assertEquals((await (await third).arrayBuffer()).byteLength, 2 << 20);
    assertEquals([fetch.active, fetch.waiting], [0, 0]);
    service.close();
    await service.finished;
  });
});

test("cancelling a body that had come whole leaves the connection to whoever uses it by then", async () => {
  await withHeld(async (held, path, service) => {
    using fetch = createFetch(path);
    const asking = fetch("/1");
    await until(() => held.open.length === 1, "the first");
    held.answer();
    const first = await asking;
    assertEquals([fetch.active, fetch.idle], [0, 1]);
    const second = textOf(fetch("/2"));
    await until(() => held.open.length === 1, "the second");
    await first.body!.cancel();
    held.answer();
    assertEquals(await second, "answer");
    assertEquals([fetch.active, fetch.idle, service.connections], [0, 1, 1]);
  });
});

test("requests that wait are not held up by a server that is not there, refuses, closes or answers nonsense", async () => {
  await withTempSocketPath(async (path) => {
    using fetch = createFetch(path, { maxConnections: 1 });
    const outcomes = (count: number) =>
      Promise.all(
        Array.from({ length: count }, (_, i) =>
          fetch(`/${i}`).then((response) =>
            response.text(), (error) => {
            assert(error instanceof TypeError);
            return (error.cause as { code?: string; name: string }).code ??
              (error.cause as Error).name;
          })),
      );
    assertEquals(await outcomes(4), Array(4).fill("ENOENT"));
    using listener = UnixListener.listen(path);
    let served = 0;
    const replies = ["", "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"];
    const serving = (async () => {
      for await (const stream of listener) {
        await readText(stream);
        await stream.writeAll(bytes(replies[served++ % 3]!));
        stream.close();
      }
    })();
    const seen = await outcomes(6);
    assertEquals(seen.filter((each) => each === "ok").length, 2);
    assertEquals([fetch.active, fetch.waiting], [0, 0]);
    using refusing = createFetch(path, { maxConnections: 1, authorize: { uid: [] } });
    const refused = await Promise.all(
      [1, 2, 3].map((i) => refusing(`/${i}`).catch((error) => error.cause.code)),
    );
    assertEquals(refused, ["EACCES", "EACCES", "EACCES"]);
    assertEquals([refusing.active, refusing.waiting], [0, 0]);
    listener.close();
    await serving;
  });
});

test("redirects, and a second try where a kept connection had ended, need no second connection", async () => {
  await withTempSocketPath(async (path) => {
    const server = createServer((request, response) => {
      const left = Number(request.url!.slice(1));
      if (left > 0) response.writeHead(302, { location: `/${left - 1}` }).end("elsewhere");
      else response.end("there");
    });
    const service = serve(UnixListener.listen(path), server);
    using fetch = createFetch(path, { maxConnections: 1 });
    assertEquals(await textOf(fetch("/5")), "there");
    await until(() => service.closeIdle() === 1, "the response to be over");
    const both = [textOf(fetch("/1")), textOf(fetch("/2"))];
    assertEquals(await Promise.all(both), ["there", "there"]);
    assertEquals([fetch.active, fetch.idle, service.connections], [0, 1, 1]);
    service.close();
    await service.finished;
  });
});

test("a server that ends kept connections as they are used gets each repeatable request again, in the one place there is", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    let connections = 0;
    const seen: string[] = [];
    const serving = (async () => {
      for await (const stream of listener) {
        connections++;
        // Answers once, says that it keeps the connection, and ends it on the next request.
        for (let requests = 0; requests < 2; requests++) {
          const request = await readText(stream);
          if (request === null || requests === 1) break;
          seen.push(request.split(" ")[1]!);
          await stream.writeAll(bytes("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
        }
        stream.close();
      }
    })();
    using fetch = createFetch(path, { maxConnections: 1 });
    const answers = [1, 2, 3, 4].map((i) => textOf(fetch(`/${i}`)));
    assertEquals(await Promise.all(answers), ["ok", "ok", "ok", "ok"]);
    assertEquals(seen.toSorted(), ["/1", "/2", "/3", "/4"]);
    assertEquals([connections, fetch.active, fetch.waiting], [4, 0, 0]);
    fetch.close();
    listener.close();
    await serving;
  });
});

test("fetch.close() lets requests that wait go on, over new connections", async () => {
  await withHeld(async (held, path) => {
    const fetch = createFetch(path, { maxConnections: 1 });
    const first = textOf(fetch("/1"));
    await until(() => held.open.length === 1, "the first");
    const second = textOf(fetch("/2"));
    await until(() => fetch.waiting === 1, "the second");
    fetch.close();
    held.answer();
    assertEquals(await first, "answer");
    await until(() => held.open.length === 1, "the second at the server");
    held.answer();
    assertEquals(await second, "answer");
    fetch.close();
    assertEquals([fetch.active, fetch.idle, fetch.waiting], [0, 0, 0]);
  });
});

test("an abort at any moment of many requests leaves every place free, and no descriptor", async () => {
  await assertNoFdLeak(() =>
    withTempSocketPath(async (path) => {
      const server = createServer((_request, response) => response.end("answer"));
      const service = serve(UnixListener.listen(path), server);
      using fetch = createFetch(path, { maxConnections: 2 });
      for (let round = 0; round < 30; round++) {
        const controller = new AbortController();
        const asked = Array.from(
          { length: 6 },
          (_, i) => textOf(fetch(`/${i}`, i % 2 === 0 ? { signal: controller.signal } : {})),
        );
        const outcomes = Promise.allSettled(asked);
        for (let turn = 0; turn < round % 10; turn++) await settled(1);
        if (round % 3 === 0) queueMicrotask(() => controller.abort());
        else controller.abort();
        const results = await outcomes;
        for (const [i, result] of results.entries()) {
          if (i % 2 === 1) assertEquals(result, { status: "fulfilled", value: "answer" });
        }
        assertEquals([fetch.active, fetch.waiting], [0, 0]);
        assert(fetch.idle <= 2);
      }
      fetch.close();
      await service.shutdown();
    })
  );
});

test("createFetch() refuses a number of connections that makes no sense", () => {
  for (const maxConnections of [0, -1, 1.5, NaN, 2 ** 31]) {
    assertThrows(() => createFetch("/x", { maxConnections }), RangeError);
  }
  for (const maxConnections of ["3", null, 3n]) {
    assertThrows(() => createFetch("/x", { maxConnections: maxConnections as never }), TypeError);
  }
});
