import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "node:test";
import { ReceiveBatch, SendBatch, UnixDatagram } from "../../mod.ts";
import { batchOf, numbered, takeQueued, textsOf } from "../support/datagrams.ts";
import { assertFails, bytes, text, withTempDir } from "../support/mod.ts";
import { callsMade } from "../support/raw.ts";
import { eventually } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";

test("D106 UnixDatagram.receiveMany() takes what is there and waits for no more", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const batch = new ReceiveBatch({ messages: 8, size: 16 });
  await a.sendMany(batchOf(["one", "", "three"]));
  assertEquals(await b.receiveMany(batch), 3);
  assertEquals(batch.count, 3);
  assertEquals(textsOf(batch), ["one", "", "three"]);
  await a.sendMany(batchOf(["four"]));
  assertEquals(b.receiveManySync(batch), 1);
  assertEquals(textsOf(batch), ["four"]);
});

test("UnixDatagram.receiveMany() waits for the first message", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const batch = new ReceiveBatch();
  const receiving = b.receiveMany(batch);
  assert(await isPending(receiving));
  await a.sendMany(batchOf(["1", "2"]));
  assertEquals(await eventually(receiving), 2);
  assertEquals(textsOf(batch), ["1", "2"]);
});

test("UnixDatagram.receiveMany() leaves what the batch has no place for", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  await a.sendMany(batchOf(numbered(5)));
  const batch = new ReceiveBatch({ messages: 2 });
  const counts = [await b.receiveMany(batch), b.receiveManySync(batch), await b.receiveMany(batch)];
  assertEquals(counts, [2, 2, 1]);
  assertEquals(textsOf(batch), ["4"]);
});

test("UnixDatagram.receiveMany() counts empty messages without a sender, also at the end of a batch", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  await a.sendMany(batchOf(["", "x", "", ""]));
  const batch = new ReceiveBatch();
  assertEquals(await b.receiveMany(batch), 4);
  assertEquals(textsOf(batch), ["", "x", "", ""]);
  await a.send(new Uint8Array(0));
  assertEquals(b.receiveManySync(batch), 1);
  assertEquals([batch.length(0), batch.truncated(0)], [0, false]);
});

test("ReceiveBatch cuts a longer message, tells its real length, and leaves its neighbours whole", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  await a.sendMany([bytes("1234"), bytes("12345"), bytes("far too long"), bytes("abc")]);
  const batch = new ReceiveBatch({ messages: 4, size: 4 });
  assertEquals(await b.receiveMany(batch), 4);
  assertEquals(textsOf(batch), ["1234", "1234", "far ", "abc"]);
  assertEquals([0, 1, 2, 3].map((i) => batch.length(i)), [4, 5, 12, 3]);
  assertEquals([0, 1, 2, 3].map((i) => batch.truncated(i)), [false, true, true, false]);
  const copies = [...batch];
  assertEquals(copies.map(({ data }) => text(data)), ["1234", "1234", "far ", "abc"]);
  assertEquals(copies.map(({ length }) => length), [4, 5, 12, 3]);
  assertEquals(copies.map(({ truncated }) => truncated), [false, true, true, false]);
  assertEquals(copies.map(({ endOfRecord }) => endOfRecord), [true, false, false, true]);
});

test("ReceiveBatch.data() is a view that the next call overwrites; iterating makes copies that stay", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const batch = new ReceiveBatch({ messages: 4, size: 16 });
  await a.sendMany([bytes("first"), bytes("second")]);
  await b.receiveMany(batch);
  const view = batch.data(0);
  assertStrictEquals(batch.data(1).buffer, view.buffer);
  const copies = [...batch];
  assertNotEquals(copies[0]!.data.buffer, copies[1]!.data.buffer);
  assertEquals(copies[0]!.data.buffer.byteLength, 5);
  await a.sendMany([bytes("THIRD")]);
  await b.receiveMany(batch);
  assertEquals(text(view), "THIRD");
  assertEquals(copies.map(({ data }) => text(data)), ["first", "second"]);
});

test("ReceiveBatch.from() and its messages name each sender", async () => {
  await withTempDir(async (directory) => {
    using server = UnixDatagram.bind(`${directory}/server`);
    using path = UnixDatagram.bind(bytes(`${directory}/\xff`));
    using name = UnixDatagram.bind({ kind: "unnamed" });
    using unbound = UnixDatagram.unbound();
    for (const sender of [path, name, unbound, path]) {
      await sender.sendTo(bytes("x"), server.localAddr);
    }
    const batch = new ReceiveBatch();
    assertEquals(await server.receiveMany(batch), 4);
    const expected = [path.localAddr, name.localAddr, { kind: "unnamed" }, path.localAddr];
    assertEquals([0, 1, 2, 3].map((i) => batch.from(i)), expected);
    assertEquals([...batch].map(({ from }) => from), expected);
    // Asked again after shorter names took the places of longer ones.
    for (const sender of [unbound, path]) await sender.sendTo(bytes("x"), server.localAddr);
    assertEquals(await server.receiveMany(batch), 2);
    assertEquals([batch.from(0), batch.from(1)], [{ kind: "unnamed" }, path.localAddr]);
  });
});

test("ReceiveBatch refuses the index of a message that it does not hold with RangeError", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const batch = new ReceiveBatch({ messages: 4 });
  const asking = [
    (i: number) => batch.data(i),
    (i: number) => batch.length(i),
    (i: number) => batch.truncated(i),
    (i: number) => batch.from(i),
  ];
  for (const ask of asking) assertThrows(() => ask(0), RangeError);
  await a.sendMany(batchOf(["1", "2"]));
  await b.receiveMany(batch);
  for (const ask of asking) {
    ask(1);
    for (const wrong of [-1, 2, 0.5, NaN]) assertThrows(() => ask(wrong), RangeError);
    assertThrows(() => ask("0" as unknown as number), TypeError);
  }
  await assertFails(() => b.receiveManySync(batch, { timeout: 0 }), "ETIMEDOUT", "recvmmsg");
  assertEquals([batch.count, [...batch].length], [0, 0]);
});

test("UnixDatagram.receiveMany() refuses what is no ReceiveBatch with TypeError, before any system call", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const calls = await callsMade(async () => {
    for (const wrong of [undefined, null, {}, [], new SendBatch(), new Uint8Array(8)]) {
      await assertRejects(() => b.receiveMany(wrong as unknown as ReceiveBatch), TypeError);
      assertThrows(() => b.receiveManySync(wrong as unknown as ReceiveBatch), TypeError);
    }
  });
  assertEquals(calls, []);
});

test("UnixDatagram.receiveMany() and receive() that wait are served in the order of the calls", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const batch = new ReceiveBatch({ messages: 2 });
  const first = b.receive();
  const second = b.receiveMany(batch);
  const third = b.receive();
  a.sendManySync(batchOf(["1", "2", "3", "4"]));
  assertEquals(text((await first).data), "1");
  assertEquals(await second, 2);
  assertEquals(textsOf(batch), ["2", "3"]);
  assertEquals(text((await third).data), "4");
});

test("a batch whose memory was transferred away is refused with TypeError, and no message is lost", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const batch = new ReceiveBatch();
  a.sendSync(bytes("1"));
  await b.receiveMany(batch);
  batch.data(0).buffer.transfer();
  a.sendSync(bytes("2"));
  await assertRejects(() => b.receiveMany(batch), TypeError);
  assertEquals(takeQueued(b), ["2"]);
});
