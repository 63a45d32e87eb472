import { assert, assertEquals, assertThrows } from "@std/assert";
import { writeFileSync } from "node:fs";
import { join } from "@std/path";
import { test } from "node:test";
import { file } from "../../ffi/mod.ts";
import { Fd, UnixStream } from "../../mod.ts";
import { assertFails, bytes, text, withTempDir } from "../support/mod.ts";
import { O_CLOEXEC, O_NONBLOCK, openFlags } from "../support/streams.ts";

test("Fd.duplicate() of a number, an Fd or a socket leaves the original as it is", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "file");
    writeFileSync(path, "hello");
    using original = Fd.open(path);
    for (const given of [original, original.fd]) {
      using duplicate = Fd.duplicate(given);
      assert(duplicate.fd !== original.fd);
      assert((openFlags(duplicate.fd) & O_CLOEXEC) !== 0);
      assertEquals(duplicate.stat().identity, original.stat().identity);
    }
    const buffer = new Uint8Array(16);
    assertEquals(await original.read(buffer), 5);
    assertEquals(text(buffer.subarray(0, 5)), "hello");
  });
  const [a, b] = UnixStream.pair();
  const duplicate = Fd.duplicate(a);
  a.close();
  await duplicate.writeAll(bytes("hello"));
  duplicate.close();
  const buffer = new Uint8Array(16);
  assertEquals(await b.read(buffer), 5);
  assertEquals(await b.read(buffer), null);
  b.close();
});

test("Fd.duplicate() keeps the open file in blocking mode until something is read or written", async () => {
  const ends: [number, number] = [-1, -1];
  file.pipe(ends);
  file.makeBlocking(ends[1]);
  using writer = Fd.duplicate(ends[1]);
  assertEquals([openFlags(ends[1]) & O_NONBLOCK, writer.nonBlocking], [0, false]);
  await writer.write(bytes("x"));
  assertEquals([openFlags(ends[1]) & O_NONBLOCK, writer.nonBlocking], [O_NONBLOCK, true]);
  for (const end of ends) file.close(end);
});

test("Fd.duplicate() refuses what is not an open descriptor", async () => {
  const closed = Fd.eventfd();
  closed.close();
  await assertFails(() => Fd.duplicate(closed), "EBADF", "fcntl");
  await assertFails(() => Fd.duplicate(0x7fff_fff0), "EBADF", "fcntl");
  for (const wrong of ["1", null, undefined, {}, { fd: "1" }]) {
    assertThrows(() => Fd.duplicate(wrong as never), TypeError);
  }
  for (const wrong of [-2, 0.5, NaN, 2 ** 31]) assertThrows(() => Fd.duplicate(wrong), RangeError);
});
