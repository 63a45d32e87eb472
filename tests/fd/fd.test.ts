import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { file } from "../../ffi/mod.ts";
import { Fd } from "../../mod.ts";
import { assertFails, assertNoFdLeak, bytes, text, withTempDir } from "../support/mod.ts";
import { digest, O_CLOEXEC, openFlags, pattern } from "../support/streams.ts";

/** Runs a body with the path of a file that does not exist yet. */
function withPath<T>(body: (path: string, directory: string) => T | Promise<T>): Promise<T> {
  return withTempDir((directory) => body(join(directory, "file"), directory));
}

async function readTextFrom(fd: Fd, size = 1024): Promise<string | null> {
  const buffer = new Uint8Array(size);
  const count = await fd.read(buffer);
  return count === null ? null : text(buffer.subarray(0, count));
}

test("Fd reads a directory with EISDIR", async () => {
  using fd = Fd.open("/");
  await assertFails(() => readTextFrom(fd), "EISDIR", "read");
});

test("Fd reads and writes devices", async () => {
  using zero = Fd.open("/dev/zero");
  const buffer = new Uint8Array(1000).fill(1);
  assertEquals(await zero.read(buffer), 1000);
  assert(buffer.every((byte) => byte === 0));
  using none = Fd.open("/dev/null", "write");
  await none.writeAll(buffer);
  using full = Fd.open("/dev/full", "write");
  const error = await assertFails(() => full.writeAll(buffer), "ENOSPC", "write");
  assertEquals(error.bytesTransferred, 0);
});

test("Fd.read() takes a file larger than its buffer in order, and returns null at the end each time", async () => {
  await withPath(async (path) => {
    const data = pattern(1_000_003);
    writeFileSync(path, data);
    using fd = Fd.open(path);
    const received = new Uint8Array(data.length);
    const counts: number[] = [];
    const buffer = new Uint8Array(65536);
    for (let at = 0;;) {
      const count = await fd.read(buffer);
      if (count === null) break;
      received.set(buffer.subarray(0, count), at);
      at += count;
      counts.push(count);
    }
    assertEquals([counts.length, counts.at(-1)], [16, 1_000_003 % 65536]);
    assertEquals(digest(received), digest(data));
    assertEquals(await fd.read(new Uint8Array(1)), null);
    assertEquals(fd.readSync(new Uint8Array(1)), null);
    assertEquals(await fd.read(new Uint8Array(0)), 0);
    assertEquals(fd.readSync(new Uint8Array(0)), 0);
  });
});

test("Fd.read() sees what is added to a file after its end was reached", async () => {
  await withPath(async (path) => {
    using writer = Fd.open(path, "append");
    using reader = Fd.open(path);
    assertEquals(await readTextFrom(reader), null);
    writer.writeAllSync(bytes("added"));
    assertEquals(await readTextFrom(reader), "added");
  });
});

test("Fd.read() of a regular file works thousands of times in a row", async () => {
  await withPath(async (path) => {
    const data = pattern(9000);
    writeFileSync(path, data);
    using fd = Fd.open(path);
    const received = new Uint8Array(data.length);
    for (let at = 0; at < data.length; at += 3) {
      assertEquals(await fd.read(received.subarray(at, at + 3)), 3);
    }
    assertEquals(digest(received), digest(data));
    assertEquals(await fd.read(new Uint8Array(3)), null);
  });
});

test("Fd.read() calls on a regular file that overlap are served in the order of the calls", async () => {
  await withPath(async (path) => {
    const data = pattern(6000);
    writeFileSync(path, data);
    using fd = Fd.open(path);
    const received = new Uint8Array(data.length);
    const reads: Promise<number | null>[] = [];
    for (let at = 0; at < data.length; at += 3) reads.push(fd.read(received.subarray(at, at + 3)));
    assertEquals(new Set(await Promise.all(reads)), new Set([3]));
    assertEquals(digest(received), digest(data));
  });
});

test("Fd.write() to a regular file works thousands of times, one after the other and at once", async () => {
  await withPath(async (path) => {
    const data = pattern(12_000);
    using fd = Fd.open(path, "write");
    for (let at = 0; at < 6000; at += 3) {
      assertEquals(await fd.write(data.subarray(at, at + 3)), 3);
    }
    const writes: Promise<void>[] = [];
    for (let at = 6000; at < 12_000; at += 3) writes.push(fd.writeAll(data.subarray(at, at + 3)));
    await Promise.all(writes);
    assertEquals(digest(readFileSync(path)), digest(data));
  });
});

test("Fd.writeAll() and writeAllSync() write many MiB to a file", async () => {
  await withPath(async (path) => {
    const data = pattern(10 << 20);
    using fd = Fd.open(path, "write");
    await fd.writeAll(data.subarray(0, 6 << 20));
    fd.writeAllSync(data.subarray(6 << 20));
    assertEquals(digest(readFileSync(path)), digest(data));
  });
});

test("Fd.dup() shares the file's position and has a life of its own", async () => {
  await withPath(async (path) => {
    writeFileSync(path, "abcdef");
    const fd = Fd.open(path);
    using twin = fd.dup();
    assert(twin.fd !== fd.fd);
    assertEquals(openFlags(twin.fd) & O_CLOEXEC, O_CLOEXEC);
    assertEquals(await readTextFrom(fd, 2), "ab");
    assertEquals(await readTextFrom(twin, 2), "cd");
    fd.close();
    assert(!twin.closed);
    assertEquals(await readTextFrom(twin, 2), "ef");
    await assertFails(() => fd.dup(), "EBADF", "fcntl");
  });
});

test("Fd.intoFd() gives the number away, and the descriptor stays open", async () => {
  await withPath(async (path) => {
    writeFileSync(path, "abcdef");
    const fd = Fd.open(path);
    assertEquals(await readTextFrom(fd, 3), "abc");
    const number = fd.fd;
    const given = fd.intoFd();
    assertEquals([given, fd.fd, fd.closed], [number, -1, true]);
    fd.close();
    await assertFails(() => fd.intoFd(), "EBADF");
    using taken = Fd.adopt(given);
    assertEquals(await readTextFrom(taken), "def");
  });
});

test("Fd closes at the end of a `using` scope, and a second close does nothing", async () => {
  await withPath(async (path) => {
    let outer: Fd;
    let number;
    {
      using fd = Fd.open(path, "write");
      outer = fd;
      number = fd.fd;
      assert(number >= 0 && !fd.closed);
    }
    assertEquals([outer.closed, outer.fd], [true, -1]);
    using next = Fd.open(path);
    outer.close();
    assertEquals(await readTextFrom(next), null);
    assert(typeof file.status(next.fd) !== "number");
  });
});

test("Fd.open() that fails, and every other way to get one, leave no descriptor behind", async () => {
  await withPath((path, directory) =>
    assertNoFdLeak(async () => {
      mkdirSync(join(directory, "below"), { recursive: true });
      await assertFails(() => Fd.open(join(directory, "below"), "write"), "EISDIR");
      for (let round = 0; round < 20; round++) {
        using fd = Fd.open(path, "append");
        using twin = fd.dup();
        using _again = Fd.adopt(twin.intoFd());
        const [reader, writer] = Fd.pipe();
        const reading = reader.read(new Uint8Array(4));
        await writer.writeAll(bytes("x"));
        await reading;
        reader.close();
        writer.close();
      }
    })
  );
});
