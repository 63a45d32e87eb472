import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { UnixListener, type UnixStream } from "../../mod.ts";
import {
  assertFails,
  bytes,
  commandFor,
  readText,
  RUNTIME,
  TestProcess,
  text,
  withSocketPair,
  withTempSocketPath,
} from "../support/mod.ts";
import { digest, pattern, program } from "../support/streams.ts";

function readTextSync(stream: UnixStream, size = 1024): string | null {
  const buffer = new Uint8Array(size);
  const count = stream.readSync(buffer, { timeout: 0 });
  return count === null ? null : text(buffer.subarray(0, count));
}

/** Runs a body with a stream whose other end another process works, as the steps say. */
function withPeerProcess(
  steps: string[],
  body: (stream: UnixStream, peer: TestProcess) => void | Promise<void>,
): Promise<void> {
  return withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const command = commandFor(RUNTIME, program("stream_peer.ts"));
    await using peer = new TestProcess([...command, path, ...steps]);
    // The limit is for a peer that cannot start.
    using stream = listener.acceptSync({ timeout: 30_000 });
    await body(stream, peer);
  });
}

test("UnixStream's sync methods carry bytes both ways and the end", async () => {
  await withSocketPair((a, b) => {
    a.writeAllSync(bytes("there"));
    assertEquals(b.writeSync(bytes("back")), 4);
    assertEquals([readTextSync(b), readTextSync(a)], ["there", "back"]);
    a.closeWrite();
    assertEquals([readTextSync(b), readTextSync(b)], [null, null]);
  });
});

test("UnixStream.readSync() without a timeout blocks until another process writes", async () => {
  await withPeerProcess(["write:5"], (stream) => {
    const buffer = new Uint8Array(16);
    assertEquals(stream.readSync(buffer), 5);
    assertEquals(buffer.subarray(0, 5), pattern(5));
    assertEquals(stream.readSync(buffer), null);
  });
});

test("UnixStream.peekSync() without a timeout blocks until another process writes", async () => {
  await withPeerProcess(["write:5"], (stream) => {
    const buffer = new Uint8Array(16);
    assertEquals(stream.peekSync(buffer, { timeout: Infinity }), 5);
    assertEquals(stream.readSync(buffer), 5);
    assertEquals(stream.peekSync(buffer), null);
  });
});

test("UnixStream.writeAllSync() blocks until another process has made room for everything", async () => {
  await withPeerProcess(["digest"], async (stream, peer) => {
    const data = pattern(8 << 20);
    stream.writeAllSync(data);
    assertEquals(stream.bytesWritten, data.length);
    stream.closeWrite();
    const { stdout, stderr } = await peer.finished;
    assertEquals([stdout.trim(), stderr], [digest(data), ""]);
  });
});

test("B49 UnixStream.writeAllSync() throws EPIPE and the bytes sent when the reader leaves half-way", async () => {
  await withPeerProcess(["read:10", "close"], async (stream) => {
    const data = pattern(4 << 20);
    const error = await assertFails(() => stream.writeAllSync(data), "EPIPE", "send");
    const sent = error.bytesTransferred!;
    assert(sent >= 10 && sent < data.length, `${sent} bytes`);
    assertEquals(stream.bytesWritten, sent);
  });
});

test("UnixStream.readSync() gives the reads that wait the end before it", async () => {
  await withSocketPair(async (a, b) => {
    const waiting = [readText(b), readText(b)];
    a.close();
    assertEquals(readTextSync(b), null);
    assertEquals(await Promise.all(waiting), [null, null]);
  });
});

test("UnixStream's sync and async methods take turns on the same bytes without loss", async () => {
  await withSocketPair(async (a, b) => {
    const data = pattern(200_000);
    const buffers: Promise<Uint8Array>[] = [];
    const read = (size: number) => {
      const buffer = new Uint8Array(size);
      return b.read(buffer).then((count) => buffer.subarray(0, count ?? 0));
    };
    for (let at = 0, round = 0; at < data.length; round++) {
      const part = data.subarray(at, at += 1000);
      buffers.push(read(400));
      if (round % 2 === 0) a.writeAllSync(part);
      else await a.writeAll(part);
      const buffer = new Uint8Array(600);
      const count = b.readSync(buffer);
      buffers.push(Promise.resolve(buffer.subarray(0, count!)));
    }
    const received = await Promise.all(buffers);
    assertEquals(digest(new Uint8Array(received.flatMap((part) => [...part]))), digest(data));
  });
});
