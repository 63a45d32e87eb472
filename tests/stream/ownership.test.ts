import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { file } from "../../ffi/mod.ts";
import { UnixListener, UnixStream } from "../../mod.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  readText,
  withSocketPair,
  withTempSocketPath,
} from "../support/mod.ts";
import { O_CLOEXEC, O_NONBLOCK, openFlags } from "../support/streams.ts";

function isSocket(fd: number): boolean {
  const status = file.status(fd);
  return typeof status !== "number" && file.isSocketMode(status.mode);
}

test("UnixStream closes at the end of a `using` scope, and the peer sees the end", async () => {
  await withSocketPair(async (a, b) => {
    let fd;
    {
      using scoped = a;
      fd = scoped.fd;
      await scoped.writeAll(bytes("in the scope"));
      assert(fd >= 0 && !scoped.closed);
    }
    assertEquals([a.closed, a.fd], [true, -1]);
    assertEquals(await readText(b), "in the scope");
    assertEquals(await readText(b), null);
  });
});

test("UnixStream closes at the end of a `using` scope that throws", async () => {
  await withSocketPair((a) => {
    const failing = () => {
      using _scoped = a;
      throw new Error("in the scope");
    };
    assertThrows(failing, Error, "in the scope");
    assert(a.closed);
  });
});

test("UnixStream.intoFd() gives the descriptor away and fromFd() takes it with the bytes under way", async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("under way"));
    const number = b.fd;
    const fd = b.intoFd();
    assertEquals([fd, b.fd, b.closed], [number, -1, true]);
    using taken = UnixStream.fromFd(fd);
    assertEquals(taken.fd, fd);
    b.close();
    assertEquals(await readText(taken), "under way");
    await taken.writeAll(bytes("still open"));
    assertEquals(await readText(a), "still open");
  });
});

test("UnixStream.intoFd() leaves the descriptor open, non-blocking and close-on-exec", async () => {
  await withSocketPair((a) => {
    const fd = a.intoFd();
    try {
      assert(isSocket(fd));
      assertEquals(openFlags(fd) & (O_NONBLOCK | O_CLOEXEC), O_NONBLOCK | O_CLOEXEC);
    } finally {
      file.closeHandedOver(fd);
    }
  });
});

test("UnixStream.intoFd() leaves the path that connect() made for `from`", async () => {
  await withTempSocketPath(async (path) => {
    const from = `${path}.from`;
    using listener = UnixListener.listen(path);
    using client = await UnixStream.connect(path, { from });
    using server = await listener.accept();
    using taken = UnixStream.fromFd(client.intoFd());
    client.close();
    assertEquals(taken.localAddr, { kind: "pathname", path: from });
    assertEquals(server.remoteAddr, { kind: "pathname", path: from });
    taken.close();
    using _again = UnixListener.listen(from, { stale: "replace" });
    await assertFails(() => UnixListener.listen(from, { stale: "fail" }), "EADDRINUSE");
  });
});

test("UnixStream handed from owner to owner leaves no descriptor behind", async () => {
  await assertNoFdLeak(async () => {
    for (let round = 0; round < 20; round++) {
      const [a, b] = UnixStream.pair();
      const c = UnixStream.fromFd(a.intoFd());
      const reading = readText(c);
      await b.writeAll(bytes("x"));
      assertEquals(await reading, "x");
      const d = UnixStream.fromFd(c.intoFd());
      d.close();
      b.close();
    }
  });
});
