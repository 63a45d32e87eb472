import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { join } from "@std/path";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { native, sockaddr, sockets } from "../../ffi/mod.ts";
import { abstract, type AddressLike, SendBatch, UnixDatagram } from "../../mod.ts";
import { assertSameAddress, receiveTexts, takeQueued } from "../support/datagrams.ts";
import { leaveStale } from "../support/listening.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  commandFor,
  run,
  RUNTIME,
  text,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";
import { kernelName, uniqueName, withoutRoot } from "../support/raw.ts";
import { program } from "../support/streams.ts";

const decoder = new TextDecoder();

/** The bytes of a name in a directory, with some that are no UTF-8. */
function odd(directory: string, name: string): Uint8Array {
  return Uint8Array.of(...bytes(`${directory}/${name}`), 0xff, 0xfe, 0x80);
}

/** An address of each kind, made of a directory and a name, that its owner can be answered at. */
const KINDS: Record<string, (directory: string, name: string) => AddressLike> = {
  "a pathname": (directory, name) => join(directory, name),
  "a pathname with spaces, quotes and characters of several bytes": (directory, name) =>
    join(directory, `${name} "é€😀" \\x00 @`),
  "a pathname that is not UTF-8": odd,
  "a pathname of 107 bytes": (directory, name) => join(directory, name).padEnd(107, "x"),
  "an abstract name": (_, name) => abstract(uniqueName(name)),
  "an abstract name with NULs inside and at its end": (_, name) =>
    abstract(`\0\0${uniqueName(name)}\0 \0\0`),
  "an abstract name of bytes that are no UTF-8": (_, name) =>
    abstract(Uint8Array.of(0xff, 0, 0xc3, ...bytes(uniqueName(name)), 0xe2, 0x82)),
  "an abstract name of 107 bytes": (_, name) => abstract(uniqueName(name).padEnd(107, "\x01")),
  "a name that the kernel chooses": () => ({ kind: "unnamed" }),
};

for (const [kind, make] of Object.entries(KINDS)) {
  test(`D85 UnixDatagram answers a sender with ${kind} at exactly that address`, async () => {
    await withTempDir(async (directory) => {
      using server = UnixDatagram.bind(make(directory, "server"));
      using client = UnixDatagram.bind(make(directory, "client"));
      using other = UnixDatagram.bind(make(directory, "cli"));
      await client.sendTo(bytes("question"), server.localAddr);
      const { data, from } = await server.receive();
      assertEquals(text(data), "question");
      assertSameAddress(from, client.localAddr);
      await server.sendTo(bytes("by sendTo"), from);
      server.sendToSync(bytes("by sendToSync"), from);
      const batch = new SendBatch();
      batch.add(bytes("by sendMany"), from);
      await server.sendMany(batch);
      server.connect(from);
      await server.send(bytes("by send"));
      const answers = [await client.receive(), client.receiveSync(), await client.receive()];
      assertEquals(answers.map(({ data }) => text(data)), [
        "by sendTo",
        "by sendToSync",
        "by sendMany",
      ]);
      for (const answer of answers) assertSameAddress(answer.from, server.localAddr);
      assertEquals(text((await client.receive()).data), "by send");
      assertSameAddress(server.remoteAddr!, client.localAddr);
      assertEquals(takeQueued(other), []);
    });
  });

  test(`UnixDatagram.localAddr of ${kind} is the address that the kernel reports`, async () => {
    await withTempDir((directory) => {
      const socket = UnixDatagram.bind(make(directory, "server"));
      const { localAddr } = socket;
      using same = UnixDatagram.fromFd(socket.intoFd());
      assertSameAddress(same.localAddr, localAddr);
      const raw = kernelName(same.fd).address;
      assertEquals(raw.kind, same.localAddr.kind);
    });
  });
}

test("D86 UnixDatagram.receive() reports a sender that did not bind as unnamed", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    using client = UnixDatagram.unbound();
    using connected = UnixDatagram.unbound().connect(path);
    await client.sendTo(bytes("1"), path);
    await connected.send(bytes("2"));
    for (let i = 0; i < 2; i++) assertEquals((await server.receive()).from, { kind: "unnamed" });
    await client.sendTo(bytes("3"), path);
    const { from } = await server.receiveInto(new Uint8Array(1));
    assertEquals(from, { kind: "unnamed" });
  });
});

