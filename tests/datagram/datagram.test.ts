import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { test } from "node:test";
import { configure, UnixDatagram } from "../../mod.ts";
import { callsMade } from "../support/raw.ts";
import { fillQueue, memoriesOf, takeQueued } from "../support/datagrams.ts";
import { assertFails, bytes, settled, text, withTempSocketPath } from "../support/mod.ts";
import { kernelSetting } from "../support/queue.ts";
import { digest, eventually, pattern } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";

test("D85 UnixDatagram.sendTo() and receive() carry a message, whole, with its sender", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    using client = UnixDatagram.bind(`${path}.client`);
    await client.sendTo(bytes("hello"), path);
    const message = await server.receive();
    assertEquals(text(message.data), "hello");
    assertEquals(message.length, 5);
    assertEquals(message.truncated, false);
    assertEquals(message.endOfRecord, true);
    assertEquals(message.from, { kind: "pathname", path: `${path}.client` });
    await server.sendTo(bytes("reply"), message.from);
    const reply = await client.receive();
    assertEquals(text(reply.data), "reply");
    assertEquals(reply.from, { kind: "pathname", path });
  });
});

test("UnixDatagram.receive() waits for a message, and messages keep their bounds and order", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const first = b.receive();
  assert(await isPending(first));
  await a.send(bytes("one"));
  await a.send(bytes("three"));
  assertEquals(text((await first).data), "one");
  assertEquals(text((await b.receive()).data), "three");
});

test("UnixDatagram.receive() gives each message memory of its own", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  a.sendSync(bytes("first"));
  a.sendSync(bytes("other"));
  const first = await b.receive();
  const other = b.receiveSync();
  assertEquals(text(first.data), "first");
  assertEquals(text(other.data), "other");
  assertNotEquals(first.data.buffer, other.data.buffer);
  assertEquals(first.data.buffer.byteLength, 5);
});

test("UnixDatagram sends every kind of memory, from where the view begins to its end", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const data = pattern(32);
  for (const [name, memory] of memoriesOf(data)) {
    await a.send(memory);
    a.sendSync(memory);
    assertEquals(digest((await b.receive()).data), digest(data), name);
    assertEquals(digest(b.receiveSync().data), digest(data), name);
  }
});

test("UnixDatagram sends typed arrays of one to sixteen bytes unchanged", () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  for (let size = 1; size <= 16; size++) {
    const data = pattern(size, size);
    a.sendSync(data);
    assertEquals([...b.receiveSync().data], [...data]);
  }
});

test("D88 an empty datagram is a message, and the one after it is intact", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const empty = new Uint8Array(0);
  await a.send(empty);
  a.sendSync(empty);
  await a.send(bytes("next"));
  const first = await b.receive();
  assertEquals([first.length, first.data.length, first.truncated], [0, 0, false]);
  assertEquals(first.from, { kind: "unnamed" });
  assertEquals(b.receiveSync().length, 0);
  assertEquals(text((await b.receive()).data), "next");
});

test("D88 an empty datagram ends a receive() that waits", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const waiting = b.receive();
  assert(await isPending(waiting));
  await a.send(new ArrayBuffer(0));
  assertEquals((await eventually(waiting)).length, 0);
});

test("D88 an empty datagram by sendTo() has its sender's address", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    using client = UnixDatagram.bind(`${path}.client`);
    const from = { kind: "pathname" as const, path: `${path}.client` };
    for (let i = 0; i < 3; i++) await client.sendTo(new Uint8Array(0), path);
    client.sendToSync(new Uint8Array(0), path);
    assertEquals((await server.receive()).from, from);
    assertEquals((await server.peek()).from, from);
    assertEquals(await server.receiveInto(new Uint8Array(4)), {
      bytes: 0,
      length: 0,
      truncated: false,
      from,
    });
    assertEquals(server.receiveSync().length, 0);
    assertEquals((await server.receive()).length, 0);
    assertEquals(takeQueued(server), []);
  });
});

test("D89 UnixDatagram.receiveInto() an empty buffer takes one message and says that it was cut", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  for (const message of ["hello", "again", "kept"]) a.sendSync(bytes(message));
  const from = { kind: "unnamed" as const };
  const cut = { bytes: 0, length: 5, truncated: true, from };
  assertEquals(await b.receiveInto(new Uint8Array(0)), cut);
  assertEquals(b.receiveIntoSync(new ArrayBuffer(0)), cut);
  assertEquals(takeQueued(b), ["kept"]);
});

