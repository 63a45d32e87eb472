import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import { Socket } from "node:net";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { UnixListener, UnixStream } from "../../mod.ts";
import { type HttpService, peerCredentialsOf, serve } from "../../http.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  readText,
  readToEnd,
  settled,
  text,
  withTempSocketPath,
} from "../support/mod.ts";
import { isPending, until } from "../support/waiting.ts";

const GET = bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n");

test("serve() keeps a connection for many requests, on every runtime", async () => {
  await assertNoFdLeak(() =>
    withTempSocketPath(async (path) => {
      let requests = 0;
      const server = createServer((_request, response) => response.end(`number ${++requests}`));
      const service = serve(UnixListener.listen(path), server);
      assertEquals(server.listening, true);
      using client = await UnixStream.connect(path);
      for (let i = 1; i <= 3; i++) {
        await client.writeAll(GET);
        let answer = "";
        while (!answer.endsWith(`number ${i}`)) answer += await readText(client) ?? "END";
        assert(!answer.includes("END"), answer);
      }
      assertEquals(service.connections, 1);
      await service.shutdown();
      assertEquals(text(await readToEnd(client)), "");
      assertEquals([service.connections, server.listening], [0, false]);
    })
  );
});

test("a service that shuts down lets requests finish, and says Connection: close", async () => {
  await withTempSocketPath(async (path) => {
    const waiting: ServerResponse[] = [];
    const server = createServer((_request, response) => void waiting.push(response));
    const listener = UnixListener.listen(path);
    const controller = new AbortController();
    const service = serve(listener, server, { signal: controller.signal });
    using busy = await UnixStream.connect(path);
    using idle = await UnixStream.connect(path);
    await busy.writeAll(GET);
    await until(() => waiting.length === 1 && service.connections === 2, "the request");
    controller.abort();
    assertEquals(await idle.read(new Uint8Array(1)).catch(() => null), null);
    assert(listener.closed);
    assert(await isPending(service.finished));
    waiting[0]!.end("the last one");
    const answer = text(await readToEnd(busy));
    assert(/\r\nconnection: close\r\n/i.test(answer), answer);
    assert(answer.includes("the last one"), answer);
    await service.finished;
  });
});

test("closing the listener ends a service; close() ends it at once", async () => {
  await withTempSocketPath(async (path) => {
    const server = createServer(() => {});
    const first = UnixListener.listen(path);
    const service = serve(first, server);
    first.close();
    await service.finished;
    const again = serve(UnixListener.listen(path), server);
    using client = await UnixStream.connect(path);
    await client.writeAll(GET);
    await once(server, "request");
    again.close();
    await again.finished;
    assertEquals(await client.read(new Uint8Array(1)).catch(() => null), null);
    assertEquals(server.listenerCount("request"), 1);
  });
});

test("closeIdle() closes what carries no request, and returns how many", async () => {
  await withTempSocketPath(async (path) => {
    const waiting: ServerResponse[] = [];
    const server = createServer((_request, response) => void waiting.push(response));
    const service = serve(UnixListener.listen(path), server);
    using busy = await UnixStream.connect(path);
    using _one = await UnixStream.connect(path);
    using _two = await UnixStream.connect(path);
    await busy.writeAll(GET);
    await until(() => waiting.length === 1 && service.connections === 3, "the connections");
    assertEquals(service.closeIdle(), 2);
    await until(() => service.connections === 1, "their end");
    waiting[0]!.end("x");
    await until(() => waiting[0]!.writableFinished, "the response");
    await settled();
    service.close();
    await service.finished;
  });
});

test("a client that does not finish its request in time is cut off", async () => {
  await withTempSocketPath(async (path) => {
    const server = createServer(() => {});
    server.headersTimeout = 20;
    const service = serve(UnixListener.listen(path), server);
    using client = await UnixStream.connect(path);
    // It may be cut off before it has written that.
    await client.writeAll(bytes("GET / HTTP/1.1\r\nHo")).catch(() => {});
    const end = await readToEnd(client).catch(() => new Uint8Array(0));
    assert(end.length === 0 || text(end).startsWith("HTTP/1.1 408"), text(end));
    service.close();
    await service.finished;
  });
});

/** Serves with times that the server has from its first request on, and lets a client talk to it. */
async function withTimes(
  times: Partial<Server>,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  body: (
    client: UnixStream,
    service: HttpService,
    answered: (count: number) => Promise<void>,
  ) => Promise<void>,
): Promise<void> {
  await withTempSocketPath(async (path) => {
    const server = Object.assign(createServer(), {
      headersTimeout: NEVER,
      requestTimeout: NEVER,
      keepAliveTimeout: NEVER,
    });
    let closed = 0;
    server.on("request", (request, response) => {
      Object.assign(server, times);
      response.on("close", () => closed++);
      answer(request, response);
    });
    const answered = (count: number) => until(() => closed === count, `response ${count}`);
    await using service = serve(UnixListener.listen(path), server);
    using client = await UnixStream.connect(path);
    await body(client, service, answered);
    service.close();
  });
}

/** A limit that passes in no test. */
const NEVER = 60_000;

const atOnce = (_request: IncomingMessage, response: ServerResponse) => void response.end("done");

for (const [what, more] of [["stays idle", ""], ["begins a head", "GET / HT"]] as const) {
  test(`a client that ${what} after a request is cut off`, async () => {
    const times = { keepAliveTimeout: 20, keepAliveTimeoutBuffer: 0, headersTimeout: 20 };
    await withTimes(times, atOnce, async (client, service, answered) => {
      await client.writeAll(GET);
      await answered(1);
      if (more !== "") await client.writeAll(bytes(more)).catch(() => {});
      await until(() => service.connections === 0, "the end of the connection");
    });
  });
}

