import process from "node:process";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { cmsg, native } from "../../ffi/mod.ts";
import { MessageBlock } from "../../ffi/libc/message_block.ts";
import {
  type Credentials,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { addressBytes, python } from "../support/interop.ts";
import { bytes, readText, text, unlessProgram } from "../support/mod.ts";
import { STRANGER, unlessOthers, Visitor } from "../support/visitor.ts";

const UNNAMED = { kind: "unnamed" } as const;
const python3 = { skip: unlessProgram("python3") };
const others = { skip: unlessOthers };

/** What the kernel stamps on messages of this process: the real ids. */
const STAMP = { pid: process.pid, uid: process.getuid!(), gid: process.getgid!() };

const PAIRS = {
  UnixStream: () => UnixStream.pair(),
  UnixDatagram: () => UnixDatagram.pair(),
  UnixSeqpacket: () => UnixSeqpacket.pair(),
};

type Sending = { credentials?: boolean | Partial<Credentials> };

for (const [name, pair] of Object.entries(PAIRS)) {
  test(`H169 ${name}: credentials are this process's own, given in each way or not at all, and equal on receipt`, async () => {
    const [sender, receiver] = pair();
    receiver.passCredentials = true;
    const { pid, uid, gid } = STAMP;
    const ways: Sending[] = [
      {},
      { credentials: false },
      { credentials: true },
      { credentials: {} },
      { credentials: { pid } },
      { credentials: { uid } },
      { credentials: { gid } },
      { credentials: { pid, uid, gid } },
    ];
    for (const way of ways) {
      await sender.sendMessage(bytes("async"), way);
      using first = await receiver.receiveMessage();
      assertEquals(first?.credentials, STAMP);
      assertEquals(text(first!.data), "async");
      sender.sendMessageSync(bytes("sync"), way);
      using second = receiver.receiveMessageSync();
      assertEquals([second?.credentials, second?.controlTruncated], [STAMP, false]);
    }
    sender.close();
    receiver.close();
  });

  test(`H169 ${name}: credentials are null where the receiver did not ask, even if they were sent`, async () => {
    const [sender, receiver] = pair();
    assertEquals(receiver.passCredentials, false);
    for (const credentials of [true, STAMP, false]) {
      await sender.sendMessage(bytes("x"), { credentials });
      using message = await receiver.receiveMessage();
      assertEquals([message?.credentials, message?.controlTruncated], [null, false]);
    }
    receiver.passCredentials = true;
    assertEquals(receiver.passCredentials, true);
    receiver.passCredentials = false;
    await sender.sendMessage(bytes("x"), { credentials: true });
    using message = await receiver.receiveMessage();
    assertEquals(message?.credentials, null);
    sender.close();
    receiver.close();
  });

  test(`H169 ${name}: credentials come along with descriptors, the same descriptors`, async () => {
    const [sender, receiver] = pair();
    receiver.passCredentials = true;
    const [a, b] = UnixStream.pair();
    await sender.sendMessage(bytes("x"), { credentials: true, fds: [a, a] });
    using message = (await receiver.receiveMessage())!;
    assertEquals(message.credentials, STAMP);
    assertEquals(message.fds.length, 2);
    message.fds[1]!.writeSync(bytes("through"));
    assertEquals(await readText(b), "through");
    for (const each of [a, b, sender, receiver]) each.close();
  });

  test(`H169 ${name}: what was queued before the receiver asked has credentials only where it was sent with them`, async () => {
    const [sender, receiver] = pair();
    await sender.sendMessage(bytes("early"));
    await sender.sendMessage(bytes("explicit"), { credentials: true });
    receiver.passCredentials = true;
    using early = await receiver.receiveMessage();
    assertEquals([text(early!.data), early?.credentials], ["early", null]);
    using explicit = await receiver.receiveMessage();
    assertEquals([text(explicit!.data), explicit?.credentials], ["explicit", STAMP]);
    await sender.sendMessage(bytes("late"));
    using late = await receiver.receiveMessage();
    assertEquals([text(late!.data), late?.credentials], ["late", STAMP]);
    sender.close();
    receiver.close();
  });
}

// Other processes

test(
  "H169 Python receives the credentials of this process, explicit or not, and none unasked",
  python3,
  async () => {
    using listener = UnixListener.listen(UNNAMED);
    await using peer = python(
      `
    client = connected(bytes.fromhex(args[0]))
    def receive():
        data, control, _, _ = client.recvmsg(100, 100)
        found = [[level, kind, list(struct.unpack("=iII", payload))] for level, kind, payload in control]
        say(json.dumps([data.decode(), found]))
    receive()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    say("asked")
    receive()
    say("again")
    receive()
    `,
      [addressBytes(listener.addr)],
    );
    using stream = await listener.accept();
    await stream.sendMessage(bytes("unasked"), { credentials: true });
    assertEquals(await peer.json(), ["unasked", []]);
    assertEquals(await peer.line(), "asked");
    const { SOL_SOCKET } = native().abi.constants;
    const { SCM_CREDENTIALS } = native().abi.linux!;
    const found = [[SOL_SOCKET, SCM_CREDENTIALS, [STAMP.pid, STAMP.uid, STAMP.gid]]];
    await stream.sendMessage(bytes("explicit"), { credentials: true });
    assertEquals(await peer.json(), ["explicit", found]);
    assertEquals(await peer.line(), "again");
    await stream.writeAll(bytes("plain"));
    assertEquals(await peer.json(), ["plain", found]);
    await peer.succeeded();
  },
);

/** Two processes write through one connection, one after the other. */
const TWO_WRITERS = `
client = connected(bytes.fromhex(args[0]))
hear()
client.sendall(b"parent ")
child = os.fork()
if child == 0:
    client.sendall(b"child ")
    client.sendall(b"once more ")
    os._exit(0)
os.waitpid(child, 0)
client.sendall(b"parent again")
say(json.dumps([os.getpid(), child]))
hear()
`;

test(
  "H172 bytes of two processes on one stream come apart, each with its writer, where passCredentials is on",
  python3,
  async () => {
    using listener = UnixListener.listen(UNNAMED);
    await using peer = python(TWO_WRITERS, [addressBytes(listener.addr)]);
    using stream = await listener.accept();
    stream.passCredentials = true;
    peer.tell();
    const [parent, child] = await peer.json<[number, number]>();
    const received: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      using message = (await stream.receiveMessage())!;
      received.push([text(message.data), message.credentials?.pid]);
    }
    assertEquals(received, [
      ["parent ", parent],
      ["child once more ", child],
      ["parent again", parent],
    ]);
    peer.tell();
    await peer.succeeded();
  },
);

