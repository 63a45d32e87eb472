import { existsSync, unlinkSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { native, sockets } from "../../ffi/mod.ts";
import { abstract, type Address, UnixListener, UnixSocketError, UnixStream } from "../../mod.ts";
import {
  closeRaw,
  entryAt,
  negated,
  rawBind,
  rawConnect,
  rawSocket,
  socketType,
} from "../support/listening.ts";
import {
  assertFails,
  bytes,
  readText,
  settled,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";
import { openFlags } from "../support/streams.ts";

/** Runs a body with a listener of its own. */
async function withListener<T>(
  body: (listener: UnixListener, path: string) => T | Promise<T>,
): Promise<T> {
  return await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    return await body(listener, path);
  });
}

/** Connects and says its name, which the one that accepts can read. */
async function connectAs(path: string, name: string): Promise<UnixStream> {
  const stream = await UnixStream.connect(path);
  await stream.writeAll(bytes(name));
  return stream;
}

/** The first words of a connection, which is closed then. */
async function nameOf(connection: UnixStream | Promise<UnixStream>): Promise<string | null> {
  using stream = await connection;
  return await readText(stream);
}

const pathname = (path: string): Address => ({ kind: "pathname", path });
const UNNAMED: Address = { kind: "unnamed" };

test("C58 listen(2) refuses an unbound, a datagram and a connected socket, and repeats on a listening one", async () => {
  await withTempDir((directory) => {
    const fds = [rawSocket(), rawSocket("datagram"), rawSocket()];
    const [unbound, datagram, listening] = fds as [number, number, number];
    const ends: [number, number] = [-1, -1];
    try {
      assertEquals(sockets.listen(unbound, 5), negated("EINVAL"));
      assertEquals(rawBind(datagram, `${directory}/d`), 0);
      assertEquals(sockets.listen(datagram, 5), negated("ENOTSUP"));
      assertEquals(sockets.socketpair(socketType("stream"), ends), 0);
      assertEquals(sockets.listen(ends[0], 5), negated("EINVAL"));
      assertEquals(rawBind(listening, `${directory}/s`), 0);
      assertEquals(sockets.listen(listening, 5), 0);
      assertEquals(sockets.listen(listening, 7), 0);
    } finally {
      for (const fd of [...fds, ...ends]) closeRaw(fd);
    }
  });
});

test("C58 UnixListener.fromFd() takes a descriptor that listens and reports its address", async () => {
  await withTempSocketPath(async (path) => {
    const fd = rawSocket();
    assertEquals(rawBind(fd, path), 0);
    assertEquals(sockets.listen(fd, 5), 0);
    using listener = UnixListener.fromFd(fd);
    assertEquals(listener.fd, fd);
    assertEquals(listener.addr, pathname(path));
    using client = await connectAs(path, "hello");
    assertEquals(await nameOf(listener.accept()), "hello");
    assertEquals(client.closed, false);
  });
});

test("C62 UnixListener.close() leaves the path of a listener that came from fromFd()", async () => {
  await withTempSocketPath((path) => {
    const fd = rawSocket();
    assertEquals(rawBind(fd, path), 0);
    assertEquals(sockets.listen(fd, 5), 0);
    UnixListener.fromFd(fd).close();
    assert(entryAt(path)?.isSocket);
  });
});

test("C65 a listener whose path was removed and bound again keeps its backlog, and the new one gets what connects later", async () => {
  await withListener(async (older, path) => {
    using before = await connectAs(path, "before");
    unlinkSync(path);
    using newer = UnixListener.listen(path);
    using after = await connectAs(path, "after");
    assertEquals(await nameOf(newer.accept()), "after");
    assertEquals(await nameOf(older.accept()), "before");
    await assertFails(() => older.acceptSync({ timeout: 0 }), "ETIMEDOUT");
    await assertFails(() => newer.acceptSync({ timeout: 0 }), "ETIMEDOUT");
    assertEquals([before.closed, after.closed], [false, false]);
  });
});

test("C67 connect(2) that found the backlog full succeeds with the same socket after one accept", async () => {
  await withTempSocketPath((path) => {
    using listener = UnixListener.listen(path, { backlog: 0 });
    const [first, second] = [rawSocket(), rawSocket()];
    try {
      assertEquals(rawConnect(first, path), 0);
      assertEquals(rawConnect(second, path), negated("EAGAIN"));
      listener.acceptSync().close();
      assertEquals(rawConnect(second, path), 0);
    } finally {
      closeRaw(first);
      closeRaw(second);
    }
  });
});

test("C70 UnixStream.remoteAddr of an accepted connection is unnamed for a client that did not bind", async () => {
  await withListener(async (listener, path) => {
    using client = await UnixStream.connect(path);
    using server = await listener.accept();
    assertEquals(server.remoteAddr, UNNAMED);
    assertEquals(client.localAddr, UNNAMED);
  });
});

