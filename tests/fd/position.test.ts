import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Fd, UnixListener, UnixStream } from "../../mod.ts";
import { acceptFrom, python } from "../support/interop.ts";
import { assertFails, bytes, text, unlessProgram, withTempDir } from "../support/mod.ts";
import { withTempSocketPath } from "../support/mod.ts";
import { callsMade } from "../support/raw.ts";
import { digest, O_NONBLOCK, openFlags, pattern } from "../support/streams.ts";

const GIB = 2 ** 30;

/** Runs a body with the path of a file with this content. */
function withFile<T>(content: string, body: (path: string) => T | Promise<T>): Promise<T> {
  return withTempDir((directory) => {
    const path = join(directory, "file");
    writeFileSync(path, content);
    return body(path);
  });
}

/** Some bytes at a position, as text; null at the end. */
async function textAt(fd: Fd, at: number, size = 64): Promise<string | null> {
  const [buffer, again] = [new Uint8Array(size), new Uint8Array(size)];
  const count = await fd.pread(buffer, at);
  assertEquals(fd.preadSync(again, at), count);
  assertEquals(again, buffer);
  return count === null ? null : text(buffer.subarray(0, count));
}

/** The next bytes from the open file's own position, as text. */
function nextText(fd: Fd, size: number): string | null {
  const buffer = new Uint8Array(size);
  const count = fd.readSync(buffer);
  return count === null ? null : text(buffer.subarray(0, count));
}

test("Fd.pread() and Fd.pwrite() work at a position and leave the open file's own", async () => {
  await withFile("0123456789", async (path) => {
    using fd = Fd.open(path, "read-write");
    assertEquals(nextText(fd, 2), "01");
    assertEquals(await textAt(fd, 7, 2), "78");
    assertEquals(await fd.pwrite(bytes("ab"), 4), 2);
    assertEquals(fd.pwriteSync(bytes("cd"), 8), 2);
    assertEquals(nextText(fd, 16), "23ab67cd");
    assertEquals(await textAt(fd, 0), "0123ab67cd");
  });
});

test("Fd.pread() returns what is left at the end, and null behind it", async () => {
  await withFile("0123456789", async (path) => {
    using fd = Fd.open(path);
    assertEquals(await textAt(fd, 8), "89");
    for (const at of [10, 11, 2 ** 40]) assertEquals(await textAt(fd, at), null);
    // No room is no end.
    assertEquals([await fd.pread(new Uint8Array(0), 0), fd.preadSync(new Uint8Array(0), 99)], [
      0,
      0,
    ]);
  });
});

test("Fd.pread() and Fd.pwrite() move megabytes, and use all kinds of memory", async () => {
  using fd = Fd.memfd("large");
  const data = pattern(5_000_003);
  assertEquals(await fd.pwrite(data, 1), data.length);
  const back = new Uint8Array(data.length);
  assertEquals(await fd.pread(back, 1), data.length);
  assertEquals(digest(back), digest(data));
  assertEquals(fd.pwriteSync(bytes("abcd").buffer, 0), 4);
  assertEquals(await fd.pwrite(new DataView(bytes("_ef_").buffer, 1, 2), 4), 2);
  const memory = bytes("........");
  assertEquals(fd.preadSync(new Uint16Array(memory.buffer, 2, 2), 2), 4);
  assertEquals(text(memory), "..cdef..");
});

test("Fd.pwrite() behind the end leaves a hole of zeros", async () => {
  await withFile("begin", async (path) => {
    using fd = Fd.open(path, "read-write");
    assertEquals(fd.pwriteSync(bytes("end"), 5 * GIB), 3);
    assertEquals(fd.stat().size, 5 * GIB + 3);
    assertEquals(await textAt(fd, 3, 4), "in\0\0");
    assertEquals(await textAt(fd, 5 * GIB - 1), "\0end");
    assert(statSync(path).blocks * 512 < GIB, "the hole takes room on the disk");
    fd.truncate(0);
  });
});

test("Fd's positions beyond 2³² and up to 2⁵³ − 1 are exact", async () => {
  using fd = Fd.memfd("sparse");
  const positions = [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 40 + 3];
  positions.push(2 ** 53 - 3);
  for (const [index, at] of positions.entries()) {
    assertEquals(fd.pwriteSync(Uint8Array.of(index + 1), at), 1);
    assertEquals(fd.stat().size, at + 1);
    assertEquals(fd.seek(at), at);
    assertEquals(fd.seek(0, "current"), at);
    assertEquals(fd.seek(-1, "end"), at);
    const one = new Uint8Array(1);
    assertEquals([fd.readSync(one), one[0]], [1, index + 1]);
    assertEquals([fd.readSync(one)], [null]);
  }
  for (const [index, at] of positions.entries()) {
    const one = new Uint8Array(1);
    assertEquals([await fd.pread(one, at), one[0]], [1, index + 1]);
  }
  fd.truncate(2 ** 32 + 1);
  assertEquals(fd.stat().size, 2 ** 32 + 1);
  assertEquals(await textAt(fd, 2 ** 32), "\x04");
  fd.truncate(Number.MAX_SAFE_INTEGER);
  assertEquals(fd.stat().size, Number.MAX_SAFE_INTEGER);
});

