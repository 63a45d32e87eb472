import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import {
  type BatchOptions,
  ReceiveBatch,
  SendBatch,
  UnixDatagram,
  UnixSocketError,
} from "../../mod.ts";
import { batchOf, memoriesOf, takeQueued } from "../support/datagrams.ts";
import { programCommand } from "../support/listening.ts";
import {
  assertFails,
  bytes,
  run,
  RUNTIME,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";
import { uniqueName } from "../support/raw.ts";
import { digest, pattern } from "../support/streams.ts";

test("SendBatch and ReceiveBatch hold 64 messages of 2,048 bytes where nothing else is asked for", () => {
  assertEquals(new SendBatch().capacity, 64);
  const { capacity, size } = new ReceiveBatch({});
  assertEquals([capacity, size], [64, 2048]);
  const batch = new SendBatch();
  assert(batch.add(new Uint8Array(64 * 2048)));
  assert(!batch.add(new Uint8Array(1)));
});

test("SendBatch and ReceiveBatch take 1 to 1,024 messages of 1 byte to 16 MiB, and throw beyond", () => {
  for (const Batch of [SendBatch, ReceiveBatch]) {
    const make = (options: unknown) => () => new Batch(options as BatchOptions);
    assertEquals(new Batch({ messages: 1, size: 1 }).capacity, 1);
    assertEquals(new Batch({ messages: 1024, size: 1 }).capacity, 1024);
    assertEquals(new Batch({ messages: 1, size: 0x100_0000 }).capacity, 1);
    for (const wrong of [0, -1, 1025, 1.5, NaN, Infinity]) {
      assertThrows(make({ messages: wrong }), RangeError);
    }
    for (const wrong of [0, -1, 0x100_0001, 1.5, NaN]) {
      assertThrows(make({ size: wrong }), RangeError);
    }
    for (const wrong of ["8", 8n, {}, true]) {
      assertThrows(make({ messages: wrong }), TypeError);
      assertThrows(make({ size: wrong }), TypeError);
    }
    for (const wrong of [null, 8, "8"]) assertThrows(make(wrong), TypeError);
  }
});

test("SendBatch.add() returns false, and changes nothing, where the messages are full", () => {
  const batch = new SendBatch({ messages: 2, size: 100 });
  assertEquals(batch.add(bytes("1")), true);
  assertEquals(batch.add(bytes("2")), true);
  assertEquals(batch.add(bytes("3"), "/nowhere"), false);
  assertEquals([batch.count, batch.addressed], [2, false]);
});

test("SendBatch.add() returns false where the bytes are full, and takes what still fits", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const batch = new SendBatch({ messages: 4, size: 2 });
  assertEquals(batch.add(bytes("12345")), true);
  assertEquals(batch.add(bytes("6789")), false);
  assertEquals(batch.add(bytes("abc")), true);
  assertEquals(batch.add(bytes("x")), false);
  assertEquals(batch.add(new Uint8Array(0)), true);
  assertEquals(batch.count, 3);
  await a.sendMany(batch);
  assertEquals(takeQueued(b), ["12345", "abc", ""]);
});

test("SendBatch.add() throws RangeError for a message larger than the whole batch", () => {
  const batch = new SendBatch({ messages: 2, size: 4 });
  assertEquals(batch.add(new Uint8Array(8)), true);
  batch.clear();
  assertThrows(() => batch.add(new Uint8Array(9)), RangeError, "9 bytes");
  assertEquals(batch.count, 0);
});

test("SendBatch.add() throws TypeError for what is no memory or no address, and changes nothing", () => {
  const batch = new SendBatch();
  for (const wrong of [undefined, null, "text", 5, {}, [1]]) {
    assertThrows(() => batch.add(wrong as unknown as Uint8Array), TypeError);
  }
  for (const wrong of [null, 5, {}, []]) {
    assertThrows(() => batch.add(bytes("x"), wrong as unknown as string), TypeError);
  }
  assertEquals([batch.count, batch.addressed], [0, false]);
});