test(
  "H172 UnixStream.read() keeps the bytes of two processes apart too where passCredentials is on",
  python3,
  async () => {
    using listener = UnixListener.listen(UNNAMED);
    await using peer = python(TWO_WRITERS, [addressBytes(listener.addr)]);
    using stream = await listener.accept();
    stream.passCredentials = true;
    peer.tell();
    await peer.line();
    const received = [await readText(stream), await readText(stream), await readText(stream)];
    assertEquals(received, ["parent ", "child once more ", "parent again"]);
    peer.tell();
    await peer.succeeded();
  },
);

test(
  "H172 bytes of two processes on one stream come together where passCredentials is off",
  python3,
  async () => {
    using listener = UnixListener.listen(UNNAMED);
    await using peer = python(TWO_WRITERS, [addressBytes(listener.addr)]);
    using stream = await listener.accept();
    peer.tell();
    await peer.line();
    using message = (await stream.receiveMessage())!;
    assertEquals(text(message.data), "parent child once more parent again");
    assertEquals(message.credentials, null);
    peer.tell();
    await peer.succeeded();
  },
);

test(
  "H173 bytes of one process come apart where its real user changed in between, not where only the effective one did",
  others,
  async () => {
    using listener = UnixListener.listen(UNNAMED);
    await using peer = python(
      `
    client = connected(bytes.fromhex(args[0]))
    hear()
    client.sendall(b"A")
    os.setresuid(-1, ${STRANGER}, -1)
    client.sendall(b"B")
    os.setresuid(-1, 0, -1)
    os.setresuid(${STRANGER}, -1, -1)
    client.sendall(b"C")
    os.setresgid(${STRANGER}, -1, -1)
    client.sendall(b"D")
    say("sent")
    hear()
    `,
      [addressBytes(listener.addr)],
    );
    using stream = await listener.accept();
    stream.passCredentials = true;
    peer.tell();
    await peer.line();
    const received: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      using message = (await stream.receiveMessage())!;
      received.push([text(message.data), message.credentials]);
    }
    const { pid } = peer;
    const { gid } = STAMP;
    assertEquals(received, [
      ["AB", { pid, uid: 0, gid }],
      ["C", { pid, uid: STRANGER, gid }],
      ["D", { pid, uid: STRANGER, gid: STRANGER }],
    ]);
    peer.tell();
    await peer.succeeded();
  },
);

test("H175 credentials that found too little room are reported as missing, never as somebody else's", () => {
  const { abi } = native();
  const [sender, receiver] = UnixDatagram.pair();
  receiver.passCredentials = true;
  const whole = cmsg.spaceFor(abi, abi.layouts.ucred!.size);
  const block = new MessageBlock({ messages: 1, data: 16, control: whole });
  for (let room = 0; room <= whole; room++) {
    sender.sendSync(bytes("x"));
    assertEquals(block.receiveOne(receiver.fd, 0, room, 16), 1);
    const found = cmsg.parseControl(abi, block.control(0));
    const cut = (block.flags(0) & abi.constants.MSG_CTRUNC) !== 0 || found.malformed;
    const fits = room >= cmsg.lengthOf(abi, abi.layouts.ucred!.size);
    assertEquals(
      { room, ...found.credentials, cut },
      fits ? { room, ...STAMP, cut: false } : { room, cut: true },
    );
  }
  sender.close();
  receiver.close();
});

test(
  "H173 the credentials of a message are its sender's real ids, its peer's the effective ones",
  others,
  async () => {
    for (
      const [type, listeners] of [
        ["SOCK_STREAM", UnixListener],
        ["SOCK_SEQPACKET", UnixSeqpacketListener],
      ] as const
    ) {
      using listener = listeners.listen(UNNAMED);
      listener.passCredentials = true;
      await using visitor = new Visitor(type);
      await visitor.visit(listener.addr, { uid: STRANGER, gid: STRANGER, send: "hello" });
      using socket = await listener.accept();
      using message = (await socket.receiveMessage())!;
      assertEquals(socket.peerCredentials(), { pid: visitor.pid, uid: STRANGER, gid: STRANGER });
      assertEquals(message.credentials, { ...STAMP, pid: visitor.pid });
    }
  },
);
