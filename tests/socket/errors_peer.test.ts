import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { test } from "node:test";
import { Fd, UnixListener, UnixStream } from "../../mod.ts";
import {
  assertNoFdLeak,
  bytes,
  commandFor,
  fill,
  readText,
  ROOT,
  run,
  RUNTIME,
  withSocketPair,
  withTempSocketPath,
} from "../support/mod.ts";
import { assertError } from "../support/errors.ts";

const BROKEN_PIPE = join(ROOT, "tests", "programs", "broken_pipe.ts");

/** Every way to write. */
const WRITES = ["write", "writeSync", "writeAll", "writeAllSync"] as const;

for (const method of WRITES) {
  test(`UnixStream.${method}() fails with EPIPE after the peer closed, and leaves the socket open`, async () => {
    await assertNoFdLeak(async () => {
      const [stream, peer] = UnixStream.pair();
      using _stream = stream;
      await peer.writeAll(bytes("last words"));
      peer.close();
      for (let time = 0; time < 2; time++) {
        const error = await assertError(() => stream[method](bytes("anybody?")), {
          code: "EPIPE",
          syscall: "send",
        });
        assertEquals(error.bytesTransferred, method.startsWith("writeAll") ? 0 : undefined);
      }
      assertEquals(stream.closed, false);
      assertEquals(stream.bytesWritten, 0);
      assertEquals(await readText(stream), "last words");
      assertEquals(await readText(stream), null);
    });
  });

  test(`UnixStream.${method}() fails with EPIPE after closeWrite(), and reading goes on`, async () => {
    await withSocketPair(async (a, b) => {
      a.closeWrite();
      await assertError(() => a[method](bytes("late")), { code: "EPIPE", syscall: "send" });
      await b.writeAll(bytes("still here"));
      assertEquals(await readText(a), "still here");
    });
  });

  test(`UnixStream.${method}() fails with EPIPE after the peer ended its reading`, async () => {
    await withSocketPair(async (a, b) => {
      b.shutdown("read");
      await assertError(() => a[method](bytes("unheard")), { code: "EPIPE", syscall: "send" });
      await b.writeAll(bytes("still here"));
      assertEquals(await readText(a), "still here");
    });
  });

  test(`Fd.${method}() fails with EPIPE after the reader of a pipe closed`, async () => {
    await assertNoFdLeak(async () => {
      const [reader, writer] = Fd.pipe();
      using _writer = writer;
      reader.close();
      await assertError(() => writer[method](bytes("anybody?")), {
        code: "EPIPE",
        syscall: "write",
      });
      assertEquals(writer.closed, false);
    });
  });
}

test("UnixStream.writeAll() that waits rejects with EPIPE and says how far it came when the peer closes", async () => {
  const [stream, peer] = UnixStream.pair();
  using _stream = stream;
  fill(stream);
  const before = stream.bytesWritten;
  const size = 4_000_000;
  const waiting = stream.writeAll(new Uint8Array(size));
  // So that a part of it goes out.
  const buffer = new Uint8Array(65536);
  while (stream.bytesWritten === before) assert(await peer.read(buffer));
  peer.close();
  const error = await assertError(() => waiting, { code: "EPIPE", syscall: "send" });
  assertEquals(error.bytesTransferred, stream.bytesWritten - before);
  assert(error.bytesTransferred! > 0 && error.bytesTransferred! < size);
  assertEquals(stream.closed, false);
});

for (const method of ["read", "readSync", "peek", "peekSync"] as const) {
  test(`UnixStream.${method}() fails with ECONNRESET once where the peer left data unread, then ends`, async () => {
    await assertNoFdLeak(async () => {
      const [stream, peer] = UnixStream.pair();
      using _stream = stream;
      await stream.writeAll(bytes("never read"));
      await peer.writeAll(bytes("last"));
      peer.close();
      const buffer = new Uint8Array(16);
      assertEquals(await stream.read(buffer), 4);
      await assertError(() => stream[method](buffer), { code: "ECONNRESET", syscall: "recv" });
      assertEquals(stream.closed, false);
      assertEquals(await stream[method](buffer), null);
      assertEquals(await stream.read(buffer), null);
      assertEquals(stream.bytesRead, 4);
    });
  });
}

test("UnixStream.read() that waits rejects with ECONNRESET when the listener closes before accepting", async () => {
  await withTempSocketPath(async (path) => {
    const listener = UnixListener.listen(path);
    using client = await UnixStream.connect(path);
    const reading = client.read(new Uint8Array(1));
    listener.close();
    await assertError(() => reading, { code: "ECONNRESET", syscall: "recv" });
    assertEquals(await client.read(new Uint8Array(1)), null);
    await assertError(() => client.write(bytes("x")), { code: "EPIPE", syscall: "send" });
  });
});

test("L229 UnixStream's writes survive a closed peer where SIGPIPE has its default effect", async () => {
  const library = await run([...commandFor(RUNTIME, BROKEN_PIPE), "library"]);
  assertEquals(library.stderr, "");
  assertEquals(library.stdout.trim().split("\n"), ["EPIPE", "EPIPE", "EPIPE", "EPIPE", "alive"]);
  assertEquals([library.code, library.signal], [0, null]);
  // A write(2) in the same place shows that the signal would have killed.
  const write = await run([...commandFor(RUNTIME, BROKEN_PIPE), "write"]);
  assertEquals([write.signal, write.stdout], ["SIGPIPE", ""]);
});
