import { assert, assertEquals } from "@std/assert";
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
import { digest, eventually, pattern, readExactly, withConnection } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";

test("UnixStream.closeWrite() of the client ends one direction, and the server's goes on", async () => {
  await withConnection(async (client, server) => {
    await client.writeAll(bytes("question"));
    client.closeWrite();
    assertEquals(text(await readToEnd(server)), "question");
    await server.writeAll(bytes("answer"));
    server.closeWrite();
    assertEquals(text(await readToEnd(client)), "answer");
    assert(!client.closed && !server.closed);
  });
});

test("UnixStream.closeWrite() of the server ends one direction, and the client's goes on", async () => {
  await withConnection(async (client, server) => {
    await server.writeAll(bytes("banner"));
    server.closeWrite();
    assertEquals(text(await readToEnd(client)), "banner");
    await client.writeAll(bytes("goes on"));
    assertEquals(await readText(server), "goes on");
    client.closeWrite();
    assertEquals(await readText(server), null);
  });
});

test("UnixStream.closeWrite() ends a read that waits at the peer", async () => {
  await withSocketPair(async (a, b) => {
    const reading = b.read(new Uint8Array(1));
    assert(await isPending(reading));
    a.closeWrite();
    assertEquals(await reading, null);
  });
});

test("UnixStream.closeWrite() ends writes that wait with EPIPE, and the peer gets what was under way", async () => {
  await withSocketPair(async (a, b) => {
    a.sendBufferSize = 32768;
    const data = pattern(1 << 20);
    const first = assertFails(() => a.writeAll(data), "EPIPE", "send");
    const second = assertFails(() => a.write(bytes("behind")), "EPIPE", "send");
    a.closeWrite();
    const [all, one] = await eventually(Promise.all([first, second]));
    const sent = all.bytesTransferred!;
    assertEquals(one.bytesTransferred, undefined);
    assertEquals(a.bytesWritten, sent);
    assertEquals(digest(await readToEnd(b)), digest(data.subarray(0, sent)));
  });
});

test('B40 UnixStream.shutdown("read") leaves what has arrived, then comes the end', async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("arrived"));
    b.shutdown("read");
    assertEquals(await readText(b, 3), "arr");
    assertEquals(await readText(b), "ived");
    assertEquals(await readText(b), null);
    await assertFails(() => a.write(bytes("x")), "EPIPE", "send");
    await b.writeAll(bytes("other way"));
    assertEquals(await readText(a), "other way");
  });
});

test('UnixStream.shutdown("read") ends its own reads that wait', async () => {
  await withSocketPair(async (_, b) => {
    const waiting = [b.read(new Uint8Array(1)), b.peek(new Uint8Array(1))];
    assert(await isPending(waiting[0]!));
    b.shutdown("read");
    assertEquals(await eventually(Promise.all(waiting)), [null, null]);
  });
});

// Linux reports nothing to a writer that polls when its peer ends the reading; the drain does.
test('UnixStream.shutdown("read") and a drain end the peer\'s writes that wait with EPIPE', async () => {
  await withSocketPair(async (a, b) => {
    const filled = fill(a);
    const writing = assertFails(() => a.writeAll(bytes("more")), "EPIPE", "send");
    b.shutdown("read");
    assertEquals((await readExactly(b, filled)).length, filled);
    await eventually(writing);
    assertEquals(await readText(b), null);
  });
});

test('B41 UnixStream.shutdown("both") can be called twice and ends all four ways', async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("under way"));
    a.shutdown("both");
    a.shutdown("both");
    assertEquals(text(await readToEnd(b)), "under way");
    assertEquals(await readText(a), null);
    await assertFails(() => a.write(bytes("x")), "EPIPE");
    await assertFails(() => b.write(bytes("x")), "EPIPE");
    b.shutdown("both");
    assert(!a.closed && !b.closed);
  });
});

test("UnixStream.shutdown() can be called for every direction after the peer closed", async () => {
  await withSocketPair((a, b) => {
    b.close();
    for (const how of ["read", "write", "both"] as const) a.shutdown(how);
  });
});

test("UnixStream.close() leaves the peer what was written before", async () => {
  await withSocketPair(async (a, b) => {
    const data = pattern(fill(a, pattern(10_000)));
    a.close();
    const received = await readToEnd(b);
    assertEquals(received.length, data.length);
    assertEquals(digest(received.subarray(0, 10_000)), digest(pattern(10_000)));
  });
});
