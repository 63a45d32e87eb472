import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { UnixListener, UnixStream } from "../../mod.ts";
import {
  assertFails,
  bytes,
  readText,
  readToEnd,
  text,
  withSocketPair,
  withTempSocketPath,
} from "../support/mod.ts";
import { digest, eventually, pattern } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";

/** Waits until a stream is closed, which happens a few turns after its web streams have ended. */
async function closing(stream: UnixStream): Promise<void> {
  for (let turn = 0; !stream.closed; turn++) {
    if (turn === 1000) throw new Error("The stream is still open after 1000 turns");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Ends the peer's side of both directions. */
async function endBoth(stream: UnixStream): Promise<void> {
  stream.closeWrite();
  await readToEnd(stream);
}

async function collect(readable: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(
    await new Response(readable as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer(),
  );
}

test("UnixStream closes when readable has ended and writable was closed", async () => {
  await withSocketPair(async (a, b) => {
    const peer = endBoth(a);
    assertEquals(text(await collect(b.readable)), "");
    assert(!b.closed);
    await b.writable.close();
    await closing(b);
    await peer;
  });
});

test("UnixStream closes when writable was closed and readable ends after it", async () => {
  await withSocketPair(async (a, b) => {
    const peer = endBoth(a);
    await b.writable.close();
    assert(!b.closed);
    assertEquals(text(await collect(b.readable)), "");
    await closing(b);
    await peer;
  });
});

test("UnixStream closes when readable was cancelled and writable aborted", async () => {
  await withSocketPair(async (a, b) => {
    await b.readable.cancel();
    assert(!b.closed);
    await b.writable.abort();
    await closing(b);
    assertEquals(await readText(a), null);
  });
});

test("UnixStream closes when a BYOB reader has seen the end and writable was closed", async () => {
  await withSocketPair(async (a, b) => {
    a.closeWrite();
    const reader = b.readable.getReader({ mode: "byob" });
    assert((await reader.read(new Uint8Array(8))).done);
    assert(!b.closed);
    await b.writable.close();
    await closing(b);
  });
});

test("UnixStream closes when readable was cancelled while it read and writable is closed after", async () => {
  await withSocketPair(async (_, b) => {
    const reader = b.readable.getReader();
    const waiting = reader.read();
    await isPending(waiting);
    await reader.cancel();
    await waiting;
    // The read that was under way must not count as another end.
    await isPending(waiting);
    assert(!b.closed);
    await b.writable.close();
    await closing(b);
  });
});

test("UnixStream closes when readable has failed and writable was closed", async () => {
  await withSocketPair(async (a, b) => {
    await b.writeAll(bytes("never read"));
    a.close();
    await assertFails(() => b.readable.getReader().read(), "ECONNRESET");
    await b.writable.close();
    await closing(b);
  });
});

test("UnixStream closes when writable has failed and readable was cancelled", async () => {
  await withSocketPair(async (a, b) => {
    a.shutdown("read");
    const writer = b.writable.getWriter();
    writer.closed.catch(() => {});
    await assertFails(() => writer.write(bytes("x")), "EPIPE");
    await b.readable.cancel();
    await closing(b);
  });
});

test("UnixStream.readable.pipeTo() its writable is an echo that closes the socket at the end", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    using client = await UnixStream.connect(path);
    const server = await listener.accept();
    try {
      const piping = server.readable.pipeTo(server.writable);
      const data = pattern(3 << 20);
      const writing = client.writeAll(data).then(() => client.closeWrite());
      assertEquals(digest(await readToEnd(client)), digest(data));
      await writing;
      await piping;
      await closing(server);
    } finally {
      server.close();
    }
  });
});

test("UnixStream.readable.pipeTo() its writable closes the socket when the client leaves without reading", async () => {
  await withSocketPair(async (a, b) => {
    const piping = b.readable.pipeTo(b.writable);
    const rejected = assertRejects(() => piping);
    await a.writeAll(pattern(100_000));
    await a.peek(new Uint8Array(1));
    a.close();
    await eventually(rejected);
    await closing(b);
  });
});

test("UnixStream.readable.pipeTo() another stream's writable relays both directions and closes all", async () => {
  const [client, front] = UnixStream.pair();
  const [back, server] = UnixStream.pair();
  try {
    const relay = Promise.all([
      front.readable.pipeTo(back.writable),
      back.readable.pipeTo(front.writable),
    ]);
    const [request, reply] = [pattern(500_000, 1), pattern(700_000, 2)];
    const asking = client.writeAll(request).then(() => client.closeWrite());
    assertEquals(digest(await readToEnd(server)), digest(request));
    await asking;
    const answering = server.writeAll(reply).then(() => server.close());
    assertEquals(digest(await readToEnd(client)), digest(reply));
    await answering;
    await relay;
    await closing(front);
    await closing(back);
  } finally {
    for (const stream of [client, front, back, server]) stream.close();
  }
});
