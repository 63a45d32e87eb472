import { assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { UnixSeqpacket, UnixStream } from "../../mod.ts";
import { Doorbell, Fd } from "../../shm.ts";
import { assertFails } from "../support/mod.ts";
import { leavesNothing } from "../support/passing.ts";
import { assertRefuses, NOT_OPTIONS, NOT_SIGNALS } from "../support/refusals.ts";
import { isPending } from "../support/waiting.ts";

test("Doorbell.wait() waits until it rings, and tells how often it did", () =>
  leavesNothing(async () => {
    using doorbell = Doorbell.create();
    const waiting = doorbell.wait();
    assertEquals(await isPending(waiting), true);
    doorbell.notify();
    assertEquals(await waiting, 1);
    for (let i = 0; i < 1000; i++) doorbell.notify();
    assertEquals(await doorbell.wait(), 1000);
    doorbell.notify();
    doorbell.notify();
    assertEquals(doorbell.waitSync(), 2);
    await assertFails(() => doorbell.waitSync({ timeout: 0 }), "ETIMEDOUT", "read");
  }));

test("Doorbell.wait() that is aborted rejects with the reason, and takes nothing away", async () => {
  using doorbell = Doorbell.create();
  const giveUp = new AbortController();
  const waiting = doorbell.wait({ signal: giveUp.signal });
  const reason = new Error("enough");
  const rejected = assertRejects(() => waiting, Error, "enough");
  giveUp.abort(reason);
  await rejected;
  doorbell.notify();
  await assertRejects(() => doorbell.wait({ signal: giveUp.signal }), Error, "enough");
  assertEquals(await doorbell.wait(), 1);
});

test("Doorbell.notify() of a full counter neither waits nor fails", async () => {
  using counter = Fd.eventfd();
  using doorbell = Doorbell.from(counter);
  counter.writeSync(BigUint64Array.of(0xffff_ffff_ffff_fffen));
  doorbell.notify();
  doorbell.notify();
  assertEquals(await doorbell.wait(), 2 ** 64);
  doorbell.notify();
  assertEquals(await doorbell.wait(), 1);
});

test("Doorbell.from() rings the same bell, and leaves the descriptor to the caller", () =>
  leavesNothing(async () => {
    using counter = Fd.eventfd();
    using doorbell = Doorbell.from(counter);
    const fd = counter.dup();
    for (const given of [doorbell, fd, fd.fd]) {
      using other = Doorbell.from(given);
      other.notify();
      assertEquals(await doorbell.wait(), 1);
      doorbell.notify();
      assertEquals(await other.wait(), 1);
    }
    assertEquals(fd.closed, false);
    fd.close();
  }));

for (const [name, pair] of Object.entries({ UnixStream, UnixSeqpacket })) {
  test(`Doorbell travels over ${name} as a descriptor`, () =>
    leavesNothing(async () => {
      const [a, b] = pair.pair();
      using doorbell = Doorbell.create();
      await a.sendMessage(new Uint8Array(1), { fds: [doorbell] });
      using message = await b.receiveMessage({ maxFds: 1 });
      using received = Doorbell.from(message!.fds[0]!);
      const waiting = received.wait();
      doorbell.notify();
      assertEquals(await waiting, 1);
      a.close();
      b.close();
    }));
}

test("Doorbell.from() refuses what is certainly no eventfd", () =>
  leavesNothing(async () => {
    const [reader, writer] = Fd.pipe();
    const memory = Fd.memfd("no bell");
    for (const each of [reader, writer, memory]) {
      const error = await assertFails(() => Doorbell.from(each), "EINVAL", "fcntl");
      assertEquals(
        error.message,
        `Cannot use the descriptor as a doorbell: EINVAL (this is no eventfd: ${each.kind})`,
      );
      each.close();
      await assertFails(() => Doorbell.from(each), "EBADF", "fcntl");
    }
    await assertRefuses(TypeError, [null, undefined, "0", {}], (fd) => Doorbell.from(fd));
    await assertRefuses(RangeError, [-2, 1.5, 2 ** 31], (fd) => Doorbell.from(fd));
  }));

test("Doorbell refuses options that make no sense", async () => {
  using doorbell = Doorbell.create();
  await assertRefuses(TypeError, NOT_OPTIONS, (options) => doorbell.wait(options));
  await assertRefuses(TypeError, NOT_SIGNALS, (signal) => doorbell.wait({ signal }));
  await assertRefuses(TypeError, NOT_OPTIONS, (options) => doorbell.waitSync(options));
  await assertRefuses(RangeError, [-1, NaN], (timeout) => doorbell.waitSync({ timeout }));
});

test("Doorbell.close() rejects what waits with EBADF, and everything after it", () =>
  leavesNothing(async () => {
    const doorbell = Doorbell.create();
    const waiting = assertFails(() => doorbell.wait(), "EBADF", "read");
    assertEquals([doorbell.closed, doorbell.fd >= 0], [false, true]);
    doorbell.close();
    doorbell.close();
    await waiting;
    assertEquals([doorbell.closed, doorbell.fd], [true, -1]);
    await assertFails(() => doorbell.wait(), "EBADF", "read");
    await assertFails(() => doorbell.waitSync(), "EBADF", "read");
    await assertFails(() => doorbell.notify(), "EBADF", "write");
    await assertFails(() => Doorbell.from(doorbell), "EBADF", "fcntl");
  }));

test("Doorbell.unref() and ref() are for the process's life, and return the doorbell", async () => {
  using doorbell = Doorbell.create();
  assertEquals(doorbell.unref() === doorbell && doorbell.ref() === doorbell, true);
  const waiting = doorbell.wait();
  doorbell.notify();
  assertEquals(await waiting, 1);
});
