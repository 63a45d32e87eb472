import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import type { UnixStream } from "../../mod.ts";
import { bytes, text, withSocketPair } from "../support/mod.ts";
import { digest, pattern } from "../support/streams.ts";

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
