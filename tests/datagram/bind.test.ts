import { assert, assertEquals, assertThrows } from "@std/assert";
import { renameSync, rmSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { UnixDatagram } from "../../mod.ts";
import { file } from "../../ffi/mod.ts";
import { takeQueued } from "../support/datagrams.ts";
import { closeRaw, entryAt } from "../support/listening.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  openDescriptors,
  text,
  withTempSocketPath,
} from "../support/mod.ts";
import { O_CLOEXEC, O_NONBLOCK, openFlags } from "../support/streams.ts";

test("UnixDatagram.bind() makes a socket at the path, and close() removes it", async () => {
  await withTempSocketPath((path) => {
    const socket = UnixDatagram.bind(path);
    assertEquals(entryAt(path)?.isSocket, true);
    socket.close();
    assertEquals(entryAt(path), null);
  });
});

test("UnixDatagram.bind() takes a path, a file: URL, bytes and an Address", async () => {
  await withTempSocketPath(async (path) => {
    const url = new URL(`file://${path}`);
    for (const address of [path, url, bytes(path), { kind: "pathname" as const, path }]) {
      using socket = UnixDatagram.bind(address);
      assertEquals(socket.localAddr, { kind: "pathname", path });
      using client = UnixDatagram.unbound();
      await client.sendTo(bytes("hello"), address);
      assertEquals(takeQueued(socket), ["hello"]);
    }
  });
});

test("C64 UnixDatagram.bind() asking whether a server lives leaves no message with it", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    await assertFails(() => UnixDatagram.bind(path), "EADDRINUSE", "bind");
    assertEquals(takeQueued(server), []);
    using client = UnixDatagram.unbound();
    await client.sendTo(bytes("still here"), path);
    assertEquals(takeQueued(server), ["still here"]);
  });
});

test("UnixDatagram.bind() with `mode` gives the file exactly this mode, whatever the umask", async () => {
  await withTempSocketPath((path) => {
    const before = process.umask();
    try {
      for (const umask of [0o022, 0o077, 0]) {
        process.umask(umask);
        for (const mode of [0o600, 0o666, 0o777, 0o720, 0]) {
          using _socket = UnixDatagram.bind(path, { mode });
          assertEquals(entryAt(path)?.mode, mode);
        }
      }
    } finally {
      process.umask(before);
    }
  });
});

test("UnixDatagram.bind() without `mode` leaves what the umask leaves of 0777", async () => {
  await withTempSocketPath((path) => {
    const before = process.umask(0o027);
    try {
      using _socket = UnixDatagram.bind(path);
      assertEquals(entryAt(path)?.mode, 0o750);
    } finally {
      process.umask(before);
    }
  });
});

test("UnixDatagram.close() with `unlinkOnClose: false` leaves the path", async () => {
  await withTempSocketPath((path) => {
    UnixDatagram.bind(path, { unlinkOnClose: false }).close();
    assertEquals(entryAt(path)?.isSocket, true);
  });
});

test("UnixDatagram.close() leaves a path alone that is another file by now", async () => {
  await withTempSocketPath((path) => {
    const first = UnixDatagram.bind(path);
    renameSync(path, `${path}.moved`);
    using _second = UnixDatagram.bind(path);
    const { inode } = entryAt(path)!;
    first.close();
    assertEquals(entryAt(path)?.inode, inode);
    assertEquals(entryAt(`${path}.moved`)?.isSocket, true);
    const third = UnixDatagram.bind(`${path}.gone`);
    rmSync(`${path}.gone`);
    third.close();
  });
});

test("UnixDatagram removes its path at the end of a `using` scope", async () => {
  await withTempSocketPath((path) => {
    {
      using _socket = UnixDatagram.bind(path);
    }
    assertEquals(entryAt(path), null);
  });
});

test("UnixDatagram.intoFd() gives the descriptor away and leaves the path", async () => {
  await withTempSocketPath(async (path) => {
    const socket = UnixDatagram.bind(path);
    const { fd } = socket;
    assertEquals(socket.intoFd(), fd);
    assertEquals([socket.fd, socket.closed], [-1, true]);
    socket.close();
    assertEquals(entryAt(path)?.isSocket, true);
    using adopted = UnixDatagram.fromFd(fd);
    using client = UnixDatagram.unbound().connect(path);
    await client.send(bytes("same socket"));
    assertEquals(takeQueued(adopted), ["same socket"]);
    adopted.close();
    assertEquals(entryAt(path)?.isSocket, true);
  });
});

test("every UnixDatagram is born non-blocking and close-on-exec", async () => {
  await withTempSocketPath((path) => {
    const sockets = [UnixDatagram.bind(path), UnixDatagram.unbound(), ...UnixDatagram.pair()];
    for (const socket of sockets) {
      assertEquals(openFlags(socket.fd) & (O_NONBLOCK | O_CLOEXEC), O_NONBLOCK | O_CLOEXEC);
      socket.close();
    }
  });
});

test("M236 UnixDatagram.bind() that fails leaves no descriptor open", async () => {
  await withTempSocketPath(async (path) => {
    using _taken = UnixDatagram.bind(path);
    await assertNoFdLeak(async () => {
      for (let i = 0; i < 20; i++) {
        await assertFails(() => UnixDatagram.bind(path), "EADDRINUSE");
        await assertFails(() => UnixDatagram.bind(`${path}/below`), "ENOTDIR");
        assertThrows(() => UnixDatagram.bind(path, { mode: 0o1000 }), RangeError);
      }
    });
  });
});

test("M232 UnixDatagram.close() a second time does nothing, also where the number is in use again", () => {
  const [a, b] = UnixDatagram.pair();
  using _b = b;
  const { fd } = a;
  a.close();
  const copy = file.duplicate(b.fd);
  try {
    assertEquals(copy, fd);
    a.close();
    a[Symbol.dispose]();
    assert(openDescriptors().has(`${copy}`));
  } finally {
    closeRaw(copy);
  }
});

test("UnixDatagram.close() leaves what it has sent for its peer", async () => {
  const [a, b] = UnixDatagram.pair();
  using _b = b;
  a.sendSync(bytes("last words"));
  a.close();
  assertEquals(text((await b.receive()).data), "last words");
});