test("D89 UnixDatagram.receiveInto() an empty buffer waits while there is no message", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const waiting = b.receiveInto(new Uint8Array(0));
  assert(await isPending(waiting));
  a.sendSync(bytes("abc"));
  assertEquals((await waiting).length, 3);
});

test("UnixDatagram.receive() of size 0 takes a message and keeps nothing of it", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  a.sendSync(bytes("hello"));
  const { data, length, truncated, endOfRecord } = await b.receive({ size: 0 });
  assertEquals([data.length, length, truncated, endOfRecord], [0, 5, true, false]);
  assertEquals(takeQueued(b), []);
});

test("D91 UnixDatagram.peek() of a small size tells the real length, and receive() gets all of it", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  a.sendSync(bytes("a message"));
  for (const size of [0, 1, 3]) {
    const seen = await b.peek({ size });
    assertEquals(text(seen.data), "a message".slice(0, size));
    assertEquals([seen.length, seen.truncated], [9, true]);
    assertEquals(b.peekSync({ size }), seen);
  }
  const { length } = await b.peek({ size: 0 });
  const message = await b.receive({ size: length });
  assertEquals([text(message.data), message.truncated], ["a message", false]);
  assertEquals(takeQueued(b), []);
});

test("UnixDatagram.peek() waits for a message and leaves it for the next receive()", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    using client = UnixDatagram.bind(`${path}.client`);
    const peeking = server.peek();
    const receiving = server.receive();
    assert(await isPending(peeking));
    await client.sendTo(bytes("once"), path);
    assertEquals(await peeking, await receiving);
    assertEquals(takeQueued(server), []);
  });
});

test("UnixDatagram.receive() cuts a message that is longer than `size` and reports its length", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const data = pattern(1000);
  for (
    const [size, kept, truncated] of [[999, 999, true], [1000, 1000, false], [
      1001,
      1000,
      false,
    ]] as const
  ) {
    for (const receive of [() => b.receive({ size }), () => b.receiveSync({ size })]) {
      a.sendSync(data);
      const message = await receive();
      assertEquals(digest(message.data), digest(data.subarray(0, kept)), `${size}`);
      assertEquals([message.length, message.truncated], [1000, truncated], `${size}`);
      assertEquals(message.endOfRecord, !truncated);
    }
  }
  a.sendSync(bytes("next"));
  assertEquals(takeQueued(b), ["next"]);
});

test("D92 UnixDatagram sends up to the send buffer's size less 32 bytes, and EMSGSIZE beyond", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  for (const bufferSize of [4608, 40_000]) {
    a.sendBufferSize = bufferSize / 2;
    assertEquals(a.sendBufferSize, bufferSize);
    const most = bufferSize - 32;
    const data = pattern(most + 1);
    await a.send(data.subarray(0, most));
    const { data: received } = await b.receive();
    assertEquals(digest(received), digest(data.subarray(0, most)));
    await assertFails(() => a.send(data), "EMSGSIZE", "send");
    await assertFails(() => a.sendSync(data), "EMSGSIZE", "send");
  }
});

test("D92 UnixDatagram.sendTo() fails with EMSGSIZE too, and sends nothing of it", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    using client = UnixDatagram.unbound();
    const tooMuch = new Uint8Array(client.sendBufferSize - 31);
    const error = await assertFails(() => client.sendTo(tooMuch, path), "EMSGSIZE", "sendto");
    assertEquals(error.address, path);
    await assertFails(() => client.sendToSync(tooMuch, path), "EMSGSIZE", "sendto");
    assertEquals(takeQueued(server), []);
  });
});

test("UnixDatagram.receive() without `size` takes the largest message of the default send buffer", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const data = pattern(a.sendBufferSize - 32);
  a.sendSync(data);
  const message = await b.receive();
  assertEquals(message.truncated, false);
  assertEquals(digest(message.data), digest(data));
});

const SMALL_BUFFERS = 2 * kernelSetting("net/core/wmem_max") < 700_000 &&
  "net.core.wmem_max allows no such message";

test("UnixDatagram.receive() takes 524,288 bytes without `size`, and more with it", {
  skip: SMALL_BUFFERS,
}, async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  a.sendBufferSize = 400_000;
  const data = pattern(600_000);
  a.sendSync(data);
  const cut = await b.receive();
  assertEquals([cut.data.length, cut.length, cut.truncated], [524_288, 600_000, true]);
  assertEquals(digest(cut.data), digest(data.subarray(0, 524_288)));
  a.sendSync(data);
  const whole = await b.receive({ size: 600_000 });
  assertEquals([whole.length, whole.truncated], [600_000, false]);
  assertEquals(digest(whole.data), digest(data));
});

