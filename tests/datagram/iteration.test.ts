import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { type Message, ReceiveBatch, UnixDatagram } from "../../mod.ts";
import { fillQueue, receiveTexts, takeQueued } from "../support/datagrams.ts";
import { assertFails, bytes, settled, text, withTempSocketPath } from "../support/mod.ts";
import { eventually } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";

test("for await over a UnixDatagram gives the messages with their senders, and ends when it is closed", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    using client = UnixDatagram.bind(`${path}.client`);
    const messages: Message[] = [];
    const loop = (async () => {
      for await (const message of server) messages.push(message);
    })();
    for (const message of ["1", "", "3"]) await client.sendTo(bytes(message), path);
    assert(await isPending(loop));
    assertEquals(messages.map(({ data }) => text(data)), ["1", "", "3"]);
    for (const { from } of messages) assertEquals(from, client.localAddr);
    server.close();
    await eventually(loop);
  });
});

test("UnixDatagram.readable gives whole messages, also empty ones, with their senders", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    using client = UnixDatagram.bind(`${path}.client`);
    const reader = server.readable.getReader();
    const first = reader.read();
    for (const message of ["one", "", "three"]) await client.sendTo(bytes(message), path);
    const chunks = [await first, await reader.read(), await reader.read()];
    assertEquals(chunks.map(({ value }) => text(value!.data)), ["one", "", "three"]);
    assertEquals(chunks[1]!.value!.from, client.localAddr);
  });
});

test("UnixDatagram.readable takes no message that nobody has asked for", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  for (const message of ["1", "2"]) a.sendSync(bytes(message));
  const reader = b.readable.getReader();
  assertEquals(text((await reader.read()).value!.data), "1");
  await settled();
  assertEquals(takeQueued(b), ["2"]);
});

test("UnixDatagram.readable ends when the socket closes", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a;
  const reading = b.readable.getReader().read();
  assert(await isPending(reading));
  b.close();
  assertEquals((await eventually(reading)).done, true);
});

test("cancelling UnixDatagram.readable closes the socket, also while it waits", async () => {
  for (const waiting of [false, true]) {
    const [a, b] = UnixDatagram.pair();
    using _a = a;
    const reader = b.readable.getReader();
    const reading = waiting ? reader.read() : null;
    await isPending(Promise.resolve());
    await reader.cancel("enough");
    assertEquals(b.closed, true);
    if (reading !== null) assertEquals((await reading).done, true);
    await assertFails(() => a.send(bytes("?")), "ECONNREFUSED", "send");
  }
});

test("UnixDatagram.readable errors with what receive() rejects with", async () => {
  await withTempSocketPath(async (path) => {
    using a = UnixDatagram.bind(path);
    using b = UnixDatagram.bind(`${path}.b`);
    a.connect(`${path}.b`);
    b.connect(path);
    b.sendSync(bytes("never read"));
    const reading = b.readable.getReader().read();
    const failed = assertFails(() => eventually(reading), "ECONNRESET", "recvmsg");
    assert(await isPending(reading));
    a.disconnect();
    await failed;
  });
});

test("UnixDatagram.writable sends each chunk as one message", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const writer = a.writable.getWriter();
  await writer.write(bytes("one"));
  await writer.write(new Uint8Array(0));
  await writer.write(bytes("three").buffer);
  await writer.close();
  assertEquals(takeQueued(b), ["one", "", "three"]);
  assertEquals(a.closed, false);
});

test("UnixDatagram.writable waits for room, in order", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const filled = await fillQueue(a);
  const writer = a.writable.getWriter();
  const writes = ["x", "y", "z"].map((message) => writer.write(bytes(message)));
  assert(await isPending(writes[0]!));
  assertEquals(await receiveTexts(b, filled.length + 3), [...filled, "x", "y", "z"]);
  await Promise.all(writes);
});

test("UnixDatagram.writable errors with what send() rejects with", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a;
  b.close();
  const writer = a.writable.getWriter();
  writer.closed.catch(() => {});
  await assertFails(() => writer.write(bytes("?")), "ECONNREFUSED", "send");
});

test("UnixDatagram.writable refuses a chunk that is no memory with TypeError", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const writer = a.writable.getWriter();
  writer.closed.catch(() => {});
  await assertRejects(() => writer.write("text" as unknown as Uint8Array), TypeError);
});

test("aborting UnixDatagram.writable ends a write that waits, and sends nothing of it", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const filled = await fillQueue(a);
  const writer = a.writable.getWriter();
  writer.closed.catch(() => {});
  const writing = writer.write(bytes("never"));
  const failed = writing.then(() => "sent", () => "failed");
  assert(await isPending(writing));
  await eventually(writer.abort(new Error("enough")));
  assertEquals(await failed, "failed");
  assertEquals(takeQueued(b), filled);
  await a.send(bytes("usable"));
  assertEquals(takeQueued(b), ["usable"]);
});

test("piping UnixDatagram.readable through a transformation into writable echoes each message", async () => {
  const [client, server] = UnixDatagram.pair();
  using _client = client, _server = server;
  const shouting = new TransformStream<Message, Uint8Array<ArrayBuffer>>({
    transform: ({ data }, controller) => controller.enqueue(bytes(text(data).toUpperCase())),
  });
  const piping = server.readable.pipeThrough(shouting).pipeTo(server.writable);
  for (const message of ["hello", "", "again"]) await client.send(bytes(message));
  assertEquals(await receiveTexts(client, 3), ["HELLO", "", "AGAIN"]);
  server.close();
  await eventually(piping);
});

