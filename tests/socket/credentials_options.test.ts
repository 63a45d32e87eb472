import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { sockets } from "../../ffi/mod.ts";
import {
  abstract,
  ReceiveBatch,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  type UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { rawSocket } from "../support/listening.ts";
import { assertFails, bytes, text, unlessProgram } from "../support/mod.ts";
import { packedName, succeed } from "../support/raw.ts";
import { O_CLOEXEC, openFlags } from "../support/streams.ts";
import { assertLeavesNone, pidOf, Visitor } from "../support/visitor.ts";

const UNNAMED = { kind: "unnamed" } as const;
const python3 = { skip: unlessProgram("python3") };
const STAMP = { pid: process.pid, uid: process.getuid!(), gid: process.getgid!() };

const PAIRS = {
  UnixStream: () => UnixStream.pair(),
  UnixDatagram: () => UnixDatagram.pair(),
  UnixSeqpacket: () => UnixSeqpacket.pair(),
};

const LISTENERS = [
  ["UnixListener", "SOCK_STREAM", UnixListener],
  ["UnixSeqpacketListener", "SOCK_SEQPACKET", UnixSeqpacketListener],
] as const;

const OPTIONS = ["passCredentials", "passPidfd", "passSecurityContext", "passDescriptors"] as const;

for (const option of OPTIONS) {
  test(`${option} is switched on and off on every kind of socket, and each socket has its own`, () => {
    const initial = option === "passDescriptors";
    const [stream, other] = UnixStream.pair();
    const all = [
      ...[stream, UnixDatagram.unbound(), UnixListener.listen(UNNAMED)],
      ...[...UnixSeqpacket.pair(), UnixSeqpacketListener.listen(UNNAMED)],
    ];
    for (const socket of all) {
      assertEquals(socket[option], initial);
      for (const on of [!initial, initial, true, true, false, false]) {
        socket[option] = on;
        assertEquals(socket[option], on);
      }
    }
    assertEquals(other[option], initial);
    for (const socket of [...all, other]) socket.close();
  });

  test(`${option} takes true and false alone`, () => {
    const [a, b] = UnixStream.pair();
    const before = a[option];
    for (const wrong of [null, undefined, 0, 1, "true", {}, []]) {
      assertThrows(() => a[option] = wrong as unknown as boolean, TypeError);
    }
    assertEquals(a[option], before);
    a.close();
    b.close();
  });
}

for (const [name, type, listeners] of LISTENERS) {
  test(
    `H176 ${name}: what it passes is passed on to connections made since, from the first message on`,
    python3,
    async () => {
      using listener = listeners.listen(UNNAMED);
      listener.passCredentials = true;
      listener.passPidfd = true;
      await using visitor = new Visitor(type);
      await visitor.visit(listener.addr, { send: "sent before the accept" });
      using socket = await listener.accept();
      assertEquals([socket.passCredentials, socket.passPidfd], [true, true]);
      using message = (await socket.receiveMessage())!;
      assertEquals(text(message.data), "sent before the accept");
      assertEquals(message.credentials, { ...STAMP, pid: visitor.pid });
      assertEquals(pidOf(message.pidfd!), visitor.pid);
    },
  );

  test(
    `H176 ${name}: a connection of one that passes nothing passes nothing`,
    python3,
    async () => {
      using listener = listeners.listen(UNNAMED);
      await using visitor = new Visitor(type);
      await visitor.visit(listener.addr, { send: "hello" });
      using socket = await listener.accept();
      assertEquals(OPTIONS.map((option) => socket[option]), [false, false, false, true]);
      using message = (await socket.receiveMessage())!;
      assertEquals([message.credentials, message.pidfd, message.securityContext], [
        null,
        null,
        null,
      ]);
      assertEquals(message.controlTruncated, false);
    },
  );

  test(`H176 ${name}.passDescriptors = false holds for its connections: sending descriptors is EPERM, bytes go through`, async () => {
    using listener = listeners.listen(UNNAMED);
    listener.passDescriptors = false;
    const client = type === "SOCK_STREAM"
      ? await UnixStream.connect(listener.addr)
      : await UnixSeqpacket.connect(listener.addr);
    using socket = await listener.accept();
    assertEquals(socket.passDescriptors, false);
    const sending = () => client.sendMessage(bytes("fd"), { fds: [client] });
    await assertFails(sending, "EPERM", "sendmsg");
    await client.sendMessage(bytes("bytes"));
    using first = (await socket.receiveMessage())!;
    assertEquals([text(first.data), first.fds.length], ["bytes", 0]);
    // The other direction, and this one after another decision.
    await socket.sendMessage(bytes("back"), { fds: [socket] });
    using back = (await client.receiveMessage())!;
    assertEquals(back.fds.length, 1);
    socket.passDescriptors = true;
    await sending();
    using second = (await socket.receiveMessage())!;
    assertEquals(second.fds.length, 1);
    client.close();
  });
}

// Names that the kernel gives

for (const option of ["passCredentials", "passPidfd"] as const) {
  test(`H178 UnixDatagram.${option} gives a name to a socket that sends without one`, async () => {
    using receiver = UnixDatagram.bind(UNNAMED);
    using sender = UnixDatagram.unbound();
    sender[option] = true;
    await sender.sendTo(bytes("hello"), receiver.localAddr);
    const { from } = await receiver.receive();
    assertEquals(from.kind, "abstract");
    assertEquals(sender.localAddr, from);
    await receiver.sendTo(bytes("answer"), from);
    using answer = await sender.receiveMessage();
    assertEquals(text(answer.data), "answer");
  });

  test(`H178 UnixDatagram.${option} gives a name to a socket that connects without one`, () => {
    using receiver = UnixDatagram.bind(UNNAMED);
    using sender = UnixDatagram.unbound();
    sender[option] = true;
    sender.connect(receiver.localAddr);
    assertEquals(sender.localAddr.kind, "abstract");
  });

  test(`H178 UnixDatagram.localAddr, asked before, is the name that ${option} gave`, async () => {
    using receiver = UnixDatagram.bind(UNNAMED);
    using sender = UnixDatagram.unbound();
    assertEquals(sender.localAddr.kind, "unnamed");
    sender[option] = true;
    await sender.sendTo(bytes("hello"), receiver.localAddr);
    const { from } = await receiver.receive();
    assertEquals(sender.localAddr, from);
  });

  test(`H178 a stream that connects with ${option} gets a name, which its peer sees; a pair gets none`, async () => {
    using listener = UnixListener.listen(UNNAMED);
    const fd = rawSocket();
    const client = UnixStream.fromFd(fd);
    client[option] = true;
    assert(listener.addr.kind === "abstract");
    succeed(sockets.connect(fd, packedName(listener.addr.name)));
    using server = await listener.accept();
    assertEquals(client.localAddr.kind, "abstract");
    assertEquals(server.remoteAddr, client.localAddr);
    client.close();
    const [a, b] = UnixStream.pair();
    a[option] = true;
    a.writeSync(bytes("x"));
    assertEquals([a.localAddr.kind, b.remoteAddr.kind], ["unnamed", "unnamed"]);
    a.close();
    b.close();
  });

  test(`H178 ${option} leaves a socket the name that it has`, async () => {
    const own = abstract(`afunix-${crypto.randomUUID()}`);
    using receiver = UnixDatagram.bind(UNNAMED);
    using sender = UnixDatagram.bind(own);
    sender[option] = true;
    await sender.sendTo(bytes("hello"), receiver.localAddr);
    assertEquals((await receiver.receive()).from, own);
    assertEquals(sender.localAddr, own);
  });
}

// Pidfds of messages

for (const [name, pair] of Object.entries(PAIRS)) {
  test(`H181 ${name}.passPidfd: each message has a pidfd of its own, close-on-exec, of the one in its credentials`, async () => {
    const [sender, receiver] = pair();
    receiver.passPidfd = true;
    await sender.sendMessage(bytes("pidfd alone"));
    using alone = (await receiver.receiveMessage())!;
    assertEquals([alone.credentials, alone.controlTruncated], [null, false]);
    assertEquals(pidOf(alone.pidfd!), process.pid);
    assert((openFlags(alone.pidfd!.fd) & O_CLOEXEC) !== 0);
    receiver.passCredentials = true;
    sender.sendMessageSync(bytes("both"), { fds: [sender] });
    using both = receiver.receiveMessageSync()!;
    assertEquals([both.credentials, both.controlTruncated], [STAMP, false]);
    assertEquals([pidOf(both.pidfd!), both.fds.length], [process.pid, 1]);
    assertNotEquals(both.pidfd!.fd, alone.pidfd!.fd);
    sender.close();
    receiver.close();
  });

  test(`H181 ${name}: a pidfd that was taken outlives its message, one that was not is closed with it`, async () => {
    const [sender, receiver] = pair();
    receiver.passPidfd = true;
    await sender.sendMessage(bytes("x"));
    const message = (await receiver.receiveMessage())!;
    using taken = message.takePidfd()!;
    assertEquals([message.pidfd, message.takePidfd()], [null, null]);
    message.close();
    assertEquals(pidOf(taken), process.pid);
    await sender.sendMessage(bytes("x"));
    const second = (await receiver.receiveMessage())!;
    const { pidfd } = second;
    second.close();
    assert(pidfd!.closed);
    sender.close();
    receiver.close();
  });

  test(`H182 ${name}: receiveMessage() with all that can come along leaves no descriptor behind`, async () => {
    const [sender, receiver] = pair();
    receiver.passCredentials = receiver.passPidfd = receiver.passSecurityContext = true;
    const fds = Array.from({ length: 253 }, () => sender);
    await assertLeavesNone(async () => {
      for (const maxFds of [0, 1, 252, 253]) {
        await sender.sendMessage(bytes("x"), { fds, credentials: true });
        using message = (await receiver.receiveMessage({ maxFds }))!;
        assertEquals(message.credentials, STAMP);
        assertEquals(pidOf(message.pidfd!), process.pid);
        assertEquals([message.fds.length, message.controlTruncated], [maxFds, maxFds < 253]);
      }
    });
    sender.close();
    receiver.close();
  });
}

/** Every way to receive that is not `receiveMessage`. */
const MESSAGE_WAYS: Record<string, (socket: UnixDatagram | UnixSeqpacket) => unknown> = {
  "receive()": (socket) => socket.receive(),
  "receiveSync()": (socket) => socket.receiveSync(),
  "peek()": async (socket) => [await socket.peek(), socket.peekSync(), await socket.receive()],
  "receiveMany()": (socket) => socket.receiveMany(new ReceiveBatch()),
  "receiveManySync()": (socket) => socket.receiveManySync(new ReceiveBatch({ messages: 1 })),
};

for (const name of ["UnixDatagram", "UnixSeqpacket"] as const) {
  for (const [way, receive] of Object.entries(MESSAGE_WAYS)) {
    for (const options of [["passPidfd"], ["passPidfd", "passCredentials"]] as const) {
      test(`H182 ${name} ${way} lets no pidfd in, with ${options.join(" and ")}`, async () => {
        const [sender, receiver] = PAIRS[name]();
        for (const option of options) receiver[option] = true;
        await assertLeavesNone(async () => {
          for (const data of ["", "x", "a longer one"]) {
            await sender.sendMessage(bytes(data));
            await receive(receiver);
          }
        });
        sender.close();
        receiver.close();
      });
    }
  }
}

test("H182 UnixStream lets no pidfd in by read(), peek(), iteration or its web stream", async () => {
  const [sender, receiver] = UnixStream.pair();
  receiver.passPidfd = receiver.passCredentials = true;
  await assertLeavesNone(async () => {
    const buffer = new Uint8Array(8);
    await sender.writeAll(bytes("12345678"));
    await receiver.peek(buffer);
    receiver.peekSync(buffer);
    assertEquals(await receiver.read(buffer), 8);
    await sender.writeAll(bytes("iteration"));
    for await (const chunk of receiver) {
      assertEquals(text(chunk), "iteration");
      break;
    }
    await sender.writeAll(bytes("web stream"));
    const reader = receiver.readable.getReader();
    assertEquals(text((await reader.read()).value!), "web stream");
  });
  sender.close();
  receiver.close();
});

test("H184 passSecurityContext: a message has the context that peerSecurityContext() has, or null where no module runs", async () => {
  const [sender, receiver] = UnixStream.pair();
  receiver.passSecurityContext = true;
  let expected: string | null = null;
  try {
    expected = receiver.peerSecurityContext();
  } catch (error) {
    assertEquals((error as UnixSocketError).code, "ENOPROTOOPT");
  }
  await sender.sendMessage(bytes("x"));
  using message = (await receiver.receiveMessage())!;
  assertEquals([message.securityContext, message.controlTruncated], [expected, false]);
  sender.close();
  receiver.close();
});
