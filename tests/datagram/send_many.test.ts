import {
  assert,
  assertEquals,
  assertLess,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/mod.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import { ReceiveBatch, SendBatch, UnixDatagram } from "../../mod.ts";
import { Backoff } from "../../src/io/backoff.ts";
import {
  batchOf,
  fillQueue,
  numbered,
  receiveTexts,
  takeQueued,
  textsOf,
} from "../support/datagrams.ts";
import { assertFails, bytes, text, withTempSocketPath } from "../support/mod.ts";
import { ample, QUEUE } from "../support/queue.ts";
import { callsMade, uniqueName } from "../support/raw.ts";
import { eventually } from "../support/streams.ts";
import { countCalls, isPending } from "../support/waiting.ts";

/** Receives with batches until so many messages came. */
async function receiveInBatches(receiver: UnixDatagram, count: number): Promise<string[]> {
  const batch = new ReceiveBatch({ messages: 50, size: 64 });
  const received: string[] = [];
  while (received.length < count) {
    await receiver.receiveMany(batch);
    received.push(...textsOf(batch));
  }
  return received;
}

test("D106 UnixDatagram.sendMany() sends a batch by one system call, in order", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const batch = batchOf(["one", "", "three"]);
  const calls = await callsMade(async () => {
    assertEquals(await a.sendMany(batch), { sent: 3, error: null });
  });
  assertEquals(calls, ["sendmmsg"]);
  assertEquals(await callsMade(() => a.sendManySync(batch)), ["sendmmsg"]);
  assertEquals(takeQueued(b), ["one", "", "three", "one", "", "three"]);
});

test("UnixDatagram.sendMany() sends an array of messages to the peer", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const messages = [
    bytes("one"),
    new Uint8Array(0),
    bytes("three").buffer,
    new DataView(bytes("4").buffer),
  ];
  assertEquals(await a.sendMany(messages), { sent: 4, error: null });
  assertEquals(a.sendManySync(messages), { sent: 4, error: null });
  assertEquals(await a.sendMany([new Uint8Array(0)]), { sent: 1, error: null });
  const all = ["one", "", "three", "4"];
  assertEquals(takeQueued(b), [...all, ...all, ""]);
});

test("UnixDatagram.sendMany() refuses more than 1,024 messages and what is no array of them", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const tooMany = Array.from({ length: 1025 }, () => new Uint8Array(1));
  await assertRejects(() => a.sendMany(tooMany), RangeError);
  assertThrows(() => a.sendManySync(tooMany), RangeError);
  for (const wrong of [undefined, null, "text", 5, {}, bytes("abc"), ["text"], [bytes("x"), 5]]) {
    const messages = wrong as unknown as Uint8Array[];
    await assertRejects(() => a.sendMany(messages), TypeError, undefined, String(wrong));
    assertThrows(() => a.sendManySync(messages), TypeError, undefined, String(wrong));
  }
  assertEquals(takeQueued(b), []);
});

test("UnixDatagram.sendMany() of an empty batch or array sends nothing and waits for nothing", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const filled = await fillQueue(a);
  for (const empty of [new SendBatch(), []]) {
    assertEquals(await eventually(a.sendMany(empty)), { sent: 0, error: null });
    assertEquals(await a.sendMany(empty, { dontWait: true }), { sent: 0, error: null });
    assertEquals(a.sendManySync(empty, { timeout: 0 }), { sent: 0, error: null });
  }
  assertEquals(takeQueued(b), filled);
});

test("UnixDatagram.sendMany() carries 1,024 messages at once to a receiver that keeps up, in order", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const messages = numbered(1024);
  const receiving = receiveInBatches(b, 2048);
  assertEquals(await a.sendMany(batchOf(messages)), { sent: 1024, error: null });
  const fromArray = await a.sendMany(messages.map((message) => bytes(message)));
  assertEquals(fromArray, { sent: 1024, error: null });
  assertEquals(await receiving, [...messages, ...messages]);
});

test("UnixDatagram.receiveMany() takes 1,024 messages by one system call", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const batch = new ReceiveBatch({ messages: 1024, size: 16 });
  const filled = await fillQueue(a);
  const calls = await callsMade(async () => {
    assertEquals(await b.receiveMany(batch), filled.length);
  });
  assertEquals(calls, ["recvmmsg"]);
  assertEquals(textsOf(batch), filled);
});

