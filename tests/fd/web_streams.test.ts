import { assert, assertEquals, assertRejects } from "@std/assert";
import { writeFileSync } from "node:fs";
import { join } from "@std/path";
import { test } from "node:test";
import { Fd } from "../../mod.ts";
import { assertFails, bytes, settled, text, withTempDir } from "../support/mod.ts";
import { digest, eventually, pattern, readExactly } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";

/** Runs a body with a pipe, closed afterwards. */
async function withPipe(body: (reader: Fd, writer: Fd) => void | Promise<void>): Promise<void> {
  const [reader, writer] = Fd.pipe();
  try {
    await body(reader, writer);
  } finally {
    reader.close();
    writer.close();
  }
}

test("Fd.readable streams a file to its end and closes the descriptor", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "file");
    const data = pattern(3_000_001);
    writeFileSync(path, data);
    const fd = Fd.open(path);
    const received = await new Response(fd.readable).bytes();
    assertEquals(digest(received), digest(data));
    assert(fd.closed);
  });
});

test("Fd.readable fills the buffers of a BYOB reader and closes the descriptor at the end", async () => {
  await withPipe(async (reader, writer) => {
    await writer.writeAll(bytes("abcdef"));
    writer.close();
    const byob = reader.readable.getReader({ mode: "byob" });
    assertEquals(text((await byob.read(new Uint8Array(4))).value!), "abcd");
    assertEquals(text((await byob.read(new Uint8Array(4))).value!), "ef");
    assert(!reader.closed);
    assert((await byob.read(new Uint8Array(4))).done);
    assert(reader.closed);
  });
});

test("Fd.readable closes the descriptor when it is cancelled, also while it reads", async () => {
  await withPipe(async (reader, writer) => {
    const stream = reader.readable.getReader();
    const waiting = stream.read();
    assert(await isPending(waiting));
    await stream.cancel();
    assert((await waiting).done);
    assert(reader.closed);
    await assertFails(() => writer.write(bytes("x")), "EPIPE");
  });
});

test("Fd.writable writes in order and closes the descriptor", async () => {
  await withPipe(async (reader, writer) => {
    const data = pattern(500_000);
    const stream = writer.writable.getWriter();
    const writing = Promise.all([
      stream.write(data.subarray(0, 5)),
      stream.write(data.subarray(5)),
      stream.close(),
    ]);
    assertEquals(digest(await readExactly(reader, 600_000)), digest(data));
    await writing;
    assert(writer.closed);
  });
});

test("Fd.writable closes the descriptor when it is aborted while it writes", async () => {
  await withPipe(async (reader, writer) => {
    const stream = writer.writable.getWriter();
    stream.closed.catch(() => {});
    const writing = assertRejects(() => stream.write(pattern(1 << 20)), Error, "enough");
    assert(await isPending(writing));
    await eventually(stream.abort(new Error("enough")));
    await writing;
    assert(writer.closed);
    const received = await readExactly(reader, 1 << 20);
    assertEquals(digest(received), digest(pattern(1 << 20).subarray(0, received.length)));
  });
});

test("Fd.readable.pipeTo() another Fd's writable copies a file and closes both", async () => {
  await withTempDir(async (directory) => {
    const [from, to] = [join(directory, "from"), join(directory, "to")];
    const data = pattern(2_000_000);
    writeFileSync(from, data);
    const [source, target] = [Fd.open(from), Fd.open(to, "write")];
    await source.readable.pipeTo(target.writable);
    assert(source.closed && target.closed);
    using copy = Fd.open(to);
    assertEquals(digest(await readExactly(copy, 3_000_000)), digest(data));
  });
});

test("Fd.writable closes the descriptor when a write fails", async () => {
  await withPipe(async (reader, writer) => {
    reader.close();
    const stream = writer.writable.getWriter();
    stream.closed.catch(() => {});
    await assertFails(() => stream.write(bytes("x")), "EPIPE", "write");
    await settled();
    assert(writer.closed);
  });
});

test("Fd.readable closes the descriptor when a read fails", async () => {
  const directory = Fd.open("/");
  try {
    const stream = directory.readable.getReader();
    await assertFails(() => stream.read(), "EISDIR", "read");
    await settled();
    assert(directory.closed);
  } finally {
    directory.close();
  }
});

test("Fd.readable closes its descriptor at an end within an element of a BYOB reader", async () => {
  const [reader, writer] = Fd.pipe();
  writer.writeSync(bytes("abc"));
  writer.close();
  const byob = reader.readable.getReader({ mode: "byob" });
  assertEquals((await byob.read(new Uint16Array(4))).value!.length, 1);
  await assertRejects(() => byob.read(new Uint16Array(4)), TypeError);
  await settled();
  assert(reader.closed);
});
