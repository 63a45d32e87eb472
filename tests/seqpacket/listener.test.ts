import { existsSync, renameSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { UnixSeqpacket, UnixSeqpacketListener } from "../../mod.ts";
import { entryAt } from "../support/listening.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";
import { content, sendTexts } from "../support/seqpacket.ts";
import { isPending, outcome } from "../support/waiting.ts";

test("UnixSeqpacketListener.accept() takes clients in the order in which they connected", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixSeqpacketListener.listen(path);
    assertEquals(listener.addr, { kind: "pathname", path });
    for (const name of ["first", "second"]) {
      using client = await UnixSeqpacket.connect(path);
      await sendTexts(client, name);
    }
    for (const name of ["first", "second"]) {
      using server = await listener.accept();
      assertEquals(server.localAddr, listener.addr);
      assertEquals(server.remoteAddr, { kind: "unnamed" });
      assertEquals(content(await server.receive()), name);
    }
  });
});

test("C68 UnixSeqpacket.connect() waits for room in the backlog", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixSeqpacketListener.listen(path, { backlog: 0 });
    using _first = await UnixSeqpacket.connect(path);
    const connecting = UnixSeqpacket.connect(path);
    assert(await isPending(connecting));
    (await listener.accept()).close();
    using second = await connecting;
    await sendTexts(second, "admitted");
    using server = await listener.accept();
    assertEquals(content(await server.receive()), "admitted");
  });
});

test("C68 UnixSeqpacket.connect() that waits can be aborted, and leaves nothing", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixSeqpacketListener.listen(path, { backlog: 0 });
    await assertNoFdLeak(async () => {
      using _first = await UnixSeqpacket.connect(path);
      const controller = new AbortController();
      const from = `${path}.client`;
      const connecting = UnixSeqpacket.connect(path, { from, signal: controller.signal });
      assert(await isPending(connecting));
      assertEquals(existsSync(from), true);
      controller.abort("enough");
      assertEquals(await outcome(connecting), "enough");
      assertEquals(existsSync(from), false);
      (await listener.accept()).close();
    });
    await assertFails(() => listener.acceptSync({ timeout: 0 }), "ETIMEDOUT", "accept4");
  });
});

test("C74 UnixSeqpacketListener.shutdown('read') ends accept() with EINVAL behind the backlog", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixSeqpacketListener.listen(path);
    using _client = await UnixSeqpacket.connect(path);
    listener.shutdown("read");
    await assertFails(() => UnixSeqpacket.connect(path), "ECONNREFUSED", "connect");
    (await listener.accept()).close();
    await assertFails(() => listener.accept(), "EINVAL", "accept4");
  });
});

test("UnixSeqpacketListener.listen() gives the file its mode, and keeps it with unlinkOnClose false", async () => {
  await withTempSocketPath((path) => {
    const listener = UnixSeqpacketListener.listen(path, { mode: 0o640, unlinkOnClose: false });
    assertEquals(entryAt(path)?.mode, 0o640);
    listener.close();
    assertEquals(entryAt(path)?.isSocket, true);
  });
});

test("C62 UnixSeqpacketListener.close() leaves the file of another that took its place", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "test.sock");
    const first = UnixSeqpacketListener.listen(path);
    renameSync(path, `${path}.moved`);
    using _second = UnixSeqpacketListener.listen(path);
    first.close();
    using client = await UnixSeqpacket.connect(path);
    assertEquals(client.closed, false);
  });
});

test("A7 UnixSeqpacketListener.listen() and connect() take a path beyond sun_path", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "x".repeat(150));
    {
      using listener = UnixSeqpacketListener.listen(path);
      using client = await UnixSeqpacket.connect(path, { from: `${path}.client` });
      using server = await listener.accept();
      assertEquals(client.remoteAddr, { kind: "pathname", path });
      assertEquals(server.localAddr, { kind: "pathname", path });
      await sendTexts(client, "far");
      assertEquals(content(await server.receive()), "far");
    }
    assertEquals(existsSync(path), false);
    assertEquals(existsSync(`${path}.client`), false);
  });
});

test("A11 UnixSeqpacketListener.listen() on the unnamed address gets a name from the kernel", async () => {
  using listener = UnixSeqpacketListener.listen({ kind: "unnamed" });
  assert(listener.addr.kind === "abstract");
  assertEquals(listener.addr.name.length, 5);
  using client = await UnixSeqpacket.connect(listener.addr);
  using _server = await listener.accept();
  assertEquals(client.remoteAddr, listener.addr);
});

test("UnixSeqpacketListener.fromFd() takes over a listener, and leaves its path", async () => {
  await withTempSocketPath(async (path) => {
    const fd = UnixSeqpacketListener.listen(path).intoFd();
    const listener = UnixSeqpacketListener.fromFd(fd);
    assertEquals(listener.addr, { kind: "pathname", path });
    using client = await UnixSeqpacket.connect(path);
    using server = await listener.accept();
    await sendTexts(client, "");
    assertEquals(content(await server.receive()), "");
    listener.close();
    assertEquals(existsSync(path), true);
  });
});

test("C71 UnixSeqpacketListener.accept() finds the records of a client that is gone", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixSeqpacketListener.listen(path);
    {
      using client = await UnixSeqpacket.connect(path, { from: `${path}.gone` });
      await sendTexts(client, "one", "two");
    }
    using server = await listener.accept();
    assertEquals(server.remoteAddr, { kind: "pathname", path: `${path}.gone` });
    assertEquals(content(await server.receive()), "one");
    assertEquals(content(await server.receive()), "two");
    assertEquals(await server.receive(), null);
    await assertFails(() => server.send(bytes("late")), "EPIPE", "send");
  });
});

test("N241 UnixSeqpacketListener with a backlog of 1 serves many clients at once", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixSeqpacketListener.listen(path, { backlog: 1 });
    const serving = (async () => {
      for await (const server of listener) {
        const record = await server.receive();
        await server.send(record!.data);
        server.close();
      }
    })();
    const answers = await Promise.all(Array.from({ length: 50 }, async (_, i) => {
      using client = await UnixSeqpacket.connect(path);
      await sendTexts(client, String(i));
      return content(await client.receive());
    }));
    assertEquals(answers, Array.from({ length: 50 }, (_, i) => String(i)));
    listener.close();
    await serving;
  });
});