test("D106 UnixDatagram.sendMany() with `dontWait` reports exactly how many left before EAGAIN", async () => {
  for (const addressed of [false, true]) {
    await withTempSocketPath(async (path) => {
      using receiver = UnixDatagram.bind(path);
      using sender = ample(UnixDatagram.unbound()).connect(path);
      const messages = numbered(QUEUE + 9);
      const batch = batchOf(messages, addressed ? path : undefined);
      const { sent, error } = await sender.sendMany(batch, { dontWait: true });
      assertEquals(sent, QUEUE);
      await assertFails(() => Promise.reject(error), "EAGAIN", "sendmmsg");
      await assertFails(() => sender.sendMany(batch, { dontWait: true }), "EAGAIN", "sendmmsg");
      assertEquals(takeQueued(receiver), messages.slice(0, QUEUE));
    });
  }
});

test("D106 UnixDatagram.sendManySync() reports how many left until its time was over", async () => {
  for (const addressed of [false, true]) {
    await withTempSocketPath(async (path) => {
      using receiver = UnixDatagram.bind(path);
      using sender = ample(UnixDatagram.unbound()).connect(path);
      const messages = numbered(QUEUE + 9);
      const batch = batchOf(messages, addressed ? path : undefined);
      for (const timeout of [0, 3]) {
        const { sent, error } = sender.sendManySync(batch, { timeout });
        assertEquals(sent, QUEUE);
        await assertFails(() => Promise.reject(error), "ETIMEDOUT", "sendmmsg");
        await assertFails(() => sender.sendManySync(batch, { timeout }), "ETIMEDOUT", "sendmmsg");
        assertEquals(takeQueued(receiver), messages.slice(0, QUEUE));
      }
    });
  }
});

test("D106 UnixDatagram.sendMany() stops at a bad second message: 1 sent, and its error", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    using client = UnixDatagram.unbound();
    const batch = new SendBatch();
    batch.add(bytes("good"), path);
    batch.add(bytes("bad"), `${path}.missing`);
    batch.add(bytes("good again"), path);
    for (const send of [() => client.sendMany(batch), () => client.sendManySync(batch)]) {
      const { sent, error } = await send();
      assertEquals(sent, 1);
      await assertFails(() => Promise.reject(error), "ENOENT", "sendmmsg");
      assertEquals(takeQueued(server), ["good"]);
    }
  });
});

test("D106 UnixDatagram.sendMany() stops at a message that is too large: EMSGSIZE", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  a.sendBufferSize = 1;
  const messages = [bytes("1"), bytes("2"), new Uint8Array(5000), bytes("4")];
  const { sent, error } = await a.sendMany(messages);
  assertEquals(sent, 2);
  await assertFails(() => Promise.reject(error), "EMSGSIZE", "sendmmsg");
  assertEquals(takeQueued(b), ["1", "2"]);
});

test("D106 UnixDatagram.sendMany() with a bad first message rejects and sends nothing", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    using client = UnixDatagram.unbound();
    const batch = new SendBatch();
    batch.add(bytes("bad"), `${path}.missing`);
    batch.add(bytes("good"), path);
    await assertFails(() => client.sendMany(batch), "ENOENT", "sendmmsg");
    await assertFails(() => client.sendManySync(batch), "ENOENT", "sendmmsg");
    await assertFails(() => client.sendMany(batch, { dontWait: true }), "ENOENT", "sendmmsg");
    assertEquals(takeQueued(server), []);
  });
});

test("D106 UnixDatagram.sendMany() without a peer stops at the first message without a destination", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    using client = UnixDatagram.unbound();
    const batch = new SendBatch();
    batch.add(bytes("1"), path);
    batch.add(bytes("2"));
    const { sent, error } = await client.sendMany(batch);
    assertEquals(sent, 1);
    await assertFails(() => Promise.reject(error), "ENOTCONN", "sendmmsg");
    assertEquals(takeQueued(server), ["1"]);
  });
});

test("UnixDatagram.sendMany() sends each message where it goes, and the others to the peer", async () => {
  const receivers = Array.from({ length: 3 }, () => UnixDatagram.bind(`\0${uniqueName("\0")}`));
  try {
    using sender = UnixDatagram.bind({ kind: "unnamed" }).connect(receivers[0]!.localAddr);
    const batch = new SendBatch();
    for (let i = 0; i < 9; i++) {
      if (i % 3 === 0) batch.add(bytes(`${i}`));
      else batch.add(bytes(`${i}`), receivers[i % 3]!.localAddr);
    }
    assertEquals(await sender.sendMany(batch), { sent: 9, error: null });
    const messages = new ReceiveBatch();
    for (const [i, receiver] of receivers.entries()) {
      assertEquals(await receiver.receiveMany(messages), 3);
      assertEquals(textsOf(messages), [`${i}`, `${i + 3}`, `${i + 6}`]);
      assertEquals(messages.from(2), sender.localAddr);
    }
  } finally {
    for (const receiver of receivers) receiver.close();
  }
});

