// The library as it is on macOS: on a Mac that itself, elsewhere over a libc that has what macOS has, in
// its layouts, with this system's kernel behind (tests/support/mac). None of this has run on a Mac yet.

import { createServer } from "node:http";
import { existsSync, lstatSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { native } from "../../ffi/mod.ts";
import { serve } from "../../http.ts";
import {
  abstract,
  Fd,
  peerCredentials,
  peerGroups,
  ReceiveBatch,
  SendBatch,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { SharedMemory } from "../../shm.ts";
import { becomeMac } from "../support/mac/mod.ts";
import { silenced } from "../support/mac/options.ts";
import { isPending } from "../support/waiting.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  fill,
  readText,
  readToEnd,
  text,
  withSocketPair,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";

if (process.platform !== "darwin") becomeMac();

function isCloseOnExec(fd: number): boolean {
  const { libc, abi: { constants: { F_GETFD, FD_CLOEXEC } } } = native();
  return (libc.fcntl(fd, F_GETFD, 0) & FD_CLOEXEC) !== 0;
}

/** Asserts that what was begun goes on waiting while the reactor takes in all that is ready. */
async function assertWaits(promise: Promise<unknown>): Promise<void> {
  assertEquals(await isPending(promise), true);
}

async function listening<T>(
  body: (listener: UnixListener, path: string) => Promise<T>,
): Promise<void> {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await body(listener, path);
  });
}

test("macOS: a listener, a client and an echo that waits on both sides leave nothing behind", async () => {
  await assertNoFdLeak(() =>
    listening(async (listener, path) => {
      const accepting = listener.accept();
      await assertWaits(accepting);
      using client = await UnixStream.connect(path);
      using server = await accepting;
      assertEquals(client.remoteAddr, { kind: "pathname", path });
      assertEquals(server.localAddr, { kind: "pathname", path });
      assertEquals(server.remoteAddr, { kind: "unnamed" });
      for (const word of ["one", "two"]) {
        const heard = readText(server);
        await assertWaits(heard);
        await client.writeAll(bytes(word));
        assertEquals(await heard, word);
        await server.writeAll(bytes(word));
        assertEquals(await readText(client), word);
      }
      client.closeWrite();
      assertEquals(await readText(server), null);
    })
  );
});

test("macOS: ten megabytes through a full buffer come whole", async () => {
  await withSocketPair(async (a, b) => {
    const data = new Uint8Array(10_000_000).map((_, i) => i * 7);
    const sent = a.writeAll(data).then(() => a.closeWrite());
    assertEquals(await readToEnd(b), data);
    await sent;
  });
});

test("macOS: the blocking calls work, and their time ends", async () => {
  const [a, b] = UnixStream.pair();
  const buffer = new Uint8Array(8);
  await assertFails(() => b.readSync(buffer, { timeout: 5 }), "ETIMEDOUT");
  a.writeAllSync(bytes("hello"));
  assertEquals([b.bytesReadable, b.peekSync(buffer), b.readSync(buffer)], [5, 5, 5]);
  assertEquals(text(buffer.subarray(0, 5)), "hello");
  a.close();
  assertEquals(b.readSync(buffer), null);
  b.close();
});

test("macOS: a wait that is aborted or whose socket closes is over, and what comes then is there", async () => {
  await withSocketPair(async (a, b) => {
    const buffer = new Uint8Array(4);
    const controller = new AbortController();
    const given = b.read(buffer, { signal: controller.signal });
    await assertWaits(given);
    controller.abort();
    await assertRejects(() => given, DOMException);
    a.writeSync(bytes("x"));
    assertEquals(await b.read(buffer), 1);
    const reading = b.read(buffer);
    await assertWaits(reading);
    b.close();
    await assertFails(() => reading, "EBADF");
    await assertFails(() => a.writeSync(bytes("y")), "EPIPE");
  });
});

test("macOS: what waits to write goes on as the reader makes room", async () => {
  await withSocketPair(async (a, b) => {
    const before = fill(a);
    const writing = a.writeAll(bytes("the end"));
    await assertWaits(writing);
    let read = 0;
    const buffer = new Uint8Array(65536);
    while (read < before + 7) read += (await b.read(buffer))!;
    await writing;
  });
});

type Connected = UnixStream | UnixDatagram;

