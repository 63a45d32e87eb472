import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { test } from "node:test";
import {
  Fd,
  ReceiveBatch,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { assertError } from "../support/errors.ts";
import {
  assertFails,
  bytes,
  commandFor,
  ROOT,
  run,
  RUNTIME,
  text,
  withSocketPair,
  withTempSocketPath,
} from "../support/mod.ts";
import { closeEach, leavesNothing } from "../support/passing.ts";
import { contents, fillRecords, withSeqpackets } from "../support/seqpacket.ts";
import { digest, eventually, pattern, readExactly } from "../support/streams.ts";
import { isPending, outcome } from "../support/waiting.ts";
import { WAITS, withPlace } from "../support/waits.ts";

type Connection = UnixStream | UnixSeqpacket;

/** Each way to write, with the system call that its errors name. */
type Writes<T> = Record<string, [syscall: string, write: (object: T) => unknown]>;

/** Each way to read once: text, or null at the end. */
type Reads<T> = Record<string, [syscall: string, read: (object: T) => Promise<string | null>]>;

const X = bytes("x");

const STREAM_WRITES: Writes<UnixStream> = {
  "write()": ["send", (stream) => stream.write(X)],
  "writeSync()": ["send", (stream) => stream.writeSync(X)],
  "writeAll()": ["send", (stream) => stream.writeAll(X)],
  "writeAllSync()": ["send", (stream) => stream.writeAllSync(X)],
  "sendMessage()": ["sendmsg", (stream) => stream.sendMessage(X)],
  "sendMessageSync()": ["sendmsg", (stream) => stream.sendMessageSync(X)],
};

const RECORD_WRITES: Writes<UnixSeqpacket> = {
  "send()": ["send", (socket) => socket.send(X)],
  "sendSync()": ["send", (socket) => socket.sendSync(X)],
  "sendMany()": ["sendmmsg", (socket) => socket.sendMany([X, X])],
  "sendManySync()": ["sendmmsg", (socket) => socket.sendManySync([X, X])],
  "sendMessage()": ["sendmsg", (socket) => socket.sendMessage(X)],
  "sendMessageSync()": ["sendmsg", (socket) => socket.sendMessageSync(X)],
};

const PIPE_WRITES: Writes<Fd> = {
  "write()": ["write", (fd) => fd.write(X)],
  "writeSync()": ["write", (fd) => fd.writeSync(X)],
  "writeAll()": ["write", (fd) => fd.writeAll(X)],
  "writeAllSync()": ["write", (fd) => fd.writeAllSync(X)],
};

/** What a read into a buffer has brought. */
async function textOf(
  read: (buffer: Uint8Array) => Promise<number | null> | number | null,
): Promise<string | null> {
  const buffer = new Uint8Array(64);
  const count = await read(buffer);
  return count === null ? null : text(buffer.subarray(0, count));
}

/** What a message says; null at the end. */
async function dataOf(message: unknown): Promise<string | null> {
  const received = await message as { data: Uint8Array } | null;
  return received === null ? null : text(received.data);
}

/** The first value of an iteration, which is left then; null where it ends at once. */
async function firstOf(iterable: AsyncIterable<unknown>): Promise<string | null> {
  for await (const each of iterable) {
    return each instanceof Uint8Array ? text(each) : await dataOf(each);
  }
  return null;
}

const STREAM_READS: Reads<UnixStream> = {
  "read()": ["recv", (stream) => textOf((buffer) => stream.read(buffer))],
  "readSync()": ["recv", (stream) => textOf((buffer) => stream.readSync(buffer))],
  "peek()": ["recv", (stream) => textOf((buffer) => stream.peek(buffer))],
  "peekSync()": ["recv", (stream) => textOf((buffer) => stream.peekSync(buffer))],
  "receiveMessage()": ["recvmsg", (stream) => dataOf(stream.receiveMessage())],
  // deno-lint-ignore require-await
  "receiveMessageSync()": ["recvmsg", async (stream) => dataOf(stream.receiveMessageSync())],
  "iteration": ["recv", firstOf],
};

/** The records that a batch has received, joined; null at the end. */
async function batchOf(
  receive: (batch: ReceiveBatch) => Promise<number> | number,
): Promise<string | null> {
  const batch = new ReceiveBatch({ messages: 1 });
  return await receive(batch) === 0 ? null : contents(batch).join();
}

const RECORD_READS: Reads<UnixSeqpacket> = {
  "receive()": ["recvmsg", (socket) => dataOf(socket.receive())],
  // deno-lint-ignore require-await
  "receiveSync()": ["recvmsg", async (socket) => dataOf(socket.receiveSync())],
  "peek()": ["recvmsg", (socket) => dataOf(socket.peek())],
  // deno-lint-ignore require-await
  "peekSync()": ["recvmsg", async (socket) => dataOf(socket.peekSync())],
  "receiveMany()": ["recvmmsg", (socket) => batchOf((batch) => socket.receiveMany(batch))],
  "receiveManySync()": ["recvmmsg", (socket) => batchOf((batch) => socket.receiveManySync(batch))],
  "receiveMessage()": ["recvmsg", (socket) => dataOf(socket.receiveMessage())],
  // deno-lint-ignore require-await
  "receiveMessageSync()": ["recvmsg", async (socket) => dataOf(socket.receiveMessageSync())],
  "iteration": ["recvmsg", firstOf],
};

/** The classes of connections, with all that differs between them. */
const CONNECTIONS: {
  Class: typeof UnixStream | typeof UnixSeqpacket;
  writes: Writes<Connection>;
  reads: Reads<Connection>;
  /** The cases of conformance that titles begin with. */
  numbers: { closed: string; readingEnded: string; reset: string; writing: string };
}[] = [
  {
    Class: UnixStream,
    writes: STREAM_WRITES as Writes<Connection>,
    reads: STREAM_READS as Reads<Connection>,
    numbers: { closed: "B43 ", readingEnded: "B40 ", reset: "B44 ", writing: "B46 " },
  },
  {
    Class: UnixSeqpacket,
    writes: RECORD_WRITES as Writes<Connection>,
    reads: RECORD_READS as Reads<Connection>,
    numbers: { closed: "", readingEnded: "E121 ", reset: "E115 ", writing: "E115 " },
  },
];

/** Receives what is there, as text; null at the end. */
function receive(socket: Connection): Promise<string | null> {
  return dataOf(socket.receiveMessageSync({ timeout: 10_000 }));
}

type Number = keyof typeof CONNECTIONS[number]["numbers"];

/** Why nothing can be written any more, and the case of that. */
const CAUSES: Record<
  string,
  [number: Number | null, bring: (own: Connection, peer: Connection) => void]
> = {
  "the peer closed": ["closed", (_, peer) => peer.close()],
  "closeWrite()": [null, (own) => {
    own.closeWrite();
    own.closeWrite();
  }],
  "the peer ended its reading": ["readingEnded", (_, peer) => peer.shutdown("read")],
};

for (const { Class, writes, reads, numbers } of CONNECTIONS) {
  const { name } = Class;
  const withPair = (body: (own: Connection, peer: Connection) => Promise<void>) =>
    leavesNothing(async () => {
      const [own, peer] = Class.pair();
      try {
        await body(own, peer);
      } finally {
        closeEach([own, peer]);
      }
    });

  for (const [write, [syscall, call]] of Object.entries(writes)) {
    const counts = name === "UnixStream" && /writeAll|sendMessage/.test(write);

    for (const [cause, [number, bring]] of Object.entries(CAUSES)) {
      const prefix = number === null ? "" : numbers[number];
      test(`${prefix}${name}.${write} fails with EPIPE after ${cause}, and what has arrived can be read`, () =>
        withPair(async (own, peer) => {
          peer.sendMessageSync(bytes("last words"));
          bring(own, peer);
          for (let time = 0; time < 2; time++) {
            const error = await assertError(() => call(own), { code: "EPIPE", syscall });
            assertEquals(error.bytesTransferred, counts ? 0 : undefined);
          }
          assertEquals(own.closed, false);
          if (own instanceof UnixStream) assertEquals(own.bytesWritten, 0);
          if (!peer.closed) peer.sendMessageSync(bytes(", and more"));
          const all = name === "UnixStream"
            ? [peer.closed ? "last words" : "last words, and more"]
            : ["last words", ...(peer.closed ? [] : [", and more"])];
          for (const each of all) assertEquals(await receive(own), each);
          if (peer.closed) assertEquals(await receive(own), null);
        }));
    }

    test(
      `${numbers.writing}${name}.${write} after the peer closed with unread data ${
        name === "UnixStream"
          ? "fails with EPIPE, and leaves ECONNRESET to the next read"
          : "fails with ECONNRESET once, for both ways, then with EPIPE"
      }`,
      () =>
        withPair(async (own, peer) => {
          own.sendMessageSync(bytes("never read"));
          peer.sendMessageSync(bytes("last words"));
          peer.close();
          const codes = name === "UnixStream" ? ["EPIPE", "EPIPE"] : ["ECONNRESET", "EPIPE"];
          for (const code of codes) await assertError(() => call(own), { code, syscall });
          assertEquals(await receive(own), "last words");
          if (name === "UnixStream") await assertFails(() => receive(own), "ECONNRESET", "recvmsg");
          assertEquals(await receive(own), null);
        }),
    );
  }

  for (const [read, [syscall, call]] of Object.entries(reads)) {
    test(`${numbers.closed}${name} ${read} gives what had arrived after the peer closed, then the end`, () =>
      withPair(async (own, peer) => {
        peer.sendMessageSync(bytes("last words"));
        peer.close();
        assertEquals(await call(own), "last words");
        if (read.startsWith("peek")) assertEquals(await receive(own), "last words");
        for (let time = 0; time < 2; time++) assertEquals(await call(own), null);
        assertEquals(own.closed, false);
      }));

    // A stream tells of the reset after the data, a seqpacket socket before the records.
    test(`${numbers.reset}${name} ${read} fails with ECONNRESET once after the peer closed with unread data, loses nothing, then ends`, () =>
      withPair(async (own, peer) => {
        own.sendMessageSync(bytes("never read"));
        peer.sendMessageSync(bytes("last words"));
        peer.close();
        if (name === "UnixStream") assertEquals(await receive(own), "last words");
        await assertError(() => call(own), { code: "ECONNRESET", syscall });
        if (name !== "UnixStream") {
          assertEquals(await call(own), "last words");
          if (read.startsWith("peek")) assertEquals(await receive(own), "last words");
        }
        for (let time = 0; time < 2; time++) assertEquals(await call(own), null);
        assertEquals(await receive(own), null);
        assertEquals(own.closed, false);
        if (own instanceof UnixStream) assertEquals(own.bytesRead, "last words".length);
      }));
  }

  test(`${numbers.reset}${name}.readable errors with ECONNRESET after the peer closed with unread data`, () =>
    withPair(async (own, peer) => {
      own.sendMessageSync(bytes("never read"));
      peer.sendMessageSync(bytes("last words"));
      peer.close();
      const reader = own.readable.getReader();
      const syscall = name === "UnixStream" ? "recv" : "recvmsg";
      if (name === "UnixStream") {
        assertEquals(text((await reader.read()).value as Uint8Array), "last words");
      }
      await assertFails(() => reader.read(), "ECONNRESET", syscall);
      await assertFails(() => reader.closed, "ECONNRESET", syscall);
    }));

  test(`${numbers.closed}${name}.writable errors with EPIPE after the peer closed`, () =>
    withPair(async (own, peer) => {
      peer.close();
      const writer = own.writable.getWriter();
      const closed = assertFails(() => writer.closed, "EPIPE", "send");
      await assertFails(() => writer.write(X), "EPIPE", "send");
      await closed;
    }));

  const Listener = name === "UnixStream" ? UnixListener : UnixSeqpacketListener;
  test(`C73 ${Listener.name}.close() resets what it has not accepted: ECONNRESET once, then the end`, () =>
    withTempSocketPath(async (path) => {
      const listener = Listener.listen(path);
      using early = await Class.connect(path);
      using server = await listener.accept();
      using idle = await Class.connect(path);
      using writer = await Class.connect(path);
      writer.sendMessageSync(bytes("never read"));
      const pending = outcome(idle.receiveMessage());
      assert(await isPending(pending));
      listener.close();
      assertEquals(await pending, "ECONNRESET");
      assertEquals(await receive(idle), null);
      for (const each of [idle, writer]) {
        // On a stream a write leaves the reset to the next read.
        const code = each === writer && name === "UnixSeqpacket" ? "ECONNRESET" : "EPIPE";
        await assertFails(() => each.sendMessage(X), code, "sendmsg");
      }
      if (name === "UnixStream") await assertFails(() => receive(writer), "ECONNRESET", "recvmsg");
      assertEquals(await receive(writer), null);
      early.sendMessageSync(bytes("goes on"));
      assertEquals(await receive(server), "goes on");
      assertEquals(server.localAddr, { kind: "pathname", path });
    }));
}

for (const [write, [syscall, call]] of Object.entries(PIPE_WRITES)) {
  test(`Fd.${write} to a pipe fails with EPIPE after the reader closed`, () =>
    leavesNothing(async () => {
      const [reader, writer] = Fd.pipe();
      using _writer = writer;
      reader.close();
      for (let time = 0; time < 2; time++) {
        const error = await assertError(() => call(writer), { code: "EPIPE", syscall });
        assertEquals(error.bytesTransferred, write.startsWith("writeAll") ? 0 : undefined);
      }
      assertEquals(writer.closed, false);
    }));
}

// What waits.

/** How three calls end that wait when the peer closes, by their names. */
const ENDS: [names: RegExp, ends: unknown[]][] = [
  [/^UnixStream\.(read|peek|receive)/, [null, null, null]],
  [/^UnixSeqpacket\.(receive|peek)/, [null, null, null]],
  [/^Fd\.read.* of a (pipe|socket)$/, [null, null, null]],
  [/^Fd\.waitReadable.* of a (pipe|socket)$/, [undefined, undefined, undefined]],
  [/^UnixStream\.(write|send)/, ["EPIPE", "EPIPE", "EPIPE"]],
  [/^Fd\.write.* to a pipe$/, ["EPIPE", "EPIPE", "EPIPE"]],
  // The records that fill the queue are unread.
  [/^UnixSeqpacket\.send/, ["ECONNRESET", "EPIPE", "EPIPE"]],
];

for (const wait of WAITS) {
  const { name, purpose, call } = wait;
  const ends = ENDS.find(([names]) => names.test(name))?.[1];
  if (ends === undefined) continue;

  test(`${name} that waits when the peer closes ends with ${ends[0]}, as those behind it`, () =>
    withPlace(wait, async ({ object, others }) => {
      const calls = [call(object), call(object), call(object)];
      const waiting = calls.map(outcome);
      assert(await isPending(Promise.race(waiting)));
      others[0]!.close();
      assertEquals(await eventually(Promise.all(waiting)), ends);
      assertEquals(object.closed, false);
    }));

  if (!name.startsWith("Unix") || purpose === "send") continue;
  test(`${name} that waits when the peer closes with unread data rejects with ECONNRESET, and ends behind it`, () =>
    withPlace(wait, async ({ object, others }) => {
      (object as unknown as Connection).sendMessageSync(X);
      const calls = [call(object), call(object), call(object)];
      const waiting = calls.map(outcome);
      assert(await isPending(Promise.race(waiting)));
      others[0]!.close();
      const [first, ...behind] = await eventually(Promise.all(waiting));
      assertEquals([first, ...behind], ["ECONNRESET", null, null]);
    }));
}

test("B49 UnixStream.writeAll() that waits rejects with EPIPE and the bytes sent when the peer reads 10 bytes and closes", async () => {
  await withSocketPair(async (a, b) => {
    a.sendBufferSize = 32768;
    const data = pattern(1 << 20);
    const writing = assertError(() => a.writeAll(data), { code: "EPIPE", syscall: "send" });
    assertEquals(await readExactly(b, 10), data.subarray(0, 10));
    b.close();
    const { bytesTransferred } = await writing;
    assertEquals(bytesTransferred, a.bytesWritten);
    assert(a.bytesWritten >= 10 && a.bytesWritten < data.length, `${bytesTransferred} bytes`);
    assertEquals(a.closed, false);
    await assertFails(() => receive(a), "ECONNRESET", "recvmsg");
  });
});

test("Fd.writeAll() that waits rejects with EPIPE and the bytes written when the reader of a pipe closes", () =>
  leavesNothing(async () => {
    const [reader, writer] = Fd.pipe();
    const data = pattern(1 << 20);
    const writing = assertError(() => writer.writeAll(data), { code: "EPIPE", syscall: "write" });
    const taken = await readExactly(reader, 100_000);
    assertEquals(digest(taken), digest(data.subarray(0, 100_000)));
    reader.close();
    const { bytesTransferred } = await writing;
    assert(bytesTransferred! >= 100_000 && bytesTransferred! < 1 << 20, `${bytesTransferred}`);
    writer.close();
  }));

test("UnixSeqpacket.sendMany() that waits tells how many records left when the peer closes", async () => {
  await withSeqpackets("pair", async (a, b) => {
    const filled = await fillRecords(a);
    for (let i = 1; i < filled; i++) await b.receive();
    const sending = a.sendMany(Array.from({ length: 1024 }, (_, i) => bytes(`${i}`)));
    assert(await isPending(sending));
    b.close();
    const { sent, error } = await sending;
    assert(sent > 0 && sent < 1024);
    await assertFails(() => Promise.reject(error), "ECONNRESET", "sendmmsg");
  });
});

test("L229 UnixStream's writes survive a closed peer where SIGPIPE has its default effect", async () => {
  const program = join(ROOT, "tests", "programs", "broken_pipe.ts");
  const library = await run([...commandFor(RUNTIME, program), "library"]);
  assertEquals(library.stderr, "");
  assertEquals(library.stdout.trim().split("\n"), ["EPIPE", "EPIPE", "EPIPE", "EPIPE", "alive"]);
  assertEquals([library.code, library.signal], [0, null]);
  // A write(2) in the same place shows that the signal would have killed.
  const write = await run([...commandFor(RUNTIME, program), "write"]);
  assertEquals([write.signal, write.stdout], ["SIGPIPE", ""]);
});