// Waiting for room, to the peer and to destinations.

/** The most messages of a batch. */
const MAX = 1024;

for (const addressed of [false, true]) {
  const title = addressed ? "to destinations of their own" : "to the peer";

  /** Runs a body with a receiver, and what makes a batch to it. */
  const withRoute = async (
    body: (
      sender: UnixDatagram,
      receiver: UnixDatagram,
      make: (messages: readonly string[]) => SendBatch,
    ) => Promise<void>,
  ): Promise<void> => {
    const name = `\0${uniqueName()}`;
    using receiver = UnixDatagram.bind(name);
    using sender = ample(UnixDatagram.unbound());
    if (!addressed) sender.connect(name);
    await body(sender, receiver, (messages) => batchOf(messages, addressed ? name : undefined));
  };

  test(`UnixDatagram.sendMany() ${title} waits for room and completes, in order`, async () => {
    await withRoute(async (sender, receiver, make) => {
      const messages = numbered(Math.min(5 * QUEUE + 1, MAX));
      const sending = sender.sendMany(make(messages));
      assert(await isPending(sending));
      assertEquals(await eventually(receiveTexts(receiver, messages.length)), messages);
      assertEquals(await eventually(sending), { sent: messages.length, error: null });
      assertEquals(takeQueued(receiver), []);
    });
  });

  test(`UnixDatagram.sendMany() ${title}: batches leave one after the other, never mixed`, async () => {
    await withRoute(async (sender, receiver, make) => {
      const count = Math.min(2 * QUEUE, MAX);
      const [first, second] = [numbered(count, "a"), numbered(count, "b")];
      const sendings = [sender.sendMany(make(first)), sender.sendMany(make(second))];
      assertEquals(await eventually(receiveTexts(receiver, 2 * count)), [...first, ...second]);
      for (const sending of sendings) assertEquals((await sending).sent, count);
    });
  });

  test(`UnixDatagram.sendMany() ${title} makes no try while another batch waits`, async () => {
    await withRoute(async (sender, receiver, make) => {
      const messages = numbered(QUEUE + 1);
      const first = sender.sendMany(make(messages));
      // Turns of the event loop would let the first try again: these are none.
      for (let i = 0; i < 20; i++) await null;
      using calls = countCalls("sendmmsg");
      const second = sender.sendMany(make(["second"]));
      for (let i = 0; i < 20; i++) await null;
      assertEquals(calls.counts.sendmmsg, 0);
      const received = await eventually(receiveTexts(receiver, QUEUE + 2));
      assertEquals(received, [...messages, "second"]);
      await Promise.all([first, second]);
    });
  });

  test(`UnixDatagram.sendMany() ${title} that is aborted midway says how many left`, async () => {
    await withRoute(async (sender, receiver, make) => {
      // A queue that holds something already: else the rest of a batch could go at once.
      const before = numbered(QUEUE >> 1, "before ");
      await sender.sendMany(make(before));
      const messages = numbered(Math.min(5 * QUEUE, MAX));
      const controller = new AbortController();
      const reason = new Error("enough");
      const sending = sender.sendMany(make(messages), { signal: controller.signal });
      const received = await eventually(receiveTexts(receiver, QUEUE + 3));
      assert(await isPending(sending));
      controller.abort(reason);
      const { sent, error } = await sending;
      assertStrictEquals(error, reason);
      received.push(...takeQueued(receiver));
      assertEquals(received, [...before, ...messages.slice(0, sent)]);
      assertLess(sent, messages.length);
      await sender.sendMany(make(["usable"]));
      assertEquals(takeQueued(receiver), ["usable"]);
    });
  });

  test(`UnixDatagram.sendMany() ${title} that waits when the socket closes says how many left`, async () => {
    await withRoute(async (sender, receiver, make) => {
      const messages = numbered(QUEUE + 9);
      const sending = sender.sendMany(make(messages));
      const behind = assertFails(() => sender.sendMany(make(["behind"])), "EBADF", "sendmmsg");
      assert(await isPending(sending));
      sender.close();
      const { sent, error } = await sending;
      assertEquals(sent, QUEUE);
      await assertFails(() => Promise.reject(error), "EBADF", "sendmmsg");
      await behind;
      assertEquals(takeQueued(receiver), messages.slice(0, QUEUE));
    });
  });

  test(`UnixDatagram.sendMany() ${title} that waits when the receiver closes says how many left`, async () => {
    await withRoute(async (sender, receiver, make) => {
      const sending = sender.sendMany(make(numbered(QUEUE + 9)));
      assert(await isPending(sending));
      receiver.close();
      const { sent, error } = await eventually(sending);
      assertEquals(sent, QUEUE);
      await assertFails(() => Promise.reject(error), "ECONNREFUSED", "sendmmsg");
    });
  });

  test(`UnixDatagram.sendMany() ${title} with \`dontWait\` does not overtake a batch that waits`, async () => {
    await withRoute(async (sender, receiver, make) => {
      const messages = numbered(QUEUE + 1);
      const sending = sender.sendMany(make(messages));
      assert(await isPending(sending));
      // There is room now, but it is spoken for.
      assertEquals(takeQueued(receiver), messages.slice(0, QUEUE));
      await assertFails(
        () => sender.sendMany(make(["?"]), { dontWait: true }),
        "EAGAIN",
        "sendmmsg",
      );
      assertEquals((await eventually(sending)).sent, QUEUE + 1);
      assertEquals(takeQueued(receiver), messages.slice(QUEUE));
    });
  });
}

