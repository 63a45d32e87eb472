import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { ReceiveBatch, UnixDatagram, type UnixStream } from "../../mod.ts";
import { bytes, text, withSocketPair, withTempSocketPath } from "../support/mod.ts";
import { pattern } from "../support/streams.ts";

/** Bytes of one writing; no multiple of anything that a kernel or a buffer has. */
const CHUNK = 999_983;
const TOTAL = 100_000_000;

async function write(stream: UnixStream, chunk: Uint8Array): Promise<void> {
  for (let left = TOTAL; left > 0; left -= CHUNK) {
    await stream.writeAll(chunk.subarray(0, Math.min(left, CHUNK)));
  }
  stream.closeWrite();
}

/** Reads to the end; the first difference to that chunk, over and over again, is an error. */
async function read(stream: UnixStream, chunk: Uint8Array): Promise<void> {
  const expected = Buffer.from(chunk.buffer);
  const buffer = Buffer.alloc(1 << 20);
  let total = 0;
  for (let count; (count = await stream.read(buffer)) !== null;) {
    for (let at = 0; at < count;) {
      const start = (total + at) % CHUNK;
      const length = Math.min(count - at, CHUNK - start);
      const same = buffer.compare(expected, start, start + length, at, at + length) === 0;
      assert(same, `The bytes differ between ${total + at} and ${total + at + length}`);
      at += length;
    }
    total += count;
  }
  assert(total === TOTAL, `${total} bytes arrived`);
}

test("N242 UnixStream carries 100 MB in each direction of one pair at once", async () => {
  await withSocketPair(async (a, b) => {
    const [there, back] = [pattern(CHUNK, 1), pattern(CHUNK, 2)];
    await Promise.all([write(a, there), read(b, there), write(b, back), read(a, back)]);
  });
});

test("N244 UnixDatagram brings 1,000 messages of each of 64 senders to one receiver, each sender's in order", async () => {
  await withTempSocketPath(async (path) => {
    const [senders, count] = [64, 1000];
    using receiver = UnixDatagram.bind(path);
    const sending = Array.from({ length: senders }, async (_, sender) => {
      using socket = UnixDatagram.unbound().connect(path);
      for (let i = 0; i < count; i++) await socket.send(bytes(`${sender} ${i}`));
    });
    const next = new Array(senders).fill(0);
    const batch = new ReceiveBatch({ size: 64 });
    for (let received = 0; received < senders * count; received += batch.count) {
      await receiver.receiveMany(batch);
      for (const { data } of batch) {
        const [sender, i] = text(data).split(" ").map(Number) as [number, number];
        assert(i === next[sender], `${i} of ${sender} came where ${next[sender]} was due`);
        next[sender]++;
      }
    }
    await Promise.all(sending);
    assertEquals(receiver.bytesReadable, 0);
  });
});
