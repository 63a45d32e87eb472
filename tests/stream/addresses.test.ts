import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { existsSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { file } from "../../ffi/mod.ts";
import { abstract, type Address, UnixListener, UnixStream } from "../../mod.ts";
import {
  assertFails,
  assertNoFdLeak,
  readText,
  withSocketPair,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";
import { withConnection } from "../support/streams.ts";

const unnamed: Address = { kind: "unnamed" };

function pathname(path: string): Address {
  return { kind: "pathname", path };
}

function nameOf(address: Address): string {
  assert(address.kind === "abstract");
  return new TextDecoder().decode(address.name);
}

test("UnixStream.localAddr and remoteAddr of a connection are the listener's path on one side each", async () => {
  await withConnection((client, server, path) => {
    assertEquals([client.localAddr, client.remoteAddr], [unnamed, pathname(path)]);
    assertEquals([server.localAddr, server.remoteAddr], [pathname(path), unnamed]);
  });
});

test("UnixStream.localAddr and remoteAddr of an abstract connection are its name", async () => {
  const name = abstract(`afunix-test-\0-${process.pid}-${Math.random()}`);
  using listener = UnixListener.listen(name);
  using client = await UnixStream.connect(name);
  using server = await listener.accept();
  assertEquals([client.localAddr, client.remoteAddr], [unnamed, name]);
  assertEquals([server.localAddr, server.remoteAddr], [name, unnamed]);
});

test("UnixStream.localAddr and remoteAddr of a pair are unnamed", async () => {
  await withSocketPair((a, b) => {
    for (const end of [a, b]) assertEquals([end.localAddr, end.remoteAddr], [unnamed, unnamed]);
  });
});

test("UnixStream.remoteAddr still answers after the peer closed", async () => {
  await withTempDir(async (directory) => {
    const [path, from] = [join(directory, "server"), join(directory, "client")];
    using listener = UnixListener.listen(path);
    const client = await UnixStream.connect(path, { from });
    using server = await listener.accept();
    client.close();
    assertEquals(server.remoteAddr, pathname(from));
    assertEquals(await readText(server), null);
  });
});

test("UnixStream.connect() with from binds to a path first, and removes it on close", async () => {
  await withTempDir(async (directory) => {
    const [path, from] = [join(directory, "server"), join(directory, "client")];
    using listener = UnixListener.listen(path);
    using client = await UnixStream.connect(path, { from });
    using server = await listener.accept();
    assertEquals([client.localAddr, client.remoteAddr], [pathname(from), pathname(path)]);
    assertEquals([server.localAddr, server.remoteAddr], [pathname(path), pathname(from)]);
    assert(existsSync(from));
    client.close();
    assert(!existsSync(from));
  });
});

test("UnixStream.connectSync() with from binds to an abstract name first", async () => {
  await withTempSocketPath(async (path) => {
    const from = abstract(`afunix-test-${process.pid}-${Math.random()}`);
    using listener = UnixListener.listen(path);
    using client = UnixStream.connectSync(path, { from });
    using server = await listener.accept();
    assertEquals(client.localAddr, from);
    assertEquals(server.remoteAddr, from);
  });
});

test("UnixStream.connect() from the unnamed address has a name that the kernel chose", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    using client = await UnixStream.connect(path, { from: { kind: "unnamed" } });
    using server = await listener.accept();
    assertMatch(nameOf(client.localAddr), /^[0-9a-f]{5}$/);
    assertEquals(server.remoteAddr, client.localAddr);
  });
});

test("UnixStream.connect() from an address in use fails with EADDRINUSE and leaves what is there", async () => {
  await withTempDir(async (directory) => {
    const [path, from] = [join(directory, "server"), join(directory, "taken")];
    using _listener = UnixListener.listen(path);
    using _other = UnixListener.listen(from);
    const connect = () => UnixStream.connect(path, { from });
    const error = await assertFails(connect, "EADDRINUSE", "bind");
    assertEquals(error.address, from);
    assert(existsSync(from));
    const plain = join(directory, "plain");
    writeFileSync(plain, "not a socket");
    await assertFails(() => UnixStream.connectSync(path, { from: plain }), "EADDRINUSE", "bind");
    assert(existsSync(plain));
  });
});

test("UnixStream.connect() with from leaves neither file nor descriptor when it fails", async () => {
  await withTempDir((directory) =>
    assertNoFdLeak(async () => {
      const from = join(directory, "client");
      const missing = join(directory, "missing");
      await assertFails(() => UnixStream.connect(missing, { from }), "ENOENT", "connect");
      assert(!existsSync(from));
      await assertFails(() => UnixStream.connectSync(missing, { from }), "ENOENT", "connect");
      assert(!existsSync(from));
    })
  );
});

test("UnixStream.localAddr of an adopted socket is read from the kernel", async () => {
  await withConnection((client, server, path) => {
    using adopted = UnixStream.fromFd(file.duplicate(server.fd));
    assertEquals([adopted.localAddr, adopted.remoteAddr], [pathname(path), unnamed]);
    using other = UnixStream.fromFd(file.duplicate(client.fd));
    assertEquals([other.localAddr, other.remoteAddr], [unnamed, pathname(path)]);
  });
});
