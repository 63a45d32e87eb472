import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import {
  assertFails,
  bytes,
  fill,
  readText,
  readToEnd,
  text,
  withSocketPair,
} from "../support/mod.ts";
import { digest, eventually, pattern, readExactly } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";

async function collect(readable: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(
    await new Response(readable as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer(),
  );
}

test("UnixStream.readable yields what arrives to a default reader, and then the end", async () => {
  await withSocketPair(async (a, b) => {
    const reader = b.readable.getReader();
    for (const word of ["one", "two"]) {
      const reading = reader.read();
      await a.writeAll(bytes(word));
      assertEquals(text((await reading).value!), word);
    }
    a.closeWrite();
    assert((await reader.read()).done);
    await reader.closed;
  });
});

test("UnixStream.readable yields many MiB in order", async () => {
  await withSocketPair(async (a, b) => {
    const data = pattern(5 << 20);
    const writing = a.writeAll(data).then(() => a.closeWrite());
    assertEquals(digest(await collect(b.readable)), digest(data));
    await writing;
  });
});

test("UnixStream.readable fills the buffer of a BYOB reader", async () => {
  await withSocketPair(async (a, b) => {
    const reader = b.readable.getReader({ mode: "byob" });
    await a.writeAll(bytes("abcdefgh"));
    const memory = new Uint8Array(16).fill(0x2e);
    const first = await reader.read(new Uint8Array(memory.buffer, 4, 5));
    assertEquals(text(first.value!), "abcde");
    assertEquals(text(new Uint8Array(first.value!.buffer)), "....abcde.......");
    const second = await reader.read(new Uint8Array(first.value!.buffer));
    assertEquals(text(second.value!), "fgh");
    const waiting = reader.read(new Uint8Array(8));
    assert(await isPending(waiting));
    await a.writeAll(bytes("later"));
    assertEquals(text((await waiting).value!), "later");
    assertEquals(b.bytesRead, 13);
  });
});

test("UnixStream.readable tells a BYOB reader the end and gives its buffer back", async () => {
  await withSocketPair(async (a, b) => {
    const reader = b.readable.getReader({ mode: "byob" });
    const waiting = reader.read(new Uint8Array(8));
    a.closeWrite();
    const { value, done } = await eventually(waiting);
    assertEquals([done, value!.byteLength, value!.buffer.byteLength], [true, 0, 8]);
    const again = await reader.read(new Uint8Array(8));
    assertEquals([again.done, again.value!.byteLength], [true, 0]);
  });
});

test("UnixStream.readable serves a BYOB reader after a default reader without loss", async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("abcdef"));
    const byob = b.readable.getReader({ mode: "byob" });
    assertEquals(text((await byob.read(new Uint8Array(3))).value!), "abc");
    byob.releaseLock();
    const plain = b.readable.getReader();
    assertEquals(text((await plain.read()).value!), "def");
    plain.releaseLock();
    await a.writeAll(bytes("ghi"));
    const other = b.readable.getReader({ mode: "byob" });
    assertEquals(
      text((await other.read(new Uint16Array(1))).value! as unknown as Uint8Array),
      "gh",
    );
    assertEquals(text((await other.read(new Uint8Array(4))).value!), "i");
  });
});

test("UnixStream.readable reads nothing before somebody asks, and no more than asked for", async () => {
  await withSocketPair(async (a, b) => {
    a.sendBufferSize = 32768;
    const data = pattern(4 << 20);
    const writing = a.writeAll(data);
    const { readable } = b;
    assert(await isPending(writing));
    assertEquals(b.bytesRead, 0);
    const reader = readable.getReader();
    const { value } = await reader.read();
    assert(await isPending(writing));
    assertEquals(b.bytesRead, value!.length);
    reader.releaseLock();
    const rest = await readExactly(b, data.length - value!.length);
    assertEquals(digest(new Uint8Array([...value!, ...rest])), digest(data));
    await writing;
  });
});

test("UnixStream.readable.cancel() ends the reading only", async () => {
  await withSocketPair(async (a, b) => {
    await b.readable.cancel("enough");
    await assertFails(() => a.write(bytes("x")), "EPIPE", "send");
    assert(!b.closed);
    await b.writeAll(bytes("still writing"));
    assertEquals(await readText(a), "still writing");
  });
});

test("UnixStream.readable.cancel() ends a read that waits", async () => {
  await withSocketPair(async (a, b) => {
    const reader = b.readable.getReader();
    const waiting = reader.read();
    assert(await isPending(waiting));
    await reader.cancel();
    assert((await waiting).done);
    await assertFails(() => a.write(bytes("x")), "EPIPE", "send");
    assert(!b.closed);
  });
});