test("C70 UnixStream.remoteAddr of an accepted connection is the path of a client that bound, connected, closed and is gone", async () => {
  await withListener(async (listener, path) => {
    const from = `${path}.client`;
    const client = await UnixStream.connect(path, { from });
    assertEquals(client.localAddr, pathname(from));
    client.close();
    assertEquals(entryAt(from), null);
    using server = await listener.accept();
    assertEquals(server.remoteAddr, pathname(from));
    assertEquals(await readText(server), null);
  });
});

test("C71 UnixListener.accept() of a client that wrote and closed gives its data and then the end", async () => {
  await withListener(async (listener, path) => {
    const client = await connectAs(path, "last words");
    client.close();
    using server = await listener.accept();
    assertEquals(await readText(server), "last words");
    assertEquals(await readText(server), null);
  });
});

test("C74 shutdown(2) of a listener wakes UnixListener.accept() with EINVAL, and connecting is refused", async () => {
  await withListener(async (listener, path) => {
    // The time limits only keep a failure from waiting forever.
    const pending = listener.accept({ signal: AbortSignal.timeout(30_000) });
    await settled();
    assertEquals(sockets.shutdown(listener.fd, native().abi.constants.SHUT_RD), 0);
    await assertFails(() => pending, "EINVAL", "accept4");
    await assertFails(() => UnixStream.connect(path), "ECONNREFUSED", "connect");
    await assertFails(() => listener.acceptSync({ timeout: 30_000 }), "EINVAL", "accept4");
  });
});

test("C74 shutdown(2) of a listener leaves what waits in the backlog to be accepted", async () => {
  await withListener(async (listener, path) => {
    using client = await connectAs(path, "early");
    assertEquals(sockets.shutdown(listener.fd, native().abi.constants.SHUT_RD), 0);
    assertEquals(await nameOf(listener.accept()), "early");
    const signal = AbortSignal.timeout(30_000);
    await assertFails(() => listener.accept({ signal }), "EINVAL", "accept4");
    assertEquals(client.closed, false);
  });
});

test("C74 an iteration over a listener that was shut down ends with the error EINVAL", async () => {
  await withListener(async (listener) => {
    const iteration = (async () => {
      for await (const stream of listener) stream.close();
    })();
    await settled();
    assertEquals(sockets.shutdown(listener.fd, native().abi.constants.SHUT_RD), 0);
    const limit = setTimeout(() => listener.close(), 30_000);
    await assertFails(() => iteration, "EINVAL", "accept4").finally(() => clearTimeout(limit));
  });
});

test("C79 UnixListener.accept() makes connections non-blocking and close-on-exec, also where the listener is neither", async () => {
  await withListener(async (listener, path) => {
    const { abi, libc } = native();
    const { F_SETFD, F_SETFL, O_NONBLOCK, O_CLOEXEC } = abi.constants;
    using client = await UnixStream.connect(path);
    using other = await UnixStream.connect(path);
    libc.fcntl(listener.fd, F_SETFD, 0);
    libc.fcntl(listener.fd, F_SETFL, 0);
    using first = listener.acceptSync();
    using second = await listener.accept();
    for (const { fd } of [first, second, client, other]) {
      assertEquals(openFlags(fd) & (O_NONBLOCK | O_CLOEXEC), O_NONBLOCK | O_CLOEXEC);
    }
  });
});

test("C80 UnixStream.localAddr of an accepted connection is the listener's path, also after the listener closed", async () => {
  await withTempSocketPath(async (path) => {
    const listener = UnixListener.listen(path);
    using client = await UnixStream.connect(path);
    using server = await listener.accept();
    listener.close();
    assertEquals(existsSync(path), false);
    assertEquals(server.localAddr, pathname(path));
    assertEquals(listener.addr, pathname(path));
    assertEquals(client.remoteAddr, pathname(path));
    const asked = UnixStream.fromFd(server.intoFd());
    assertEquals(asked.localAddr, pathname(path));
    asked.close();
  });
});

test("C80 UnixListener.addr of an abstract name and of one the kernel chose is what clients connect to", async () => {
  const name = `afunix-listener-${crypto.randomUUID()}`;
  using named = UnixListener.listen(abstract(name));
  assertEquals(named.addr, abstract(name));
  using chosen = UnixListener.listen({ kind: "unnamed" });
  assert(chosen.addr.kind === "abstract");
  assertEquals(/^[0-9a-f]{5}$/.test(new TextDecoder().decode(chosen.addr.name)), true);
  for (const listener of [named, chosen]) {
    using client = await UnixStream.connect(listener.addr);
    using server = await listener.accept();
    assertEquals(server.localAddr, listener.addr);
    assertEquals(client.remoteAddr, listener.addr);
  }
});

test("UnixListener.accept() waits for a connection", async () => {
  await withListener(async (listener, path) => {
    let done = false;
    const pending = listener.accept().finally(() => done = true);
    await settled();
    assertEquals(done, false);
    using client = await connectAs(path, "at last");
    assertEquals(await nameOf(pending), "at last");
    assertEquals(client.closed, false);
  });
});