test("Fd.pwrite() and truncate() beyond what the file system can hold fail with EFBIG", async () => {
  await withFile("", async (path) => {
    using fd = Fd.open(path, "read-write");
    const last = Number.MAX_SAFE_INTEGER;
    const tried = await fd.pwrite(bytes("x"), last).catch(({ code }) => code);
    // Some file systems take any position.
    if (tried === 1) return void fd.truncate(0);
    assertEquals(tried, "EFBIG");
    await assertFails(() => fd.truncate(last), "EFBIG", "ftruncate");
    assertEquals(fd.stat().size, 0);
  });
});

test("Fd.pwrite() to a file that was opened to append appends, wherever it was told to write", async () => {
  await withFile("begin", async (path) => {
    using fd = Fd.open(path, "append");
    assertEquals(await fd.pwrite(bytes(" middle"), 0), 7);
    assertEquals(fd.pwriteSync(bytes(" end"), 2), 4);
    fd.seek(0);
    await fd.writeAll(bytes("!"));
    assertEquals(fd.seek(0, "current"), 17);
    assertEquals(readFileSync(path, "utf8"), "begin middle end!");
    await assertFails(() => fd.pread(new Uint8Array(1), 0), "EBADF", "pread");
  });
});

test("Fd.seek() moves from the start, the current position and the end", async () => {
  await withFile("0123456789", (path) => {
    using fd = Fd.open(path);
    assertEquals(fd.seek(4), 4);
    assertEquals(nextText(fd, 2), "45");
    assertEquals(fd.seek(0, "current"), 6);
    assertEquals(fd.seek(-3, "current"), 3);
    assertEquals(nextText(fd, 1), "3");
    assertEquals(fd.seek(-2, "end"), 8);
    assertEquals(nextText(fd, 9), "89");
    assertEquals(fd.seek(5, "end"), 15);
    assertEquals(nextText(fd, 9), null);
    assertEquals(fd.seek(0, "start"), 0);
  });
});

test("Fd.seek() before the beginning fails with EINVAL and leaves the position", async () => {
  await withFile("0123456789", async (path) => {
    using fd = Fd.open(path);
    fd.seek(4);
    const failing = [[-1, "start"], [-5, "current"], [-11, "end"], [
      -(2 ** 53 - 1),
      "end",
    ]] as const;
    for (const [offset, from] of failing) {
      const error = await assertFails(() => fd.seek(offset, from), "EINVAL", "lseek");
      assertEquals(error.message, "Cannot seek: EINVAL");
    }
    assertEquals(fd.seek(0, "current"), 4);
  });
});

test("Fd.truncate() makes a file shorter, and longer with zeros, and leaves the position", async () => {
  await withFile("0123456789", async (path) => {
    using fd = Fd.open(path, "read-write");
    fd.seek(7);
    fd.truncate(5);
    assertEquals(readFileSync(path, "utf8"), "01234");
    assertEquals(fd.seek(0, "current"), 7);
    assertEquals(nextText(fd, 1), null);
    fd.truncate(8);
    assertEquals(readFileSync(path, "utf8"), "01234\0\0\0");
    fd.truncate(0);
    assertEquals(fd.stat().size, 0);
    using reader = Fd.open(path);
    await assertFails(() => reader.truncate(1), "EINVAL", "ftruncate");
  });
});

test("Fd.sync() and syncSync() succeed on files and directories, with one call each", async () => {
  await withFile("content", async (path) => {
    for (const fd of [Fd.open(path, "append"), Fd.open(join(path, "..")), Fd.memfd("m")]) {
      const syncs = async (body: () => unknown) =>
        (await callsMade(body)).filter((name) => name.endsWith("sync"));
      assertEquals(await syncs(() => fd.syncSync()), ["fsync"]);
      assertEquals(await syncs(() => fd.sync()), ["fsync"]);
      assertEquals(await syncs(() => fd.syncSync({ dataOnly: true })), ["fdatasync"]);
      assertEquals(await syncs(() => fd.sync({ dataOnly: true })), ["fdatasync"]);
      assertEquals(await syncs(() => fd.sync({ dataOnly: false })), ["fsync"]);
      fd.close();
    }
  });
});

