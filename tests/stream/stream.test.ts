import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import type { UnixStream } from "../../mod.ts";
import {
  assertFails,
  bytes,
  fill,
  readText,
  readToEnd,
  text,
  withSocketPair,
} from "../support/mod.ts";
import { digest, pattern, readExactly, withConnection } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";

test("B32 UnixStream carries a request, a reply and the end over a listener", async () => {
  await withConnection(async (client, server) => {
    await client.writeAll(bytes("hello"));
    assertEquals(await readText(server), "hello");
    await server.writeAll(bytes("good day"));
    server.closeWrite();
    assertEquals(await readText(client), "good day");
    assertEquals(await readText(client), null);
  });
});

test("UnixStream.read() takes at most the buffer and leaves the rest", async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("abcdefgh"));
    assertEquals(await readText(b, 3), "abc");
    assertEquals(await readText(b, 3), "def");
    assertEquals(await readText(b, 3), "gh");
  });
});

test("UnixStream.read() waits for data that come later", async () => {
  await withSocketPair(async (a, b) => {
    const reading = readText(b);
    assert(await isPending(reading));
    await a.writeAll(bytes("late"));
    assertEquals(await reading, "late");
  });
});

test("B38 UnixStream.writeSync() takes a part of what does not fit, and the rest after a drain", async () => {
  await withSocketPair(async (a, b) => {
    a.sendBufferSize = 65536;
    const data = pattern(1 << 20);
    const first = a.writeSync(data, { timeout: 0 });
    assert(first > 0 && first < data.length, `${first} bytes`);
    const rest = data.subarray(first);
    await assertFails(() => a.writeSync(rest, { timeout: 0 }), "ETIMEDOUT", "send");
    const received = await readExactly(b, first);
    const second = a.writeSync(rest, { timeout: 0 });
    assert(second > 0);
    const more = await readExactly(b, second);
    assertEquals(digest(received), digest(data.subarray(0, first)));
    assertEquals(digest(more), digest(data.subarray(first, first + second)));
  });
});

test("UnixStream.write() takes a part of what does not fit and says how much", async () => {
  await withSocketPair(async (a, b) => {
    a.sendBufferSize = 65536;
    const data = pattern(1 << 20);
    const count = await a.write(data);
    assert(count > 0 && count < data.length, `${count} bytes`);
    a.closeWrite();
    assertEquals(digest(await readToEnd(b)), digest(data.subarray(0, count)));
  });
});

test("UnixStream.write() waits while nothing fits", async () => {
  await withSocketPair(async (a, b) => {
    const filled = fill(a);
    const writing = a.write(bytes("more"));
    assert(await isPending(writing));
    assertEquals((await readExactly(b, filled)).length, filled);
    assertEquals(await writing, 4);
    assertEquals(await readText(b), "more");
  });
});

test("UnixStream.writeAll() sends many MiB whole, in both directions at once", async () => {
  await withConnection(async (client, server) => {
    const there = pattern(12 << 20, 1);
    const back = pattern(9 << 20, 2);
    const send = async (stream: UnixStream, data: Uint8Array) => {
      await stream.writeAll(data);
      stream.closeWrite();
    };
    const [atServer, atClient] = await Promise.all([
      readToEnd(server),
      readToEnd(client),
      send(client, there),
      send(server, back),
    ]);
    assertEquals(atServer.length, there.length);
    assertEquals(digest(atServer), digest(there));
    assertEquals(atClient.length, back.length);
    assertEquals(digest(atClient), digest(back));
  });
});

test("B56 UnixStream reads and writes at the same time for 100 rounds without loss or deadlock", async () => {
  await withSocketPair(async (a, b) => {
    const rounds = 100;
    const write = async (stream: UnixStream, seed: number) => {
      for (let round = 0; round < rounds; round++) {
        await stream.writeAll(pattern(10_007, seed + round));
      }
      stream.closeWrite();
    };
    const read = async (stream: UnixStream, seed: number) => {
      for (let round = 0; round < rounds; round++) {
        const data = await readExactly(stream, 10_007);
        assertEquals(digest(data), digest(pattern(10_007, seed + round)));
      }
      assertEquals(await stream.read(new Uint8Array(1)), null);
    };
    await Promise.all([write(a, 1), read(b, 1), write(b, 1000), read(a, 1000)]);
  });
});

test("UnixStream.writeAll() calls that overlap go out whole and in the order of the calls", async () => {
  await withSocketPair(async (a, b) => {
    a.sendBufferSize = 32768;
    const sizes = [200_000, 1, 70_000, 300_000, 0, 5, 100_000];
    const parts = sizes.map((size, index) => new Uint8Array(size).fill(index + 1));
    const finished: number[] = [];
    const writing = parts.map((part, index) => a.writeAll(part).then(() => finished.push(index)));
    const received: Uint8Array = await readExactly(b, sizes.reduce((sum, size) => sum + size));
    await Promise.all(writing);
    const runs: [value: number, length: number][] = [];
    for (const value of received) {
      const last = runs.at(-1);
      if (last?.[0] === value) last[1]++;
      else runs.push([value, 1]);
    }
    assertEquals(runs, [[1, 200_000], [2, 1], [3, 70_000], [4, 300_000], [6, 5], [7, 100_000]]);
    assertEquals(finished, [0, 1, 2, 3, 4, 5, 6]);
  });
});

test("UnixStream.write() waits behind a writeAll() that was called before it", async () => {
  await withSocketPair(async (a, b) => {
    a.sendBufferSize = 32768;
    const long = pattern(200_000);
    const all = a.writeAll(long);
    const one = a.write(bytes("after"));
    assertEquals(digest(await readExactly(b, long.length)), digest(long));
    await all;
    assertEquals(await one, 5);
    assertEquals(await readText(b), "after");
  });
});

test("UnixStream.bytesRead and bytesWritten count what was transferred, and no peek", async () => {
  await withSocketPair(async (a, b) => {
    assertEquals([a.bytesWritten, a.bytesRead, b.bytesRead], [0, 0, 0]);
    await a.writeAll(bytes("12345"));
    assertEquals(await a.write(bytes("67")), 2);
    a.writeSync(bytes("8"));
    a.writeAllSync(bytes("90"));
    assertEquals(a.bytesWritten, 10);
    await b.peek(new Uint8Array(10));
    b.peekSync(new Uint8Array(10));
    assertEquals(b.bytesRead, 0);
    await b.read(new Uint8Array(3));
    b.readSync(new Uint8Array(3));
    assertEquals(b.bytesRead, 6);
    a.closeWrite();
    assertEquals(text(await readToEnd(b)), "7890");
    await b.read(new Uint8Array(3));
    assertEquals([b.bytesRead, b.bytesWritten], [10, 0]);
    b.close();
    assertEquals(b.bytesRead, 10);
  });
});

test("Socket.sendBufferSize is what the kernel reports and bounds what fits", async () => {
  await withSocketPair((a, b) => {
    a.sendBufferSize = 10_000;
    assertEquals(a.sendBufferSize, 20_000);
    b.sendBufferSize = 1;
    assertEquals(b.sendBufferSize, 4608);
    const small = fill(b);
    b.sendBufferSize = 100_000;
    assert(fill(b) > small);
  });
});
