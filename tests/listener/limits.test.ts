import { test } from "node:test";
import { assert, assertEquals, assertLess, assertRejects, assertStrictEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { file } from "../../ffi/mod.ts";
import { abstract, UnixListener, UnixStream } from "../../mod.ts";
import {
  closeRaw,
  entryAt,
  negated,
  programCommand,
  rawConnect,
  rawSocket,
  underDescriptorLimit,
} from "../support/listening.ts";
import {
  assertFails,
  bytes,
  readText,
  run,
  settled,
  TestProcess,
  withTempSocketPath,
} from "../support/mod.ts";
import { isPending, until } from "../support/waiting.ts";

/** Runs a body with a listener whose backlog is full, and the connections that fill it. */
async function withFullBacklog<T>(
  body: (listener: UnixListener, path: string) => T | Promise<T>,
  backlog = 0,
): Promise<T> {
  return await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path, { backlog });
    const filling: UnixStream[] = [];
    for (let i = 0; i <= backlog; i++) filling.push(await UnixStream.connect(path));
    try {
      return await body(listener, path);
    } finally {
      for (const stream of filling) stream.close();
    }
  });
}

// The backlog

test("C68 UnixListener.listen() with a backlog of n lets n + 1 connections wait", async () => {
  for (const backlog of [0, 1, 5]) {
    await withFullBacklog(async (_listener, path) => {
      const fd = rawSocket();
      assertEquals(rawConnect(fd, path), negated("EAGAIN"));
      closeRaw(fd);
      await assertFails(
        () => UnixStream.connectSync(path, { timeout: 0 }),
        "ETIMEDOUT",
        "connect",
      );
    }, backlog);
  }
});

test("C68 UnixListener.listen() without a backlog lets hundreds of connections wait", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const clients: UnixStream[] = [];
    for (let i = 0; i < 300; i++) clients.push(UnixStream.connectSync(path, { timeout: 0 }));
    for (const client of clients) client.close();
    for (let i = 0; i < 300; i++) (await listener.accept()).close();
  });
});

test("C68 UnixStream.connect() to a full backlog waits and gets in when room comes", async () => {
  await withFullBacklog(async (listener, path) => {
    const connecting = UnixStream.connect(path);
    assert(await isPending(connecting));
    listener.acceptSync().close();
    using client = await connecting;
    await client.writeAll(bytes("in"));
    using server = await listener.accept();
    assertEquals(await readText(server), "in");
    assertEquals(client.remoteAddr, { kind: "pathname", path });
  });
});

test("C68 UnixStream.connect() to a full backlog of an abstract listener waits too", async () => {
  const address = abstract(`afunix-backlog-${crypto.randomUUID()}`);
  using listener = UnixListener.listen(address, { backlog: 0 });
  using first = await UnixStream.connect(address);
  const connecting = UnixStream.connect(address);
  assert(await isPending(connecting));
  (await listener.accept()).close();
  using second = await connecting;
  assertEquals([first.closed, second.closed], [false, false]);
});

test("C68 UnixStream.connect() with `from` to a full backlog keeps its own path while it waits, and once only", async () => {
  await withFullBacklog(async (listener, path) => {
    const from = `${path}.client`;
    const connecting = UnixStream.connect(path, { from });
    assert(await isPending(connecting));
    const made = entryAt(from);
    assert(made?.isSocket);
    listener.acceptSync().close();
    const client = await connecting;
    assertEquals(entryAt(from), made);
    using server = await listener.accept();
    assertEquals(server.remoteAddr, { kind: "pathname", path: from });
    client.close();
    assertEquals(entryAt(from), null);
  });
});

test("C68 UnixStream.connect() that is aborted at a full backlog rejects with the reason and takes its path away", async () => {
  await withFullBacklog(async (listener, path) => {
    const from = `${path}.client`;
    const controller = new AbortController();
    const connecting = UnixStream.connect(path, { from, signal: controller.signal });
    assert(await isPending(connecting));
    assert(existsSync(from));
    const reason = new Error("no patience");
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => connecting), reason);
    assertEquals(existsSync(from), false);
    listener.acceptSync().close();
    await assertFails(() => listener.acceptSync({ timeout: 0 }), "ETIMEDOUT");
  });
});

test("C68 UnixStream.connect() at a full backlog ends with the reason of AbortSignal.timeout()", async () => {
  await withFullBacklog(async (_listener, path) => {
    const error = await assertRejects(
      () => UnixStream.connect(path, { signal: AbortSignal.timeout(20) }),
    );
    assertEquals((error as Error).name, "TimeoutError");
  });
});

test("C68 UnixStream.connect() at a full backlog rejects with ECONNREFUSED when the listener closes, and with ENOENT when its path is gone", async () => {
  for (const [unlinkOnClose, code] of [[false, "ECONNREFUSED"], [true, "ENOENT"]] as const) {
    await withTempSocketPath(async (path) => {
      const listener = UnixListener.listen(path, { backlog: 0, unlinkOnClose });
      using first = await UnixStream.connect(path);
      const connecting = UnixStream.connect(path);
      assert(await isPending(connecting));
      listener.close();
      const error = await assertFails(() => connecting, code, "connect");
      assertEquals(error.address, path);
      assertEquals(first.closed, false);
    });
  }
});

