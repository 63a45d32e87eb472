import { test } from "node:test";
import { assertEquals } from "@std/assert";
import {
  type Message,
  ReceiveBatch,
  UnixDatagram,
  type UnixSeqpacket,
  UnixSeqpacketListener,
} from "../../mod.ts";
import { reactor } from "../../src/io/reactor.ts";
import { descriptorTable, tableChanges } from "../support/descriptor_table.ts";
import { python } from "../support/interop.ts";
import { text, unlessProgram, withTempSocketPath } from "../support/mod.ts";

type MessageSocket = UnixDatagram | UnixSeqpacket;

/** Receives so many messages, by one way; as text. */
type Way = (socket: MessageSocket, count: number) => Promise<string[]>;

async function each(count: number, receive: () => Promise<Message | null>): Promise<string[]> {
  const received: string[] = [];
  for (let i = 0; i < count; i++) received.push(text((await receive())!.data));
  return received;
}

const WAYS: Record<string, Way> = {
  "receive()": (socket, count) => each(count, () => socket.receive()),
  "receive() of size 0": (socket, count) => each(count, () => socket.receive({ size: 0 })),
  // deno-lint-ignore require-await
  "receiveSync()": (socket, count) => each(count, async () => socket.receiveSync()),
  "peek()": (socket, count) =>
    each(count, async () => {
      const peeked = await socket.peek();
      await socket.peek();
      socket.peekSync();
      await socket.receive();
      return peeked;
    }),
  async "receiveMany()"(socket, count) {
    const batch = new ReceiveBatch();
    const received: string[] = [];
    while (received.length < count) {
      await socket.receiveMany(batch);
      for (const { data } of batch) received.push(text(data));
    }
    return received;
  },
  // deno-lint-ignore require-await
  async "receiveManySync()"(socket, count) {
    const batch = new ReceiveBatch({ messages: 1 });
    const received: string[] = [];
    while (received.length < count) {
      socket.receiveManySync(batch);
      for (const { data } of batch) received.push(text(data));
    }
    return received;
  },
  async "iteration"(socket, count) {
    const received: string[] = [];
    for await (const { data } of socket) {
      if (received.push(text(data)) === count) break;
    }
    return received;
  },
  async "readable"(socket, count) {
    const reader = socket.readable.getReader();
    return await each(count, async () => (await reader.read()).value!);
  },
};

const DATAGRAM_WAYS: Record<string, Way> = {
  ...WAYS,
  async "receiveInto()"(socket, count) {
    const buffer = new Uint8Array(64);
    const received: string[] = [];
    for (let i = 0; i < count; i++) {
      const { bytes } = await (socket as UnixDatagram).receiveInto(buffer);
      received.push(text(buffer.subarray(0, bytes)));
    }
    return received;
  },
  // deno-lint-ignore require-await
  async "receiveIntoSync()"(socket, count) {
    const buffer = new Uint8Array(64);
    const received: string[] = [];
    for (let i = 0; i < count; i++) {
      const { bytes } = (socket as UnixDatagram).receiveIntoSync(buffer);
      received.push(text(buffer.subarray(0, bytes)));
    }
    return received;
  },
};

/** Sends messages with the writing end of a pipe, and says what became of that end. */
const SENDER = `
sender = socket.socket(socket.AF_UNIX, getattr(socket, args[1]))
sender.connect(args[0])
sender.send(b"before")
hear()
reader, writer = os.pipe()
for message in args[3:]:
    socket.send_fds(sender, [message.encode()], [writer] * int(args[2]))
os.close(writer)
say("sent")
hear()
ready = select.select([reader], [], [], 10)[0]
say("closed" if ready and os.read(reader, 1) == b"" else "still open")
`;

const MESSAGES = ["one", "", "three"];

async function withReceiver(
  type: "SOCK_DGRAM" | "SOCK_SEQPACKET",
  descriptors: number,
  body: (socket: MessageSocket) => Promise<void>,
): Promise<void> {
  await withTempSocketPath(async (path) => {
    using owner = type === "SOCK_DGRAM"
      ? UnixDatagram.bind(path)
      : UnixSeqpacketListener.listen(path);
    await using sender = python(SENDER, [path, type, descriptors, ...MESSAGES]);
    using socket = owner instanceof UnixDatagram ? owner : await owner.accept();
    // What waiting takes is open after this.
    reactor().prepare();
    await socket.receive();
    const before = descriptorTable();
    sender.tell();
    await sender.line();
    await body(socket);
    assertEquals(tableChanges(before, descriptorTable()), []);
    sender.tell();
    assertEquals(await sender.line(), "closed");
    await sender.succeeded();
  });
}

for (const type of ["SOCK_DGRAM", "SOCK_SEQPACKET"] as const) {
  const name = type === "SOCK_DGRAM" ? "UnixDatagram" : "UnixSeqpacket";
  const ways = type === "SOCK_DGRAM" ? DATAGRAM_WAYS : WAYS;
  for (const [way, receive] of Object.entries(ways)) {
    for (const descriptors of [1, 4, 253]) {
      test(
        `G140 ${name} ${way} takes messages without their descriptors, ${descriptors} in each`,
        { skip: unlessProgram("python3") },
        async () => {
          await withReceiver(type, descriptors, async (socket) => {
            const received = await receive(socket, MESSAGES.length);
            assertEquals(received, way.endsWith("size 0") ? ["", "", ""] : MESSAGES);
          });
        },
      );
    }
  }

  test(
    `G154 ${name}.close() releases the descriptors of messages that nobody received`,
    { skip: unlessProgram("python3") },
    async () => {
      await withTempSocketPath(async (path) => {
        using owner = type === "SOCK_DGRAM"
          ? UnixDatagram.bind(path)
          : UnixSeqpacketListener.listen(path);
        await using sender = python(SENDER, [path, type, 2, ...MESSAGES]);
        using socket = owner instanceof UnixDatagram ? owner : await owner.accept();
        await socket.receive();
        sender.tell();
        await sender.line();
        socket.close();
        sender.tell();
        assertEquals(await sender.line(), "closed");
        await sender.succeeded();
      });
    },
  );
}
