import { assert, assertEquals, assertThrows } from "@std/assert";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Fd, UnixListener } from "../../mod.ts";
import { acceptFrom, python } from "../support/interop.ts";
import { assertFails, unlessProgram, withTempSocketPath } from "../support/mod.ts";
import { callsMade } from "../support/raw.ts";
import { isPending } from "../support/waiting.ts";

/** The largest count that a counter can hold. */
const FULL = 0xffff_ffff_ffff_fffen;

/** A count as eight bytes in the machine's order. */
function counted(count: bigint): BigUint64Array<ArrayBuffer> {
  return BigUint64Array.of(count);
}

async function take(counter: Fd): Promise<bigint> {
  const count = new BigUint64Array(1);
  assertEquals(await counter.read(count), 8);
  return count[0]!;
}

function takeSync(counter: Fd, timeout = 10_000): bigint {
  const count = new BigUint64Array(1);
  assertEquals(counter.readSync(count, { timeout }), 8);
  return count[0]!;
}

/** The count, without taking it. */
function countOf(counter: Fd): bigint {
  const info = readFileSync(`/proc/self/fdinfo/${counter.fd}`, "utf8");
  return BigInt(`0x${/^eventfd-count:\s*([0-9a-f]+)$/m.exec(info)![1]!}`);
}

test("Fd.eventfd() starts with its initial count, which is 0 without one", async () => {
  for (const initial of [1, 7, 2 ** 31, 2 ** 32 - 1]) {
    using counter = Fd.eventfd(initial);
    assertEquals(countOf(counter), BigInt(initial));
    assertEquals(await take(counter), BigInt(initial));
    assertEquals(countOf(counter), 0n);
  }
  for (const counter of [Fd.eventfd(), Fd.eventfd(0), Fd.eventfd(undefined, {})]) {
    assertEquals(countOf(counter), 0n);
    await assertFails(() => takeSync(counter, 0), "ETIMEDOUT", "read");
    counter.close();
  }
});

test("Fd.eventfd() refuses counts and options that make no sense before any call", async () => {
  const calls = await callsMade(() => {
    for (const initial of [-1, 2 ** 32, 1.5, NaN, Infinity]) {
      assertThrows(() => Fd.eventfd(initial), RangeError);
    }
    for (const initial of ["1", null, 1n, true]) {
      assertThrows(() => Fd.eventfd(initial as unknown as number), TypeError);
    }
    for (const options of [null, true, { semaphore: 1 }, { semaphore: "yes" }]) {
      assertThrows(() => Fd.eventfd(0, options as unknown as { semaphore: boolean }), TypeError);
    }
  });
  assertEquals(calls, []);
});

test("Fd.eventfd() adds what is written, and a read takes all of it", async () => {
  using counter = Fd.eventfd(1);
  assertEquals(await counter.write(counted(2n)), 8);
  assertEquals(counter.writeSync(counted(2n ** 40n)), 8);
  await counter.writeAll(counted(3n));
  assertEquals(await take(counter), 2n ** 40n + 6n);
  counter.writeAllSync(counted(5n));
  assertEquals(takeSync(counter), 5n);
});

test("Fd.eventfd() as a semaphore gives 1 for each read", async () => {
  using counter = Fd.eventfd(2, { semaphore: true });
  assertEquals([await take(counter), takeSync(counter)], [1n, 1n]);
  await assertFails(() => takeSync(counter, 0), "ETIMEDOUT", "read");
  await counter.writeAll(counted(3n));
  assertEquals(await Promise.all([take(counter), take(counter), take(counter)]), [1n, 1n, 1n]);
  const waiting = [take(counter), take(counter)];
  assert(await isPending(waiting[0]!));
  await counter.writeAll(counted(1n));
  assertEquals(await waiting[0], 1n);
  assert(await isPending(waiting[1]!));
  await counter.writeAll(counted(1n));
  assertEquals(await waiting[1], 1n);
});

test("Fd.read() of an eventfd waits while it is zero, and a write through it or a duplicate wakes it", async () => {
  using counter = Fd.eventfd();
  using twin = counter.dup();
  for (const writer of [counter, twin]) {
    const waiting = take(counter);
    assert(await isPending(waiting));
    await writer.writeAll(counted(9n));
    assertEquals(await waiting, 9n);
  }
});

test("Fd.write() of 0 to an eventfd wakes no reader", async () => {
  using counter = Fd.eventfd();
  const waiting = take(counter);
  await counter.writeAll(counted(0n));
  assert(await isPending(waiting));
  await counter.writeAll(counted(1n));
  assertEquals(await waiting, 1n);
});

/** Runs a body with a program that got the counter, and adds 1 to it when it is told to. */
function withAdder(counter: Fd, body: (tell: () => void) => Promise<void>): Promise<void> {
  return withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using adder = python(
      `
        connection = connected(args[0])
        data, [fd], *_ = socket.recv_fds(connection, 1, 1)
        connection.recv(1) or sys.exit("nobody says how to go on")
        os.write(fd, struct.pack("=Q", 1))
      `,
      [path],
    );
    using stream = await acceptFrom(adder, listener);
    await stream.sendMessage(new Uint8Array(1), { fds: [counter] });
    await body(() => stream.writeAllSync(new Uint8Array(1)));
    await adder.succeeded();
  });
}

for (const blocking of [false, true]) {
  test(
    `Fd.${blocking ? "readSync" : "read"}() of an eventfd that waits is woken by another process`,
    { skip: unlessProgram("python3") },
    async () => {
      using counter = Fd.eventfd();
      await withAdder(counter, async (tell) => {
        if (blocking) {
          tell();
          return assertEquals(takeSync(counter), 1n);
        }
        const waiting = take(counter);
        assert(await isPending(waiting));
        tell();
        assertEquals(await waiting, 1n);
      });
    },
  );
}

test("Fd.write() to an eventfd waits while the sum would be too large", async () => {
  using counter = Fd.eventfd();
  await counter.writeAll(counted(FULL));
  assertEquals(countOf(counter), FULL);
  await assertFails(() => counter.writeSync(counted(1n), { timeout: 0 }), "ETIMEDOUT", "write");
  const writing = counter.write(counted(5n));
  assert(await isPending(writing));
  assertEquals(takeSync(counter), FULL);
  assertEquals(await writing, 8);
  assertEquals(await take(counter), 5n);
});

test("Fd.write() of 2⁶⁴ − 1, and reads and writes of less than eight bytes, fail with EINVAL", async () => {
  using counter = Fd.eventfd(3);
  await assertFails(() => counter.write(counted(FULL + 1n)), "EINVAL", "write");
  await assertFails(() => counter.writeSync(new Uint8Array(7)), "EINVAL", "write");
  await assertFails(() => counter.read(new Uint8Array(7)), "EINVAL", "read");
  await assertFails(() => counter.readSync(new Uint8Array(7)), "EINVAL", "read");
  assertEquals(countOf(counter), 3n);
  const room = new BigUint64Array(4).fill(8n);
  assertEquals(await counter.read(room), 8);
  assertEquals([...room], [3n, 8n, 8n, 8n]);
});

test("Fd.eventfd() has no positions: pread() and pwrite() fail with ESPIPE", async () => {
  using counter = Fd.eventfd(1);
  await assertFails(() => counter.pread(counted(0n), 0), "ESPIPE", "pread");
  await assertFails(() => counter.pwrite(counted(1n), 0), "ESPIPE", "pwrite");
  await assertFails(() => counter.truncate(0), "EINVAL", "ftruncate");
  await assertFails(() => counter.sync(), "EINVAL", "fsync");
  assertEquals(countOf(counter), 1n);
});