const pairs: [string, () => [Connected, Connected]][] = [
  ["UnixStream", UnixStream.pair],
  ["UnixDatagram", UnixDatagram.pair],
];

/** Each kind of receipt that wants no descriptors. */
const unaware: Record<string, (socket: Connected) => unknown> = {
  async "receiveMessage"(socket) {
    using message = (await socket.receiveMessage({ maxFds: 0 }))!;
    assertEquals([message.fds.length, message.controlTruncated], [0, true]);
  },
  "read": (socket) => (socket as UnixStream).read(new Uint8Array(9)),
  "readSync": (socket) => (socket as UnixStream).readSync(new Uint8Array(9)),
  "receive": (socket) => (socket as UnixDatagram).receive(),
  "receiveInto": (socket) => (socket as UnixDatagram).receiveInto(new Uint8Array(9)),
  "receiveMany": (socket) =>
    (socket as UnixDatagram).receiveMany(new ReceiveBatch({ messages: 2 })),
};

for (const [name, pair] of pairs) {
  test(`macOS: ${name} passes descriptors, also as many as there may be, and leaves none behind`, async () => {
    await assertNoFdLeak(async () => {
      const [a, b] = pair();
      for (const count of [1, 253]) {
        const [reader, writer] = Fd.pipe();
        const receiving = b.receiveMessage();
        await assertWaits(receiving);
        await a.sendMessage(bytes("take"), { fds: new Array(count).fill(writer) });
        writer.close();
        using message = (await receiving)!;
        assertEquals([text(message.data), message.fds.length], ["take", count]);
        assert(message.fds.every(({ fd }) => isCloseOnExec(fd)));
        await message.fds.at(-1)!.writeAll(bytes("it came"));
        const buffer = new Uint8Array(16);
        assertEquals(await reader.read(buffer), 7);
        reader.close();
      }
      a.close();
      b.close();
    });
  });

  for (const [how, receive] of Object.entries(unaware)) {
    if (!(how in (name === "UnixStream" ? UnixStream : UnixDatagram).prototype)) continue;
    test(`macOS: ${name}.${how}() closes the descriptors that nobody asked for`, async () => {
      await assertNoFdLeak(async () => {
        const [a, b] = pair();
        for (const count of [1, 253]) {
          const [reader, writer] = Fd.pipe();
          await a.sendMessage(bytes("unwanted"), { fds: new Array(count).fill(writer) });
          writer.close();
          await receive(b);
          // The other end is gone: it was closed.
          assertEquals(await reader.read(new Uint8Array(1)), null);
          reader.close();
        }
        a.close();
        b.close();
      });
    });
  }
}

test("macOS: datagrams have senders, and lengths beyond the room", async () => {
  await withTempDir(async (directory) => {
    const [here, there] = [join(directory, "here"), join(directory, "there")];
    using receiver = UnixDatagram.bind(here);
    using named = UnixDatagram.bind(there);
    using unnamed = UnixDatagram.unbound();
    const receiving = receiver.receive({ size: 4 });
    await assertWaits(receiving);
    await named.sendTo(bytes("too long"), here);
    const message = await receiving;
    assertEquals([text(message.data), message.length, message.truncated], ["too ", 8, true]);
    assertEquals(message.from, { kind: "pathname", path: there });
    await unnamed.sendTo(bytes("who?"), here);
    assertEquals((await receiver.receive()).from, { kind: "unnamed" });
    await named.sendTo(bytes("too long again"), here);
    const into = await receiver.receiveInto(new Uint8Array(4));
    assertEquals([into.length, into.truncated], [14, true]);
    unnamed.connect(here).disconnect();
    assertEquals(unnamed.remoteAddr, null);
  });
});

test("macOS: messages to a receiver without room wait until there is some", async () => {
  await withTempSocketPath(async (path) => {
    using receiver = UnixDatagram.bind(path);
    using sender = UnixDatagram.unbound();
    const sent: Promise<void>[] = [];
    for (let i = 0; i < 600; i++) sent.push(sender.sendTo(bytes(`${i}`), path));
    for (let i = 0; i < 600; i++) assertEquals(text((await receiver.receive()).data), `${i}`);
    await Promise.all(sent);
  });
});

