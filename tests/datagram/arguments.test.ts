import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { test } from "node:test";
import { ReceiveBatch, UnixDatagram } from "../../mod.ts";
import { takeQueued } from "../support/datagrams.ts";
import { assertFails, bytes, withTempSocketPath } from "../support/mod.ts";
import { callsMade } from "../support/raw.ts";

/** A value of whatever type, where another is expected. */
// deno-lint-ignore no-explicit-any
type Wrong = any;
type ErrorClass = typeof TypeError | typeof RangeError;

/** What a call throws or rejects with. */
async function failureOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Asserts that all of these calls refuse all of these values, and that libc is never called. */
async function assertAllRefuse(
  expected: ErrorClass,
  values: readonly unknown[],
  calls: Record<string, (value: Wrong) => unknown>,
): Promise<void> {
  const made = await callsMade(async () => {
    for (const [name, call] of Object.entries(calls)) {
      for (const value of values) {
        const shown = `${name}: ${typeof value} ${String(value)}`;
        assertInstanceOf(await failureOf(() => call(value)), expected, shown);
      }
    }
  });
  assertEquals(made, []);
}

/** Runs a body with a connected socket that can send to its receiver in every way. */
function withRoute(
  body: (sender: UnixDatagram, receiver: UnixDatagram, path: string) => Promise<void>,
): Promise<void> {
  return withTempSocketPath(async (path) => {
    using receiver = UnixDatagram.bind(path);
    using sender = UnixDatagram.unbound().connect(path);
    sender.sendSync(bytes("there before"));
    await body(sender, receiver, path);
    assertEquals(takeQueued(receiver), ["there before"]);
  });
}

test("L227 UnixDatagram refuses messages and buffers that are no memory with TypeError", async () => {
  await withRoute(async (sender, receiver, path) => {
    const wrong = [undefined, null, "text", 5, 5n, {}, [1, 2], true, new SharedArrayBuffer(4)];
    await assertAllRefuse(TypeError, wrong, {
      send: (value) => sender.send(value),
      sendSync: (value) => sender.sendSync(value),
      sendTo: (value) => sender.sendTo(value, path),
      sendToSync: (value) => sender.sendToSync(value, path),
      receiveInto: (value) => receiver.receiveInto(value),
      receiveIntoSync: (value) => receiver.receiveIntoSync(value),
    });
  });
});

test("L227 UnixDatagram refuses what is no address with TypeError", async () => {
  await withRoute(async (sender, _, path) => {
    const wrong = [
      ...[undefined, null, 5, {}, [], true],
      ...[{ kind: "pathname" }, { kind: "pathname", path: 5 }, { kind: "abstract", name: "text" }],
      ...[{ kind: "something" }, new URL(`http://localhost${path}`), "\ud800", "\0\ud800"],
    ];
    await assertAllRefuse(TypeError, wrong, {
      sendTo: (value) => sender.sendTo(bytes("?"), value),
      sendToSync: (value) => sender.sendToSync(bytes("?"), value),
      connect: (value) => sender.connect(value),
      bind: (value) => UnixDatagram.bind(value),
    });
  });
});

test("A10 UnixDatagram refuses an empty path, and one with a NUL, with EINVAL", async () => {
  await withRoute(async (sender) => {
    const made = await callsMade(async () => {
      for (const wrong of ["", "a\0b", "/tmp/a\0", new Uint8Array(0)]) {
        await assertFails(() => sender.sendTo(bytes("?"), wrong), "EINVAL");
        await assertFails(() => sender.sendToSync(bytes("?"), wrong), "EINVAL");
        await assertFails(() => sender.connect(wrong), "EINVAL", "connect");
        await assertFails(() => UnixDatagram.bind(wrong), "EINVAL", "bind");
      }
    });
    assertEquals(made, []);
  });
});

test("A16 UnixDatagram refuses an abstract name of more than 107 bytes with ENAMETOOLONG", async () => {
  await withRoute(async (sender) => {
    const wrong = `\0${"x".repeat(108)}`;
    const made = await callsMade(async () => {
      await assertFails(() => sender.sendTo(bytes("?"), wrong), "ENAMETOOLONG");
      await assertFails(() => sender.connect(wrong), "ENAMETOOLONG", "connect");
      await assertFails(() => UnixDatagram.bind(wrong), "ENAMETOOLONG", "bind");
    });
    assertEquals(made, []);
  });
});