test("C68 UnixStream.connectSync() at a full backlog throws ETIMEDOUT when its time is over", async () => {
  await withFullBacklog(async (listener, path) => {
    const from = `${path}.client`;
    const error = await assertFails(
      () => UnixStream.connectSync(path, { timeout: 20, from }),
      "ETIMEDOUT",
      "connect",
    );
    assert(error.message.startsWith(`Cannot connect to "${path}"`), error.message);
    assertEquals(existsSync(from), false);
    listener.acceptSync().close();
    UnixStream.connectSync(path, { timeout: 20 }).close();
  });
});

test("C68 UnixStream.connectSync() at a full backlog of another process gets in when that accepts", async () => {
  await withTempSocketPath(async (path) => {
    await using server = new TestProcess(programCommand("slow_acceptor", [path]));
    await server.waitFor("listening");
    using first = UnixStream.connectSync(path);
    const full = rawSocket();
    assertEquals(rawConnect(full, path), negated("EAGAIN"));
    closeRaw(full);
    // It accepts after a while, in which this thread is blocked already.
    server.write("accept\n");
    await server.waitFor("told");
    using second = UnixStream.connectSync(path, { timeout: 50_000 });
    second.writeSync(bytes("in"));
    assertEquals(await readText(second), "in");
    assertEquals(first.closed, false);
  });
});

test("C68 UnixStream.connect() many times at once to a backlog of 1 gets everybody in", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path, { backlog: 1 });
    const seen = new Set<string | null>();
    const serving = (async () => {
      for await (const stream of listener) {
        seen.add(await readText(stream));
        stream.close();
        if (seen.size === 60) return;
      }
    })();
    await Promise.all(Array.from({ length: 60 }, async (_, i) => {
      using client = await UnixStream.connect(path);
      await client.writeAll(bytes(`client ${i}`));
      assertEquals(await readText(client), null);
    }));
    await serving;
    assertEquals(seen.size, 60);
  });
});

// The limit of descriptors

test("C76 a loop over a UnixListener at the limit of descriptors waits without spinning, and serves all when some come free", async () => {
  await withTempSocketPath(async (path) => {
    const command = underDescriptorLimit(64, programCommand("accept_at_limit", ["iterate", path]));
    await using server = new TestProcess(command);
    await server.waitFor("listening");
    server.write("warm up\n");
    using early = await UnixStream.connect(path);
    await early.writeAll(bytes("early"));
    assertEquals(await readText(early), "early");
    server.write("full\n");
    await server.waitFor("full");
    const clients: UnixStream[] = [];
    for (let i = 0; i < 20; i++) clients.push(await UnixStream.connect(path));
    for (const [i, client] of clients.entries()) await client.writeAll(bytes(`client ${i}`));
    server.write("measure\n");
    const output = await server.waitFor(/^measured (.*)\n/m);
    const { percent, busy } = JSON.parse(/^measured (.*)$/m.exec(output)![1]!);
    // A loop that spins takes all there is.
    assertLess(percent, 50);
    assertEquals(busy, true);
    server.write("free\n");
    for (const [i, client] of clients.entries()) {
      assertEquals(await readText(client), `client ${i}`);
      client.close();
    }
    server.write("end\n");
    const { code, stderr } = await server.finished;
    assertEquals([code, stderr], [0, ""]);
  });
});

test("C76 UnixListener.accept() and acceptSync() fail with EMFILE at the limit of descriptors, and the connections stay in the backlog", async () => {
  await withTempSocketPath(async (path) => {
    const command = underDescriptorLimit(64, programCommand("accept_at_limit", ["accept", path]));
    await using server = new TestProcess(command);
    await server.waitFor("listening");
    server.write("warm up\n");
    using early = await UnixStream.connect(path);
    await early.writeAll(bytes("early"));
    assertEquals(await readText(early), "early");
    server.write("full\n");
    await server.waitFor("full");
    const clients: UnixStream[] = [];
    for (let i = 0; i < 5; i++) clients.push(await UnixStream.connect(path));
    for (const [i, client] of clients.entries()) await client.writeAll(bytes(`client ${i}`));
    server.write("measure\n");
    const output = await server.waitFor(/^measured (.*)\n/m);
    assertEquals(JSON.parse(/^measured (.*)$/m.exec(output)![1]!), {
      waiting: "EMFILE in accept4",
      accept: "EMFILE in accept4",
      acceptSync: "EMFILE in accept4",
      pair: "EMFILE in socketpair",
    });
    server.write("free\n");
    for (const [i, client] of clients.entries()) {
      assertEquals(await readText(client), `client ${i}`);
      client.close();
    }
    server.write("end\n");
    const { code, stderr } = await server.finished;
    assertEquals([code, stderr], [0, ""]);
  });
});

// The life of the process

