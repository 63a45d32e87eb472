import { test } from "node:test";
import { assertEquals, assertStrictEquals } from "@std/assert";
import { UnixListener, UnixStream } from "../../mod.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  fill,
  readText,
  settled,
  withSocketPair,
  withTempSocketPath,
} from "../support/mod.ts";
import { closeAll, outcome, takeSync } from "../support/waiting.ts";

const byte = () => new Uint8Array(1);

/** What a promise rejected with, also where that is undefined. */
async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (reason) {
    return reason;
  }
  throw new Error("it was fulfilled");
}

/** Runs a body with a listener whose backlog is full. */
async function withFullListener(
  body: (path: string, listener: UnixListener) => Promise<void>,
): Promise<void> {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path, { backlog: 0 });
    using _queued = UnixStream.connectSync(path);
    await body(path, listener);
  });
}

// Before the call

test("an operation that is ready at once does not mind an abort later", async () => {
  await withSocketPair(async (a, b) => {
    const controller = new AbortController();
    const { signal } = controller;
    const writing = a.writeAll(bytes("data"), { signal });
    const reading = b.read(byte(), { signal });
    controller.abort();
    await writing;
    assertEquals(await reading, 1);
  });
});

// Reasons

test("an abort's reason is passed on as it is, whatever it is", async () => {
  await withSocketPair(async (a) => {
    for (
      const reason of [new Error("mine"), "text", 0, null, false, Symbol("s"), { an: "object" }, []]
    ) {
      const controller = new AbortController();
      const waiting = reasonOf(a.read(byte(), { signal: controller.signal }));
      await settled(1);
      controller.abort(reason);
      assertStrictEquals(await waiting, reason);
      assertStrictEquals(await reasonOf(a.read(byte(), { signal: controller.signal })), reason);
    }
  });
});

test("an abort without a reason rejects with an AbortError, a timeout with a TimeoutError", async () => {
  await withSocketPair(async (a) => {
    const controller = new AbortController();
    const waiting = reasonOf(a.read(byte(), { signal: controller.signal }));
    controller.abort();
    const reason = await waiting as DOMException;
    assertEquals(reason.name, "AbortError");
    assertStrictEquals(reason, controller.signal.reason);
    const timedOut = await reasonOf(a.read(byte(), { signal: AbortSignal.timeout(5) }));
    assertEquals((timedOut as DOMException).name, "TimeoutError");
  });
});

test("AbortSignal.any() and AbortSignal.timeout() end every operation that waits", async () => {
  await withFullListener(async (path, listener) => {
    await withSocketPair(async (a) => {
      listener.acceptSync().close();
      fill(a);
      using _queued = UnixStream.connectSync(path);
      using other = UnixListener.listen(`${path}.other`);
      const names = await Promise.all(
        [
          (signal: AbortSignal) => a.read(byte(), { signal }),
          (signal: AbortSignal) => a.read(new Uint8Array(0), { signal }),
          (signal: AbortSignal) => a.peek(byte(), { signal }),
          (signal: AbortSignal) => a.write(byte(), { signal }),
          (signal: AbortSignal) => a.writeAll(byte(), { signal }),
          (signal: AbortSignal) => other.accept({ signal }),
          (signal: AbortSignal) => UnixStream.connect(path, { signal }),
        ].flatMap((call) => [
          reasonOf(call(AbortSignal.timeout(5))),
          reasonOf(call(AbortSignal.any([AbortSignal.timeout(5), new AbortController().signal]))),
        ]),
      );
      for (const reason of names) assertEquals((reason as DOMException).name, "TimeoutError");
    });
  });
});

// Those that wait

for (const [which, index] of [["first", 0], ["middle", 2], ["last", 4]] as const) {
  test(`aborting the ${which} of several connects lets the others connect`, async () => {
    await withFullListener(async (path, listener) => {
      const controllers = Array.from({ length: 5 }, () => new AbortController());
      const connects = controllers.map(({ signal }) => UnixStream.connect(path, { signal }));
      const results = connects.map(outcome<unknown>);
      await settled();
      controllers[index]!.abort("aborted");
      assertEquals(await results[index], "aborted");
      // The one in the backlog, and four more.
      for (let i = 0; i < 5; i++) (await listener.accept()).close();
      const streams = (await Promise.all(results)).filter((one) => one instanceof UnixStream);
      assertEquals(streams.length, 4);
      closeAll([streams]);
      await assertFails(() => listener.acceptSync({ timeout: 0 }), "ETIMEDOUT");
    });
  });
}

test("one abort ends all operations of its signal, on several sockets and in both directions", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await withSocketPair(async (a, b) => {
      fill(a);
      const controller = new AbortController();
      const { signal } = controller;
      const all: Promise<unknown>[] = [
        a.read(byte(), { signal }),
        a.read(byte(), { signal }),
        a.write(byte(), { signal }),
        a.writeAll(byte(), { signal }),
        listener.accept({ signal }),
      ];
      const other = readText(a);
      controller.abort("all");
      assertEquals(await Promise.all(all.map(outcome)), all.map(() => "all"));
      b.writeSync(bytes("without a signal"));
      assertEquals(await other, "without a signal");
    });
  });
});