test("macOS: no event tells of room for what is connected, and the error says so", async () => {
  const [a, b] = UnixDatagram.pair();
  await assertFails(async () => {
    for (;;) await a.send(bytes("x"));
  }, "ENOBUFS");
  await b.receive();
  await a.send(bytes("y"));
  a.close();
  b.close();
});

test("macOS: descriptors wait for room in a stream, too", async () => {
  await assertNoFdLeak(async () => {
    const [a, b] = UnixStream.pair();
    const [reader, writer] = Fd.pipe();
    const before = fill(a);
    const sending = a.sendMessage(bytes("!"), { fds: [writer] });
    writer.close();
    await assertWaits(sending);
    let read = 0;
    const buffer = new Uint8Array(65536);
    while (read < before) read += (await b.read(buffer.subarray(0, before - read)))!;
    await sending;
    using message = (await b.receiveMessage())!;
    assertEquals([text(message.data), message.fds.length], ["!", 1]);
    for (const each of [a, b, reader]) each.close();
  });
});

test("macOS: ending what has ended does nothing, and a peer that is gone has no name", async () => {
  await listening(async (listener, path) => {
    using client = await UnixStream.connect(path);
    using server = await listener.accept();
    client.closeWrite();
    client.closeWrite();
    client.shutdown("both");
    client.close();
    assertEquals(await readText(server), null);
    server.closeWrite();
    server.shutdown("both");
    assertEquals(server.remoteAddr, { kind: "unnamed" });
    await server.writable.close();
  });
});

test("macOS: what is made is close-on-exec and raises no SIGPIPE", async () => {
  await listening(async (listener, path) => {
    using client = await UnixStream.connect(path);
    using server = await listener.accept();
    const [a, b] = UnixDatagram.pair();
    const pipe = Fd.pipe();
    for (const { fd } of [listener, client, server, a, b, ...pipe]) assert(isCloseOnExec(fd));
    for (const { fd } of [listener, client, server, a, b]) {
      assert(process.platform === "darwin" || silenced.has(fd));
    }
    for (const each of [a, b, ...pipe]) each.close();
  });
});

test("macOS: batches go and come by loops", async () => {
  const [a, b] = UnixDatagram.pair();
  const batch = new SendBatch();
  for (const word of ["one", "", "three"]) batch.add(bytes(word));
  assertEquals(await a.sendMany(batch), { sent: 3, error: null });
  const received = new ReceiveBatch({ messages: 8, size: 64 });
  assertEquals(await b.receiveMany(received), 3);
  assertEquals([0, 1, 2].map((i) => text(received.data(i))), ["one", "", "three"]);
  a.close();
  b.close();
});

test("H185 macOS: the peer's user, group and process are those of this one", async () => {
  await listening(async (listener, path) => {
    using client = await UnixStream.connect(path);
    using server = await listener.accept();
    const own = { pid: process.pid, uid: process.geteuid!(), gid: process.getegid!() };
    assertEquals([peerCredentials(server), client.peerCredentials()], [own, own]);
    assertEquals(peerGroups(server)![0], own.gid);
  });
});

test("macOS: authorize lets in whom it names", async () => {
  await withTempSocketPath(async (path) => {
    const uid = process.geteuid!();
    using listener = UnixListener.listen(path, { authorize: { uid: [uid + 1] } });
    const accepting = listener.accept();
    using client = await UnixStream.connect(path);
    assertEquals(await readText(client), null);
    assertEquals(listener.refused, 1);
    listener.close();
    await assertFails(() => accepting, "EBADF");
  });
});

test("macOS: a path has the mode that was wanted, and is gone after close", async () => {
  await withTempSocketPath((path) => {
    const listener = UnixListener.listen(path, { mode: 0o640 });
    assertEquals(lstatSync(path).mode & 0o777, 0o640);
    listener.close();
    assert(!existsSync(path));
  });
});

