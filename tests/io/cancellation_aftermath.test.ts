import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import process from "node:process";
import { Fd, UnixListener, UnixStream } from "../../mod.ts";
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
import { outcome, takeSync, until } from "../support/waiting.ts";

const byte = () => new Uint8Array(1);

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

test("an aborted UnixStream.writeAll() tells how much it sent, the peer has just that, and the socket goes on", async () => {
  await withSocketPair(async (a, b) => {
    const data = Uint8Array.from({ length: 2_000_000 }, (_, index) => index * 13);
    const controller = new AbortController();
    const writing = outcome(a.writeAll(data, { signal: controller.signal }));
    const received = new Uint8Array(data.length);
    let count = 0;
    while (count < 600_000) count += (await b.read(received.subarray(count, count + 50_000)))!;
    controller.abort("half way");
    assertEquals(await writing, "half way");
    const sent = a.bytesWritten;
    assert(sent >= count && sent < data.length);
    received.set(takeSync(b, sent - count), count);
    assertEquals(received.subarray(0, sent), data.subarray(0, sent));
    await assertFails(() => b.readSync(byte(), { timeout: 0 }), "ETIMEDOUT");

    await a.writeAll(bytes("and on"));
    assertEquals(await readText(b), "and on");
    assertEquals(a.bytesWritten, sent + 6);
  });
});

test("an aborted operation leaves both directions usable", async () => {
  await withSocketPair(async (a, b) => {
    const filled = fill(a);
    for (let round = 0; round < 20; round++) {
      const controller = new AbortController();
      const { signal } = controller;
      const all = [
        a.read(byte(), { signal }),
        a.peek(byte(), { signal }),
        a.write(byte(), { signal }),
        a.writeAll(byte(), { signal }),
      ].map(outcome<unknown>);
      await settled(round % 3);
      controller.abort("aborted");
      assertEquals(await Promise.all(all), all.map(() => "aborted"));
    }
    takeSync(b, filled);
    await a.writeAll(bytes("there"));
    assertEquals(await readText(b), "there");
    await b.writeAll(bytes("back"));
    assertEquals(await readText(a), "back");
  });
});

test("an aborted UnixStream.connect() leaves no descriptor, no connection and no path behind", async () => {
  await withFullListener(async (path, listener) => {
    const from = `${path}.client`;
    await assertNoFdLeak(async () => {
      for (let round = 0; round < 20; round++) {
        const controller = new AbortController();
        const connecting = outcome(
          UnixStream.connect(path, { signal: controller.signal, from }),
        );
        assert(existsSync(from));
        // Before the first pause, and within one.
        if (round % 2 === 0) await settled(3);
        controller.abort("aborted");
        assertEquals(await connecting, "aborted");
        assert(!existsSync(from));
      }
    });
    listener.acceptSync({ timeout: 0 }).close();
    await assertFails(() => listener.acceptSync({ timeout: 0 }), "ETIMEDOUT");
  });
});

test("an aborted Fd.read() or Fd.writeAll() leaves the pipe usable", async () => {
  const [reader, writer] = Fd.pipe();
  const controller = new AbortController();
  const { signal } = controller;
  const reading = outcome(reader.read(byte(), { signal }));
  await settled();
  controller.abort("aborted");
  assertEquals(await reading, "aborted");
  const second = new AbortController();
  const writing = outcome(writer.writeAll(new Uint8Array(1_000_000), { signal: second.signal }));
  await settled();
  second.abort("aborted too");
  assertEquals(await writing, "aborted too");
  writer.close();
  let count = 0;
  const buffer = new Uint8Array(65536);
  for (let taken; (taken = await reader.read(buffer)) !== null;) count += taken;
  assert(count > 0 && count < 1_000_000);
  reader.close();
});

// Listeners

/** A signal that counts its listeners. */
function countingController(): {
  controller: AbortController;
  listeners(): number;
  added(): number;
} {
  const controller = new AbortController();
  const { signal } = controller;
  const listening = new Set<unknown>();
  let added = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (type: string, listener: unknown, options?: unknown) => {
    added++;
    listening.add(listener);
    addEventListener.call(signal, type, listener as () => void, options as AddEventListenerOptions);
  };
  signal.removeEventListener = (type: string, listener: unknown, options?: unknown) => {
    listening.delete(listener);
    removeEventListener.call(signal, type, listener as () => void, options as EventListenerOptions);
  };
  return { controller, listeners: () => listening.size, added: () => added };
}

test("10,000 reads with one signal leave no listener on it", async () => {
  await withSocketPair(async (a, b) => {
    const { controller, listeners, added } = countingController();
    const { signal } = controller;
    const buffer = byte();
    let most = 0;
    for (let i = 0; i < 10_000; i++) {
      const reading = b.read(buffer, { signal });
      most = Math.max(most, listeners());
      a.writeSync(buffer);
      await reading;
    }
    assertEquals([most, listeners()], [1, 0]);
    assertEquals(added(), 10_000);
  });
});

test("an operation that fails, is closed or never waits leaves no listener on its signal", async () => {
  await withTempSocketPath(async (path) => {
    const listener = UnixListener.listen(path, { backlog: 0 });
    const [a, b] = UnixStream.pair();
    const { controller, listeners } = countingController();
    const { signal } = controller;
    fill(a);
    const all: Promise<unknown>[] = [
      a.read(byte(), { signal }),
      a.read(new Uint8Array(0), { signal }),
      a.peek(byte(), { signal }),
      a.write(byte(), { signal }),
      b.read(byte(), { signal }),
      listener.accept({ signal }),
    ];
    assertEquals(listeners(), 5);
    a.close();
    listener.close();
    await Promise.allSettled(all);
    await assertFails(() => b.writeAll(byte(), { signal }), "EPIPE");
    await assertFails(() => UnixStream.connect(path, { signal }), "ENOENT");
    b.close();
    assertEquals(listeners(), 0);
  });
});

test("UnixStream.connect() to a full backlog leaves no listener on its signal", async () => {
  await withFullListener(async (path, listener) => {
    const { controller, listeners } = countingController();
    const connecting = UnixStream.connect(path, { signal: controller.signal });
    await until(() => listeners() > 0, "the connect to wait");
    (await listener.accept()).close();
    (await connecting).close();
    assertEquals(listeners(), 0);
  });
});

test("many operations that wait with one signal raise no warning", async () => {
  const warnings: unknown[] = [];
  const note = (warning: unknown) => void warnings.push(warning);
  process.on("warning", note);
  try {
    await withSocketPair(async (a, b) => {
      const controller = new AbortController();
      const { signal } = controller;
      const reads = Array.from({ length: 200 }, () => outcome(b.read(byte(), { signal })));
      await settled();
      a.writeSync(byte());
      controller.abort("aborted");
      await Promise.all(reads);
      await settled();
    });
  } finally {
    process.off("warning", note);
  }
  assertEquals(warnings, []);
});
