import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { sockets } from "../../ffi/mod.ts";
import { UnixListener, UnixStream } from "../../mod.ts";
import {
  bytes,
  fill,
  readText,
  settled,
  withSocketPair,
  withTempSocketPath,
} from "../support/mod.ts";
import { closeAll, isPending, pairs, reactorTurn, takeSync } from "../support/waiting.ts";

test("K205 UnixStream.read() waits for data, again after it took all, and ends with the peer", async () => {
  await withSocketPair(async (a, b) => {
    const first = readText(b);
    assert(await isPending(first));
    await a.writeAll(bytes("one"));
    assertEquals(await first, "one");
    const second = readText(b);
    assert(await isPending(second));
    await a.writeAll(bytes("two"));
    assertEquals(await second, "two");
    const end = readText(b);
    assert(await isPending(end));
    a.close();
    assertEquals(await end, null);
  });
});

test("K206 UnixStream.write() goes on when the peer has made room again", async () => {
  await withSocketPair(async (a, b) => {
    const writable = () => sockets.pollOne(a.fd, "writable", 0) === 1;
    assert(writable());
    const filled = fill(a);
    assert(!writable());
    const writing = a.write(bytes("more"));
    assert(await isPending(writing));
    // The kernel says "writable" only when three quarters are free.
    takeSync(b, 1);
    assert(!writable());
    assert(await isPending(writing));
    takeSync(b, filled - 1);
    assert(writable());
    assertEquals(await writing, 4);
    assertEquals(await readText(b), "more");
  });
});

test("K208 UnixStream.read() finds what arrived while nobody waited", async () => {
  await withSocketPair(async (a, b) => {
    const enrolled = readText(b);
    a.writeSync(bytes("first"));
    assertEquals(await enrolled, "first");
    a.writeSync(bytes("second"));
    await reactorTurn();
    assertEquals(await readText(b), "second");
    a.writeSync(bytes("third"));
    await reactorTurn();
    assertEquals(b.readSync(new Uint8Array(5), { timeout: 0 }), 5);
    a.close();
    await reactorTurn();
    assertEquals(await readText(b), null);
  });
});

test("K208 UnixStream.read() finds the rest of what another read took a part of", async () => {
  await withSocketPair(async (a, b) => {
    const parts = [readText(b, 2), readText(b, 3), readText(b, 100)];
    await settled();
    a.writeSync(bytes("12345678"));
    assertEquals(await Promise.all(parts), ["12", "345", "678"]);
    const alone = readText(b, 2);
    await settled();
    a.writeSync(bytes("abcd"));
    assertEquals(await alone, "ab");
    await reactorTurn();
    assertEquals(await readText(b, 2), "cd");
  });
});

test("K209 UnixListener.accept() takes both of two connections that came at once", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const waiting = [listener.accept(), listener.accept()];
    await settled();
    const clients = [UnixStream.connectSync(path), UnixStream.connectSync(path)];
    clients.forEach((client, index) => client.writeSync(bytes(`${index}`)));
    const accepted = await Promise.all(waiting);
    assertEquals(await Promise.all(accepted.map((stream) => readText(stream))), ["0", "1"]);
    closeAll([clients, accepted]);
  });
});

test("K209 UnixListener.accept() finds the second connection when the first was accepted before", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const first = listener.accept();
    await settled();
    const clients = [UnixStream.connectSync(path), UnixStream.connectSync(path)];
    clients.forEach((client, index) => client.writeSync(bytes(`${index}`)));
    using one = await first;
    await reactorTurn();
    using two = await listener.accept();
    assertEquals([await readText(one), await readText(two)], ["0", "1"]);
    closeAll([clients]);
  });
});

test("K208 an event in one direction wakes no operation of the other", async () => {
  await withSocketPair(async (a, b) => {
    const filled = fill(a);
    const writing = a.writeAll(bytes("later"));
    const reading = readText(a);
    assert(await isPending(writing));
    b.writeSync(bytes("now"));
    assertEquals(await reading, "now");
    assert(await isPending(writing));
    const next = readText(a);
    takeSync(b, filled);
    await writing;
    assert(await isPending(next));
    assertEquals(await readText(b), "later");
    b.close();
    assertEquals(await next, null);
  });
});

test("UnixStream.writeAll() sends each of several that wait whole and in the order of their calls", async () => {
  await withSocketPair(async (a, b) => {
    const filled = fill(a);
    const order: number[] = [];
    // Each is more than the kernel takes at once.
    const size = 300_000;
    const writes = Array.from({ length: 5 }, async (_, index) => {
      await a.writeAll(new Uint8Array(size).fill(index + 1));
      order.push(index);
    });
    await settled();
    const reading = (async () => {
      let at = 0;
      for await (const chunk of b) {
        for (let i = 0; i < chunk.length; i++, at++) {
          const expected = at < filled ? 0 : Math.floor((at - filled) / size) + 1;
          if (chunk[i] !== expected) throw new Error(`byte ${at} is ${chunk[i]}`);
        }
      }
      return at;
    })();
    await Promise.all(writes);
    a.closeWrite();
    assertEquals(await reading, filled + 5 * size);
    assertEquals(order, [0, 1, 2, 3, 4]);
  });
});

test("UnixStream.read() is woken on each of more sockets than one look at the kernel takes", async () => {
  const list = pairs(700);
  try {
    const reads = list.map(([, b]) => readText(b));
    await settled();
    list.forEach(([a], index) => a.writeSync(bytes(`${index}`)));
    assertEquals(await Promise.all(reads), list.map((_, index) => `${index}`));
  } finally {
    closeAll(list);
  }
});