test("macOS: a stale socket is replaced, and no other", async () => {
  await withTempSocketPath(async (path) => {
    UnixListener.listen(path, { unlinkOnClose: false }).close();
    assert(existsSync(path));
    const listener = UnixListener.listen(path, { backlog: 1 });
    await assertFails(() => UnixListener.listen(path), "EADDRINUSE");
    await assertFails(() => UnixDatagram.bind(path), "EADDRINUSE");
    // No room in its backlog is an answer like nobody's there.
    const clients: UnixStream[] = [];
    await assertFails(async () => {
      for (;;) clients.push(await UnixStream.connect(path));
    }, "ECONNREFUSED");
    await assertFails(() => UnixListener.listen(path), "EADDRINUSE");
    assert(existsSync(path));
    for (const client of clients) client.close();
    listener.close();
    using bound = UnixDatagram.bind(path);
    await assertFails(() => UnixDatagram.bind(path), "EADDRINUSE");
    await assertFails(() => UnixListener.listen(path), "EADDRINUSE");
    bound.close();
    writeFileSync(path, "no socket");
    await assertFails(() => UnixListener.listen(path), "EADDRINUSE");
  });
});

test("macOS: a path that no sockaddr_un holds is refused", async () => {
  const path = `/tmp/${"long/".repeat(60)}x`;
  await assertFails(() => UnixListener.listen(path), "ENAMETOOLONG");
  await assertFails(() => UnixStream.connect(path), "ENAMETOOLONG");
});

test("macOS: descriptors are taken over, and handed on", async () => {
  await listening(async (listener, path) => {
    const again = UnixListener.fromFd(listener.intoFd());
    using client = await UnixStream.connect(path);
    using server = UnixStream.fromFd((await again.accept()).intoFd());
    await server.writeAll(bytes("still here"));
    assertEquals(await readText(client), "still here");
    const [pipe, end] = Fd.pipe();
    await assertFails(() => UnixStream.fromFd(pipe.fd), "ENOTSOCK");
    await assertFails(() => UnixDatagram.fromFd(server.fd), "EPROTOTYPE");
    await assertFails(() => UnixListener.fromFd(server.fd), "EINVAL");
    for (const each of [pipe, end, again]) each.close();
  });
});

test("macOS: files and pipes are read and written", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "file");
    using file = Fd.open(path, "read-write");
    await file.writeAll(bytes("on disk"));
    assertEquals([file.kind, file.stat().size], ["file", 7]);
    const buffer = new Uint8Array(16);
    assertEquals(await file.pread(buffer, 0), 7);
    assertEquals(text(buffer.subarray(0, 7)), "on disk");
    file.sync();
  });
});

test("macOS: an HTTP service answers", async () => {
  await listening(async (listener, path) => {
    const server = createServer((_request, response) => response.end("hello"));
    const service = serve(listener, server);
    using client = await UnixStream.connect(path);
    await client.writeAll(bytes("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    const answer = text(await readToEnd(client));
    assert(answer.startsWith("HTTP/1.1 200") && answer.includes("hello"), answer);
    await service.shutdown();
  });
});

test("macOS: what only Linux has says so", async () => {
  const [a, b] = UnixStream.pair();
  const [reader, writer] = Fd.pipe();
  const absent: Record<string, () => unknown> = {
    "UnixSeqpacket.pair": () => UnixSeqpacket.pair(),
    "UnixSeqpacket.connect": () => UnixSeqpacket.connect("/tmp/none.sock"),
    "UnixSeqpacketListener.listen": () => UnixSeqpacketListener.listen("/tmp/none.sock"),
    "an abstract name": () => UnixListener.listen(abstract("x")),
    "bytesUnsent": () => a.bytesUnsent,
    "peekOffset": () => a.peekOffset,
    "peekOffset =": () => a.peekOffset = 0,
    "passCredentials": () => a.passCredentials,
    "passCredentials =": () => a.passCredentials = true,
    "passPidfd =": () => a.passPidfd = true,
    "passSecurityContext =": () => a.passSecurityContext = true,
    "passDescriptors =": () => a.passDescriptors = false,
    "peerPidfd": () => a.peerPidfd(),
    "peerSecurityContext": () => a.peerSecurityContext(),
    "credentials": () => a.sendMessage(bytes("x"), { credentials: true }),
    "Fd.memfd": () => Fd.memfd("x"),
    "Fd.eventfd": () => Fd.eventfd(),
    "seals": () => reader.seals,
    "SharedMemory": () => SharedMemory.create(4096),
  };
  for (const [name, use] of Object.entries(absent)) {
    await assertFails(use, "ENOTSUP").catch((error) => {
      throw new Error(`${name}: ${error}`, { cause: error });
    });
  }
  for (const each of [a, b, reader, writer]) each.close();
});
