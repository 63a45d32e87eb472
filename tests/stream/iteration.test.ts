import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { UnixStream } from "../../mod.ts";
import { bytes, readText, text, withSocketPair } from "../support/mod.ts";
import { digest, eventually, pattern } from "../support/streams.ts";

/** Goes through a stream to its end; the chunks as text. */
async function chunksOf(stream: UnixStream): Promise<string[]> {
  const chunks: string[] = [];
  for await (const chunk of stream) chunks.push(text(chunk));
  return chunks;
}

test("UnixStream's iteration yields what arrives and ends when the peer ends", async () => {
  await withSocketPair(async (a, b) => {
    const reading = chunksOf(b);
    for (const word of ["one", "two", "three"]) {
      const taken = b.bytesRead + word.length;
      await a.writeAll(bytes(word));
      while (b.bytesRead < taken) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    a.closeWrite();
    assertEquals(await reading, ["one", "two", "three"]);
    assert(!b.closed);
  });
});

test("UnixStream's iteration yields many MiB in order", async () => {
  await withSocketPair(async (a, b) => {
    const data = pattern(5 << 20);
    const writing = a.writeAll(data).then(() => a.closeWrite());
    const chunks: Uint8Array[] = [];
    for await (const chunk of b) {
      assert(chunk.length > 0);
      chunks.push(chunk);
    }
    await writing;
    const received = new Uint8Array(data.length);
    let at = 0;
    for (const chunk of chunks) {
      received.set(chunk, at);
      at += chunk.length;
    }
    assertEquals([at, digest(received)], [data.length, digest(data)]);
  });
});

test("UnixStream's iteration yields chunks that later ones do not change, large or small", async () => {
  await withSocketPair(async (a, b) => {
    const iterator = b[Symbol.asyncIterator]();
    const chunks: Uint8Array[] = [];
    const sizes = [10, 60_000, 20, 65_536, 32_768, 32_767];
    for (const [index, size] of sizes.entries()) {
      await a.writeAll(new Uint8Array(size).fill(index));
      const { value } = await iterator.next();
      chunks.push(value!);
    }
    assertEquals(chunks.map((chunk) => chunk.length), sizes);
    for (const [index, chunk] of chunks.entries()) {
      assert(chunk.every((byte) => byte === index), `chunk ${index}`);
      assertEquals(chunks.filter(({ buffer }) => buffer === chunk.buffer).length, 1);
    }
  });
});

test("UnixStream's iteration yields small chunks that keep no more memory than their bytes", async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("small"));
    for await (const chunk of b) {
      assertEquals([chunk.byteOffset, chunk.buffer.byteLength], [0, 5]);
      break;
    }
  });
});

test("UnixStream's iteration ends when the stream is closed while it waits", async () => {
  await withSocketPair(async (_, b) => {
    const reading = chunksOf(b);
    b.close();
    assertEquals(await eventually(reading), []);
  });
});

test("UnixStream's iteration ends when the stream is closed between two chunks", async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("first"));
    const seen: string[] = [];
    for await (const chunk of b) {
      seen.push(text(chunk));
      a.writeSync(bytes("second"));
      b.close();
    }
    assertEquals(seen, ["first"]);
  });
});

test("UnixStream's iteration ends when the descriptor is given away while it waits, and loses nothing", async () => {
  await withSocketPair(async (a, b) => {
    const reading = chunksOf(b);
    const fd = b.intoFd();
    await a.writeAll(bytes("for the next owner"));
    assertEquals(await eventually(reading), []);
    using next = UnixStream.fromFd(fd);
    assertEquals(await readText(next), "for the next owner");
  });
});

test("UnixStream's iteration leaves the stream open on break, and loses nothing that comes after", async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("first"));
    for await (const chunk of b) {
      assertEquals(text(chunk), "first");
      break;
    }
    assert(!b.closed);
    await a.writeAll(bytes("second"));
    assertEquals(await readText(b), "second");
    await a.writeAll(bytes("third"));
    a.closeWrite();
    assertEquals(await chunksOf(b), ["third"]);
  });
});

test("UnixStream's iterator is its own iterator, and two of them share what arrives", async () => {
  await withSocketPair(async (a, b) => {
    const [first, second] = [b[Symbol.asyncIterator](), b[Symbol.asyncIterator]()];
    assertStrictEquals(first[Symbol.asyncIterator](), first);
    const waiting = [first.next(), second.next()];
    await a.writeAll(bytes("for the first"));
    assertEquals(text((await waiting[0]!).value!), "for the first");
    await a.writeAll(bytes("for the second"));
    assertEquals(text((await waiting[1]!).value!), "for the second");
    a.close();
    assertEquals(await first.next(), { value: undefined, done: true });
    assertEquals(await second.next(), { value: undefined, done: true });
  });
});