/** Waits until timers of 20 ms that are set by now have run. */
const later = () => new Promise((resolve) => setTimeout(resolve, 50));

test("an idle connection is kept as long as was announced, whatever headersTimeout says", async () => {
  const times = { headersTimeout: 20 };
  await withTimes(times, atOnce, async (client, service, answered) => {
    await client.writeAll(GET);
    await answered(1);
    await later();
    assertEquals(service.connections, 1);
    await client.writeAll(GET);
    await answered(2);
  });
});

test("without keepAliveTimeout an idle connection is kept, and one that begins a head is not", async () => {
  const times = { keepAliveTimeout: 0, headersTimeout: 20 };
  await withTimes(times, atOnce, async (client, service, answered) => {
    await client.writeAll(GET);
    await answered(1);
    await later();
    await client.writeAll(GET);
    await answered(2);
    await client.writeAll(bytes("GET / HT"));
    await until(() => service.connections === 0, "the end of the connection");
  });
});

test("a response may take longer than requestTimeout, though nobody reads its request", async () => {
  const times = { requestTimeout: 20 };
  await withTimes(times, (_request, response) => {
    response.write("begins ");
    setTimeout(() => response.end("and ends"), 50);
  }, async (client) => {
    await client.writeAll(bytes("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    const answer = text(await readToEnd(client));
    assert(answer.includes("and ends"), answer);
  });
});

for (const [when, answers] of [["before", false], ["after", true]] as const) {
  test(`a request whose body does not come is cut off ${when} it was answered`, async () => {
    const times = { requestTimeout: 20 };
    let came = false;
    await withTimes(times, (_request, response) => {
      came = true;
      if (answers) response.end("unread");
    }, async (client, service) => {
      const head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nsome";
      await client.writeAll(bytes(head));
      await until(() => came, "the request");
      await until(() => service.connections === 0, "the end of the connection");
    });
  });
}

test("a response that ends after its connection has no further request awaited", async () => {
  await withTempSocketPath(async (path) => {
    const answering: ServerResponse[] = [];
    const server = createServer((_request, response) => void answering.push(response));
    Object.assign(server, { keepAliveTimeout: 0, headersTimeout: 54_321 });
    await using service = serve(UnixListener.listen(path), server);
    const client = await UnixStream.connect(path);
    await client.writeAll(GET);
    await until(() => answering.length === 1, "the request");
    const { setTimeout } = globalThis;
    let timers = 0;
    globalThis.setTimeout = ((callback: () => void, milliseconds: number) => {
      if (milliseconds === 54_321) timers++;
      return setTimeout(callback, milliseconds);
    }) as never;
    try {
      client.close();
      await until(() => service.connections === 0, "the end of the connection");
      answering[0]!.end("too late");
      await settled(20);
    } finally {
      globalThis.setTimeout = setTimeout;
    }
    assertEquals(timers, 0);
  });
});

test("peerCredentialsOf() and serve() refuse what they cannot use", async () => {
  assertThrows(() => peerCredentialsOf(3 as never), TypeError);
  assertThrows(() => peerCredentialsOf({ socket: {} }), TypeError);
  await withTempSocketPath((path) => {
    using listener = UnixListener.listen(path);
    assertThrows(() => serve({} as never, createServer()), TypeError);
    assertThrows(() => serve(listener, {} as never), TypeError);
    assertThrows(() => serve(listener, createServer(), { signal: 1 as never }), TypeError);
    assert(!listener.closed);
  });
});

test("an error of accepting that stays ends the service with it", async () => {
  await withTempSocketPath(async (path) => {
    const listener = UnixListener.listen(path, {
      authorize: () => {
        throw new Error("cannot decide");
      },
    });
    const service = serve(listener, createServer());
    using _client = await UnixStream.connect(path);
    const error = await service.finished.then(() => null, (error) => error);
    assertEquals(error.message, "cannot decide");
    assert(listener.closed);
  });
});

test("an upgraded connection belongs to whoever took it", async () => {
  await withTempSocketPath(async (path) => {
    const server = createServer();
    server.on("upgrade", (_request, socket) => {
      socket.write("HTTP/1.1 101 Switching\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n");
      socket.pipe(socket);
    });
    const service = serve(UnixListener.listen(path), server);
    using client = await UnixStream.connect(path);
    const asking = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    await client.writeAll(bytes(asking));
    let answer = "";
    while (!answer.endsWith("\r\n\r\n")) answer += await readText(client) ?? "\r\n\r\nEND";
    assert(answer.startsWith("HTTP/1.1 101"), answer);
    assertEquals(service.closeIdle(), 0);
    await client.writeAll(bytes("echoed"));
    assertEquals(await readText(client), "echoed");
    const ending = service.shutdown();
    assert(await isPending(ending));
    client.close();
    await ending;
    assertEquals(server.listenerCount("upgrade"), 1);
  });
});

test("peerCredentialsOf() of a node:net socket that is not connected fails with EBADF, and says so", async () => {
  const { message } = await assertFails(
    () => peerCredentialsOf({ socket: new Socket() }),
    "EBADF",
    "fcntl",
  );
  assertEquals(
    message,
    "Cannot find the descriptor: EBADF (it is not connected, or was destroyed)",
  );
});