for (const what of ["open", "unref, loop", "loop, unref"]) {
  test(`C82 UnixListener does not keep the process alive: ${what}`, async () => {
    await withTempSocketPath(async (path) => {
      const { code, stderr } = await run(programCommand("listener_life", [what, path]));
      assertEquals([code, stderr], [0, ""]);
    });
  });
}

test("C82 UnixListener's path is removed when the process ends by itself, and when it exits", async () => {
  for (const what of ["open", "unref, loop", "exit", "exit of the runtime"]) {
    await withTempSocketPath(async (path) => {
      const { code } = await run(programCommand("listener_life", [what, path]));
      assertEquals(code, what.startsWith("exit") ? 3 : 0);
      assertEquals(existsSync(path), false, what);
    });
  }
});

for (const what of ["loop", "loop, unref, ref"]) {
  test(`C82 UnixListener keeps the process alive: ${what}`, async () => {
    await withTempSocketPath(async (path) => {
      await using server = new TestProcess(programCommand("listener_life", [what, path]));
      await server.waitFor("listening");
      for (let i = 0; i < 3; i++) {
        using client = await UnixStream.connect(path);
        assertEquals(await readText(client), "served");
        await settled();
      }
      assertEquals(server.child.exitCode, null);
    });
  });
}

test("C82 UnixListener.accept() keeps the process alive until its connection came", async () => {
  await withTempSocketPath(async (path) => {
    await using server = new TestProcess(programCommand("listener_life", ["accept", path]));
    await server.waitFor("listening");
    using client = await UnixStream.connect(path);
    assertEquals(await readText(client), null);
    assertEquals((await server.finished).code, 0);
  });
});

test("C82 UnixListener that was unref'd serves while something else keeps the process alive", async () => {
  await withTempSocketPath(async (path) => {
    const command = programCommand("listener_life", ["unref, loop, timer", path]);
    await using server = new TestProcess(command);
    await server.waitFor("listening");
    using client = await UnixStream.connect(path);
    assertEquals(await readText(client), "served");
    server.closeStdin();
    assertEquals((await server.finished).code, 0);
  });
});

test("C82 UnixListener that was unref'd and waits at the limit of descriptors does not keep the process alive", async () => {
  await withTempSocketPath(async (path) => {
    const command = programCommand("listener_life", ["unref, loop at the limit", path]);
    await using server = new TestProcess(underDescriptorLimit(64, command));
    await server.waitFor("listening");
    using client = await UnixStream.connect(path);
    server.write("go\n");
    const { code, stderr } = await server.finished;
    assertEquals([code, stderr], [0, ""]);
    assertEquals(client.closed, false);
  });
});

// Several processes

test("C77 two processes that accept on one listener serve each of 200 clients once", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const servers = [1, 2].map(() =>
      new TestProcess(programCommand("accept_inherited"), {
        stdio: ["pipe", "pipe", "pipe", listener.fd],
      })
    );
    try {
      for (const server of servers) await server.waitFor("accepting");
      const answers = await Promise.all(Array.from({ length: 200 }, async (_, i) => {
        using client = await UnixStream.connect(path);
        await client.writeAll(bytes(`client ${i}`));
        const pid = await readText(client);
        assertEquals(await readText(client), null);
        return pid;
      }));
      const pids = servers.map(({ pid }) => `${pid}`);
      assertEquals(answers.filter((pid) => !pids.includes(pid!)), []);
      const lines = () => servers.flatMap(({ stdout }) => stdout.match(/^served .*$/gm) ?? []);
      await until(() => lines().length >= 200, "200 lines");
      for (const server of servers) server.closeStdin();
      for (const server of servers) {
        const { code, stderr } = await server.finished;
        assertEquals([code, stderr], [0, ""]);
      }
      const expected = Array.from({ length: 200 }, (_, i) => `served client ${i}`);
      assertEquals(lines().sort(), expected.sort());
    } finally {
      for (const server of servers) await server[Symbol.asyncDispose]();
    }
    // Their close() removed nothing and shut nothing down.
    assert(entryAt(path)?.isSocket);
    using client = await UnixStream.connect(path);
    await client.writeAll(bytes("hello"));
    using server = await listener.accept();
    assertEquals(await readText(server), "hello");
  });
});

test("C77 two UnixListeners of one process over duplicates of a descriptor serve each client once", async () => {
  await withTempSocketPath(async (path) => {
    using first = UnixListener.listen(path);
    using second = UnixListener.fromFd(file.duplicate(first.fd));
    const served: (string | null)[] = [];
    const loops = [first, second].map(async (listener) => {
      for await (const stream of listener) {
        served.push(await readText(stream));
        stream.close();
      }
    });
    await Promise.all(Array.from({ length: 100 }, async (_, i) => {
      using client = await UnixStream.connect(path);
      await client.writeAll(bytes(`${i}`));
      assertEquals(await readText(client), null);
    }));
    first.close();
    second.close();
    await Promise.all(loops);
    assertEquals(
      served.map(Number).sort((a, b) => a - b),
      Array.from({ length: 100 }, (_, i) => i),
    );
  });
});
