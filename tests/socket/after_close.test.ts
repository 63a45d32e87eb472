import { assert, assertEquals, assertMatch } from "@std/assert";
import { test } from "node:test";
import {
  Fd,
  formatAddress,
  ReceiveBatch,
  type Socket,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { file } from "../../ffi/mod.ts";
import {
  assertFails,
  bytes,
  openDescriptors,
  readText,
  withSocketPair,
  withTempSocketPath,
} from "../support/mod.ts";
import { closeEach, leavesNothing } from "../support/passing.ts";
import { callsMade } from "../support/raw.ts";
import { BUFFER } from "../support/refusals.ts";
import type { Handle } from "../support/waits.ts";

/** A member of a class, or a use of one: what its error says, and how to get that. */
type Members<T> = Record<string, [action: string, syscall: string, use: (object: T) => unknown]>;

/** How an object that is open is made, with its peer, and all that can be done with it. */
interface Row<T extends Handle> {
  make(): [object: T, ...others: { close(): void }[]];
  members: Members<T>;
}

const NOTHING = new Uint8Array(0);

const SOCKET: Members<Socket> = {
  localAddr: ["read the address", "getsockname", (socket) => socket.localAddr],
  sendBufferSize: ["read the send buffer size", "getsockopt", (socket) => socket.sendBufferSize],
  "set sendBufferSize": [
    "set the send buffer size",
    "setsockopt",
    (socket) => socket.sendBufferSize = 5000,
  ],
  receiveBufferSize: [
    "read the receive buffer size",
    "getsockopt",
    (socket) => socket.receiveBufferSize,
  ],
  "set receiveBufferSize": [
    "set the receive buffer size",
    "setsockopt",
    (socket) => socket.receiveBufferSize = 5000,
  ],
  bytesReadable: ["count the readable bytes", "ioctl", (socket) => socket.bytesReadable],
  bytesUnsent: ["count the unsent bytes", "ioctl", (socket) => socket.bytesUnsent],
  peekOffset: ["read the peek offset", "getsockopt", (socket) => socket.peekOffset],
  "set peekOffset": ["set the peek offset", "setsockopt", (socket) => socket.peekOffset = 0],
  ...passing("passCredentials", "credentials"),
  ...passing("passPidfd", "pidfds"),
  ...passing("passSecurityContext", "security contexts"),
  ...passing("passDescriptors", "descriptors"),
  peerCredentials: [
    "read the peer's credentials",
    "getsockopt",
    (socket) => socket.peerCredentials(),
  ],
  peerGroups: ["read the peer's groups", "getsockopt", (socket) => socket.peerGroups()],
  peerPidfd: ["get a pidfd of the peer", "getsockopt", (socket) => socket.peerPidfd()],
  peerSecurityContext: [
    "read the peer's security context",
    "getsockopt",
    (socket) => socket.peerSecurityContext(),
  ],
  shutdown: ["shut down", "shutdown", (socket) => socket.shutdown("both")],
  intoFd: ["give away the descriptor", "fcntl", (socket) => socket.intoFd()],
};

function passing(
  option: "passCredentials" | "passPidfd" | "passSecurityContext" | "passDescriptors",
  what: string,
): Members<Socket> {
  return {
    [option]: [`read the passing of ${what}`, "getsockopt", (socket) => socket[option]],
    [`set ${option}`]: [
      `set the passing of ${what}`,
      "setsockopt",
      (socket) => socket[option] = true,
    ],
  };
}

const CONNECTED: Members<UnixStream | UnixDatagram | UnixSeqpacket> = {
  ...SOCKET,
  remoteAddr: ["read the address", "getpeername", (socket) => socket.remoteAddr],
  sendMessage: ["send", "sendmsg", (socket) => socket.sendMessage(BUFFER)],
  sendMessageSync: ["send", "sendmsg", (socket) => socket.sendMessageSync(BUFFER)],
  receiveMessage: ["receive", "recvmsg", (socket) => socket.receiveMessage()],
  receiveMessageSync: ["receive", "recvmsg", (socket) => socket.receiveMessageSync()],
};

const MESSAGES: Members<UnixDatagram | UnixSeqpacket> = {
  ...CONNECTED,
  send: ["send", "send", (socket) => socket.send(BUFFER)],
  "send, not waiting": ["send", "send", (socket) => socket.send(BUFFER, { dontWait: true })],
  sendSync: ["send", "send", (socket) => socket.sendSync(BUFFER)],
  sendMany: ["send", "sendmmsg", (socket) => socket.sendMany([BUFFER])],
  sendManySync: ["send", "sendmmsg", (socket) => socket.sendManySync([BUFFER])],
  receive: ["receive", "recvmsg", (socket) => socket.receive()],
  receiveSync: ["receive", "recvmsg", (socket) => socket.receiveSync()],
  peek: ["receive", "recvmsg", (socket) => socket.peek()],
  peekSync: ["receive", "recvmsg", (socket) => socket.peekSync()],
  receiveMany: ["receive", "recvmmsg", (socket) => socket.receiveMany(new ReceiveBatch())],
  receiveManySync: [
    "receive",
    "recvmmsg",
    (socket) => socket.receiveManySync(new ReceiveBatch()),
  ],
};

const LISTENER: Members<UnixListener | UnixSeqpacketListener> = {
  ...SOCKET,
  addr: ["read the address", "getsockname", (listener) => listener.addr],
  accept: ["accept a connection", "accept4", (listener) => listener.accept()],
  acceptSync: ["accept a connection", "accept4", (listener) => listener.acceptSync()],
};

const FD: Members<Fd> = {
  read: ["read", "read", (fd) => fd.read(BUFFER)],
  readSync: ["read", "read", (fd) => fd.readSync(BUFFER)],
  "read into nothing": ["read", "read", (fd) => fd.read(NOTHING)],
  "readSync into nothing": ["read", "read", (fd) => fd.readSync(NOTHING)],
  write: ["write", "write", (fd) => fd.write(BUFFER)],
  writeSync: ["write", "write", (fd) => fd.writeSync(BUFFER)],
  writeAll: ["write", "write", (fd) => fd.writeAll(BUFFER)],
  writeAllSync: ["write", "write", (fd) => fd.writeAllSync(BUFFER)],
  waitReadable: ["wait", "poll", (fd) => fd.waitReadable()],
  waitReadableSync: ["wait", "poll", (fd) => fd.waitReadableSync()],
  waitWritable: ["wait", "poll", (fd) => fd.waitWritable()],
  waitWritableSync: ["wait", "poll", (fd) => fd.waitWritableSync()],
  nonBlocking: ["get the status", "fcntl", (fd) => fd.nonBlocking],
  pread: ["read", "pread", (fd) => fd.pread(BUFFER, 0)],
  preadSync: ["read", "pread", (fd) => fd.preadSync(BUFFER, 0)],
  pwrite: ["write", "pwrite", (fd) => fd.pwrite(BUFFER, 0)],
  pwriteSync: ["write", "pwrite", (fd) => fd.pwriteSync(BUFFER, 0)],
  seek: ["seek", "lseek", (fd) => fd.seek(0)],
  truncate: ["truncate", "ftruncate", (fd) => fd.truncate(0)],
  sync: ["sync", "fsync", (fd) => fd.sync()],
  syncSync: ["sync", "fsync", (fd) => fd.syncSync()],
  "syncSync of the data": ["sync", "fdatasync", (fd) => fd.syncSync({ dataOnly: true })],
  stat: ["get the status", "statx", (fd) => fd.stat()],
  kind: ["get the status", "statx", (fd) => fd.kind],
  addSeals: ["seal", "fcntl", (fd) => fd.addSeals({ seal: true })],
  seals: ["read the seals", "fcntl", (fd) => fd.seals],
  dup: ["duplicate", "fcntl", (fd) => fd.dup()],
  intoFd: ["give the descriptor away", "fcntl", (fd) => fd.intoFd()],
};

const UNNAMED = { kind: "unnamed" } as const;

const ROWS: Record<string, Row<Handle>> = {
  UnixStream: row<UnixStream>(() => UnixStream.pair(), {
    ...CONNECTED,
    read: ["read", "recv", (stream) => stream.read(BUFFER)],
    readSync: ["read", "recv", (stream) => stream.readSync(BUFFER)],
    peek: ["read", "recv", (stream) => stream.peek(BUFFER)],
    peekSync: ["read", "recv", (stream) => stream.peekSync(BUFFER)],
    write: ["write", "send", (stream) => stream.write(BUFFER)],
    writeSync: ["write", "send", (stream) => stream.writeSync(BUFFER)],
    writeAll: ["write", "send", (stream) => stream.writeAll(BUFFER)],
    writeAllSync: ["write", "send", (stream) => stream.writeAllSync(BUFFER)],
    "read into nothing": ["read", "recv", (stream) => stream.read(NOTHING)],
    "readSync into nothing": ["read", "recv", (stream) => stream.readSync(NOTHING)],
    "peek into nothing": ["read", "recv", (stream) => stream.peek(NOTHING)],
    "peekSync into nothing": ["read", "recv", (stream) => stream.peekSync(NOTHING)],
    "write of nothing": ["write", "send", (stream) => stream.write(NOTHING)],
    "writeSync of nothing": ["write", "send", (stream) => stream.writeSync(NOTHING)],
    "writeAll of nothing": ["write", "send", (stream) => stream.writeAll(NOTHING)],
    "writeAllSync of nothing": ["write", "send", (stream) => stream.writeAllSync(NOTHING)],
    sendOutOfBand: ["send out of band", "send", (stream) => stream.sendOutOfBand(33)],
    takeOutOfBand: ["receive out of band", "recv", (stream) => stream.takeOutOfBand()],
    closeWrite: ["shut down", "shutdown", (stream) => stream.closeWrite()],
  }),
  UnixSeqpacket: row<UnixSeqpacket>(() => UnixSeqpacket.pair(), {
    ...MESSAGES,
    closeWrite: ["shut down", "shutdown", (socket) => socket.closeWrite()],
  }),
  UnixDatagram: row<UnixDatagram>(() => UnixDatagram.pair(), {
    ...MESSAGES,
    sendTo: ["send", "sendto", (socket) => socket.sendTo(BUFFER, "/somewhere")],
    sendToSync: ["send", "sendto", (socket) => socket.sendToSync(BUFFER, "/somewhere")],
    receiveInto: ["receive", "recvfrom", (socket) => socket.receiveInto(BUFFER)],
    receiveIntoSync: ["receive", "recvfrom", (socket) => socket.receiveIntoSync(BUFFER)],
    connect: ["connect", "connect", (socket) => socket.connect("/somewhere")],
    disconnect: ["disconnect", "connect", (socket) => socket.disconnect()],
  }),
  UnixListener: row<UnixListener>(() => [UnixListener.listen(UNNAMED)], LISTENER),
  UnixSeqpacketListener: row<UnixSeqpacketListener>(
    () => [UnixSeqpacketListener.listen(UNNAMED)],
    LISTENER,
  ),
  Fd: row<Fd>(() => Fd.pipe(), FD),
  "a received Fd": row<Fd>(() => {
    const [sender, receiver] = UnixStream.pair();
    const [reader, writer] = Fd.pipe();
    sender.sendMessageSync(BUFFER, { fds: [reader] });
    const [fd] = receiver.receiveMessageSync()!.takeFds();
    return [fd!, sender, receiver, reader, writer];
  }, FD),
};

function row<T extends Handle>(make: Row<T>["make"], members: Members<T>): Row<Handle> {
  return { make, members } as unknown as Row<Handle>;
}

/** What stays, or is tested below. */
const STAYING = ["fd", "closed", "close", "ref", "unref"];
const STAYING_OF: Record<string, string[]> = {
  UnixStream: ["hungUp", "bytesRead", "bytesWritten", "readable", "writable"],
  UnixSeqpacket: ["hungUp", "readable", "writable"],
  UnixDatagram: ["hungUp", "readable", "writable"],
  UnixListener: ["hungUp", "refused"],
  UnixSeqpacketListener: ["hungUp", "refused"],
  Fd: ["readable", "writable"],
};
/** What is there for the classes that derive from Socket. */
const PROTECTED = [
  ...["assertOpen", "readAddress", "getOption", "setOption", "closing"],
  ...["endIsEmpty", "batchQueue"],
  ...["receivePlain", "receivePlainSync", "receiveAncillary", "receiveAncillarySync"],
];

/** The public names of an object's class, inherited ones too. */
function membersOf(object: object): string[] {
  const names = new Set<string>();
  for (
    let at = Object.getPrototypeOf(object);
    at !== Object.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    for (
      const [name, { get, set, value }] of Object.entries(Object.getOwnPropertyDescriptors(at))
    ) {
      if (name === "constructor" || PROTECTED.includes(name)) continue;
      if (get !== undefined || value !== undefined) names.add(name);
      if (set !== undefined) names.add(`set ${name}`);
    }
  }
  return [...names];
}

for (const [name, { make, members }] of Object.entries(ROWS)) {
  for (const end of ["close", "intoFd"] as const) {
    test(`L223 every member of ${name} fails with EBADF after ${end}(), without a system call`, () =>
      leavesNothing(async () => {
        const [object, ...others] = make();
        const { fd } = object;
        const number = object[end]();
        assertEquals([object.fd, object.closed], [-1, true]);
        for (const [member, [action, syscall, use]] of Object.entries(members)) {
          const calls = await callsMade(async () => {
            const { message, errno } = await assertFails(() => use(object), "EBADF", syscall)
              .catch((cause) => {
                throw new Error(`${member}: ${cause.message}`, { cause });
              });
            assertEquals(errno, 9, member);
            const [before, after] = message.split(": EBADF ");
            assertEquals(before, `Cannot ${action}`, member);
            assertMatch(after!, /^\(the (socket|descriptor) is closed\)$/, member);
          });
          // A received one looks first whether it may share its open file with others.
          if (name !== "a received Fd") assertEquals(calls, [], member);
        }
        const staying = [...STAYING, ...STAYING_OF[object.constructor.name]!];
        const untested = membersOf(object).filter((each) =>
          !(each in members) && !staying.includes(each)
        );
        assertEquals(untested, []);
        if (number !== undefined) {
          assertEquals(number, fd);
          assert(openDescriptors().has(`${fd}`));
          file.closeHandedOver(fd);
        }
        closeEach(others);
      }));

    test(`${name}'s close(), ref() and unref() do nothing after ${end}()`, async () => {
      const [object, ...others] = make();
      const given = object[end]();
      const calls = await callsMade(() => {
        const { ref, unref } = object as Handle & Record<"ref" | "unref", () => unknown>;
        object.close();
        (object as unknown as Disposable)[Symbol.dispose]();
        assertEquals(ref.call(object), object);
        assertEquals(unref.call(object), object);
      });
      assertEquals(calls, []);
      assertEquals([object.fd, object.closed], [-1, true]);
      if (given !== undefined) file.closeHandedOver(given);
      closeEach(others);
    });
  }
}

test("UnixStream.bytesRead and bytesWritten stay what they were after close()", async () => {
  await withSocketPair(async (stream, peer) => {
    await stream.writeAll(bytes("abc"));
    await peer.writeAll(bytes("de"));
    await stream.read(BUFFER);
    const waiting = stream.read(BUFFER);
    stream.close();
    await assertFails(() => waiting, "EBADF", "recv");
    assertEquals([stream.bytesRead, stream.bytesWritten], [2, 3]);
    assertEquals([await readText(peer), await readText(peer)], ["abc", null]);
  });
});

test("The addresses that were asked for before close(), or given, are known after it", async () => {
  await withTempSocketPath(async (path) => {
    const named = { kind: "pathname", path } as const;
    const listener = UnixListener.listen(path);
    const client = await UnixStream.connect(path);
    const server = await listener.accept();
    const datagram = UnixDatagram.bind(`${path}.datagram`);
    const chosen = UnixDatagram.bind(UNNAMED);
    const { localAddr } = chosen;
    assertEquals([client.localAddr, server.localAddr, server.remoteAddr], [
      UNNAMED,
      named,
      UNNAMED,
    ]);
    closeEach([listener, client, server, datagram, chosen]);
    assertEquals([client.localAddr, client.remoteAddr], [UNNAMED, named]);
    assertEquals([server.localAddr, server.remoteAddr], [named, UNNAMED]);
    assertEquals([listener.addr, listener.localAddr], [named, named]);
    assertEquals(formatAddress(datagram.localAddr), `${path}.datagram`);
    assertEquals(chosen.localAddr, localAddr);
  });
});

test("The web streams of what was closed before fail with EBADF", async () => {
  for (
    const [syscalls, object] of [[["recv", "send"], UnixStream.pair()[0]], [
      ["read", "write"],
      Fd.eventfd(),
    ]] as const
  ) {
    object.close();
    await assertFails(() => object.readable.getReader().read(), "EBADF", syscalls[0]);
    await assertFails(() => object.writable.getWriter().write(bytes("x")), "EBADF", syscalls[1]);
  }
});

test("UnixSeqpacket.readable of what was closed before fails with EBADF, UnixDatagram.readable ends", async () => {
  const records = UnixSeqpacket.pair();
  const datagrams = UnixDatagram.pair();
  closeEach([...records, ...datagrams]);
  await assertFails(() => records[0].readable.getReader().read(), "EBADF", "recvmsg");
  assertEquals((await datagrams[0].readable.getReader().read()).done, true);
  for (const { writable } of [records[0], datagrams[0]]) {
    await assertFails(() => writable.getWriter().write(bytes("?")), "EBADF", "send");
  }
});

for (const name of Object.keys(ROWS).filter((each) => each.startsWith("Unix"))) {
  test(`${name}'s iteration over what was closed before ends at once`, async () => {
    const [object, ...others] = ROWS[name]!.make();
    closeEach([object, ...others]);
    for await (const each of object as unknown as AsyncIterable<unknown>) {
      throw new Error(`${each} out of nowhere`);
    }
  });
}
