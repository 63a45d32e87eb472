import { test } from "node:test";
import { readFileSync, readlinkSync } from "node:fs";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { file } from "../../ffi/mod.ts";
import {
  Fd,
  type Socket,
  UnixListener,
  UnixSeqpacket,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  fill,
  openDescriptors,
  readText,
  settled,
  text,
  withSocketPair,
  withTempSocketPath,
} from "../support/mod.ts";
import { closeAll, isPending, outcome, pairs } from "../support/waiting.ts";

test("K211 UnixStream.close() rejects a pending read, and the peer reads the end", async () => {
  await withSocketPair(async (a, b) => {
    const reading = assertFails(() => readText(a), "EBADF", "recv");
    const end = readText(b);
    await settled();
    a.close();
    await reading;
    assertEquals(await end, null);
  });
});

test("K211 UnixStream.close() rejects every operation that waits, in either direction", async () => {
  await withSocketPair(async (a) => {
    fill(a);
    const pending = [
      a.read(new Uint8Array(1)),
      a.read(new Uint8Array(0)),
      a.peek(new Uint8Array(1)),
      a.read(new Uint8Array(1)),
      a.write(bytes("1")),
      a.writeAll(bytes("2")),
      a.writeAll(new Uint8Array(1_000_000)),
    ].map(outcome<unknown>);
    await settled();
    a.close();
    assertEquals(await Promise.all(pending), pending.map(() => "EBADF"));
    assertEquals(a.closed, true);
  });
});

for (const type of [UnixStream, UnixSeqpacket]) {
  test(`${type.name}.hungUp is true once both directions have ended`, () => {
    const ends: [(a: Socket, b: Socket) => void, boolean][] = [
      [() => {}, false],
      [(_, b) => b.shutdown("write"), false],
      [(_, b) => b.shutdown("read"), false],
      [(_, b) => b.close(), true],
      [(_, b) => b.shutdown("both"), true],
      [(a, b) => [a, b].forEach((end) => end.shutdown("write")), true],
      [(a) => a.close(), true],
    ];
    for (const [end, expected] of ends) {
      const [a, b] = type.pair();
      using _a = a;
      using _b = b;
      end(a, b);
      assertEquals(a.hungUp, expected, `${end}`);
    }
  });
}

test("UnixStream.hungUp is true while what the peer said last can still be read", async () => {
  await withSocketPair(async (a, b) => {
    await b.writeAll(bytes("last words"));
    b.close();
    assert(a.hungUp);
    assertEquals(await readText(a), "last words");
  });
});

test("K211 UnixListener.close() rejects accepts that wait and resets connections in its backlog", async () => {
  await withTempSocketPath(async (path) => {
    const listener = UnixListener.listen(path, { backlog: 0 });
    const accepts = [listener.accept(), listener.accept()].map(outcome<unknown>);
    await settled();
    listener.close();
    assertEquals(await Promise.all(accepts), ["EBADF", "EBADF"]);

    const second = UnixListener.listen(path, { backlog: 0 });
    using queued = UnixStream.connectSync(path);
    const reading = assertFails(() => readText(queued), "ECONNRESET");
    const refused = assertRejects(() => UnixStream.connect(path), UnixSocketError);
    await settled();
    second.close();
    await reading;
    assert(["ENOENT", "ECONNREFUSED"].includes((await refused).code));
  });
});

test("K211 Fd.close() rejects what waits on a pipe", async () => {
  const [reader, writer] = Fd.pipe();
  const pending = [reader.read(new Uint8Array(1)), reader.read(new Uint8Array(1))].map(outcome);
  const writing = writer.writeAll(new Uint8Array(200_000)).then(() => "", (error) => error);
  // The first reads take two bytes; then the pipe is full and the writer waits.
  assertEquals(await Promise.all(pending), [1, 1]);
  const more = outcome(writer.writeAll(new Uint8Array(1)));
  assert(await isPending(more));
  writer.close();
  assertEquals(await more, "EBADF");
  const error = await writing as UnixSocketError;
  assertEquals(error.code, "EBADF");
  assert(error.bytesTransferred! > 0 && error.bytesTransferred! < 200_000);
  reader.close();
});

test("K211 UnixStream.intoFd() rejects what waits, and the descriptor goes on in another object", async () => {
  await withSocketPair(async (a, b) => {
    const waiting = outcome(b.read(new Uint8Array(1)));
    await settled();
    using again = UnixStream.fromFd(b.intoFd());
    assertEquals(await waiting, "EBADF");
    const reading = readText(again);
    assert(await isPending(reading));
    a.writeSync(bytes("for the second"));
    assertEquals(await reading, "for the second");
  });
});

