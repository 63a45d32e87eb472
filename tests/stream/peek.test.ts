import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { UnixStream } from "../../mod.ts";
import { bytes, readText, text, withSocketPair } from "../support/mod.ts";
import { isPending } from "../support/waiting.ts";

async function peekText(stream: UnixStream, size = 1024): Promise<string | null> {
  const buffer = new Uint8Array(size);
  const count = await stream.peek(buffer);
  return count === null ? null : text(buffer.subarray(0, count));
}

function peekTextSync(stream: UnixStream, size = 1024): string | null {
  const buffer = new Uint8Array(size);
  const count = stream.peekSync(buffer);
  return count === null ? null : text(buffer.subarray(0, count));
}

test("UnixStream.peek() leaves the bytes for the next read, however often it is called", async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("abcdef"));
    assertEquals(await peekText(b, 3), "abc");
    assertEquals(await peekText(b), "abcdef");
    assertEquals(await readText(b, 2), "ab");
    assertEquals(await peekText(b), "cdef");
    assertEquals(await readText(b), "cdef");
  });
});

test("UnixStream.peek() waits for data", async () => {
  await withSocketPair(async (a, b) => {
    const peeking = peekText(b);
    assert(await isPending(peeking));
    await a.writeAll(bytes("late"));
    assertEquals(await peeking, "late");
    assertEquals(await readText(b), "late");
  });
});

test("B47 UnixStream.peek() and read() see two writes as one", async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("first "));
    await a.writeAll(bytes("second"));
    assertEquals(await peekText(b), "first second");
    assertEquals(await readText(b), "first second");
  });
});

test("B47 UnixStream.peekSync() and readSync() see two writes as one", async () => {
  await withSocketPair((a, b) => {
    a.writeSync(bytes("first "));
    a.writeSync(bytes("second"));
    assertEquals(peekTextSync(b), "first second");
    const buffer = new Uint8Array(100);
    assertEquals(b.readSync(buffer), 12);
    assertEquals(text(buffer.subarray(0, 12)), "first second");
  });
});

test("UnixStream.peek() and peekSync() return null at the end, again and again", async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("last"));
    const waiting = b.peek(new Uint8Array(8));
    a.closeWrite();
    assertEquals(await waiting, 4);
    assertEquals(await readText(b), "last");
    for (let round = 0; round < 2; round++) {
      assertEquals(await peekText(b), null);
      assertEquals(peekTextSync(b), null);
    }
    assertEquals(await readText(b), null);
  });
});

test("UnixStream.peek() that waits returns null when the peer ends its writing", async () => {
  await withSocketPair(async (a, b) => {
    const peeking = peekText(b);
    a.closeWrite();
    assertEquals(await peeking, null);
  });
});

test("UnixStream.peek() behind a read that waits sees what that read left", async () => {
  await withSocketPair(async (a, b) => {
    const reading = readText(b, 3);
    const peeking = peekText(b);
    await a.writeAll(bytes("abcdef"));
    assertEquals(await reading, "abc");
    assertEquals(await peeking, "def");
    assertEquals(await readText(b), "def");
  });
});

test("UnixStream.read() behind a peek that waits gets the same bytes", async () => {
  await withSocketPair(async (a, b) => {
    const peeks = [peekText(b), peekText(b, 1)];
    const reading = readText(b);
    await a.writeAll(bytes("both"));
    assertEquals(await Promise.all([...peeks, reading]), ["both", "b", "both"]);
  });
});

test("UnixStream.peekSync() lets a read that waits go first", async () => {
  await withSocketPair(async (a, b) => {
    const reading = readText(b, 3);
    a.writeSync(bytes("abcdef"));
    assertEquals(peekTextSync(b), "def");
    assertEquals(await reading, "abc");
  });
});

test("a read into nothing leaves the peek offset where it was", async () => {
  const [a, b] = UnixStream.pair();
  b.peekOffset = 0;
  a.writeSync(bytes("xyz"));
  const nothing = new Uint8Array(0);
  for (let i = 0; i < 4; i++) {
    assertEquals(await b.read(nothing), 0);
    assertEquals(b.readSync(nothing, { timeout: 1000 }), 0);
    assertEquals(b.peekOffset, 0);
  }
  b.peekOffset = 3;
  assertEquals(b.readSync(nothing, { timeout: 1000 }), 0);
  a.close();
  b.close();
});