test("UnixStream.readable.tee() gives both branches everything", async () => {
  await withSocketPair(async (a, b) => {
    const data = pattern(300_000);
    const writing = a.writeAll(data).then(() => a.closeWrite());
    const [left, right] = b.readable.tee();
    const both = await Promise.all([collect(left), collect(right)]);
    assertEquals(both.map(digest), [digest(data), digest(data)]);
    await writing;
  });
});

test("UnixStream.readable.pipeThrough() transforms what arrives", async () => {
  await withSocketPair(async (a, b) => {
    const upper = new TransformStream<string, string>({
      transform: (chunk, controller) => controller.enqueue(chunk.toUpperCase()),
    });
    await a.writeAll(bytes("grüße"));
    a.closeWrite();
    const decoder = new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>;
    const seen: string[] = [];
    for await (const chunk of b.readable.pipeThrough(decoder).pipeThrough(upper)) seen.push(chunk);
    assertEquals(seen.join(""), "GRÜSSE");
  });
});

test("UnixStream.readable and writable reject with EBADF when the stream closes beneath them", async () => {
  await withSocketPair(async (_, b) => {
    fill(b);
    const reading = assertFails(() => b.readable.getReader().read(), "EBADF", "recv");
    const writing = assertFails(() => b.writable.getWriter().write(bytes("x")), "EBADF", "send");
    await isPending(writing);
    b.close();
    await eventually(Promise.all([reading, writing]));
  });
});

test("UnixStream.writable writes chunks of any length in order, and its close ends the writing only", async () => {
  await withSocketPair(async (a, b) => {
    const data = pattern(1 << 20);
    const reading = readToEnd(b);
    const writer = a.writable.getWriter();
    const ends = [0, 1, 100_000, 100_000, 700_000, data.length];
    for (const [index, end] of ends.entries()) {
      writer.write(data.subarray(ends[index - 1] ?? 0, end)).catch(() => {});
    }
    await writer.close();
    assertEquals(digest(await reading), digest(data));
    await assertFails(() => a.write(bytes("x")), "EPIPE", "send");
    await b.writeAll(bytes("other way"));
    assertEquals(await readText(a), "other way");
  });
});

test("UnixStream.writable holds a writer back while the peer does not read", async () => {
  await withSocketPair(async (a, b) => {
    const writer = a.writable.getWriter();
    await writer.ready;
    const data = pattern(4 << 20);
    const writing = writer.write(data);
    const { ready } = writer;
    assert(await isPending(ready));
    assert(writer.desiredSize! <= 0);
    assertEquals(digest(await readExactly(b, data.length)), digest(data));
    await writing;
    await ready;
    assertEquals(writer.desiredSize, 1);
  });
});

test("UnixStream.writable.abort() ends a write that waits, and the peer gets what was sent and the end", async () => {
  await withSocketPair(async (a, b) => {
    a.sendBufferSize = 32768;
    const data = pattern(1 << 20);
    const writer = a.writable.getWriter();
    const reason = new Error("changed my mind");
    const writing = assertRejects(() => writer.write(data), Error, "changed my mind");
    const closed = assertRejects(() => writer.closed, Error, "changed my mind");
    assert(await isPending(writing));
    await eventually(writer.abort(reason));
    await writing;
    await closed;
    const received = await readToEnd(b);
    assertEquals(received.length, a.bytesWritten);
    assertEquals(digest(received), digest(data.subarray(0, received.length)));
    assert(!a.closed);
    await b.writeAll(bytes("other way"));
    assertEquals(await readText(a), "other way");
  });
});

test("UnixStream.writable refuses chunks that are no bytes with TypeError", async () => {
  await withSocketPair(async (a) => {
    const writer = a.writable.getWriter();
    writer.closed.catch(() => {});
    await assertRejects(() => writer.write("text" as unknown as Uint8Array), TypeError);
  });
});

test("UnixStream.readable and writable are the same objects each time", async () => {
  await withSocketPair((a) => {
    assertStrictEquals(a.readable, a.readable);
    assertStrictEquals(a.writable, a.writable);
  });
});

test("UnixStream.readable.pipeTo() with a signal stops, and preventCancel leaves the socket usable", async () => {
  await withSocketPair(async (a, b) => {
    const controller = new AbortController();
    const seen: string[] = [];
    const sink = new WritableStream<Uint8Array>({ write: (chunk) => void seen.push(text(chunk)) });
    const piping = b.readable.pipeTo(sink, { signal: controller.signal, preventCancel: true });
    const stopped = assertRejects(() => piping);
    await a.writeAll(bytes("first"));
    while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    controller.abort();
    await eventually(stopped);
    await a.writeAll(bytes("second"));
    const reader = b.readable.getReader();
    assertEquals(text((await reader.read()).value!), "second");
    assertEquals(seen, ["first"]);
  });
});
