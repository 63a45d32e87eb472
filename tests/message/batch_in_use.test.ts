import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Fd, ReceiveBatch, SendBatch, UnixDatagram, UnixSeqpacket } from "../../mod.ts";
import { assertFails, bytes, settled } from "../support/mod.ts";
import {
  closeEach,
  contentOf,
  copiesOf,
  fileOf,
  fillCarrier,
  leavesNothing,
  targetOf,
} from "../support/passing.ts";
import { isPending, outcome } from "../support/waiting.ts";

const KINDS = { UnixDatagram, UnixSeqpacket };
type MessageEnd = UnixDatagram | UnixSeqpacket;

/** Takes so many messages away. */
function drain(socket: MessageEnd, count: number): void {
  for (let i = 0; i < count; i++) socket.receiveSync({ timeout: 10_000 });
}

/** The contents of the files that come with the next message. */
function receivedContents(socket: MessageEnd): string[] {
  using message = socket.receiveMessageSync({ timeout: 10_000 });
  return message!.fds.map(contentOf);
}

/** A batch of one message with one file, which only the batch still has open, and what it is. */
function batchWithFile(content: string): { batch: SendBatch; target: string } {
  const batch = new SendBatch({ messages: 2, maxFds: 1 });
  using file = fileOf(content);
  batch.add(bytes(content), undefined, { fds: [file] });
  return { batch, target: targetOf(file.fd) };
}

/** What is open under the numbers that become free next. */
function othersInTheirPlace(): Fd[] {
  return Array.from({ length: 5 }, () => fileOf("another"));
}

/** Asserts that a batch can be neither filled nor cleared, and stays as it is. */
function assertInUse(batch: SendBatch): void {
  const { count } = batch;
  assertThrows(() => batch.add(bytes("more")), TypeError);
  assertThrows(() => batch.clear(), TypeError);
  assertEquals(batch.count, count);
}

/** Asserts that a batch can be cleared, filled and sent. */
async function assertFree(batch: SendBatch, a: MessageEnd, b: MessageEnd): Promise<void> {
  batch.clear();
  using file = fileOf("next");
  assert(batch.add(bytes("next"), undefined, { fds: [file] }));
  assertEquals(await a.sendMany(batch), { sent: 1, error: null });
  assertEquals(receivedContents(b), ["next"]);
  batch.clear();
}