test("D86 UnixDatagram cannot answer the unnamed address: EINVAL, before any system call", async () => {
  using socket = UnixDatagram.unbound();
  const unnamed = { kind: "unnamed" } as const;
  const errors = [
    await assertFails(() => socket.sendTo(bytes("?"), unnamed), "EINVAL", "sendto"),
    await assertFails(() => socket.sendToSync(bytes("?"), unnamed), "EINVAL", "sendto"),
    await assertFails(() => new SendBatch().add(bytes("?"), unnamed), "EINVAL", "sendto"),
  ];
  for (const error of errors) {
    assertEquals(error.address, "(unnamed)");
    assertStringIncludes(error.message, "Cannot send to (unnamed): EINVAL (");
  }
});

test("A11 UnixDatagram.bind() to the unnamed address gets a name of NUL and five hexadecimal digits", () => {
  using a = UnixDatagram.bind({ kind: "unnamed" });
  using b = UnixDatagram.bind({ kind: "unnamed" });
  const names = [a, b].map(({ localAddr }) => {
    assert(localAddr.kind === "abstract");
    return decoder.decode(localAddr.name);
  });
  for (const name of names) assertMatch(name, /^[0-9a-f]{5}$/);
  assertNotEquals(names[0], names[1]);
});

test("A13 binding a datagram socket to the unnamed address again changes nothing", async () => {
  const unnamed = sockaddr.packUnnamed(native().abi.layouts.sockaddr_un);
  await withTempSocketPath((path) => {
    for (const address of [path, { kind: "unnamed" } as const]) {
      using socket = UnixDatagram.bind(address);
      const before = kernelName(socket.fd);
      assertEquals(sockets.bind(socket.fd, unnamed), 0);
      assertEquals(kernelName(socket.fd), before);
    }
  });
});

test("A13 a datagram socket without an address gets one by binding to the unnamed address", () => {
  using socket = UnixDatagram.unbound();
  const unnamed = sockaddr.packUnnamed(native().abi.layouts.sockaddr_un);
  assertEquals(sockets.bind(socket.fd, unnamed), 0);
  assertEquals(socket.localAddr.kind, "abstract");
});

test("UnixDatagram.localAddr of a socket without an address is unnamed, as of both ends of a pair", () => {
  using unbound = UnixDatagram.unbound();
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  for (const socket of [unbound, a, b]) assertEquals(socket.localAddr, { kind: "unnamed" });
});

test("D109 UnixDatagram without write permission on the socket's file fails with EACCES", async () => {
  await withTempDir(async (directory) => {
    chmodSync(directory, 0o755);
    const path = join(directory, "server");
    const attempt = async () => {
      const command = withoutRoot([...commandFor(RUNTIME, program("datagram_attempts.ts")), path]);
      const { code, stdout, stderr } = await run(command);
      assertEquals(code, 0, stderr);
      return JSON.parse(stdout);
    };
    using server = UnixDatagram.bind(path, { mode: 0o555 });
    const refused = "EACCES";
    assertEquals(await attempt(), {
      sendTo: refused,
      sendToSync: refused,
      sendMany: refused,
      connect: refused,
    });
    chmodSync(path, 0o222);
    assertEquals(await attempt(), {
      sendTo: "ok",
      sendToSync: "ok",
      sendMany: "ok",
      connect: "ok",
    });
    assertEquals(takeQueued(server), ["let me in", "let me in", "let me in"]);
  });
});

test("UnixDatagram.sendTo() and connect() say why an address cannot be reached", async () => {
  await withTempDir(async (directory) => {
    const at = (name: string) => join(directory, name);
    writeFileSync(at("file"), "");
    leaveStale(at("stale"), "datagram");
    symlinkSync("loop", at("loop"));
    using client = UnixDatagram.unbound();
    const expected: [string, string][] = [
      [at("missing"), "ENOENT"],
      [at("missing/deeper"), "ENOENT"],
      [at("file/below"), "ENOTDIR"],
      [at("loop"), "ELOOP"],
      [at("file"), "ECONNREFUSED"],
      [directory, "ECONNREFUSED"],
      [at("stale"), "ECONNREFUSED"],
    ];
    for (const [address, code] of expected) {
      const error = await assertFails(() => client.sendTo(bytes("?"), address), code, "sendto");
      assertEquals(error.message, `Cannot send to "${address}": ${code}`);
      await assertFails(() => client.sendToSync(bytes("?"), address), code, "sendto");
      const refused = await assertFails(() => client.connect(address), code, "connect");
      assertEquals(refused.message, `Cannot connect to "${address}": ${code}`);
      assertEquals(refused.address, address);
    }
    const absent = abstract(uniqueName());
    await assertFails(() => client.sendTo(bytes("?"), absent), "ECONNREFUSED", "sendto");
  });
});

