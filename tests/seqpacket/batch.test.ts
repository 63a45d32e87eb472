import { test } from "node:test";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { ReceiveBatch, SendBatch, UnixSocketError } from "../../mod.ts";
import { assertFails, bytes } from "../support/mod.ts";
import { content, contents, drain, sendTexts, withSeqpackets } from "../support/seqpacket.ts";
import { isPending } from "../support/waiting.ts";

function numbered(count: number, from = 0): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => bytes(String(from + i)));
}

function codeOf(error: unknown): string {
  assertInstanceOf(error, UnixSocketError);
  return error.code;
}

test("UnixSeqpacket.sendMany() and receiveMany() keep records apart and in order", async () => {
  await withSeqpackets("unbound", async (client, server) => {
    const records = ["one", "", "three", "x".repeat(5000)].map(bytes);
    assertEquals(await client.sendMany(records), { sent: 4, error: null });
    const batch = new ReceiveBatch({ messages: 8, size: 1000 });
    assertEquals(await server.receiveMany(batch), 4);
    assertEquals(batch.count, 4);
    assertEquals(contents(batch), ["one", "", "three", "x".repeat(1000)]);
    assertEquals([0, 1, 2, 3].map((i) => batch.length(i)), [3, 0, 5, 5000]);
    assertEquals([0, 1, 2, 3].map((i) => batch.truncated(i)), [false, false, false, true]);
    assertEquals(Array.from(batch, (message) => message.endOfRecord), [true, true, true, false]);
  });
});

test("UnixSeqpacket.receiveMany() takes no more than the batch holds", async () => {
  await withSeqpackets("pair", async (a, b) => {
    await a.sendMany(numbered(5));
    const batch = new ReceiveBatch({ messages: 2 });
    const taken: string[][] = [];
    for (let i = 0; i < 3; i++) {
      await b.receiveMany(batch);
      taken.push(contents(batch));
    }
    assertEquals(taken, [["0", "1"], ["2", "3"], ["4"]]);
  });
});

test("UnixSeqpacket.sendMany() waits for room and sends all, in order", async () => {
  await withSeqpackets("unbound", async (client, server) => {
    const sending = client.sendMany(numbered(1024));
    assert(await isPending(sending));
    const batch = new ReceiveBatch({ messages: 64 });
    const received: string[] = [];
    while (received.length < 1024) {
      await server.receiveMany(batch);
      received.push(...contents(batch));
    }
    assertEquals(await sending, { sent: 1024, error: null });
    assertEquals(received, Array.from({ length: 1024 }, (_, i) => String(i)));
  });
});

test("UnixSeqpacket.sendMany() with dontWait sends what fits and tells what stopped it", async () => {
  await withSeqpackets("pair", async (a, b) => {
    const { sent, error } = await a.sendMany(numbered(1024), { dontWait: true });
    assert(sent > 11 && sent < 1024);
    assertEquals(codeOf(error), "EAGAIN");
    await assertFails(() => a.sendMany(numbered(1), { dontWait: true }), "EAGAIN", "sendmmsg");
    for (let i = 0; i < sent; i++) assertEquals(content(await b.receive()), String(i));
    await assertFails(() => b.receiveSync({ timeout: 0 }), "ETIMEDOUT");
  });
});

test("UnixSeqpacket.sendMany() that is aborted tells how many left", async () => {
  await withSeqpackets("pair", async (a, b) => {
    const controller = new AbortController();
    const sending = a.sendMany(numbered(1024), { signal: controller.signal });
    assert(await isPending(sending));
    controller.abort("enough");
    const { sent, error } = await sending;
    assertEquals(error, "enough");
    for (let i = 0; i < sent; i++) assertEquals(content(await b.receive()), String(i));
    await sendTexts(a, "next");
    assertEquals(content(await b.receive()), "next");
  });
});

test("UnixSeqpacket.sendManySync() sends what fits until its timeout", async () => {
  await withSeqpackets("pair", async (a, b) => {
    const { sent, error } = a.sendManySync(numbered(1024), { timeout: 0 });
    assert(sent > 11 && sent < 1024);
    assertEquals(codeOf(error), "ETIMEDOUT");
    await assertFails(() => a.sendManySync(numbered(1), { timeout: 0 }), "ETIMEDOUT", "sendmmsg");
    await drain(b, sent);
    assertEquals(a.sendManySync(numbered(2), { timeout: 0 }), { sent: 2, error: null });
  });
});

test("UnixSeqpacket.sendMany() stops at a record that is too large, and tells which", async () => {
  await withSeqpackets("pair", async (a, b) => {
    const tooLarge = new Uint8Array(a.sendBufferSize);
    const { sent, error } = await a.sendMany([bytes("fits"), tooLarge, bytes("behind")]);
    assertEquals([sent, codeOf(error)], [1, "EMSGSIZE"]);
    await assertFails(() => a.sendMany([tooLarge]), "EMSGSIZE", "sendmmsg");
    assertEquals(content(await b.receive()), "fits");
    await assertFails(() => b.receiveSync({ timeout: 0 }), "ETIMEDOUT");
  });
});

test("UnixSeqpacket.sendMany() sends a batch again after clear(), with what it holds then", async () => {
  await withSeqpackets("pair", async (a, b) => {
    const batch = new SendBatch({ messages: 2, size: 8 });
    assertEquals([batch.add(bytes("one")), batch.add(bytes("two")), batch.add(bytes("3"))], [
      true,
      true,
      false,
    ]);
    assertEquals((await a.sendMany(batch)).sent, 2);
    batch.clear();
    batch.add(bytes("again"));
    assertEquals(await a.sendMany(batch), { sent: 1, error: null });
    for (const expected of ["one", "two", "again"]) {
      assertEquals(content(await b.receive()), expected);
    }
    await assertFails(() => b.receiveSync({ timeout: 0 }), "ETIMEDOUT");
  });
});
