import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { mkdirSync, readdirSync, realpathSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { errnoNumber, file, native, sockaddr, sockets } from "../../ffi/mod.ts";
import {
  type Address,
  type AddressLike,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { uncheckedLibc } from "../support/debug.ts";
import {
  attemptElsewhere,
  callsMade,
  codeOf,
  kernelName,
  packedPath,
  succeed,
  withRawSocket,
} from "../support/raw.ts";
import {
  assertFails,
  bytes,
  text,
  withSocketPair,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";
import {
  assertConnects,
  concat,
  encoder,
  isSocket,
  namesIn,
  pathname,
  pathOfLength,
  UNNAMED,
} from "../support/addresses.ts";

test("A1 UnixListener.listen() binds to exactly the path, which the kernel reports with a NUL", async () => {
  await withTempSocketPath((path) => {
    using listener = UnixListener.listen(path);
    const { length, address } = kernelName(listener.fd);
    assertEquals(length, 2 + path.length + 1);
    assertEquals(address, { kind: "pathname", bytes: encoder.encode(path) });
    assertEquals(listener.addr, pathname(path));
    assertEquals(listener.localAddr, pathname(path));
    assert(isSocket(path));
  });
});

test("A2 UnixListener.listen() takes the bytes of a path that is not UTF-8", async () => {
  await withTempDir(async (directory) => {
    const path = concat(encoder.encode(`${directory}/a`), Uint8Array.of(0xff, 0xfe), bytes("z"));
    using listener = UnixListener.listen(path);
    assertEquals(namesIn(directory), [[0x61, 0xff, 0xfe, 0x7a]]);
    assertEquals(kernelName(listener.fd).address, { kind: "pathname", bytes: path });
    const address = listener.addr;
    assert(address.kind === "pathname" && address.bytes !== undefined);
    assertEquals(address.bytes, path);
    await assertConnects(listener, path);
    await assertConnects(listener, address);
    listener.close();
    assertEquals(readdirSync(directory), []);
  });
});

test("A2 UnixStream.connect() reports a path that is not UTF-8 with its bytes on both sides", async () => {
  await withTempDir(async (directory) => {
    const path = concat(encoder.encode(`${directory}/`), Uint8Array.of(0x80, 0xc3));
    const from = concat(encoder.encode(`${directory}/`), Uint8Array.of(0xf0, 0x9f));
    using listener = UnixListener.listen(path);
    const connecting = UnixStream.connect(path, { from });
    using accepted = await listener.accept();
    using client = await connecting;
    for (const address of [client.remoteAddr, accepted.localAddr]) {
      assertEquals(address.kind === "pathname" && address.bytes, path);
    }
    for (const address of [client.localAddr, accepted.remoteAddr]) {
      assertEquals(address.kind === "pathname" && address.bytes, from);
    }
  });
});

test("UnixListener.listen() keeps every character of a path that is text", async () => {
  await withTempDir(async (directory) => {
    for (
      const name of ["日本語", "é", "e\u0301", "\ufeffbom", "a b", "a\nb", "a\\b", "@a", "%41", "~"]
    ) {
      const path = join(directory, name);
      using listener = UnixListener.listen(path);
      assertEquals(readdirSync(directory), [name]);
      assertEquals(listener.addr, pathname(path));
      // Read back from the kernel, not from what was given.
      const fd = succeed(file.duplicate(listener.fd));
      using twin = UnixListener.fromFd(fd);
      assertEquals(twin.addr, pathname(path));
      await assertConnects(twin, path);
    }
  });
});

for (const [what, name] of [["an @", "@name"], ["a byte order mark", "\ufeffname"], ["~", "~"]]) {
  test(`UnixListener.listen() takes a relative path that begins with ${what} for a file's name`, async () => {
    await withTempDir(async (directory) => {
      const outcomes = await attemptElsewhere([
        { chdir: directory },
        { listen: name! },
        { connect: name! },
        { connect: `${directory}/${name}` },
      ]);
      assertEquals(outcomes, ["ok", "ok", "ok", "ok"]);
    });
  });
}

test("A4 UnixListener.listen() binds a path of 107 bytes as it is", async () => {
  await withTempDir(async (directory) => {
    const path = pathOfLength(directory, 107);
    using listener = UnixListener.listen(path);
    const { length, address } = kernelName(listener.fd);
    assertEquals(length, 110);
    assertEquals(address, { kind: "pathname", bytes: encoder.encode(path) });
    await assertConnects(listener, path);
  });
});

type Use = (address: AddressLike) => unknown;

/** All that binds to an address, or that connects or sends to one. */
function usesOf(sender: UnixDatagram): Record<"bind" | "connect", Record<string, Use>> {
  return {
    bind: {
      "UnixListener.listen": (address) => UnixListener.listen(address),
      "UnixSeqpacketListener.listen": (address) => UnixSeqpacketListener.listen(address),
      "UnixDatagram.bind": (address) => UnixDatagram.bind(address),
    },
    connect: {
      "UnixStream.connect": (address) => UnixStream.connect(address),
      "UnixStream.connectSync": (address) => UnixStream.connectSync(address),
      "UnixSeqpacket.connect": (address) => UnixSeqpacket.connect(address),
      "UnixSeqpacket.connectSync": (address) => UnixSeqpacket.connectSync(address),
      "UnixDatagram.connect": (address) => sender.connect(address),
      "UnixDatagram.sendTo": (address) => sender.sendTo(encoder.encode("?"), address),
      "UnixDatagram.sendToSync": (address) => sender.sendToSync(encoder.encode("?"), address),
    },
  };
}

/** Asserts that uses refuse addresses with this code, and that the kernel is not asked. */
async function assertRefused(
  uses: Record<string, Use>,
  addresses: readonly AddressLike[],
  code: string,
  syscall?: string,
): Promise<void> {
  for (const [name, use] of Object.entries(uses)) {
    for (const address of addresses) {
      const calls = await callsMade(() => assertFails(() => use(address), code, syscall));
      // A socket may have been made before.
      assertEquals(calls.filter((call) => call !== "socket" && call !== "close"), [], name);
    }
  }
}

test("A10 a path with a NUL is refused with EINVAL, wherever it is and whatever takes it", async () => {
  await withTempDir(async (directory) => {
    const spellings: AddressLike[] = [];
    for (const path of [`${directory}/a\0`, `${directory}/a\0b`, `${directory}/a\0\0`]) {
      spellings.push(path, encoder.encode(path), { kind: "pathname", path });
      spellings.push({ kind: "pathname", path: "b", bytes: encoder.encode(path) });
    }
    spellings.push(new URL(`file://${directory}/a%00`), new URL(`file://${directory}/a%00b`));
    // Tagged as a pathname, a leading NUL makes no abstract name.
    spellings.push({ kind: "pathname", path: "\0name" });
    using sender = UnixDatagram.unbound();
    const { bind, connect } = usesOf(sender);
    await assertRefused(bind, spellings, "EINVAL", "bind");
    await assertRefused(connect, spellings, "EINVAL", "connect");
    const from: Use = (address) => UnixStream.connect("/x", { from: address });
    await assertRefused({ from }, spellings, "EINVAL", "bind");
    assertEquals(readdirSync(directory), []);
  });
});

test("A14 an empty path is refused with EINVAL, and the unnamed address by all but what binds", async () => {
  const empty: AddressLike[] = ["", new Uint8Array(0), { kind: "pathname", path: "" }];
  using sender = UnixDatagram.unbound();
  const { bind, connect } = usesOf(sender);
  await assertRefused(bind, empty, "EINVAL", "bind");
  await assertRefused(connect, empty, "EINVAL", "connect");
  await assertRefused(connect, [UNNAMED], "EINVAL");
  assertMatch(
    (await assertFails(() => UnixListener.listen(""), "EINVAL", "bind")).message,
    /empty/,
  );
});

test("A16 an abstract name of more than 107 bytes is refused with ENAMETOOLONG, whatever takes it", async () => {
  const name = "x".repeat(108);
  const tagged: Address = { kind: "abstract", name: encoder.encode(name) };
  const addresses = [`\0${name}`, encoder.encode(`\0${name}`), tagged];
  using sender = UnixDatagram.unbound();
  const { bind, connect } = usesOf(sender);
  await assertRefused(bind, addresses, "ENAMETOOLONG", "bind");
  await assertRefused(connect, addresses, "ENAMETOOLONG", "connect");
});

test("A14 connect(2) refuses the family alone with EINVAL and binds nothing", async () => {
  await withRawSocket("SOCK_STREAM", (fd) => {
    const unnamed = sockaddr.packUnnamed(native().abi.layouts.sockaddr_un);
    assertEquals(sockets.connect(fd, unnamed), -errnoNumber("EINVAL"));
    assertEquals(kernelName(fd).address, { kind: "unnamed" });
  });
});

test("A26 UnixStream.pair() is unnamed at both ends, and so is a client that did not bind", async () => {
  await withSocketPair((a, b) => {
    for (const end of [a, b]) {
      assertEquals(kernelName(end.fd).length, 2);
      assertEquals([end.localAddr, end.remoteAddr], [UNNAMED, UNNAMED]);
    }
  });
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const connecting = UnixStream.connect(path);
    using accepted = await listener.accept();
    using client = await connecting;
    assertEquals([client.localAddr, accepted.remoteAddr], [UNNAMED, UNNAMED]);
  });
  await withRawSocket("SOCK_STREAM", (fd) => {
    assertEquals(kernelName(fd), { length: 2, address: { kind: "unnamed" } });
  });
});

test("A28 getsockname(2) refuses a negative length, and reports the whole one for a tiny buffer", async () => {
  await withTempSocketPath((path) => {
    using listener = UnixListener.listen(path);
    const { errno, abi } = native();
    const { libc } = uncheckedLibc();
    const buffer = new Uint8Array(new ArrayBuffer(256));
    const length = new Int32Array(new ArrayBuffer(64)).fill(-1);
    assertEquals(libc.getsockname(listener.fd, buffer, length), -1);
    assertEquals(errno[0], abi.errno.EINVAL);

    for (const size of [0, 1, 2, 3, 5]) {
      const memory = new Uint8Array(new ArrayBuffer(256)).fill(0x7a);
      const tiny = memory.subarray(0, size);
      const reported = sockets.socketName("getsockname", listener.fd, tiny);
      assertEquals(reported, 2 + path.length + 1);
      assert(memory.subarray(size).every((byte) => byte === 0x7a));
      const address = sockaddr.unpackSockaddr(abi.layouts.sockaddr_un, tiny, reported);
      const read = encoder.encode(path).slice(0, Math.max(0, size - 2));
      assertEquals(
        address,
        size <= 2 ? { kind: "unnamed" } : { kind: "pathname", bytes: read },
      );
    }
  });
});

test("A29 bind(2) and connect(2) refuse another family with EINVAL", async () => {
  await withTempSocketPath(async (path) => {
    using _listener = UnixListener.listen(path);
    const { constants, layouts } = native().abi;
    const wrong = packedPath(path);
    const [offset, width] = layouts.sockaddr_un.fields.sun_family;
    assertEquals([offset, width], [0, 2]);
    wrong[0] = constants.AF_INET;
    await withRawSocket("SOCK_STREAM", (fd) => {
      assertEquals(sockets.bind(fd, wrong), -errnoNumber("EINVAL"));
      assertEquals(sockets.connect(fd, wrong), -errnoNumber("EINVAL"));
    });
  });
});

test("A31 UnixListener.close() removes the path that was relative to the directory of listen()", async () => {
  await withTempDir(async (directory) => {
    const [first, second] = [join(directory, "first"), join(directory, "second")];
    mkdirSync(first);
    mkdirSync(second);
    writeFileSync(join(second, "r.sock"), "keep me");
    const outcomes = await attemptElsewhere([
      { chdir: first },
      { listen: "r.sock" },
      { chdir: second },
      { close: true },
    ]);
    assertEquals(outcomes, ["ok", "ok", "ok", "ok"]);
    assertEquals(readdirSync(first), []);
    assertEquals(readdirSync(second), ["r.sock"]);
  });
});

test("A31 UnixStream.close() removes a relative path that it came from, after chdir too", async () => {
  await withTempDir(async (directory) => {
    const [first, second] = [join(directory, "first"), join(directory, "second")];
    mkdirSync(first);
    mkdirSync(second);
    using _listener = UnixListener.listen(join(directory, "server"));
    const outcomes = await attemptElsewhere([
      { chdir: first },
      { connect: "../server", from: "c.sock" },
      { chdir: second },
      { listen: "c.sock" },
      { chdir: directory },
      { close: true },
    ]);
    assertEquals(outcomes.map(codeOf), new Array(6).fill("ok"));
    assertEquals([readdirSync(first), readdirSync(second)], [[], []]);
  });
});

test("UnixListener.listen() reports a relative path as it was given", async () => {
  const { cwd } = process;
  await withTempDir((directory) => {
    const back = cwd();
    process.chdir(directory);
    try {
      using listener = UnixListener.listen("./r.sock");
      assertEquals(listener.addr, pathname("./r.sock"));
      assertEquals(readdirSync(directory), ["r.sock"]);
      const bound = kernelName(listener.fd).address;
      assert(bound.kind === "pathname");
      assertEquals(
        text(bound.bytes),
        join(realpathSync(directory), "./r.sock").replace("/r.", "/./r."),
      );
    } finally {
      process.chdir(back);
    }
  });
});
