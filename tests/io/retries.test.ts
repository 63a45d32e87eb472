import { test } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Fd,
  SendBatch,
  UnixDatagram,
  UnixListener,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { Backoff } from "../../src/io/backoff.ts";
import { assertFails, bytes } from "../support/mod.ts";
import { uniqueName } from "../support/raw.ts";
import { isPending, outcome } from "../support/waiting.ts";

/** Runs a body with a sender, a receiver whose queue is full, and the delays that are waited for meanwhile. */
async function withFullReceiver(
  body: (
    sender: UnixDatagram,
    receiver: UnixDatagram,
    name: string,
    delays: number[],
  ) => Promise<void>,
): Promise<void> {
  const name = `\0${uniqueName()}`;
  using receiver = UnixDatagram.bind(name);
  using sender = UnixDatagram.unbound();
  const { next } = Backoff.prototype;
  const delays: number[] = [];
  Backoff.prototype.next = function () {
    const delay = next.call(this);
    delays.push(delay);
    return delay;
  };
  try {
    while (await outcome(sender.sendTo(bytes("x"), name, { dontWait: true })) !== "EAGAIN");
    await body(sender, receiver, name, delays);
  } finally {
    Backoff.prototype.next = next;
  }
}

/** Waits until so many delays have begun. */
async function delaysBegun(delays: readonly number[], count: number): Promise<void> {
  while (delays.length < count) await new Promise((resolve) => setImmediate(resolve));
}

test("UnixDatagram.sendTo() begins with the shortest delay after sendToSync() has given up", async () => {
  await withFullReceiver(async (sender, receiver, name, delays) => {
    const late = () => sender.sendToSync(bytes("late"), name, { timeout: 30 });
    assertThrows(late, UnixSocketError, "ETIMEDOUT");
    delays.length = 0;
    const sending = sender.sendTo(bytes("next"), name);
    await delaysBegun(delays, 2);
    assertEquals(delays.slice(0, 2), [1, 2]);
    receiver.receiveSync();
    await sending;
  });
});

test("UnixDatagram.sendTo() begins with the shortest delay after the one before it was aborted", async () => {
  await withFullReceiver(async (sender, receiver, name, delays) => {
    const controller = new AbortController();
    const first = sender.sendTo(bytes("first"), name, { signal: controller.signal });
    const second = sender.sendTo(bytes("second"), name);
    await delaysBegun(delays, 5);
    assertEquals(delays.slice(0, 5), [1, 2, 4, 8, 16]);
    delays.length = 0;
    controller.abort(new Error("enough"));
    await assertRejects(() => first, Error, "enough");
    // Tried in the next turn, long before the delay that has begun is over.
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    assertEquals(delays[0], 1);
    await delaysBegun(delays, 2);
    assertEquals(delays.slice(0, 2), [1, 2]);
    receiver.receiveSync();
    await second;
  });
});

test("UnixDatagram.close() rejects a sendTo() whose descriptor's getter has sent to another full address", async () => {
  await withFullReceiver(async (sender, _receiver, name) => {
    const other = `\0${uniqueName()}`;
    using _other = UnixDatagram.bind(other);
    while (await outcome(sender.sendTo(bytes("x"), other, { dontWait: true })) !== "EAGAIN");
    using file = Fd.memfd("m");
    let asked = 0;
    let within: Promise<unknown> | null = null;
    const descriptor = {
      get fd() {
        // The last of these is asked for when the message begins to wait.
        if (++asked > 2) within ??= outcome(sender.sendTo(bytes("x"), other));
        return file.fd;
      },
    };
    const sending = sender.sendMessage(bytes("x"), { to: name, fds: [descriptor] });
    assertEquals(await isPending(sending), true);
    const failing = assertFails(() => sending, "EBADF", "sendmsg");
    sender.close();
    const { message } = await failing;
    assertEquals(message.includes("the descriptor was closed"), true, message);
    assertEquals(await within, "EBADF");
  });
});

test("UnixDatagram.sendTo() is tried at once however much this turn has done", async () => {
  const name = `\0${uniqueName()}`;
  using receiver = UnixDatagram.bind(name);
  using sender = UnixDatagram.unbound();
  const sendings: Promise<void>[] = [];
  for (let i = 0; i < 300; i++) {
    sendings.push(sender.sendTo(bytes(`${i}`), name, { dontWait: i % 2 === 0 }));
    assertEquals(receiver.receiveSync({ timeout: 0 }).data, bytes(`${i}`));
  }
  const single = sender.sendTo(bytes("single"), name);
  const batch = new SendBatch();
  batch.add(bytes("batch"), name);
  assertEquals(sender.sendManySync(batch).sent, 1);
  assertEquals(receiver.receiveSync().data, bytes("single"));
  assertEquals(receiver.receiveSync().data, bytes("batch"));
  await Promise.all([...sendings, single]);
});

test("UnixStream.connect() is tried at once however much this turn has done", async () => {
  const name = `\0${uniqueName()}`;
  using listener = UnixListener.listen(name);
  const connecting: Promise<UnixStream>[] = [];
  for (let i = 0; i < 300; i++) {
    connecting.push(UnixStream.connect(name));
    listener.acceptSync({ timeout: 0 }).close();
  }
  for (const stream of await Promise.all(connecting)) stream.close();
});