test("UnixDatagram.sendTo() and connect() follow symbolic links to a socket", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    symlinkSync(path, `${path}.link`);
    using client = UnixDatagram.unbound();
    await client.sendTo(bytes("1"), `${path}.link`);
    await client.connect(`${path}.link`).send(bytes("2"));
    assertEquals(takeQueued(server), ["1", "2"]);
  });
});

/** A directory so deep that no path in it fits into a sockaddr_un. */
function deepDirectory(directory: string): string {
  const deep = join(directory, "d".repeat(120), "e".repeat(60));
  mkdirSync(deep, { recursive: true });
  return deep;
}

test("A7 UnixDatagram binds, connects and sends to paths of any length", async () => {
  await withTempDir(async (directory) => {
    const deep = deepDirectory(directory);
    for (const path of [join(deep, "server"), join(directory, "n".repeat(200))]) {
      using server = UnixDatagram.bind(path);
      assertEquals(server.localAddr, { kind: "pathname", path });
      using client = UnixDatagram.unbound();
      await client.sendTo(bytes("1"), path);
      client.sendToSync(bytes("2"), path);
      await client.sendTo(bytes("3"), bytes(path));
      await client.connect(path).send(bytes("4"));
      assertEquals(await receiveTexts(server, 4), ["1", "2", "3", "4"]);
    }
  });
});

test("A7 UnixDatagram with a long path and one with a short path answer each other by their paths", async () => {
  await withTempDir(async (directory) => {
    const [long, short] = [join(deepDirectory(directory), "server"), join(directory, "client")];
    using server = UnixDatagram.bind(long);
    using client = UnixDatagram.bind(short);
    await client.sendTo(bytes("question"), long);
    const { from } = await server.receive();
    assertEquals(from, { kind: "pathname", path: short });
    await server.sendTo(bytes("answer"), from);
    const answer = await client.receive();
    assertEquals(text(answer.data), "answer");
    // The kernel knows the long path only by the way that was taken to bind it.
    assert(answer.from.kind === "pathname");
    assert(answer.from.path.endsWith("/server"), answer.from.path);
  });
});

test("UnixDatagram.sendTo() a long path leaves no descriptor open, also when it fails", async () => {
  await withTempDir(async (directory) => {
    const path = join(deepDirectory(directory), "server");
    using server = UnixDatagram.bind(path);
    using client = UnixDatagram.unbound();
    await assertNoFdLeak(async () => {
      await client.sendTo(bytes("1"), path);
      await assertFails(() => client.sendTo(bytes("2"), `${path}.missing`), "ENOENT", "sendto");
      await assertFails(() => client.connect(`${path}.missing`), "ENOENT", "connect");
    });
    assertEquals(takeQueued(server), ["1", "1"]);
  });
});

test("UnixDatagram.sendTo() finds a path again that was replaced by another socket", async () => {
  await withTempSocketPath(async (path) => {
    using client = UnixDatagram.unbound();
    for (const round of ["1", "2", "3"]) {
      using server = UnixDatagram.bind(path);
      await client.sendTo(bytes(round), path);
      assertEquals(takeQueued(server), [round]);
      server.close();
      await assertFails(() => client.sendTo(bytes(round), path), "ENOENT", "sendto");
    }
  });
});

test("UnixDatagram.sendTo() keeps more destinations apart than it remembers", async () => {
  const names = Array.from({ length: 150 }, () => `\0${uniqueName()}`);
  const receivers = names.map((name) => UnixDatagram.bind(name));
  try {
    using client = UnixDatagram.unbound();
    for (let round = 0; round < 2; round++) {
      for (const name of names) await client.sendTo(bytes(`${round} ${name}`), name);
      for (const [i, receiver] of receivers.entries()) {
        assertEquals(takeQueued(receiver), [`${round} ${names[i]}`]);
      }
    }
  } finally {
    for (const receiver of receivers) receiver.close();
  }
});

test("UnixDatagram.sendTo() does not keep the array that it was given as an address", async () => {
  const unique = uniqueName();
  const [one, two] = [`${unique} one`, `${unique} two`];
  using first = UnixDatagram.bind(`\0${one}`);
  using second = UnixDatagram.bind(`\0${two}`);
  using client = UnixDatagram.unbound();
  const address = bytes(`\0${one}`);
  await client.sendTo(bytes("to the first"), address);
  address.set(bytes(`\0${two}`));
  await client.sendTo(bytes("to the second"), address);
  assertEquals([takeQueued(first), takeQueued(second)], [["to the first"], ["to the second"]]);
});