test("Fd's methods for positions fail on pipes and sockets, which have none", async () => {
  const [reader, writer] = Fd.pipe();
  const [a, b] = UnixStream.pair();
  using socket = Fd.adopt(a.intoFd());
  for (const fd of [writer, socket]) {
    await assertFails(() => fd.pwrite(bytes("x"), 0), "ESPIPE", "pwrite");
    await assertFails(() => fd.pwriteSync(bytes("x"), 0), "ESPIPE", "pwrite");
    await assertFails(() => fd.truncate(0), "EINVAL", "ftruncate");
  }
  for (const fd of [reader, socket]) {
    await assertFails(() => fd.pread(new Uint8Array(1), 0), "ESPIPE", "pread");
    await assertFails(() => fd.preadSync(new Uint8Array(1), 0), "ESPIPE", "pread");
    for (const from of ["start", "current", "end"] as const) {
      await assertFails(() => fd.seek(0, from), "ESPIPE", "lseek");
    }
    await assertFails(() => fd.sync(), "EINVAL", "fsync");
    await assertFails(() => fd.syncSync({ dataOnly: true }), "EINVAL", "fdatasync");
  }
  for (const each of [reader, writer, b]) each.close();
});

test("Fd.pread() of a directory fails with EISDIR, and in a direction that is not open with EBADF", async () => {
  using directory = Fd.open("/");
  await assertFails(() => directory.pread(new Uint8Array(1), 0), "EISDIR", "pread");
  await withFile("content", async (path) => {
    using reader = Fd.open(path);
    const error = await assertFails(() => reader.pwrite(bytes("x"), 0), "EBADF", "pwrite");
    assertEquals(error.message, "Cannot write: EBADF");
  });
});

test("Fd's methods for positions refuse arguments that make no sense before any call", async () => {
  using fd = Fd.memfd("arguments");
  const one = new Uint8Array(1);
  const calls = await callsMade(async () => {
    for (const at of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
      await assertRejects(() => fd.pread(one, at), RangeError);
      assertThrows(() => fd.pwriteSync(one, at), RangeError);
      assertThrows(() => fd.truncate(at), RangeError);
      if (at !== -1) assertThrows(() => fd.seek(at), RangeError);
    }
    for (const at of ["0", null, undefined, 0n] as unknown as number[]) {
      assertThrows(() => fd.preadSync(one, at), TypeError);
      await assertRejects(() => fd.pwrite(one, at), TypeError);
      assertThrows(() => fd.truncate(at), TypeError);
      assertThrows(() => fd.seek(at), TypeError);
    }
    assertThrows(() => fd.seek(0, "middle" as "start"), TypeError);
    assertThrows(() => fd.seek(-(2 ** 53)), RangeError);
    assertThrows(() => fd.preadSync("no" as unknown as Uint8Array, 0), TypeError);
    assertThrows(() => fd.pwriteSync(5 as unknown as Uint8Array, 0), TypeError);
    assertThrows(() => fd.syncSync({ dataOnly: 1 as unknown as boolean }), TypeError);
    await assertRejects(() => fd.sync(null as unknown as undefined), TypeError);
  });
  assertEquals(calls, []);
});

test("G157 a duplicate and a descriptor that was passed share the position, a second opening has its own", async () => {
  await withFile("0123456789", async (path) => {
    using fd = Fd.open(path);
    using twin = fd.dup();
    using apart = Fd.open(path);
    const [a, b] = UnixStream.pair();
    await a.sendMessage(bytes("x"), { fds: [fd] });
    using message = (await b.receiveMessage())!;
    const passed = message.fds[0]!;
    assertEquals(nextText(fd, 2), "01");
    assertEquals(passed.seek(0, "current"), 2);
    assertEquals(nextText(passed, 2), "23");
    assertEquals(nextText(twin, 1), "4");
    assertEquals(passed.seek(8), 8);
    assertEquals(nextText(fd, 9), "89");
    assertEquals(nextText(apart, 3), "012");
    assertEquals([fd, twin, passed].map((each) => each.stat().identity === apart.stat().identity), [
      true,
      true,
      true,
    ]);
    a.close();
    b.close();
  });
});

test(
  "G157 a descriptor that another process sent shares its position and O_NONBLOCK with that process",
  { skip: unlessProgram("python3") },
  async () => {
    await withFile("0123456789", (path) =>
      withTempSocketPath(async (address) => {
        using listener = UnixListener.listen(address);
        await using peer = python(
          `
            fd = os.open(args[1], os.O_RDWR)
            os.lseek(fd, 3, os.SEEK_SET)
            socket.send_fds(connected(args[0]), [b"x"], [fd])
            while hear() == "state":
                say(json.dumps([os.lseek(fd, 0, os.SEEK_CUR), os.get_blocking(fd)]))
          `,
          [address, path],
        );
        using stream = await acceptFrom(peer, listener);
        using message = (await stream.receiveMessage())!;
        const fd = message.fds[0]!;
        const state = () => {
          peer.tell("state");
          return peer.json<[number, boolean]>();
        };
        assertEquals(await state(), [3, true]);
        assertEquals(fd.seek(4), 4);
        assertEquals(await textAt(fd, 0), "0123456789");
        // Nothing was read from the open file's own position yet: its mode is the sender's.
        assertEquals(await state(), [4, true]);
        assertEquals(openFlags(fd.fd) & O_NONBLOCK, 0);
        assertEquals(nextText(fd, 2), "45");
        assertEquals(await state(), [6, false]);
        peer.tell("enough");
        await peer.succeeded();
      }));
  },
);
