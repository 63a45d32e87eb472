import { Buffer } from "node:buffer";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { file, native } from "../../ffi/mod.ts";
import {
  Fd,
  type FdLike,
  peerCredentials,
  peerGroups,
  peerPidfd,
  peerSecurityContext,
  type Socket,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { freshName, joined, python } from "../support/interop.ts";
import { assertFails, unlessProgram } from "../support/mod.ts";
import { withRawSocket } from "../support/raw.ts";
import { assertAllRefuse } from "../support/refusals.ts";
import { groupsOf, OWN, pidOf, STRANGER, unlessOthers, Visitor } from "../support/visitor.ts";

const UNNAMED = { kind: "unnamed" } as const;
const python3 = { skip: unlessProgram("python3") };
const others = { skip: unlessOthers };

/** All that the kernel tells of a peer, by the methods of its socket. */
function byMethods(socket: Socket) {
  using pidfd = socket.peerPidfd();
  const pid = pidfd && pidOf(pidfd);
  return { credentials: socket.peerCredentials(), groups: socket.peerGroups(), pid };
}

/** The same by the functions. */
function byFunctions(socket: FdLike) {
  using pidfd = peerPidfd(socket);
  const pid = pidfd && pidOf(pidfd);
  return { credentials: peerCredentials(socket), groups: peerGroups(socket), pid };
}

/** Asserts that each way to ask has the same answer. */
function assertPeer(socket: Socket, expected: ReturnType<typeof byMethods>): void {
  assertEquals(byMethods(socket), expected);
  for (const way of [socket, socket.fd, { fd: socket.fd }]) {
    assertEquals(byFunctions(way), expected);
  }
}

const NOBODY = { credentials: null, groups: null, pid: null };
const MYSELF = { credentials: OWN, groups: groupsOf("self"), pid: process.pid };

const KINDS = [
  ["UnixStream", "SOCK_STREAM", UnixListener],
  ["UnixSeqpacket", "SOCK_SEQPACKET", UnixSeqpacketListener],
] as const;

for (const [name, type, listeners] of KINDS) {
  test(
    `H164 ${name}: an accepted one's peer, asked in each way, is the process that connected`,
    python3,
    async () => {
      using listener = listeners.listen(UNNAMED);
      await using visitor = new Visitor(type);
      await visitor.visit(listener.addr);
      using socket = await listener.accept();
      const credentials = { ...OWN, pid: visitor.pid };
      assertPeer(socket, { credentials, groups: groupsOf(visitor.pid), pid: visitor.pid });
    },
  );

  test(
    `H164 ${name}: an accepted one's peer keeps its ids and groups when it has ended`,
    others,
    async () => {
      using listener = listeners.listen(UNNAMED);
      await using visitor = new Visitor(type);
      const credentials = { pid: visitor.pid, uid: STRANGER, gid: 7 };
      await visitor.visit(listener.addr, { ...credentials, groups: [3, 5] });
      await visitor.peer.succeeded();
      using socket = await listener.accept();
      for (const way of [socket, socket.fd]) {
        assertEquals(peerCredentials(way), credentials);
        assertEquals(peerGroups(way), [3, 5]);
      }
    },
  );

  test(
    `H166 ${name}: the peer has the effective ids and the groups of when it connected`,
    others,
    async () => {
      using listener = listeners.listen(UNNAMED);
      await using visitor = new Visitor(type);
      await visitor.visit(listener.addr, { uid: STRANGER, gid: 12, groups: [2, 4, 4_000_000_000] });
      await visitor.visit(listener.addr, { uid: 0xffff_fffe, gid: 0xffff_fffe, groups: [] });
      await visitor.visit(listener.addr);
      const expected = [
        [STRANGER, 12, [2, 4, 4_000_000_000]],
        [0xffff_fffe, 0xffff_fffe, []],
        [OWN.uid, OWN.gid, groupsOf("self")],
      ] as const;
      for (const [uid, gid, groups] of expected) {
        using socket = await listener.accept();
        const { pid } = visitor;
        assertPeer(socket, { credentials: { pid, uid, gid }, groups: [...groups], pid });
      }
    },
  );
}

test(
  "H166 UnixStream.peerGroups() has all groups, however many, up to as many as there can be",
  others,
  async () => {
    using listener = UnixListener.listen(UNNAMED);
    await using visitor = new Visitor();
    for (const count of [0, 1, 31, 32, 33, 128, 129, 65_536]) {
      const groups = Array.from({ length: count }, (_, i) => 1000 + i);
      await visitor.visit(listener.addr, { groups });
      using stream = await listener.accept();
      assertEquals(stream.peerGroups(), groups);
    }
  },
);

test(
  "H164 UnixStream: a client's peer is the process that called listen, as it was at its last call",
  others,
  async () => {
    const name = freshName();
    await using server = python(
      `
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(bytes.fromhex(args[0]))
    def listen(uid, gid, groups):
        os.setgroups(groups)
        os.setegid(gid)
        os.seteuid(uid)
        listener.listen(8)
        os.seteuid(0)
        os.setegid(0)
        os.setgroups([])
        say("listening")
        hear()
    listen(${STRANGER}, 21, [22, 23])
    listen(${STRANGER - 1}, 31, [])
    `,
      [joined([0], name)],
    );
    const { pid } = server;
    await server.line();
    using first = await UnixStream.connect(`\0${name}`);
    const asFirst = { credentials: { pid, uid: STRANGER, gid: 21 }, groups: [22, 23], pid };
    assertPeer(first, asFirst);
    server.tell();
    await server.line();
    using second = await UnixStream.connect(`\0${name}`);
    assertPeer(second, { credentials: { pid, uid: STRANGER - 1, gid: 31 }, groups: [], pid });
    assertPeer(first, asFirst);
    server.tell();
    await server.succeeded();
  },
);

for (const [name, , listeners] of KINDS) {
  test(`H164 ${name}: a client's peer is this process, which listens, also after it closed`, async () => {
    using listener = listeners.listen(UNNAMED);
    using client = await (name === "UnixStream" ? UnixStream : UnixSeqpacket)
      .connect(listener.addr);
    using server = await listener.accept();
    assertPeer(client, MYSELF);
    server.close();
    listener.close();
    assertPeer(client, MYSELF);
  });
}

test("H164 each end of a pair has its creator for a peer", () => {
  for (const pair of [UnixStream.pair(), UnixDatagram.pair(), UnixSeqpacket.pair()]) {
    using first = pair[0];
    using second = pair[1];
    assertPeer(first, MYSELF);
    assertPeer(second, MYSELF);
  }
});

test("H167 sockets that are not connected, and datagram sockets that are, have no peer", async () => {
  await withRawSocket("SOCK_STREAM", async (stream) => {
    assertEquals(byFunctions(stream), NOBODY);
    using adopted = UnixStream.fromFd(file.duplicate(stream));
    assertPeer(adopted, NOBODY);
    await withRawSocket("SOCK_SEQPACKET", (seqpacket) => {
      assertEquals(byFunctions(seqpacket), NOBODY);
    });
  });
  using bound = UnixDatagram.bind(UNNAMED);
  using connected = UnixDatagram.unbound();
  assertPeer(bound, NOBODY);
  assertPeer(connected, NOBODY);
  connected.connect(bound.localAddr);
  assertPeer(connected, NOBODY);
});

// What the kernel does not know

/** Runs a body while an option has a number that no kernel knows. */
function withoutOption(name: string, body: () => void): void {
  const options = native().abi.linux as unknown as Record<string, number>;
  const number = options[name]!;
  options[name] = 0x7fff;
  try {
    body();
  } finally {
    options[name] = number;
  }
}

test("H184 what the kernel cannot tell fails with ENOPROTOOPT", () => {
  const [a, b] = UnixStream.pair();
  const asks: [string, string, () => unknown][] = [
    ["SO_PEERGROUPS", "getsockopt", () => a.peerGroups()],
    ["SO_PEERPIDFD", "getsockopt", () => a.peerPidfd()],
    ["SO_PEERSEC", "getsockopt", () => a.peerSecurityContext()],
    ["SO_PASSPIDFD", "getsockopt", () => a.passPidfd],
    ["SO_PASSPIDFD", "setsockopt", () => a.passPidfd = true],
    ["SO_PASSSEC", "setsockopt", () => a.passSecurityContext = true],
    ["SO_PASSRIGHTS", "getsockopt", () => a.passDescriptors],
    ["SO_PASSRIGHTS", "setsockopt", () => a.passDescriptors = false],
  ];
  for (const [option, syscall, ask] of asks) {
    withoutOption(option, () => {
      const error = assertThrows(ask, UnixSocketError, "ENOPROTOOPT");
      assertEquals([error.code, error.syscall], ["ENOPROTOOPT", syscall]);
    });
  }
  a.close();
  b.close();
});

test("H184 peerSecurityContext() is a text, or ENOPROTOOPT where no security module runs", () => {
  const [a, b] = UnixStream.pair();
  let context: string | null = "";
  try {
    context = a.peerSecurityContext();
  } catch (error) {
    assertEquals((error as UnixSocketError).code, "ENOPROTOOPT");
    context = null;
  }
  assertNotEquals(context, "");
  a.close();
  b.close();
});

test(
  "peerSecurityContext() is what stands before the first NUL, of any length",
  others,
  async () => {
    using listener = UnixListener.listen(UNNAMED);
    await using visitor = new Visitor();
    // The groups of a peer are bytes of any length too: numbers in rising order that spell a text.
    const words = Array.from({ length: 500 }, (_, i) => `${1000 + i}`);
    const numbers = words.map((word) => Buffer.from(word).readUInt32LE()).sort((x, y) => x - y);
    const text = Buffer.from(Uint32Array.from(numbers).buffer).toString();
    // "zz", a NUL, and one more byte, which makes it the last.
    await visitor.visit(listener.addr, { groups: [...numbers, 0x7f00_7a7a] });
    using stream = await listener.accept();
    const options = native().abi.linux as unknown as Record<string, number>;
    const number = options["SO_PEERSEC"]!;
    options["SO_PEERSEC"] = options["SO_PEERGROUPS"]!;
    try {
      assertEquals(stream.peerSecurityContext(), `${text}zz`);
      assertEquals(peerSecurityContext(stream.fd), `${text}zz`);
    } finally {
      options["SO_PEERSEC"] = number;
    }
  },
);

// Sockets that cannot be asked

const METHODS = ["peerCredentials", "peerGroups", "peerPidfd", "peerSecurityContext"] as const;
const FUNCTIONS = { peerCredentials, peerGroups, peerPidfd, peerSecurityContext };

test("a closed socket has no peer to ask about: EBADF", async () => {
  const [a, b] = UnixStream.pair();
  a.close();
  b.close();
  for (const method of METHODS) {
    for (const ask of [() => a[method](), () => FUNCTIONS[method](a)]) {
      const error = await assertFails(ask, "EBADF", "getsockopt");
      assert(error.message.includes("closed"), error.message);
    }
    await assertFails(() => FUNCTIONS[method](-1), "EBADF", "getsockopt");
    await assertFails(() => FUNCTIONS[method](999_999), "EBADF", "getsockopt");
  }
});

test("what is no socket has no peer to ask about: ENOTSOCK", async () => {
  using file = Fd.open("/dev/null");
  for (const ask of Object.values(FUNCTIONS)) {
    await assertFails(() => ask(file.fd), "ENOTSOCK", "getsockopt");
    await assertFails(() => ask(file), "ENOTSOCK", "getsockopt");
  }
});

test("what has no descriptor is refused before any system call", async () => {
  const noSockets = [null, undefined, "3", true, 3n, {}, [], { fd: "3" }, { fd: null }, () => 3];
  await assertAllRefuse(TypeError, noSockets, FUNCTIONS);
  const noNumbers = [1.5, NaN, -2, 2 ** 31, Infinity, { fd: 0.5 }];
  await assertAllRefuse(RangeError, noNumbers, FUNCTIONS);
});
