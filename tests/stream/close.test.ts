import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import type { ShutdownHow } from "../../mod.ts";
import {
  assertFails,
  bytes,
  fill,
  readText,
  readToEnd,
  text,
  withSocketPair,
} from "../support/mod.ts";
import {
  digest,
  eventually,
  isPending,
  pattern,
  readExactly,
  withConnection,
} from "../support/streams.ts";

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

test("UnixStream.closeWrite() makes its own writes fail with EPIPE", async () => {
  await withSocketPair(async (a) => {
    a.closeWrite();
    a.closeWrite();
    const error = await assertFails(() => a.write(bytes("x")), "EPIPE", "send");
    assertEquals([error.errno, error.message], [32, "Cannot write: EPIPE"]);
    await assertFails(() => a.writeAll(bytes("x")), "EPIPE", "send");
    await assertFails(() => a.writeSync(bytes("x")), "EPIPE", "send");
    await assertFails(() => a.writeAllSync(bytes("x")), "EPIPE", "send");
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

test("UnixStream.shutdown() refuses another word and a closed socket", async () => {
  await withSocketPair(async (a) => {
    for (const how of ["", "Read", 2, undefined, null]) {
      assertThrows(() => a.shutdown(how as ShutdownHow), TypeError, "direction");
    }
    a.close();
    await assertFails(() => a.shutdown("both"), "EBADF", "shutdown");
    await assertFails(() => a.closeWrite(), "EBADF", "shutdown");
  });
});

test("B43 UnixStream.read() returns null and write() fails with EPIPE after the peer closed", async () => {
  await withSocketPair(async (a, b) => {
    await b.writeAll(bytes("goodbye"));
    b.close();
    assertEquals(await readText(a), "goodbye");
    assertEquals([await readText(a), await readText(a)], [null, null]);
    await assertFails(() => a.write(bytes("x")), "EPIPE", "send");
    const error = await assertFails(() => a.writeAll(bytes("x")), "EPIPE", "send");
    assertEquals(error.bytesTransferred, 0);
    await assertFails(() => a.writeSync(bytes("x")), "EPIPE", "send");
    assertEquals(await readText(a), null);
  });
});

test("UnixStream.read() that waits returns null when the peer closes", async () => {
  await withSocketPair(async (a, b) => {
    const readings = [a.read(new Uint8Array(1)), a.read(new Uint8Array(0))];
    assert(await isPending(readings[0]!));
    b.close();
    assertEquals(await Promise.all(readings), [null, null]);
  });
});

test("B44 UnixStream.read() drains, rejects once with ECONNRESET, then returns null when the peer closed with unread data", async () => {
  await withConnection(async (client, server) => {
    await server.writeAll(bytes("never read"));
    await client.writeAll(bytes("last words"));
    client.close();
    assertEquals(await readText(server), "last words");
    const error = await assertFails(() => readText(server), "ECONNRESET", "recv");
    assertEquals([error.errno, error.message], [104, "Cannot read: ECONNRESET"]);
    assertEquals([await readText(server), await readText(server)], [null, null]);
  });
});

test("UnixStream.read() that waits rejects with ECONNRESET when the peer closes with unread data", async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("never read"));
    const reading = assertFails(() => readText(a), "ECONNRESET", "recv");
    const behind = readText(a);
    b.close();
    await reading;
    assertEquals(await behind, null);
  });
});

test("B46 UnixStream.write() fails with EPIPE and leaves ECONNRESET to the next read", async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("never read"));
    b.close();
    await assertFails(() => a.write(bytes("x")), "EPIPE", "send");
    await assertFails(() => a.writeSync(bytes("x")), "EPIPE", "send");
    await assertFails(() => readText(a), "ECONNRESET", "recv");
    assertEquals(await readText(a), null);
  });
});

test("B49 UnixStream.writeAll() that waits rejects with EPIPE and the bytes sent when the peer reads 10 bytes and closes", async () => {
  await withSocketPair(async (a, b) => {
    a.sendBufferSize = 32768;
    const data = pattern(1 << 20);
    const writing = assertFails(() => a.writeAll(data), "EPIPE", "send");
    assertEquals(await readExactly(b, 10), data.subarray(0, 10));
    b.close();
    const error = await writing;
    assertEquals(error.bytesTransferred, a.bytesWritten);
    assert(a.bytesWritten >= 10 && a.bytesWritten < data.length);
    await assertFails(() => readText(a), "ECONNRESET", "recv");
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

test("UnixStream.close() wakes every operation that waits with EBADF, and a second close does nothing", async () => {
  await withSocketPair(async (a) => {
    fill(a);
    const written = a.bytesWritten;
    const waiting = [
      assertFails(() => a.read(new Uint8Array(1)), "EBADF", "recv"),
      assertFails(() => a.read(new Uint8Array(0)), "EBADF", "recv"),
      assertFails(() => a.peek(new Uint8Array(1)), "EBADF", "recv"),
      assertFails(() => a.write(bytes("x")), "EBADF", "send"),
      assertFails(() => a.writeAll(bytes("x")), "EBADF", "send"),
    ];
    a.close();
    a.close();
    const errors = await Promise.all(waiting);
    assertEquals(errors[0]!.message, "Cannot read: EBADF (the descriptor was closed)");
    assertEquals(errors[4]!.bytesTransferred, 0);
    assertEquals([a.closed, a.fd, a.bytesWritten], [true, -1, written]);
  });
});

test("UnixStream's methods fail with EBADF once it is closed", async () => {
  await withSocketPair(async (a) => {
    a.close();
    const buffer = new Uint8Array(4);
    const calls: [string, () => unknown][] = [
      ["recv", () => a.read(buffer)],
      ["recv", () => a.readSync(buffer)],
      ["recv", () => a.peek(buffer)],
      ["recv", () => a.peekSync(buffer)],
      ["recv", () => a.read(new Uint8Array(0))],
      ["send", () => a.write(buffer)],
      ["send", () => a.writeSync(buffer)],
      ["send", () => a.writeAll(buffer)],
      ["send", () => a.writeAllSync(buffer)],
      ["send", () => a.writeAll(new Uint8Array(0))],
      ["getsockname", () => a.localAddr],
      ["getpeername", () => a.remoteAddr],
      ["getsockopt", () => a.peerCredentials()],
      ["fcntl", () => a.intoFd()],
    ];
    for (const [syscall, call] of calls) await assertFails(call, "EBADF", syscall);
  });
});
