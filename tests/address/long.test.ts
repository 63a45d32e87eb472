import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { existsSync, linkSync, lstatSync, readdirSync, symlinkSync } from "node:fs";
import { test } from "node:test";
import { file, native, sockets } from "../../ffi/mod.ts";
import { UnixListener, UnixStream } from "../../mod.ts";
import {
  attemptElsewhere,
  kernelName,
  packedPath,
  succeed,
  withRawSocket,
} from "../support/raw.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  readText,
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
} from "../support/addresses.ts";

test("A5 UnixListener.fromFd() reports a path of 108 bytes that has no NUL, whole", async () => {
  await withTempDir(async (directory) => {
    const path = pathOfLength(directory, 108);
    const packed = new Uint8Array(new ArrayBuffer(110));
    packed.set(packedPath(path.slice(0, 107)));
    packed.set(encoder.encode(path), 2);
    await withRawSocket("SOCK_STREAM", async (fd) => {
      succeed(sockets.bind(fd, packed));
      assert(isSocket(path));
      succeed(sockets.listen(fd, 1));
      using listener = UnixListener.fromFd(succeed(file.duplicate(fd)));
      assertEquals(kernelName(fd).length, 111);
      assertEquals(listener.addr, pathname(path));
      await assertConnects(listener, path);
    });
  });
});

for (const length of [108, 109, 150]) {
  test(`A7 UnixListener.listen() binds a path of ${length} bytes at its real place`, async () => {
    await withTempDir(async (directory) => {
      const path = pathOfLength(directory, length);
      await assertNoFdLeak(async () => {
        using listener = UnixListener.listen(path);
        assert(isSocket(path));
        assertEquals(listener.addr, pathname(path));
        const connecting = UnixStream.connect(path);
        using accepted = await listener.accept();
        using client = await connecting;
        assertEquals(client.remoteAddr, pathname(path));
        assertEquals(accepted.localAddr, pathname(path));
        await client.writeAll(bytes("far"));
        assertEquals(await readText(accepted), "far");
      });
      assertEquals(existsSync(path), false);
    });
  });
}

/** Paths that are longer than any sockaddr_un in another way each. */
const LONG_PATHS: [string, (directory: string) => string][] = [
  ["a directory of 3,800 bytes", (directory) => pathOfLength(directory, 3900)],
  ["a name of 255 bytes", (directory) => join(directory, "n".repeat(255))],
  [
    "a directory of 3,700 bytes and a name of 255",
    (directory) => join(pathOfLength(directory, 3721), "..", "n".repeat(255)),
  ],
  ["exactly 4,095 bytes", (directory) => pathOfLength(directory, 4095)],
];

for (const [what, make] of LONG_PATHS) {
  test(`UnixListener.listen() serves at ${what}, replaces it when stale, and removes it`, async () => {
    await withTempDir(async (directory) => {
      const path = make(directory);
      const parent = join(path, "..");
      await assertNoFdLeak(async () => {
        {
          using listener = UnixListener.listen(path, { mode: 0o600, unlinkOnClose: false });
          assertEquals(lstatSync(path).mode & 0o7777, 0o600);
          assertEquals(listener.addr, pathname(path));
          await assertConnects(listener, path);
          const error = await assertFails(() => UnixListener.listen(path), "EADDRINUSE", "bind");
          assertEquals(error.address, path);
        }
        assertEquals(readdirSync(parent).length, 1);
        await assertFails(() => UnixStream.connect(path), "ECONNREFUSED", "connect");
        {
          using listener = UnixListener.listen(path);
          await assertConnects(listener, path);
          assertEquals(readdirSync(parent).length, 1);
        }
        assertEquals(readdirSync(parent), []);
        await assertFails(() => UnixStream.connectSync(path), "ENOENT", "connect");
      });
    });
  });

  test(`UnixStream.connect() comes from ${what}, and removes it with the stream`, async () => {
    await withTempDir(async (directory) => {
      const from = make(directory);
      const parent = join(from, "..");
      await withTempSocketPath((path) =>
        assertNoFdLeak(async () => {
          using listener = UnixListener.listen(path);
          const connecting = UnixStream.connect(path, { from });
          using accepted = await listener.accept();
          using client = await connecting;
          assertEquals(client.localAddr, pathname(from));
          assert(isSocket(from));
          await accepted.writeAll(bytes("known"));
          assertEquals(await readText(client), "known");
          client.close();
          assertEquals(readdirSync(parent), []);
        })
      );
    });
  });
}

test("UnixListener.listen() and connect() take a long path that is not UTF-8", async () => {
  await withTempDir(async (directory) => {
    const path = concat(encoder.encode(`${directory}/`), new Uint8Array(200).fill(0xfe));
    using listener = UnixListener.listen(path);
    assertEquals(namesIn(directory), [new Array(200).fill(0xfe)]);
    await assertConnects(listener, path);
    listener.close();
    assertEquals(readdirSync(directory), []);
  });
});

test("UnixListener.listen() takes a short relative path in a directory with a very long name", async () => {
  await withTempDir(async (directory) => {
    const parent = join(pathOfLength(directory, 3900), "..");
    const outcomes = await attemptElsewhere([
      { chdir: parent },
      { listen: "r.sock" },
      { connect: "r.sock" },
      { chdir: "/" },
      { close: true },
    ]);
    assertEquals(outcomes, ["ok", "ok", "ok", "ok", "ok"]);
    assertEquals(readdirSync(parent), []);
  });
});

test("A8 UnixStream.connect() goes through /proc/self/fd and an O_PATH descriptor of the socket", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const fd = succeed(file.open(encoder.encode(path), native().abi.linux!.O_PATH, 0));
    try {
      await assertConnects(listener, `/proc/self/fd/${fd}`);
    } finally {
      file.close(fd);
    }
  });
});

test("UnixStream.connect() follows symlinks and hard links to the socket, at long paths too", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "real");
    using listener = UnixListener.listen(path);
    for (const name of ["l", "l".repeat(200)]) {
      symlinkSync(path, join(directory, `sym-${name}`));
      linkSync(path, join(directory, `hard-${name}`));
      await assertConnects(listener, join(directory, `sym-${name}`));
      await assertConnects(listener, join(directory, `hard-${name}`));
    }
  });
});
