import { assert, assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { sockets } from "../../ffi/mod.ts";
import { errnoNumber } from "../../ffi/mod.ts";
import type { UnixStream } from "../../mod.ts";
import { assertFails, bytes, readText, text, withSocketPair } from "../support/mod.ts";
import { pattern, readExactly } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";

/** Memory of 32 bytes, and a way to see it all: eight of them, from the eighth on, are in the view. */
interface Target {
  view: ArrayBufferView | ArrayBuffer;
  memory: Uint8Array;
  /** Where the view begins in the memory. */
  at: number;
}

function inside(make: (buffer: ArrayBuffer, at: number) => ArrayBufferView): () => Target {
  return () => {
    const buffer = new ArrayBuffer(32);
    return { view: make(buffer, 8), memory: new Uint8Array(buffer), at: 8 };
  };
}

const targets: Record<string, () => Target> = {
  "a Uint8Array with an offset": inside((buffer, at) => new Uint8Array(buffer, at, 8)),
  "a subarray of a subarray": inside((buffer) =>
    new Uint8Array(buffer).subarray(4).subarray(4, 12)
  ),
  "an Int8Array": inside((buffer, at) => new Int8Array(buffer, at, 8)),
  "a Uint8ClampedArray": inside((buffer, at) => new Uint8ClampedArray(buffer, at, 8)),
  "a Uint16Array": inside((buffer, at) => new Uint16Array(buffer, at, 4)),
  "a Float64Array": inside((buffer, at) => new Float64Array(buffer, at, 1)),
  "a BigUint64Array": inside((buffer, at) => new BigUint64Array(buffer, at, 1)),
  "a DataView": inside((buffer, at) => new DataView(buffer, at, 8)),
  "a Node Buffer": inside((buffer, at) => Buffer.from(buffer, at, 8)),
  "an ArrayBuffer": () => {
    const buffer = new ArrayBuffer(8);
    return { view: buffer, memory: new Uint8Array(buffer), at: 0 };
  },
  "a resizable ArrayBuffer": () => {
    const buffer = new ArrayBuffer(8, { maxByteLength: 64 });
    return { view: buffer, memory: new Uint8Array(buffer), at: 0 };
  },
  "a view that tracks a resizable ArrayBuffer's length": () => {
    const buffer = new ArrayBuffer(16, { maxByteLength: 64 });
    return { view: new Uint8Array(buffer, 8), memory: new Uint8Array(buffer), at: 8 };
  },
  "a view of a SharedArrayBuffer": () => {
    const buffer = new SharedArrayBuffer(32);
    return { view: new Uint8Array(buffer, 8, 8), memory: new Uint8Array(buffer), at: 8 };
  },
  "a DataView of a growable SharedArrayBuffer": () => {
    const buffer = new SharedArrayBuffer(32, { maxByteLength: 64 });
    return { view: new DataView(buffer, 8, 8), memory: new Uint8Array(buffer), at: 8 };
  },
};

/** Everything that fills a buffer. */
const readers: Record<string, (stream: UnixStream, view: Target["view"]) => unknown> = {
  read: (stream, view) => stream.read(view),
  readSync: (stream, view) => stream.readSync(view),
  peek: (stream, view) => stream.peek(view),
  peekSync: (stream, view) => stream.peekSync(view),
};

/** Everything that takes data. */
const writers: Record<string, (stream: UnixStream, view: Target["view"]) => unknown> = {
  write: (stream, view) => stream.write(view),
  writeSync: (stream, view) => stream.writeSync(view),
  writeAll: (stream, view) => stream.writeAll(view),
  writeAllSync: (stream, view) => stream.writeAllSync(view),
};

for (const [what, makeTarget] of Object.entries(targets)) {
  test(`UnixStream reads into ${what}, counts bytes and touches nothing beside it`, async () => {
    for (const [name, read] of Object.entries(readers)) {
      await withSocketPair(async (a, b) => {
        const { view, memory, at } = makeTarget();
        memory.fill(0x2e);
        await a.writeAll(bytes("0123456789"));
        assertEquals(await read(b, view), 8, name);
        assertEquals(text(memory.slice()), expected(memory.length, at, "01234567"), name);
      });
    }
  });

  test(`UnixStream writes ${what}, and nothing beside it`, async () => {
    for (const [name, write] of Object.entries(writers)) {
      await withSocketPair(async (a, b) => {
        const { view, memory, at } = makeTarget();
        memory.fill(0x2e);
        memory.set(bytes("abcdefgh"), at);
        const result = await write(a, view);
        assertEquals(result, name.startsWith("writeAll") ? undefined : 8, name);
        a.closeWrite();
        assertEquals(await readText(b), "abcdefgh", name);
        assertEquals(await readText(b), null, name);
      });
    }
  });
}

function expected(length: number, at: number, content: string): string {
  return content.padStart(at + content.length, ".").padEnd(length, ".");
}

test("UnixStream.read() that waits fills the view it was given, not the start of its buffer", async () => {
  await withSocketPair(async (a, b) => {
    const memory = bytes("................");
    const reading = b.read(new DataView(memory.buffer, 4, 5));
    assert(await isPending(reading));
    await a.writeAll(bytes("abcdefg"));
    assertEquals(await reading, 5);
    assertEquals(text(memory), "....abcde.......");
  });
});

test("UnixStream.read() goes on when its buffer grows meanwhile", async () => {
  await withSocketPair(async (a, b) => {
    const buffer = new ArrayBuffer(4, { maxByteLength: 65536 });
    const reading = b.read(new Uint8Array(buffer));
    buffer.resize(65536);
    await a.writeAll(bytes("abcdef"));
    const count = await reading;
    assert(count === 4 || count === 6, `${count} bytes`);
    assertEquals(text(new Uint8Array(buffer, 0, count)), "abcdef".slice(0, count));
  });
});

test("UnixStream.writeAll() rejects with TypeError when its data are detached half-way", async () => {
  await withSocketPair(async (a, b) => {
    a.sendBufferSize = 32768;
    const data = pattern(1 << 20);
    const writing = assertRejects(() => a.writeAll(data), TypeError, "detached");
    const sent = a.bytesWritten;
    assert(sent > 0);
    data.buffer.transfer();
    assertEquals((await readExactly(b, sent)).length, sent);
    await writing;
    assertEquals(a.bytesWritten, sent);
    await a.writeAll(bytes("usable"));
    assertEquals(await readText(b), "usable");
  });
});

test("B37 recv(2) of no bytes would block on an empty socket and returns 0 at the end", async () => {
  await withSocketPair((a, b) => {
    const buffer = new Uint8Array(16);
    assertEquals(sockets.recv(b.fd, buffer, 0, 0), -errnoNumber("EAGAIN"));
    a.close();
    assertEquals(sockets.recv(b.fd, buffer, 0, 0), 0);
  });
});

test("B37 UnixStream.read() into an empty buffer waits for data, takes none, and returns null at the end", async () => {
  await withSocketPair(async (a, b) => {
    const reading = b.read(new Uint8Array(0));
    assert(await isPending(reading));
    await a.writeAll(bytes("x"));
    assertEquals(await reading, 0);
    assertEquals(await b.read(new ArrayBuffer(0)), 0);
    assertEquals(b.bytesRead, 0);
    assertEquals(await readText(b), "x");
    const atEnd = b.read(new Uint8Array(0));
    a.close();
    assertEquals(await atEnd, null);
  });
});

test("UnixStream.peek() into an empty buffer waits for data and returns null at the end", async () => {
  await withSocketPair(async (a, b) => {
    const peeking = b.peek(new DataView(new ArrayBuffer(8), 8));
    assert(await isPending(peeking));
    await a.writeAll(bytes("x"));
    assertEquals(await peeking, 0);
    assertEquals(await readText(b), "x");
    a.close();
    assertEquals(await b.peek(new Uint8Array(0)), null);
  });
});

test("UnixStream.readSync() and peekSync() into an empty buffer wait for data too", async () => {
  await withSocketPair(async (a, b) => {
    const none = new Uint8Array(0);
    for (const call of [b.readSync.bind(b), b.peekSync.bind(b)]) {
      await assertFails(() => call(none, { timeout: 0 }), "ETIMEDOUT", "recv");
    }
    a.writeSync(bytes("x"));
    assertEquals([b.readSync(none), b.peekSync(none)], [0, 0]);
    assertEquals(await readText(b), "x");
    a.close();
    assertEquals([b.readSync(none), b.peekSync(none)], [null, null]);
  });
});

test("UnixStream writes of no bytes send nothing and do not end the stream", async () => {
  await withSocketPair(async (a, b) => {
    const reading = readText(b);
    const none = new Uint8Array(0);
    assertEquals(await a.write(none), 0);
    assertEquals(a.writeSync(none), 0);
    await a.writeAll(none);
    a.writeAllSync(none);
    assert(await isPending(reading));
    assertEquals(a.bytesWritten, 0);
    await a.writeAll(bytes("something"));
    assertEquals(await reading, "something");
  });
});