test("L227 UnixDatagram refuses options that are no object, and signals that are none, with TypeError", async () => {
  await withRoute(async (sender, receiver, path) => {
    const data = bytes("?");
    const asynchronous: Record<string, (options: Wrong) => unknown> = {
      send: (options) => sender.send(data, options),
      sendTo: (options) => sender.sendTo(data, path, options),
      sendMany: (options) => sender.sendMany([data], options),
      receive: (options) => receiver.receive(options),
      peek: (options) => receiver.peek(options),
      receiveInto: (options) => receiver.receiveInto(data, options),
      receiveMany: (options) => receiver.receiveMany(new ReceiveBatch({ messages: 1 }), options),
    };
    await assertAllRefuse(TypeError, [null, 5, "text", true], asynchronous);
    const signals = [5, "text", {}, new AbortController()].map((signal) => ({ signal }));
    await assertAllRefuse(TypeError, signals, asynchronous);
  });
});

test("L227 UnixDatagram refuses timeouts that are no number, and negative ones", async () => {
  await withRoute(async (sender, receiver, path) => {
    const data = bytes("?");
    const batch = new ReceiveBatch({ messages: 1 });
    const blocking: Record<string, (options: Wrong) => unknown> = {
      sendSync: (options) => sender.sendSync(data, options),
      sendToSync: (options) => sender.sendToSync(data, path, options),
      sendManySync: (options) => sender.sendManySync([data], options),
      receiveSync: (options) => receiver.receiveSync(options),
      peekSync: (options) => receiver.peekSync(options),
      receiveIntoSync: (options) => receiver.receiveIntoSync(data, options),
      receiveManySync: (options) => receiver.receiveManySync(batch, options),
    };
    await assertAllRefuse(TypeError, [null, 5, "text", true], blocking);
    const noNumbers = ["5", null, 5n, {}].map((timeout) => ({ timeout }));
    await assertAllRefuse(TypeError, noNumbers, blocking);
    const outOfRange = [-1, -0.5, NaN, -Infinity].map((timeout) => ({ timeout }));
    await assertAllRefuse(RangeError, outOfRange, blocking);
  });
});

test("L227 UnixDatagram refuses sizes that no message can have", async () => {
  await withRoute(async (_, receiver) => {
    const sized: Record<string, (options: Wrong) => unknown> = {
      receive: (options) => receiver.receive(options),
      receiveSync: (options) => receiver.receiveSync(options),
      peek: (options) => receiver.peek(options),
      peekSync: (options) => receiver.peekSync(options),
    };
    const outOfRange = [-1, 0.5, NaN, Infinity, 2 ** 31].map((size) => ({ size }));
    await assertAllRefuse(RangeError, outOfRange, sized);
    await assertAllRefuse(TypeError, ["5", null, 5n, {}].map((size) => ({ size })), sized);
  });
});

test("L227 UnixDatagram.bind() refuses options that make no sense, and makes nothing", async () => {
  await withTempSocketPath(async (path) => {
    const bind = { bind: (options: Wrong) => UnixDatagram.bind(path, options) };
    await assertAllRefuse(TypeError, [null, 5, "text"], bind);
    await assertAllRefuse(TypeError, [{ mode: "600" }, { mode: null }], bind);
    await assertAllRefuse(RangeError, [{ mode: -1 }, { mode: 0o1000 }, { mode: 1.5 }], bind);
    await assertAllRefuse(TypeError, [{ stale: "remove" }, { stale: true }], bind);
    await assertAllRefuse(TypeError, [{ unlinkOnClose: 1 }, { unlinkOnClose: "no" }], bind);
    const named = { bind: (address: Wrong) => UnixDatagram.bind(address, { mode: 0o600 }) };
    await assertAllRefuse(TypeError, ["\0name", { kind: "unnamed" }], named);
    await assertFails(() => UnixDatagram.unbound().connect(path), "ENOENT");
  });
});

test("UnixDatagram cannot be made but by its own functions", () => {
  const Class = UnixDatagram as unknown as new () => UnixDatagram;
  assertThrows(() => new Class());
});
