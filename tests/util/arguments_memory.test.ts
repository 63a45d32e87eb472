import { assertEquals, assertInstanceOf } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { Fd } from "../../mod.ts";
import { bytes, fill, readText, withSocketPair } from "../support/mod.ts";
import { assertAllRefuse, NOT_BYTES } from "../support/refusals.ts";

test("L227 whatever reads or writes refuses what is no memory with TypeError", async () => {
  await withSocketPair(async (a) => {
    const [reader, writer] = Fd.pipe();
    using _reader = reader;
    using _writer = writer;
    await assertAllRefuse(TypeError, NOT_BYTES, {
      read: (value) => a.read(value),
      readSync: (value) => a.readSync(value, { timeout: 0 }),
      peek: (value) => a.peek(value),
      peekSync: (value) => a.peekSync(value, { timeout: 0 }),
      write: (value) => a.write(value),
      writeSync: (value) => a.writeSync(value),
      writeAll: (value) => a.writeAll(value),
      writeAllSync: (value) => a.writeAllSync(value),
      "Fd.read": (value) => reader.read(value),
      "Fd.readSync": (value) => reader.readSync(value, { timeout: 0 }),
      "Fd.write": (value) => writer.write(value),
      "Fd.writeSync": (value) => writer.writeSync(value),
      "Fd.writeAll": (value) => writer.writeAll(value),
      "Fd.writeAllSync": (value) => writer.writeAllSync(value),
    });
  });
});

/** Memory that is gone, in each shape. */
function detached(): Record<string, ArrayBufferView | ArrayBuffer> {
  const gone = <T extends ArrayBufferView>(view: T): T => {
    (view.buffer as ArrayBuffer).transfer();
    return view;
  };
  const buffer = new ArrayBuffer(8);
  buffer.transfer();
  return {
    ArrayBuffer: buffer,
    Uint8Array: gone(new Uint8Array(8)),
    Int32Array: gone(new Int32Array(8)),
    DataView: gone(new DataView(new ArrayBuffer(8))),
    Buffer: gone(Buffer.from(new ArrayBuffer(8))),
  };
}

for (const kind of Object.keys(detached())) {
  test(`L227 whatever reads or writes refuses a detached ${kind} with TypeError`, async () => {
    await withSocketPair(async (a, b) => {
      const memory = detached()[kind];
      // Where it is not refused, reading must not wait for ever.
      b.writeAllSync(bytes("something to read"));
      await assertAllRefuse(TypeError, [memory], {
        read: (value) => a.read(value),
        readSync: (value) => a.readSync(value, { timeout: 0 }),
        peek: (value) => a.peek(value),
        peekSync: (value) => a.peekSync(value, { timeout: 0 }),
        write: (value) => a.write(value),
        writeSync: (value) => a.writeSync(value),
        writeAll: (value) => a.writeAll(value),
        writeAllSync: (value) => a.writeAllSync(value),
      });
      assertEquals(await readText(a), "something to read");
    });
  });
}

test("L227 UnixStream.read() rejects with TypeError where its buffer goes away meanwhile, and loses nothing", async () => {
  const changes: [string, Uint8Array<ArrayBuffer>, (buffer: ArrayBuffer) => void][] = [
    ["detached", new Uint8Array(8), (buffer) => buffer.transfer()],
    [
      "shrunk",
      new Uint8Array(new ArrayBuffer(8, { maxByteLength: 8 })),
      (buffer) => buffer.resize(2),
    ],
  ];
  for (const [, view, change] of changes) {
    await withSocketPair(async (a, b) => {
      const reading = a.read(view);
      change(view.buffer);
      await b.writeAll(bytes("kept"));
      const error = await reading.then(() => undefined, (reason) => reason);
      assertInstanceOf(error, TypeError);
      assertEquals(await readText(a), "kept");
    });
  }
});

test("L227 UnixStream.writeAll() rejects with TypeError where its data go away meanwhile", async () => {
  await withSocketPair(async (a, b) => {
    const queued = fill(a);
    const view = new Uint8Array(100_000);
    const writing = a.writeAll(view);
    const failed = writing.then(() => undefined, (reason) => reason);
    view.buffer.transfer();
    const buffer = new Uint8Array(65536);
    for (let left = queued; left > 0;) left -= (await b.read(buffer))!;
    assertInstanceOf(await failed, TypeError);
    await a.writeAll(bytes("usable"));
    assertEquals(await readText(b), "usable");
  });
});
