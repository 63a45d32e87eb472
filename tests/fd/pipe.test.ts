import { assert, assertEquals, assertRejects } from "@std/assert";
import { readdirSync, readlinkSync } from "node:fs";
import { join } from "@std/path";
import { test } from "node:test";
import { Fd } from "../../mod.ts";
import { assertFails, bytes, run, TestProcess, text, withTempDir } from "../support/mod.ts";
import {
  digest,
  O_CLOEXEC,
  O_NONBLOCK,
  openFlags,
  pattern,
  readExactly,
} from "../support/streams.ts";
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

async function readTextFrom(fd: Fd, size = 1024): Promise<string | null> {
  const buffer = new Uint8Array(size);
  const count = await fd.read(buffer);
  return count === null ? null : text(buffer.subarray(0, count));
}

test("Fd.pipe() carries bytes one way, and the end when the writer closes", async () => {
  await withPipe(async (reader, writer) => {
    await writer.writeAll(bytes("one "));
    assertEquals(await writer.write(bytes("two")), 3);
    assertEquals(await readTextFrom(reader, 5), "one t");
    writer.close();
    assertEquals(await readTextFrom(reader), "wo");
    assertEquals([await readTextFrom(reader), await readTextFrom(reader)], [null, null]);
    assertEquals(reader.readSync(new Uint8Array(1)), null);
  });
});

test("Fd.pipe() makes both ends close-on-exec and non-blocking, each for one direction", async () => {
  await withPipe(async (reader, writer) => {
    for (const fd of [reader, writer]) {
      assertEquals(openFlags(fd.fd) & (O_CLOEXEC | O_NONBLOCK), O_CLOEXEC | O_NONBLOCK);
    }
    await assertFails(() => reader.write(bytes("x")), "EBADF", "write");
    await assertFails(() => readTextFrom(writer), "EBADF", "read");
  });
});

test("Fd.read() of a pipe waits for data, and for the end", async () => {
  await withPipe(async (reader, writer) => {
    const first = readTextFrom(reader);
    assert(await isPending(first));
    await writer.writeAll(bytes("late"));
    assertEquals(await first, "late");
    const second = readTextFrom(reader);
    assert(await isPending(second));
    writer.close();
    assertEquals(await second, null);
  });
});

test("Fd.read() of a pipe into an empty buffer returns 0 at once", async () => {
  await withPipe(async (reader) => {
    assertEquals(await reader.read(new Uint8Array(0)), 0);
    assertEquals(reader.readSync(new Uint8Array(0), { timeout: 0 }), 0);
  });
});

test("Fd.writeAll() moves many MiB through a pipe, and calls that overlap stay whole", async () => {
  await withPipe(async (reader, writer) => {
    const parts = [pattern(2 << 20, 1), pattern(10, 2), pattern(1 << 20, 3)];
    const writing = Promise.all(parts.map((part) => writer.writeAll(part)));
    for (const part of parts) {
      assertEquals(digest(await readExactly(reader, part.length)), digest(part));
    }
    await writing;
  });
});

test("Fd reads and writes every kind of view", async () => {
  await withPipe(async (reader, writer) => {
    const memory = bytes("................");
    await writer.writeAll(new Uint16Array(bytes("abcd").buffer));
    assertEquals(await reader.read(new DataView(memory.buffer, 2, 8)), 4);
    writer.writeAllSync(bytes("efgh").buffer);
    assertEquals(reader.readSync(new Uint16Array(memory.buffer, 10, 1)), 2);
    assertEquals(text(memory), "..abcd....ef....");
    await assertRejects(() => reader.read("no" as unknown as Uint8Array), TypeError);
    await assertRejects(() => writer.write(5 as unknown as Uint8Array), TypeError);
  });
});

test("Fd.dup() of a pipe's writer holds back the end until it closes too", async () => {
  await withPipe(async (reader, writer) => {
    const twin = writer.dup();
    writer.close();
    const reading = readTextFrom(reader);
    assert(await isPending(reading));
    await twin.writeAll(bytes("from the twin"));
    assertEquals(await reading, "from the twin");
    const atEnd = readTextFrom(reader);
    twin.close();
    assertEquals(await atEnd, null);
  });
});

test("Fd.readSync() without a timeout blocks until another process writes", async () => {
  await withPipe(async (reader, writer) => {
    const stdio = ["ignore", writer.fd, "inherit"] as const;
    await using child = new TestProcess(["sh", "-c", "printf hello"], { stdio: [...stdio] });
    writer.close();
    const buffer = new Uint8Array(16);
    assertEquals(reader.readSync(buffer), 5);
    assertEquals(text(buffer.subarray(0, 5)), "hello");
    assertEquals(reader.readSync(buffer), null);
    assertEquals((await child.finished).code, 0);
  });
});

/** Waits until a process has opened a path. */
async function opened(path: string, pid: number): Promise<void> {
  for (let turn = 0; turn < 5000; turn++) {
    for (const number of readdirSync(`/proc/${pid}/fd`)) {
      try {
        if (readlinkSync(`/proc/${pid}/fd/${number}`) === path) return;
      } catch {
        // Closed meanwhile.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  throw new Error(`The process has not opened ${path}`);
}

test("Fd.writeAllSync() without a timeout blocks until another process has read everything", async () => {
  await withTempDir(async (directory) => {
    const fifo = join(directory, "fifo");
    assertEquals((await run(["mkfifo", fifo])).code, 0);
    // Without a reader the writer could not open.
    const reader = Fd.open(fifo);
    using writer = Fd.open(fifo, "write");
    await using child = new TestProcess(["sha256sum", fifo]);
    await opened(fifo, child.pid);
    reader.close();
    const data = pattern(3 << 20);
    writer.writeAllSync(data);
    writer.close();
    const { stdout } = await child.finished;
    assertEquals(stdout.split(" ")[0], digest(data));
  });
});