test("SendBatch.add() refuses a destination whose path does not fit: ENAMETOOLONG", async () => {
  const batch = new SendBatch();
  const fits = `/${"x".repeat(106)}`;
  assert(batch.add(bytes("x"), fits));
  const long = `${fits}x`;
  const error = await assertFails(() => batch.add(bytes("x"), long), "ENAMETOOLONG", "sendto");
  assertEquals(error.address, long);
  assertEquals(batch.count, 1);
});

test("SendBatch.add() copies: what happens to the data and the address afterwards changes nothing", async () => {
  const unique = uniqueName();
  const [one, two] = [`${unique} one`, `${unique} two`];
  using first = UnixDatagram.bind(`\0${one}`);
  using second = UnixDatagram.bind(`\0${two}`);
  using sender = UnixDatagram.unbound();
  const [data, address] = [bytes("first"), bytes(`\0${one}`)];
  const batch = new SendBatch();
  batch.add(data, address);
  data.set(bytes("other"));
  address.set(bytes(`\0${two}`));
  batch.add(data, address);
  data.buffer.transfer();
  await sender.sendMany(batch);
  assertEquals([takeQueued(first), takeQueued(second)], [["first"], ["other"]]);
});

test("SendBatch.add() takes every kind of memory", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const data = pattern(32);
  const batch = new SendBatch();
  const memories = memoriesOf(data);
  for (const [, memory] of memories) assert(batch.add(memory));
  await a.sendMany(batch);
  for (const [name] of memories) assertEquals(digest(b.receiveSync().data), digest(data), name);
});

test("SendBatch.clear() empties it for other messages, with or without destinations", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    using other = UnixDatagram.bind(`${path}.other`);
    using client = UnixDatagram.unbound().connect(path);
    const batch = new SendBatch({ messages: 2, size: 8 });
    batch.add(bytes("other 1"), `${path}.other`);
    batch.add(bytes("other 2"), `${path}.other`);
    assertEquals([batch.count, batch.addressed], [2, true]);
    await client.sendMany(batch);
    batch.clear();
    assertEquals([batch.count, batch.addressed], [0, false]);
    batch.add(bytes("to the peer"));
    await client.sendMany(batch);
    assertEquals(takeQueued(other), ["other 1", "other 2"]);
    assertEquals(takeQueued(server), ["to the peer"]);
  });
});

test("SendBatch may be sent again, by several sockets", async () => {
  const [a, b] = UnixDatagram.pair();
  const [c, d] = UnixDatagram.pair();
  using _a = a, _b = b, _c = c, _d = d;
  const batch = batchOf(["1", "2"]);
  await a.sendMany(batch);
  a.sendManySync(batch);
  await c.sendMany(batch);
  assertEquals(batch.count, 2);
  assertEquals([takeQueued(b), takeQueued(d)], [["1", "2", "1", "2"], ["1", "2"]]);
});

test("UnixDatagram.sendMany() to a directory whose path is long is refused when the message is added", async () => {
  await withTempDir(async (directory) => {
    const deep = `${directory}/${"d".repeat(120)}`;
    mkdirSync(deep);
    using server = UnixDatagram.bind(`${deep}/server`);
    const batch = new SendBatch();
    const error = await assertFails(() => batch.add(bytes("x"), server.localAddr), "ENAMETOOLONG");
    assert(error instanceof UnixSocketError);
    assertEquals(batch.count, 0);
  });
});

const WITH_COLLECTOR =
  { bun: [], deno: ["--v8-flags=--expose-gc"], node: ["--expose-gc"] }[RUNTIME];

test("SendBatch and ReceiveBatch that are used 100,000 times let no memory grow", async () => {
  const { code, stdout, stderr } = await run(
    programCommand("datagram_batches", [], WITH_COLLECTOR),
  );
  assertEquals(code, 0, stderr);
  const { heap, whole } = JSON.parse(stdout);
  // Less than ten bytes a batch; and, outside of the heap, less than a thousand.
  assertLess(heap, 1_000_000);
  assertLess(whole, 100_000_000);
});