test("UnixDatagram.receiveInto() fills a buffer and nothing beside it", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  for (
    const receive of [
      (view: Uint8Array) => b.receiveInto(view),
      (view: Uint8Array) => b.receiveIntoSync(view),
    ]
  ) {
    const memory = new Uint8Array(12).fill(0x2e);
    a.sendSync(bytes("abcdef"));
    const received = await receive(memory.subarray(3, 7));
    assertEquals(received, { bytes: 4, length: 6, truncated: true, from: { kind: "unnamed" } });
    assertEquals(text(memory), "...abcd.....");
    a.sendSync(bytes("xy"));
    assertEquals((await receive(memory.subarray(5))).bytes, 2);
    assertEquals(text(memory), "...abxy.....");
  }
});

test("UnixDatagram.receiveInto() fills typed arrays of one to sixteen bytes", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  for (let size = 1; size <= 16; size++) {
    const data = pattern(size, size);
    const [waited, blocked] = [new Uint8Array(size), new Uint8Array(size)];
    const waiting = b.receiveInto(waited);
    a.sendSync(data);
    assertEquals((await waiting).bytes, size);
    a.sendSync(data);
    assertEquals(b.receiveIntoSync(blocked).bytes, size);
    assertEquals([...waited], [...data]);
    assertEquals([...blocked], [...data]);
  }
});

test("UnixDatagram.receiveInto() fills every kind of memory", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const data = pattern(32);
  const bytesOf = (memory: ArrayBufferView | ArrayBuffer) =>
    ArrayBuffer.isView(memory)
      ? new Uint8Array(memory.buffer, memory.byteOffset, memory.byteLength)
      : new Uint8Array(memory);
  for (const [name, memory] of memoriesOf(new Uint8Array(32))) {
    a.sendSync(data);
    assertEquals((await b.receiveInto(memory)).bytes, 32, name);
    assertEquals(digest(bytesOf(memory)), digest(data), name);
  }
});

test("UnixDatagram.receiveInto() names the sender, also by the kernel's own name for it", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    using client = UnixDatagram.bind({ kind: "unnamed" });
    const buffer = new Uint8Array(8);
    client.sendToSync(bytes("hi"), path);
    const { from } = await server.receiveInto(buffer);
    assertEquals(from, client.localAddr);
    await server.sendTo(buffer.subarray(0, 2), from);
    assertEquals(text((await client.receive()).data), "hi");
  });
});

test("UnixDatagram carries messages both ways at once, in order and unchanged", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const COUNT = 600;
  const message = (seed: number, i: number) => pattern((i * 37) % 900, seed * 10_000 + i);
  const talk = async (socket: UnixDatagram, seed: number) => {
    for (let i = 0; i < COUNT; i++) await socket.send(message(seed, i));
  };
  const listen = async (socket: UnixDatagram, seed: number) => {
    for (let i = 0; i < COUNT; i++) {
      const { data } = await socket.receive();
      if (digest(data) !== digest(message(seed, i))) throw new Error(`message ${i} differs`);
    }
  };
  await Promise.all([talk(a, 1), listen(b, 1), talk(b, 2), listen(a, 2)]);
  assertEquals([takeQueued(a), takeQueued(b)], [[], []]);
});

test("UnixDatagram receives while its own sending waits, and sends while its receiving waits", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const filled = await fillQueue(a);
  const sending = a.send(bytes("waited"));
  const receiving = a.receive();
  assert(await isPending(sending));
  await b.send(bytes("passes"));
  assertEquals(text((await receiving).data), "passes");
  assert(await isPending(sending));
  for (let i = 0; i < filled.length; i++) await b.receive();
  assertEquals(text((await b.receive()).data), "waited");
  await sending;
});

test("UnixDatagram.receive() that has to wait asks the kernel again only when something came", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  configure({ busyPoll: false });
  // A look that the test before began.
  await settled();
  let receiving!: ReturnType<UnixDatagram["receive"]>;
  const calls = await callsMade(async () => {
    receiving = b.receive();
    await isPending(receiving);
  });
  configure({ busyPoll: { max: 100 } });
  assertEquals(calls.filter((name) => name === "recvmsg"), ["recvmsg"]);
  a.sendSync(bytes("now"));
  assertEquals(text((await receiving).data), "now");
});