for (const [name, Kind] of Object.entries(KINDS)) {
  test(`${name}: a batch that is being sent can be neither filled nor cleared until it was`, () =>
    leavesNothing(async () => {
      const [a, b] = Kind.pair();
      const { batch } = batchWithFile("added");
      const filled = fillCarrier(a);
      const sending = a.sendMany(batch);
      assertInUse(batch);
      assert(await isPending(sending));
      assertInUse(batch);
      drain(b, filled);
      assertEquals(await sending, { sent: 1, error: null });
      assertEquals(receivedContents(b), ["added"]);
      await assertFree(batch, a, b);
      closeEach([a, b]);
    }));

  test(`${name}: a batch is free again when sending it was aborted, timed out or failed`, () =>
    leavesNothing(async () => {
      const [a, b] = Kind.pair();
      const { batch } = batchWithFile("added");
      const filled = fillCarrier(a);
      const controller = new AbortController();
      const aborted = a.sendMany(batch, { signal: controller.signal });
      controller.abort(new Error("enough"));
      assertEquals(await outcome(aborted), "Error: enough");
      await assertFails(() => a.sendManySync(batch, { timeout: 0 }), "ETIMEDOUT");
      await assertFails(() => a.sendMany(batch, { dontWait: true }), "EAGAIN");
      const [c, d] = Kind.pair();
      fillCarrier(c);
      const sending = outcome(c.sendMany(batch));
      c.close();
      assertEquals(await sending, "EBADF");
      await assertFails(() => c.sendMany(batch), "EBADF");
      await assertFails(() => c.sendManySync(batch), "EBADF");
      drain(b, filled);
      await assertFree(batch, a, b);
      closeEach([a, b, d]);
    }));

  test(`${name}: leaving the scope of a batch that waits sends the very descriptors that were added`, () =>
    leavesNothing(async () => {
      const [a, b] = Kind.pair();
      const filled = fillCarrier(a);
      let sending;
      let target;
      let left: SendBatch;
      {
        const made = batchWithFile("added");
        using batch = made.batch;
        target = made.target;
        left = batch;
        sending = a.sendMany(batch);
      }
      const others = othersInTheirPlace();
      assertEquals(copiesOf(target), 1);
      assertThrows(() => left.add(bytes("more")), TypeError);
      drain(b, filled);
      assertEquals(await sending, { sent: 1, error: null });
      assertEquals([left.count, copiesOf(target)], [0, 0]);
      assertEquals(receivedContents(b), ["added"]);
      closeEach([a, b, ...others]);
    }));

  test(`${name}: leaving the scope of a batch closes its descriptors when sending it was aborted`, () =>
    leavesNothing(async () => {
      const [a, b] = Kind.pair();
      fillCarrier(a);
      const { batch, target } = batchWithFile("added");
      const controller = new AbortController();
      const sending = outcome(a.sendMany(batch, { signal: controller.signal }));
      batch[Symbol.dispose]();
      assertEquals(copiesOf(target), 1);
      controller.abort(new Error("enough"));
      assertEquals(await sending, "Error: enough");
      assertEquals([batch.count, copiesOf(target)], [0, 0]);
      closeEach([a, b]);
    }));

  test(`${name}: leaving the scope of a batch closes its descriptors when the socket closes`, () =>
    leavesNothing(async () => {
      const [a, b] = Kind.pair();
      fillCarrier(a);
      const { batch, target } = batchWithFile("added");
      const sending = outcome(a.sendMany(batch));
      batch[Symbol.dispose]();
      a.close();
      assertEquals(await sending, "EBADF");
      assertEquals([batch.count, copiesOf(target)], [0, 0]);
      b.close();
    }));

  test(`${name}: two sockets send one batch at once, and both peers get its descriptors`, () =>
    leavesNothing(async () => {
      const [a, b] = Kind.pair();
      const [c, d] = Kind.pair();
      const filled = [fillCarrier(a), fillCarrier(c)] as const;
      const { batch, target } = batchWithFile("added");
      const sendings = [a.sendMany(batch), c.sendMany(batch)] as const;
      batch[Symbol.dispose]();
      const others = othersInTheirPlace();
      drain(b, filled[0]);
      assertEquals(await sendings[0], { sent: 1, error: null });
      // The other still needs them.
      assertThrows(() => batch.clear(), TypeError);
      assertEquals(batch.count, 1);
      drain(d, filled[1]);
      assertEquals(await sendings[1], { sent: 1, error: null });
      assertEquals(batch.count, 0);
      assertEquals([receivedContents(b), receivedContents(d)], [["added"], ["added"]]);
      assertEquals(copiesOf(target), 0);
      closeEach([a, b, c, d, ...others]);
    }));

  test(`${name}: sendManySync() of a batch that another socket is sending leaves it in use`, () =>
    leavesNothing(async () => {
      const [a, b] = Kind.pair();
      const [c, d] = Kind.pair();
      const filled = fillCarrier(a);
      const { batch } = batchWithFile("added");
      const sending = a.sendMany(batch);
      assertEquals(c.sendManySync(batch), { sent: 1, error: null });
      assertInUse(batch);
      drain(b, filled);
      assertEquals(await sending, { sent: 1, error: null });
      assertEquals([receivedContents(b), receivedContents(d)], [["added"], ["added"]]);
      await assertFree(batch, a, b);
      closeEach([a, b, c, d]);
    }));

  test(`${name}: a batch can be neither filled nor cleared from within sendManySync()`, () =>
    leavesNothing(async () => {
      const [a, b] = Kind.pair();
      const filled = fillCarrier(a);
      const { batch } = batchWithFile("added");
      const given = fileOf("given");
      let seen: unknown = "never asked";
      // Its message waits before the batch, and is sent by the call that sends the batch.
      const owner = {
        get fd() {
          return given.fd;
        },
        intoFd() {
          try {
            assertInUse(batch);
            seen = "in use";
          } catch (error) {
            seen = error;
          }
          return given.intoFd();
        },
      };
      const before = a.sendMessage(bytes("before"), { fds: [owner], transfer: true });
      drain(b, filled);
      assertEquals(a.sendManySync(batch), { sent: 1, error: null });
      assertEquals(seen, "in use");
      await before;
      assertEquals([receivedContents(b), receivedContents(b)], [["given"], ["added"]]);
      await assertFree(batch, a, b);
      closeEach([a, b]);
    }));

  test(`${name}: a second receiveMany() into a batch rejects while one waits, and takes no message`, () =>
    leavesNothing(async () => {
      const [a, b] = Kind.pair();
      const [c, d] = Kind.pair();
      const batch = new ReceiveBatch({ messages: 1, maxFds: 1 });
      const first = b.receiveMany(batch);
      await assertRejects(() => b.receiveMany(batch), TypeError);
      await c.send(bytes("elsewhere"));
      await assertRejects(() => d.receiveMany(batch), TypeError);
      assertThrows(() => d.receiveManySync(batch, { timeout: 0 }), TypeError);
      assertThrows(() => b.receiveManySync(batch, { timeout: 0 }), TypeError);
      assert(await isPending(first));
      await a.send(bytes("first"));
      await a.send(bytes("second"));
      const next = async (socket: MessageEnd) => {
        assertEquals(await socket.receiveMany(batch), 1);
        return String.fromCharCode(...batch.data(0));
      };
      assertEquals(await first, 1);
      assertEquals(String.fromCharCode(...batch.data(0)), "first");
      assertEquals([await next(b), await next(d)], ["second", "elsewhere"]);
      closeEach([a, b, c, d]);
    }));

  test(`${name}: a batch can receive again when receiveMany() was aborted, timed out or failed`, () =>
    leavesNothing(async () => {
      const [a, b] = Kind.pair();
      using batch = new ReceiveBatch({ messages: 1, maxFds: 1 });
      const controller = new AbortController();
      const aborted = outcome(b.receiveMany(batch, { signal: controller.signal }));
      controller.abort(new Error("enough"));
      assertEquals(await aborted, "Error: enough");
      await assertFails(() => b.receiveManySync(batch, { timeout: 0 }), "ETIMEDOUT");
      const [c, d] = Kind.pair();
      const evicted = outcome(d.receiveMany(batch));
      d.close();
      assertEquals(await evicted, "EBADF");
      await assertFails(() => d.receiveMany(batch), "EBADF");
      await assertFails(() => d.receiveManySync(batch), "EBADF");
      using file = fileOf("came");
      await a.sendMessage(bytes("with one"), { fds: [file] });
      assertEquals(await b.receiveMany(batch), 1);
      assertEquals(batch.ancillary(0).fds.map(contentOf), ["came"]);
      closeEach([a, b, c]);
    }));

  test(`${name}: receiveMany() into two batches at once gives each its message`, () =>
    leavesNothing(async () => {
      const [a, b] = Kind.pair();
      const batches = [new ReceiveBatch({ messages: 1 }), new ReceiveBatch({ messages: 1 })];
      const receipts = batches.map((batch) => b.receiveMany(batch));
      await settled();
      for (const each of ["0", "1"]) await a.send(bytes(each));
      assertEquals(await Promise.all(receipts), [1, 1]);
      assertEquals(batches.map((batch) => String.fromCharCode(...batch.data(0))), ["0", "1"]);
      closeEach([a, b]);
    }));

  test(`${name}: descriptor −1 is a RangeError, and nothing is sent`, () =>
    leavesNothing(async () => {
      const [a, b] = Kind.pair();
      using batch = new SendBatch({ maxFds: 1 });
      const options = { fds: [-1] };
      await assertRejects(() => a.sendMessage(bytes("x"), options), RangeError);
      assertThrows(() => a.sendMessageSync(bytes("x"), options), RangeError);
      assertThrows(() => batch.add(bytes("x"), undefined, options), RangeError);
      assertEquals(batch.count, 0);
      await assertFails(() => b.receiveSync({ timeout: 0 }), "ETIMEDOUT");
      closeEach([a, b]);
    }));
}

test("SendBatch.add() refuses to transfer, which a batch cannot do", () =>
  leavesNothing(() => {
    using batch = new SendBatch({ maxFds: 1 });
    using file = fileOf("kept");
    const along = { fds: [file], transfer: true };
    assertThrows(() => batch.add(bytes("x"), undefined, along), TypeError);
    assertEquals([batch.count, file.closed, copiesOf(targetOf(file.fd))], [0, false, 1]);
  }));

test("the batches refuse null as maxFds", () => {
  const options = { maxFds: null as unknown as number };
  assertThrows(() => new SendBatch(options), TypeError);
  assertThrows(() => new ReceiveBatch(options), TypeError);
});
