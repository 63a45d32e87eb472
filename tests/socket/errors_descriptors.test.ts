import { assert, assertEquals, assertMatch } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { errnoNumber, file, native, sockets } from "../../ffi/mod.ts";
import { Fd, UnixListener, UnixStream } from "../../mod.ts";
import { packedName, succeed, uniqueName } from "../support/raw.ts";
import { assertFails, assertNoFdLeak, bytes, withSocketPair } from "../support/mod.ts";
import { assertError, withObstacles } from "../support/errors.ts";
import { BUFFER } from "../support/refusals.ts";

/** Runs a body with the number of a new descriptor, closed afterwards. */
async function withDescriptor<T>(fd: number, body: (fd: number) => T | Promise<T>): Promise<T> {
  succeed(fd);
  try {
    return await body(fd);
  } finally {
    file.close(fd);
  }
}

const OPEN_ERRORS: [what: string, name: string, mode: "read" | "write" | "append", code: string][] =
  [
    ["nothing is there", "missing", "read", "ENOENT"],
    ["there is no such directory", "missing/file", "write", "ENOENT"],
    ["a directory is opened for writing", "directory", "write", "EISDIR"],
    ["the path goes through a file", "file/x", "read", "ENOTDIR"],
    ["a symlink leads to itself", "loop", "read", "ELOOP"],
    ["a socket is there", "stale", "read", "ENXIO"],
    ["the name has 256 bytes", "n".repeat(256), "append", "ENAMETOOLONG"],
    ["the path has 4,200 bytes", `${"d/".repeat(2090)}name`, "read", "ENAMETOOLONG"],
    ["the path has a NUL", "file\0", "read", "EINVAL"],
  ];

for (const [what, name, mode, code] of OPEN_ERRORS) {
  test(`Fd.open() throws ${code} where ${what}`, async () => {
    await withObstacles((directory) => {
      const path = `${directory}/${name}`;
      return assertNoFdLeak(async () => {
        const before = readdirSync(directory);
        const error = await assertFails(() => Fd.open(path, mode), code, "open");
        assertEquals(error.errno, errnoNumber(code));
        assertMatch(error.message, /^Cannot open "/);
        await assertFails(() => Fd.open(bytes(path), mode), code, "open");
        if (!name.includes("\0")) assertEquals(error.address, path);
        assertEquals(readdirSync(directory), before);
      });
    });
  });
}

test("Fd.open() throws EINVAL for an empty path", async () => {
  for (const path of ["", new Uint8Array(0)]) {
    await assertError(() => Fd.open(path), { code: "EINVAL", syscall: "open", address: "" });
  }
});

test("L223 fromFd() and adopt() throw EBADF where nothing is open under the number", async () => {
  for (const fd of [999_999, 0x7fff_ffff]) {
    const expected = { code: "EBADF", syscall: "getsockopt" };
    const error = await assertError(() => UnixStream.fromFd(fd), expected);
    assertEquals(error.message, `Cannot use descriptor ${fd} as a UnixStream: EBADF`);
    await assertError(() => UnixListener.fromFd(fd), expected);
    await assertError(() => Fd.adopt(fd), { code: "EBADF", syscall: "fcntl" });
  }
});

/** The flags of a descriptor and of its open file, as the kernel shows them. */
function flagsOf(fd: number): string {
  return /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))![1]!;
}

test("L223 fromFd() throws ENOTSOCK for /dev/null, a pipe and an epoll set, which stay as they were", async () => {
  const { libc } = native();
  const open = (path: string) => libc.open(bytes(`${path}\0`), 0, 0);
  const made: (() => number)[] = [
    () => open("/dev/null"),
    () => open("/"),
    () => {
      const ends = new Int32Array(new ArrayBuffer(64));
      succeed(libc.pipe2(ends, 0));
      file.close(ends[1]!);
      return ends[0]!;
    },
    () => libc.epoll_create1(0),
  ];
  for (const make of made) {
    await withDescriptor(make(), async (fd) => {
      const before = flagsOf(fd);
      const expected = { code: "ENOTSOCK", syscall: "getsockopt" };
      await assertError(() => UnixStream.fromFd(fd), expected);
      await assertError(() => UnixListener.fromFd(fd), expected);
      assertEquals(flagsOf(fd), before);
    });
  }
});

test("fromFd() throws EPROTOTYPE for a socket of another family or type, which stays as it was", async () => {
  const { libc, abi } = native();
  const { AF_INET, AF_UNIX, SOCK_STREAM, SOCK_DGRAM } = abi.constants;
  const kinds = [[AF_INET, SOCK_STREAM], [AF_UNIX, SOCK_DGRAM], [
    AF_UNIX,
    abi.linux!.SOCK_SEQPACKET,
  ]];
  for (const [family, type] of kinds) {
    await withDescriptor(libc.socket(family!, type!, 0), async (fd) => {
      const before = flagsOf(fd);
      const expected = { code: "EPROTOTYPE", syscall: "getsockopt" };
      await assertError(() => UnixStream.fromFd(fd), expected);
      await assertError(() => UnixListener.fromFd(fd), expected);
      assertEquals(flagsOf(fd), before);
    });
  }
});

test("fromFd() throws EINVAL where listening or not is the other way round, and leaves the socket", async () => {
  const { libc, abi } = native();
  const { AF_UNIX, SOCK_STREAM } = abi.constants;
  const expected = { code: "EINVAL", syscall: "getsockopt" };
  await withDescriptor(libc.socket(AF_UNIX, SOCK_STREAM, 0), async (fd) => {
    const before = flagsOf(fd);
    await assertError(() => UnixListener.fromFd(fd), expected);
    assertEquals(flagsOf(fd), before);
    succeed(sockets.bind(fd, packedName(bytes(uniqueName()))));
    succeed(sockets.listen(fd, 1));
    await assertError(() => UnixStream.fromFd(fd), expected);
    assertEquals(flagsOf(fd), before);
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

test("Fd.read() and Fd.write() fail with EBADF in the direction that is not open", async () => {
  const [reader, writer] = Fd.pipe();
  using _reader = reader;
  using _writer = writer;
  await assertError(() => reader.write(BUFFER), { code: "EBADF", syscall: "write" });
  await assertError(() => writer.read(BUFFER), { code: "EBADF", syscall: "read" });
  await writer.writeAll(bytes("fine"));
  assertEquals(await reader.read(BUFFER), 4);
});

test("Fd.read() fails with EISDIR on a directory", async () => {
  using directory = Fd.open("/");
  await assertError(() => directory.read(BUFFER), { code: "EISDIR", syscall: "read" });
  await assertError(() => directory.readSync(BUFFER), { code: "EISDIR", syscall: "read" });
});