test("K211 UnixStream.close() within a continuation of one read rejects the reads behind it", async () => {
  await withSocketPair(async (a, b) => {
    const first = b.read(new Uint8Array(1)).then(() => b.close());
    const others = [b.read(new Uint8Array(1)), b.read(new Uint8Array(1))].map(outcome);
    await settled();
    a.writeSync(bytes("1"));
    await first;
    assertEquals(await Promise.all(others), ["EBADF", "EBADF"]);
  });
});

test("K217 UnixStream.close() of another socket that is ready in the same turn is safe", async () => {
  for (let round = 0; round < 50; round++) {
    const list = pairs(3);
    const [first, second, third] = list.map(([, b]) => b) as [UnixStream, UnixStream, UnixStream];
    const results = [first, second, third].map(async (stream, index) => {
      const result = await outcome(stream.read(new Uint8Array(4)));
      if (index === round % 3) {
        first.close();
        second.close();
        third.close();
      }
      return result;
    });
    await settled();
    for (const [a] of list) a.writeSync(bytes("data"));
    // What the kernel has given up is delivered, what it has not is refused.
    for (const result of await Promise.all(results)) assert(result === 4 || result === "EBADF");
    closeAll(list);
  }
});

test("K217 UnixStream.close() in a read's continuation, whose read stood before others, ends an iteration", async () => {
  await withSocketPair(async (a, b) => {
    const chunks: string[] = [];
    const loop = (async () => {
      for await (const chunk of b) {
        chunks.push(text(chunk));
        b.close();
      }
    })();
    await settled();
    a.writeSync(bytes("only"));
    await loop;
    assertEquals(chunks, ["only"]);
  });
});

test("K217 a socket that gets the number of one closed in the same turn hears nothing of the other's events", async () => {
  for (let round = 0; round < 50; round++) {
    const [oldPeer, old] = UnixStream.pair();
    const waiting = outcome(old.read(new Uint8Array(1)));
    await settled();
    const number = old.fd;
    oldPeer.writeSync(bytes("for the old one"));
    old.close();
    const [a, b] = UnixStream.pair();
    const renewed = [a, b].find((stream) => stream.fd === number);
    assert(renewed !== undefined, "the kernel gives the lowest free number");
    const peer = renewed === a ? b : a;
    const reading = readText(renewed);
    assertEquals(await waiting, "EBADF");
    if (round < 3) assert(await isPending(reading));
    peer.writeSync(bytes("for the new one"));
    assertEquals(await reading, "for the new one");
    closeAll([[a, b, oldPeer]]);
  }
});

test("K217 a closed socket's events stop even where a duplicate keeps its open file", async () => {
  await withSocketPair(async (a, b) => {
    const enrolled = readText(b);
    assert(await isPending(enrolled));
    a.writeSync(bytes("1"));
    await enrolled;
    const duplicate = Fd.adopt(file.duplicate(b.fd));
    const number = b.fd;
    assert(isInEpollSet(duplicate.fd));
    b.close();
    assert(!isInEpollSet(duplicate.fd));
    const [c, d] = UnixStream.pair();
    const renewed = c.fd === number ? c : d;
    assertEquals(renewed.fd, number);
    const reading = readText(renewed);
    a.writeSync(bytes("for the duplicate"));
    assert(await isPending(reading));
    const own = new Uint8Array(64);
    assertEquals(await duplicate.read(own), 17);
    closeAll([[c, d, duplicate]]);
    await assertRejects(() => reading);
  });
});

test("UnixStream.close() with waiting operations leaves no descriptor behind", async () => {
  await assertNoFdLeak(async () => {
    for (let round = 0; round < 100; round++) {
      const [a, b] = UnixStream.pair();
      const waiting = [outcome(a.read(new Uint8Array(1))), outcome(b.read(new Uint8Array(1)))];
      if (round % 2 === 0) await settled(1);
      a.close();
      b.close();
      await Promise.all(waiting);
    }
  });
});

/** Whether an epoll set of this process holds the open file of a socket. */
function isInEpollSet(fd: number): boolean {
  // "socket:[4711]" has the inode, which the entries of a set have in hexadecimal.
  const inode = Number(/\d+/.exec(readlinkSync(`/proc/self/fd/${fd}`))![0]).toString(16);
  const entry = new RegExp(`^tfd:.* ino:${inode} `, "m");
  const sets = [...openDescriptors()].filter(([, target]) => target === "anon_inode:[eventpoll]");
  return sets.some(([number]) => entry.test(readFileSync(`/proc/self/fdinfo/${number}`, "utf8")));
}