test("D107 UnixDatagram sending to a socket that has ended its reading fails with EPIPE, and no signal", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    using connected = UnixDatagram.unbound().connect(path);
    using client = UnixDatagram.unbound();
    server.shutdown("read");
    await assertFails(() => client.sendTo(bytes("?"), path), "EPIPE", "sendto");
    await assertFails(() => connected.send(bytes("?")), "EPIPE", "send");
    await assertFails(() => connected.sendMany([bytes("?")]), "EPIPE", "sendmmsg");
  });
});

test("D107 a send() that waits rejects with EPIPE once the receiver, its reading ended, takes a message", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    using client = UnixDatagram.unbound().connect(path);
    await fillQueue(client);
    const waiting = client.send(bytes("?"));
    const failed = assertFails(() => eventually(waiting), "EPIPE", "send");
    assert(await isPending(waiting));
    // Nothing but the second of these makes the kernel wake the sender.
    server.shutdown("read");
    await server.receive();
    await failed;
  });
});

test('UnixDatagram.shutdown("write") fails its own sending with EPIPE; the peer notices nothing', async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  a.sendSync(bytes("before"));
  a.shutdown("write");
  await assertFails(() => a.send(bytes("?")), "EPIPE", "send");
  assertEquals(takeQueued(b), ["before"]);
  b.sendSync(bytes("other way"));
  assertEquals(takeQueued(a), ["other way"]);
  const receiving = b.receive();
  assert(await isPending(receiving));
  b.close();
  await assertFails(() => receiving, "EBADF", "recvmsg");
});

test('UnixDatagram.shutdown("read") leaves what has arrived to be received', async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  for (const message of ["1", "2", "3"]) a.sendSync(bytes(message));
  b.shutdown("read");
  assertEquals(text((await eventually(b.receive())).data), "1");
  assertEquals(text(b.receiveSync({ timeout: 1000 }).data), "2");
  assertEquals((await eventually(b.receiveInto(new Uint8Array(4)))).bytes, 1);
});

test('UnixDatagram.shutdown("read") leaves empty messages of nameless senders too', async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  for (let i = 0; i < 6; i++) a.sendSync(new Uint8Array(0));
  b.shutdown("read");
  assertEquals((await b.receive()).length, 0);
  assertEquals(b.peekSync().length, 0);
  assertEquals((await b.receiveInto(new Uint8Array(4))).length, 0);
  const batch = new ReceiveBatch({ messages: 3 });
  assertEquals(await b.receiveMany(batch), 3);
  assertEquals(b.receiveManySync(batch), 1);
  await assertFails(() => b.receive(), "ESHUTDOWN");
});

test("D107 UnixDatagram.fromFd() of a socket that has ended its reading has ended too", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a;
  a.sendSync(bytes("left"));
  b.shutdown("read");
  using adopted = UnixDatagram.fromFd(b.intoFd());
  const messages: string[] = [];
  const loop = (async () => {
    for await (const { data } of adopted) messages.push(text(data));
  })();
  await eventually(loop);
  assertEquals(messages, ["left"]);
  await assertFails(() => adopted.receiveSync({ timeout: 1000 }), "ESHUTDOWN");
});

/** Ways to receive, each of them asked for one message. */
const RECEIVING: Record<string, (socket: UnixDatagram) => Promise<unknown>> = {
  receive: (socket) => socket.receive(),
  peek: (socket) => socket.peek(),
  receiveInto: (socket) => socket.receiveInto(new Uint8Array(8)),
};

for (const [name, receive] of Object.entries(RECEIVING)) {
  test(`D107 UnixDatagram.${name}() after shutdown("read") rejects with ESHUTDOWN`, async () => {
    const [a, b] = UnixDatagram.pair();
    using _a = a, _b = b;
    b.shutdown("read");
    await assertFails(() => eventually(receive(b)), "ESHUTDOWN");
  });

  test(`D107 UnixDatagram.${name}() that waits rejects with ESHUTDOWN at shutdown("read")`, async () => {
    const [a, b] = UnixDatagram.pair();
    using _a = a, _b = b;
    const waiting = receive(b);
    const failed = assertFails(() => eventually(waiting), "ESHUTDOWN");
    assert(await isPending(waiting));
    b.shutdown("read");
    await failed;
  });
}

test('D107 UnixDatagram\'s blocking receiving after shutdown("both") throws ESHUTDOWN', async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  b.shutdown("both");
  const timeout = { timeout: 1000 };
  await assertFails(() => b.receiveSync(timeout), "ESHUTDOWN", "recvmsg");
  await assertFails(() => b.peekSync(timeout), "ESHUTDOWN", "recvmsg");
  await assertFails(() => b.receiveIntoSync(new Uint8Array(8), timeout), "ESHUTDOWN", "recvfrom");
});

test('D107 UnixDatagram.receiveMany() after shutdown("read") gets what is left, then 0', async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  for (const message of ["1", "2", "3"]) a.sendSync(bytes(message));
  b.shutdown("read");
  const batch = new ReceiveBatch({ messages: 2 });
  assertEquals(await eventually(b.receiveMany(batch)), 2);
  assertEquals(await eventually(b.receiveMany(batch)), 1);
  assertEquals(text(batch.data(0)), "3");
  assertEquals(b.receiveManySync(batch, { timeout: 1000 }), 0);
  assertEquals(await eventually(b.receiveMany(batch)), 0);
});

test('D107 for await over a UnixDatagram ends at shutdown("read"), after what has arrived', async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  for (const message of ["1", "2"]) a.sendSync(bytes(message));
  b.shutdown("read");
  const messages: string[] = [];
  const loop = (async () => {
    for await (const { data } of b) messages.push(text(data));
  })();
  await eventually(loop);
  assertEquals(messages, ["1", "2"]);
});