/** How many messages make room for the next at a time, below. */
const PLACES = 11;

function takePlaces(receiver: UnixDatagram): string[] {
  return Array.from({ length: PLACES }, () => text(receiver.receiveSync({ timeout: 0 }).data));
}

test("UnixDatagram.sendMany() to destinations pauses from a millisecond on again whenever it made progress", async () => {
  const name = `\0${uniqueName()}`;
  using receiver = UnixDatagram.bind(name);
  using sender = ample(UnixDatagram.unbound());
  const messages = numbered(QUEUE + 5 * PLACES);
  const received: string[] = [];
  const pauses: number[] = [];
  const { next } = Backoff.prototype;
  // At the beginning of each pause the receiver makes room.
  Backoff.prototype.next = function () {
    const pause = next.call(this);
    pauses.push(pause);
    received.push(...takePlaces(receiver));
    return pause;
  };
  try {
    assertEquals((await sender.sendMany(batchOf(messages, name))).sent, messages.length);
  } finally {
    Backoff.prototype.next = next;
  }
  assertEquals([...received, ...takeQueued(receiver)], messages);
  assertEquals(pauses, [1, 1, 1, 1, 1]);
});

test("UnixDatagram.sendManySync() to destinations does so too", () => {
  const name = `\0${uniqueName()}`;
  using receiver = UnixDatagram.bind(name);
  using sender = ample(UnixDatagram.unbound());
  const messages = numbered(QUEUE + 5 * PLACES);
  const received: string[] = [];
  const pauses: number[] = [];
  const libc = native().libc as { poll: (...args: Parameters<Libc["poll"]>) => number };
  const { poll } = libc;
  // A poll of nothing is how the thread is made to sleep.
  libc.poll = (entries, count, timeout) => {
    if (count === 0) {
      pauses.push(timeout);
      received.push(...takePlaces(receiver));
    }
    return poll(entries, count, timeout);
  };
  try {
    assertEquals(sender.sendManySync(batchOf(messages, name)).sent, messages.length);
  } finally {
    libc.poll = poll;
  }
  assertEquals([...received, ...takeQueued(receiver)], messages);
  assertEquals(pauses, [1, 1, 1, 1, 1]);
});

test("UnixDatagram.sendMany() to the peer stands in line with send()", async () => {
  const name = `\0${uniqueName()}`;
  using receiver = UnixDatagram.bind(name);
  using sender = UnixDatagram.unbound().connect(name);
  const filled = await fillQueue(sender);
  const sendings = [
    sender.send(bytes("before")),
    sender.sendMany([bytes("in"), bytes("between")]),
    sender.send(bytes("after")),
  ];
  const received = await eventually(receiveTexts(receiver, filled.length + 4));
  assertEquals(received.slice(filled.length), ["before", "in", "between", "after"]);
  await Promise.all(sendings);
});

test("UnixDatagram.sendMany() has no message of a SendBatch changed by what is sent meanwhile", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const filled = await fillQueue(a);
  const first = a.sendMany(batchOf(["first"]));
  const array = a.sendMany([bytes("array")]);
  const second = a.sendMany(batchOf(["second"]));
  const received = await eventually(receiveTexts(b, filled.length + 3));
  assertEquals(received.slice(filled.length), ["first", "array", "second"]);
  await Promise.all([first, array, second]);
});
