import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { basename, dirname, join } from "@std/path";
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { errnoNumber, failure, file, native, refusal, sockets } from "../../ffi/mod.ts";
import {
  abstract,
  type AddressLike,
  Fd,
  UnixListener,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import {
  attemptElsewhere,
  codeOf,
  packedName,
  succeed,
  uniqueName,
  withoutRoot,
  withRawSocket,
} from "../support/raw.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  withSocketPair,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";
import { assertError, withObstacles } from "../support/errors.ts";

test("UnixSocketError has a message made of its parts, and keeps each of them", () => {
  const cause = new Error("because");
  const error = new UnixSocketError({
    action: "Cannot do it",
    code: "EPIPE",
    errno: 32,
    syscall: "send",
    address: "/run/x",
    detail: "nobody reads",
    bytesTransferred: 7,
  }, { cause });
  assertEquals(error.message, "Cannot do it: EPIPE (nobody reads)");
  const { name, code, errno, syscall, address, bytesTransferred } = error;
  assertEquals({ name, code, errno, syscall, address, bytesTransferred }, {
    name: "UnixSocketError",
    code: "EPIPE",
    errno: 32,
    syscall: "send",
    address: "/run/x",
    bytesTransferred: 7,
  });
  assertEquals(error.cause, cause);
  assertMatch(String(error), /^UnixSocketError: Cannot do it: EPIPE/);
  assert(error instanceof Error);
  const plain = new UnixSocketError({ action: "Cannot", code: "EIO", errno: 5, syscall: "read" });
  assertEquals(plain.message, "Cannot: EIO");
  assertEquals([plain.address, plain.bytesTransferred, plain.cause], [
    undefined,
    undefined,
    undefined,
  ]);
});

test("failure() keeps the number of an errno that has no name", () => {
  const error = failure(-4095, { action: "Cannot", syscall: "bind" }) as UnixSocketError;
  assertEquals([error.code, error.errno], ["UNKNOWN_4095", 4095]);
});

test("failure() gives every errno of this system the name under which it is listed", () => {
  for (const [name, number] of Object.entries(native().abi.errno)) {
    const error = failure(-number, { action: "Cannot", syscall: "bind" }) as UnixSocketError;
    assertEquals([error.code, error.errno], [name, number]);
    const own = refusal(name, { action: "Cannot", syscall: "bind" });
    assertEquals([own.code, own.errno], [name, number]);
  }
});

const CONNECT_ERRORS: [what: string, name: string, code: string][] = [
  ["nothing is", "missing", "ENOENT"],
  ["there is no such directory", "missing/socket", "ENOENT"],
  ["a regular file is", "file", "ECONNREFUSED"],
  ["a directory is", "directory", "ECONNREFUSED"],
  ["a socket is that nobody serves", "stale", "ECONNREFUSED"],
  ["a socket is that does not listen", "bound", "ECONNREFUSED"],
  ["a datagram socket is", "datagram", "EPROTOTYPE"],
  ["a symlink leads nowhere", "dangling", "ENOENT"],
  ["a symlink leads to itself", "loop", "ELOOP"],
  ["the path goes through a file", "file/socket", "ENOTDIR"],
  ["a name has 256 bytes", "n".repeat(256), "ENAMETOOLONG"],
  ["the path has 4,200 bytes", `${"d/".repeat(2090)}name`, "ENAMETOOLONG"],
];

for (const [what, name, code] of CONNECT_ERRORS) {
  test(`${name.length < 20 ? "L220 " : ""}UnixStream.connect() rejects with ${code} where ${what}`, async () => {
    await withObstacles((directory) => {
      const address = `${directory}/${name}`;
      return assertNoFdLeak(async () => {
        const before = readdirSync(directory);
        const expected = { code, syscall: "connect", address };
        await assertError(() => UnixStream.connect(address), expected);
        await assertError(() => UnixStream.connect(bytes(address)), expected);
        const error = await assertError(() => UnixStream.connectSync(address), expected);
        assertEquals(error.message.startsWith(`Cannot connect to "${address}": `), true);
        assertEquals(readdirSync(directory), before);
      });
    });
  });
}

test("UnixStream.connect() rejects with ECONNREFUSED where an abstract name has no listener", async () => {
  const name = uniqueName("\0");
  const address = `@${name.slice(0, -1)}\\x00`;
  await assertNoFdLeak(async () => {
    const expected = { code: "ECONNREFUSED", syscall: "connect", address };
    const error = await assertError(() => UnixStream.connect(`\0${name}`), expected);
    await assertError(() => UnixStream.connectSync(abstract(name)), expected);
    assertEquals(error.message, `Cannot connect to ${address}: ECONNREFUSED`);
    await withRawSocket("SOCK_STREAM", async (fd) => {
      succeed(sockets.bind(fd, packedName(bytes(name))));
      await assertError(() => UnixStream.connect(`\0${name}`), expected);
    });
  });
});

test("UnixStream.connect() says which address it refuses to connect to", async () => {
  const cases: [AddressLike, string][] = [
    ["", ""],
    ["a\0b", "a\\x00b"],
    [{ kind: "unnamed" }, "(unnamed)"],
  ];
  for (const [given, address] of cases) {
    const expected = { code: "EINVAL", syscall: "connect", address };
    await assertError(() => UnixStream.connect(given), expected);
    await assertError(() => UnixStream.connectSync(given), expected);
  }
});

const LISTEN_ERRORS: [what: string, name: string, code: string][] = [
  ["there is no such directory", "missing/socket", "ENOENT"],
  ["there is no such directory and the path is long", `missing/${"s".repeat(150)}`, "ENOENT"],
  ["a regular file is there", "file", "EADDRINUSE"],
  ["a directory is there", "directory", "EADDRINUSE"],
  ["a symlink that leads nowhere is there", "dangling", "EADDRINUSE"],
  ["a symlink that leads to itself is there", "loop", "EADDRINUSE"],
  ["a socket is bound there that does not listen yet", "bound", "EADDRINUSE"],
  ["a datagram socket is bound there", "datagram", "EADDRINUSE"],
  ["the path goes through a file", "file/socket", "ENOTDIR"],
  ["the path goes through a file and is long", `file/${"s".repeat(150)}`, "ENOTDIR"],
  ["the path goes through a symlink to itself", "loop/socket", "ELOOP"],
  ["a name has 256 bytes", "n".repeat(256), "ENAMETOOLONG"],
  ["the path has 4,200 bytes", `${"d/".repeat(2090)}name`, "ENAMETOOLONG"],
];

for (const [what, name, code] of LISTEN_ERRORS) {
  test(`UnixListener.listen() throws ${code} and changes nothing where ${what}`, async () => {
    await withObstacles((directory) => {
      const address = `${directory}/${name}`;
      return assertNoFdLeak(async () => {
        const before = readdirSync(directory).map((entry) => lstatSync(join(directory, entry)).ino);
        for (const stale of ["replace", "fail"] as const) {
          for (const mode of [undefined, 0o600]) {
            const error = await assertFails(
              () => UnixListener.listen(address, { stale, mode }),
              code,
              "bind",
            );
            assertEquals([error.errno, error.address], [errnoNumber(code), address]);
          }
        }
        const after = readdirSync(directory).map((entry) => lstatSync(join(directory, entry)).ino);
        assertEquals(after, before);
        assertEquals(readFileSync(join(directory, "file"), "utf8"), "content");
      });
    });
  });

  test(`UnixStream.connect() rejects with ${code} where it comes from and ${what}`, async () => {
    await withObstacles(async (directory) => {
      const from = `${directory}/${name}`;
      const server = join(directory, "server");
      using listener = UnixListener.listen(server);
      await assertNoFdLeak(async () => {
        const before = readdirSync(directory);
        const expected = { code, syscall: "bind", address: from };
        await assertError(() => UnixStream.connect(server, { from }), expected);
        await assertError(() => UnixStream.connectSync(server, { from }), expected);
        assertEquals(readdirSync(directory), before);
      });
      // Nobody ever arrived.
      await assertFails(() => listener.acceptSync({ timeout: 0 }), "ETIMEDOUT");
    });
  });
}

test("UnixListener.listen() leaves nothing behind where only the whole path is too long", async () => {
  await withTempDir(async (directory) => {
    let parent = directory;
    while (parent.length < 3950) parent += `/${"d".repeat(Math.min(99, 3950 - parent.length))}`;
    mkdirSync(parent, { recursive: true });
    const address = join(parent, "n".repeat(200));
    assert(address.length > 4096);
    await assertNoFdLeak(async () => {
      for (const mode of [undefined, 0o600]) {
        await assertFails(() => UnixListener.listen(address, { mode }), "ENAMETOOLONG");
        assertEquals(readdirSync(parent), []);
      }
    });
  });
});

test("L221 UnixStream.connect() needs permission to write, not to read", async () => {
  await withTempDir(async (directory) => {
    chmodSync(directory, 0o755);
    const [readable, writable] = [join(directory, "readable"), join(directory, "writable")];
    using _first = UnixListener.listen(readable, { mode: 0o555 });
    using _second = UnixListener.listen(writable, { mode: 0o222 });
    const outcomes = await attemptElsewhere(
      [{ connect: readable }, { connect: writable }],
      withoutRoot,
      { env: { DENO_DIR: "/nonexistent", HOME: "/nonexistent" } },
    );
    assertEquals(outcomes.map(codeOf), ["EACCES", "ok"]);
    const [refused] = outcomes;
    assert(typeof refused === "object");
    assertEquals([refused.errno, refused.syscall, refused.address], [13, "connect", readable]);
  });
});

test("UnixStream.connect() and UnixListener.listen() fail with EACCES where a directory forbids it", async () => {
  await withTempDir(async (directory) => {
    const [closed, fixed] = [join(directory, "closed"), join(directory, "fixed")];
    mkdirSync(closed);
    mkdirSync(fixed);
    using _first = UnixListener.listen(join(closed, "s"), { mode: 0o777 });
    using _second = UnixListener.listen(join(fixed, "s"), { mode: 0o777 });
    writeFileSync(join(fixed, "file"), "secret");
    chmodSync(join(fixed, "file"), 0o000);
    chmodSync(directory, 0o755);
    chmodSync(closed, 0o600);
    chmodSync(fixed, 0o555);
    try {
      const long = join(fixed, "n".repeat(200));
      const outcomes = await attemptElsewhere(
        [
          { connect: join(closed, "s") },
          { listen: join(closed, "new") },
          { listen: join(fixed, "new") },
          { listen: long },
          { connect: join(fixed, "s"), from: join(fixed, "client") },
          { open: join(fixed, "file") },
          { connect: join(fixed, "s") },
        ],
        withoutRoot,
        { env: { DENO_DIR: "/nonexistent", HOME: "/nonexistent" } },
      );
      const shown = outcomes.map((one) =>
        typeof one === "object" ? [one.code, one.syscall, one.address] : one
      );
      assertEquals(shown, [
        ["EACCES", "connect", join(closed, "s")],
        ["EACCES", "bind", join(closed, "new")],
        ["EACCES", "bind", join(fixed, "new")],
        ["EACCES", "bind", long],
        ["EACCES", "bind", join(fixed, "client")],
        ["EACCES", "open", join(fixed, "file")],
        "ok",
      ]);
      assertEquals(readdirSync(fixed).sort(), ["file", "s"]);
    } finally {
      chmodSync(closed, 0o755);
      chmodSync(fixed, 0o755);
    }
  });
});

test("UnixListener.listen() fails with EADDRINUSE where the rights do not suffice for a look", async () => {
  await withTempDir(async (directory) => {
    // Whoever may not connect cannot know whether the socket is served.
    const path = join(directory, "s");
    chmodSync(directory, 0o777);
    UnixListener.listen(path, { mode: 0o000, unlinkOnClose: false }).close();
    const { ino } = lstatSync(path);
    const [outcome] = await attemptElsewhere([{ listen: path }], withoutRoot, {
      env: { DENO_DIR: "/nonexistent", HOME: "/nonexistent" },
    });
    assertEquals(codeOf(outcome), "EADDRINUSE");
    assertEquals(lstatSync(path).ino, ino);
  });
});

test("the errors of connect(), listen() and Fd.open() leave nothing behind, 50 times over", async () => {
  await withTempSocketPath(async (path) => {
    using _listener = UnixListener.listen(path);
    await assertNoFdLeak(async () => {
      for (let round = 0; round < 50; round++) {
        await assertFails(() => UnixStream.connect(`${path}-missing`), "ENOENT");
        await assertFails(() => UnixListener.listen(path), "EADDRINUSE");
        await assertFails(() => UnixStream.connectSync(path, { from: path }), "EADDRINUSE");
        assertThrows(() => Fd.open(`${path}-missing`), UnixSocketError);
      }
    });
    assertEquals(readdirSync(dirname(path)), [basename(path)]);
  });
});

test("L224 socket(2) refuses unknown types and protocols, and makes a raw one a datagram socket", async () => {
  const { libc, abi, errno } = native();
  const { AF_UNIX, SOCK_STREAM, SOCK_DGRAM, SOL_SOCKET, SO_TYPE } = abi.constants;
  const [SOCK_RAW, SOCK_RDM] = [3, 4];
  await assertNoFdLeak(() => {
    assertEquals(sockets.socket(SOCK_RDM), -errnoNumber("ESOCKTNOSUPPORT"));
    assertEquals(libc.socket(AF_UNIX, SOCK_STREAM, 2), -1);
    assertEquals(errno[0], errnoNumber("EPROTONOSUPPORT"));
    const raw = succeed(sockets.socket(SOCK_RAW));
    assertEquals(sockets.getsockopt(raw, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    file.close(raw);
  });
});

test("L230 a call that fails leaves nothing of an earlier one in its results", async () => {
  await withSocketPair((a) => {
    const { SOL_SOCKET, SO_SNDBUF } = native().abi.constants;
    assert(sockets.getsockopt(a.fd, SOL_SOCKET, SO_SNDBUF) > 0);
    assertEquals(sockets.getsockopt(a.fd, SOL_SOCKET, 9999), -errnoNumber("ENOPROTOOPT"));
    const credentials = { pid: -7, uid: -7, gid: -7 };
    assertEquals(sockets.peerCredentials(999_999, credentials), -errnoNumber("EBADF"));
    assertEquals(credentials, { pid: -7, uid: -7, gid: -7 });
    const name = new Uint8Array(new ArrayBuffer(64)).fill(7);
    assertEquals(sockets.socketName("getpeername", 999_999, name), -errnoNumber("EBADF"));
    assert(name.every((byte) => byte === 7));
    const ends: [number, number] = [-1, -1];
    assertEquals(sockets.socketpair(9999, ends), -errnoNumber("EINVAL"));
    assertEquals(ends, [-1, -1]);
  });
});