test("UnixListener.accept() gives connections in the order in which they were made", async () => {
  await withListener(async (listener, path) => {
    const names = Array.from({ length: 50 }, (_, i) => `client ${i}`);
    const clients: UnixStream[] = [];
    for (const name of names) clients.push(await connectAs(path, name));
    const accepted: (string | null)[] = [];
    for (let i = 0; i < 25; i++) accepted.push(await nameOf(listener.accept()));
    for (let i = 0; i < 25; i++) accepted.push(await nameOf(listener.acceptSync()));
    assertEquals(accepted, names);
    for (const client of clients) client.close();
  });
});

test("UnixListener closes at the end of a using scope", async () => {
  await withTempSocketPath(async (path) => {
    {
      using listener = UnixListener.listen(path);
      assertEquals(listener.closed, false);
    }
    assertEquals(entryAt(path), null);
    await assertFails(() => UnixStream.connect(path), "ENOENT", "connect");
  });
});

test("UnixListener.intoFd() gives the listening descriptor away and leaves its path", async () => {
  await withTempSocketPath(async (path) => {
    const listener = UnixListener.listen(path);
    const waiting = listener.accept();
    await settled();
    const rejected = assertFails(() => waiting, "EBADF", "accept4");
    const fd = listener.intoFd();
    await rejected;
    listener.close();
    using again = UnixListener.fromFd(fd);
    using client = await connectAs(path, "hello");
    assertEquals(await nameOf(again.accept()), "hello");
    assertEquals(client.closed, false);
  });
});

test("C83 a loop over a UnixListener goes on after connections that were reset or gone", async () => {
  await withListener(async (listener, path) => {
    const served: string[] = [];
    const loop = (async () => {
      for await (const stream of listener) {
        try {
          const name = await readText(stream);
          // The peer is gone in every other case, and this fails.
          await stream.writeAll(bytes("hello"));
          served.push(name ?? "(end)");
        } catch (error) {
          assert(error instanceof UnixSocketError);
          served.push(error.code);
        } finally {
          stream.close();
        }
      }
    })();
    for (let i = 0; i < 10; i++) {
      (await connectAs(path, "gone")).close();
      using client = await connectAs(path, `client ${i}`);
      assertEquals(await readText(client), "hello");
    }
    listener.close();
    await loop;
    const alternating = Array.from({ length: 10 }, (_, i) => ["EPIPE", `client ${i}`]).flat();
    assertEquals(served, alternating);
  });
});

test("two loops over one UnixListener share its connections, each served once", async () => {
  await withTempSocketPath(async (path) => {
    const listener = UnixListener.listen(path);
    const names: (string | null)[] = [];
    const loops = [1, 2].map(async () => {
      for await (const stream of listener) names.push(await nameOf(stream));
    });
    const clients: UnixStream[] = [];
    for (let i = 0; i < 40; i++) clients.push(await connectAs(path, `${i}`));
    for (const client of clients) assertEquals(await readText(client), null);
    listener.close();
    await Promise.all(loops);
    assertEquals(names.map(Number).sort((a, b) => a - b), clients.map((_, i) => i));
    for (const client of clients) client.close();
  });
});

test("a loop over a UnixListener leaves other work its turns while connections keep coming", async () => {
  await withListener(async (listener, path) => {
    let rounds = 0;
    let turned = false;
    setImmediate(() => turned = true);
    // Every connection is there before it is accepted, so that no accept has to wait.
    UnixStream.connectSync(path).close();
    for await (const stream of listener) {
      stream.close();
      if (turned || ++rounds > 10_000) break;
      UnixStream.connectSync(path).close();
    }
    assert(turned, "10,000 connections were served in one turn of the event loop");
  });
});

test("UnixListener serves 5,000 connections one after the other", async () => {
  await withListener(async (listener, path) => {
    let served = 0;
    const loop = (async () => {
      for await (const stream of listener) {
        const buffer = new Uint8Array(8);
        const count = await stream.read(buffer);
        await stream.writeAll(buffer.subarray(0, count ?? 0));
        stream.close();
        served++;
      }
    })();
    for (let i = 0; i < 5000; i++) {
      using client = await UnixStream.connect(path);
      await client.writeAll(bytes(`${i}`));
      const echoed = await readText(client, 8);
      if (echoed !== `${i}`) assertEquals(echoed, `${i}`);
    }
    listener.close();
    await loop;
    assertEquals(served, 5000);
  });
});

test("UnixListener's address, which its connections share, cannot be changed by way of one of them", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    using client = await UnixStream.connect(path);
    using stream = await listener.accept();
    const address = stream.localAddr as { path: string };
    assertThrows(() => address.path = "/elsewhere", TypeError);
    assertEquals(listener.addr, { kind: "pathname", path });
    assertEquals(client.remoteAddr, listener.addr);
  });
});