test("aborting a writeAll() half way lets the write behind it follow what was sent", async () => {
  await withSocketPair(async (a, b) => {
    const controller = new AbortController();
    const first = outcome(a.writeAll(new Uint8Array(5_000_000), { signal: controller.signal }));
    await settled();
    const second = a.writeAll(bytes("end"));
    const sent = a.bytesWritten;
    controller.abort("enough");
    assertEquals(await first, "enough");
    takeSync(b, sent);
    await second;
    assertEquals(await readText(b), "end");
  });
});

// Races

test("a read that is aborted in the tick in which data arrive has them, or the next read has", async () => {
  await withSocketPair(async (a, b) => {
    let sent = 0;
    let received = 0;
    const take = (buffer: Uint8Array, count: number | null) => {
      assertEquals(count, 1);
      assertEquals(buffer[0], received++ & 255);
    };
    const send = () => a.writeSync(Uint8Array.of(sent++ & 255));
    const immediately = () => new Promise((resolve) => setImmediate(resolve));
    const races: ((abort: () => void) => unknown)[] = [
      (abort) => (send(), abort()),
      (abort) => (abort(), send()),
      (abort) => (send(), queueMicrotask(abort)),
      (abort) => (setImmediate(abort), send()),
      (abort) => (setImmediate(send), setImmediate(abort)),
      async (abort) => (send(), await immediately(), abort()),
      async (abort) => (send(), await immediately(), await immediately(), abort()),
      (abort) => (send(), setTimeout(abort)),
      (abort) => (setTimeout(send), setTimeout(abort)),
    ];
    for (let round = 0; round < 300; round++) {
      const controller = new AbortController();
      const buffer = byte();
      const reading = b.read(buffer, { signal: controller.signal });
      if (round % 2 === 0) await immediately();
      races[round % races.length]!(() => controller.abort("aborted"));
      const result = await outcome(reading);
      if (result !== "aborted") {
        take(buffer, result as number);
      } else {
        assertEquals(buffer[0], 0);
        const next = byte();
        take(next, await b.read(next));
      }
    }
    assertEquals([received, b.bytesRead], [sent, sent]);
  });
});

test("an accept that is aborted in the tick in which a connection comes has it, or the next accept has", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await assertNoFdLeak(async () => {
      for (let round = 0; round < 200; round++) {
        const controller = new AbortController();
        const accepting = outcome(listener.accept({ signal: controller.signal }));
        if (round % 2 === 0) await settled(1);
        using client = UnixStream.connectSync(path);
        client.writeSync(Uint8Array.of(round));
        // In half of the rounds the event may have been seen by now.
        await settled((round >> 2) % 4);
        const abort = () => controller.abort("aborted");
        if (round % 4 < 2) abort();
        else setImmediate(abort);
        const result = await accepting;
        using stream = typeof result === "string" ? await listener.accept() : result;
        const buffer = byte();
        assertEquals(await stream.read(buffer), 1);
        assertEquals(buffer[0], round);
        await settled(2);
      }
      await assertFails(() => listener.acceptSync({ timeout: 0 }), "ETIMEDOUT");
    });
  });
});

test("aborting the read before a second one in the tick in which data arrive wakes the second", async () => {
  await withSocketPair(async (a, b) => {
    const controller = new AbortController();
    const first = outcome(b.read(byte(), { signal: controller.signal }));
    const second = readText(b);
    await settled();
    a.writeSync(bytes("for the second"));
    controller.abort("aborted");
    assertEquals(await first, "aborted");
    assertEquals(await second, "for the second");
  });
});

test("aborting and closing in the same tick settles each operation once, in the order of the calls", async () => {
  await withSocketPair(async (a, b) => {
    const controllers = [new AbortController(), new AbortController()] as const;
    const reads = controllers.map(({ signal }) => outcome(b.read(byte(), { signal })));
    await settled();
    controllers[0].abort("aborted");
    b.close();
    controllers[1].abort("aborted");
    assertEquals(await Promise.all(reads), ["aborted", "EBADF"]);
    assertEquals(await readText(a), null);
  });
});

test("an abort whose own listener closes the socket settles what waits once", async () => {
  await withSocketPair(async (a, b) => {
    const controller = new AbortController();
    const { signal } = controller;
    signal.addEventListener("abort", () => b.close());
    const reads = [b.read(byte(), { signal }), b.read(byte(), { signal })].map(outcome);
    await settled();
    controller.abort("aborted");
    // The listener came first, and closing takes those of the reads away.
    assertEquals(await Promise.all(reads), ["EBADF", "EBADF"]);
    assertEquals(await readText(a), null);
  });
});

test("aborting in a continuation of the read before ends the one behind it", async () => {
  await withSocketPair(async (a, b) => {
    const controller = new AbortController();
    const first = b.read(byte()).then(() => controller.abort("aborted"));
    const second = outcome(b.read(byte(), { signal: controller.signal }));
    const third = readText(b);
    await settled();
    a.writeSync(bytes("1"));
    await first;
    assertEquals(await second, "aborted");
    a.writeSync(bytes("3"));
    assertEquals(await third, "3");
  });
});
