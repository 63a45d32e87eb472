import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import process from "node:process";
import { Fd, ReceiveBatch, SendBatch, UnixDatagram, UnixSeqpacket } from "../../mod.ts";
import { assertFails, assertNoFdLeak, bytes, text } from "../support/mod.ts";

const KINDS = { UnixDatagram, UnixSeqpacket };

function memory(contents: string): Fd {
  const fd = Fd.memfd(contents);
  fd.pwriteSync(bytes(contents), 0);
  return fd;
}

function contents(fd: Fd): string {
  const buffer = new Uint8Array(64);
  return text(buffer.subarray(0, fd.preadSync(buffer, 0) ?? 0));
}

for (const [name, Kind] of Object.entries(KINDS)) {
  test(`${name}: each message of a batch keeps its own descriptors`, () =>
    assertNoFdLeak(async () => {
      const [a, b] = Kind.pair();
      using out = new SendBatch({ maxFds: 3 });
      for (let i = 0; i < 5; i++) {
        const fds = Array.from({ length: i % 4 }, (_, j) => memory(`${i}.${j}`));
        assert(out.add(bytes(`message ${i}`), undefined, { fds }));
        for (const fd of fds) fd.close();
      }
      assertEquals(await a.sendMany(out), { sent: 5, error: null });
      out.clear();
      using received = new ReceiveBatch({ maxFds: 253 });
      assertEquals(await b.receiveMany(received), 5);
      for (let i = 0; i < 5; i++) {
        const { fds, controlTruncated } = received.ancillary(i);
        const expected = Array.from({ length: i % 4 }, (_, j) => `${i}.${j}`);
        assertEquals([fds.map(contents), controlTruncated], [expected, false]);
      }
      a.close();
      b.close();
    }));

  test(`${name}: a batch without maxFds lets no descriptor in`, () =>
    assertNoFdLeak(async () => {
      const [a, b] = Kind.pair();
      using file = memory("x");
      await a.sendMessage(bytes("with one"), { fds: [file] });
      const received = new ReceiveBatch();
      assertEquals(await b.receiveMany(received), 1);
      assertEquals(received.ancillary(0).fds, []);
      assertEquals(text(received.data(0)), "with one");
      a.close();
      b.close();
    }));

  test(`${name}: credentials of each message of a batch`, async () => {
    const [a, b] = Kind.pair();
    b.passCredentials = true;
    using out = new SendBatch();
    out.add(bytes("claimed"), undefined, { credentials: true });
    out.add(bytes("stamped"));
    await a.sendMany(out);
    using received = new ReceiveBatch({ maxFds: 0 });
    assertEquals(await b.receiveMany(received), 2);
    const pids = [...received].map((message) => message.credentials?.pid);
    assertEquals(pids, [process.pid, process.pid]);
    a.close();
    b.close();
  });

  test(`${name}: what comes beyond maxFds is closed and reported`, () =>
    assertNoFdLeak(async () => {
      const [a, b] = Kind.pair();
      const files = [memory("0"), memory("1"), memory("2")];
      await a.sendMessage(bytes("three"), { fds: files });
      for (const file of files) file.close();
      using received = new ReceiveBatch({ maxFds: 1 });
      await b.receiveMany(received);
      const { fds, controlTruncated } = received.ancillary(0);
      assertEquals([fds.map(contents), controlTruncated], [["0"], true]);
      a.close();
      b.close();
    }));

  test(`${name}: receiving again closes what was not taken, and leaves what was`, () =>
    assertNoFdLeak(async () => {
      const [a, b] = Kind.pair();
      const files = [memory("left"), memory("taken")];
      await a.sendMessage(bytes("first"), { fds: files });
      await a.sendMessage(bytes("second"));
      for (const file of files) file.close();
      using received = new ReceiveBatch({ messages: 1, maxFds: 2 });
      await b.receiveMany(received);
      const { fds } = received.ancillary(0);
      const [left] = fds;
      using taken = fds.pop()!;
      await b.receiveMany(received);
      assert(left!.closed);
      assertEquals(contents(taken), "taken");
      a.close();
      b.close();
    }));

  test(`${name}: messages that are iterated own their descriptors`, () =>
    assertNoFdLeak(async () => {
      const [a, b] = Kind.pair();
      using file = memory("x");
      await a.sendMessage(bytes("one"), { fds: [file] });
      const received = new ReceiveBatch({ maxFds: 1 });
      await b.receiveMany(received);
      const [message] = [...received];
      received.clear();
      assertEquals(message!.fds.map(contents), ["x"]);
      message!.close();
      a.close();
      b.close();
    }));
}

test("SendBatch.add() refuses more descriptors than it was made for, and a closed one", () =>
  assertNoFdLeak(async () => {
    using batch = new SendBatch({ maxFds: 1 });
    using file = memory("x");
    assertThrows(() => batch.add(bytes("x"), undefined, { fds: [file, file] }), RangeError);
    const closed = memory("y");
    closed.close();
    await assertFails(() => batch.add(bytes("x"), undefined, { fds: [closed] }), "EBADF");
    assertEquals(batch.count, 0);
    assertThrows(() => new SendBatch({ maxFds: 254 }), RangeError);
    assertThrows(() => new ReceiveBatch({ maxFds: -1 }), RangeError);
  }));

test("SendBatch.add() of a full batch takes no duplicate", () =>
  assertNoFdLeak(() => {
    using batch = new SendBatch({ messages: 1, maxFds: 1 });
    using file = memory("x");
    assert(batch.add(bytes("x"), undefined, { fds: [file] }));
    assertEquals(batch.add(bytes("y"), undefined, { fds: [file] }), false);
  }));

test("a batch with descriptors waits for room, and sends what its owner has closed meanwhile", () =>
  assertNoFdLeak(async () => {
    const [a, b] = UnixSeqpacket.pair();
    const big = new Uint8Array(100_000);
    const out = new SendBatch({ messages: 8, size: big.length, maxFds: 1 });
    for (let i = 0; i < 8; i++) {
      const file = memory(`${i}`);
      out.add(big, undefined, { fds: [file] });
      file.close();
    }
    const sending = a.sendMany(out);
    const seen = [];
    for (let i = 0; i < 8; i++) {
      using message = await b.receiveMessage();
      seen.push(...message!.fds.map(contents));
    }
    assertEquals(await sending, { sent: 8, error: null });
    assertEquals(seen, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    out.clear();
    a.close();
    b.close();
  }));
