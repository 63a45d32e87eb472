import { test } from "node:test";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { join } from "@std/path";
import { Fd, UnixDatagram, UnixStream } from "../../mod.ts";
import { bytes, text, withTempDir } from "../support/mod.ts";
import {
  assertEnded,
  assertNothingArrived,
  type Carrier,
  CARRIER_NAMES,
  CARRIERS,
  closeEach,
  contentOf,
  copiesOf,
  fileOf,
  fillCarrier,
  leavesNothing,
  targetOf,
} from "../support/passing.ts";
import { ample } from "../support/queue.ts";
import { isPending, outcome } from "../support/waiting.ts";
import type { AncillaryOptions } from "../../mod.ts";

/** Two sockets, the first of which can send no more. */
interface Full extends Disposable {
  /** Sends from the first to the second. */
  send(data: string, options: AncillaryOptions & { signal?: AbortSignal }): Promise<number>;
  sender: Carrier;
  receiver: Carrier;
  /** Takes away what fills the queue. */
  drain(): void;
}

function drain(receiver: Carrier, count: number): void {
  if (receiver instanceof UnixStream) {
    for (let left = count; left > 0;) left -= receiver.readSync(new Uint8Array(left))!;
  } else {
    for (let i = 0; i < count; i++) receiver.receiveSync({ timeout: 10_000 });
  }
}

function full([sender, receiver]: readonly [Carrier, Carrier]): Full {
  const count = fillCarrier(sender);
  return {
    sender,
    receiver,
    send: (data, options) => sender.sendMessage(bytes(data), options),
    drain: () => drain(receiver, count),
    [Symbol.dispose]: () => closeEach([sender, receiver]),
  };
}

/** The same between datagram sockets that are not connected: nothing tells when there is room. */
function fullByAddress(directory: string): Full {
  const to = join(directory, "receiver.sock");
  const receiver = UnixDatagram.bind(to);
  const sender = UnixDatagram.unbound();
  const connected = ample(UnixDatagram.unbound()).connect(to);
  const count = fillCarrier(connected);
  connected.close();
  return {
    sender,
    receiver,
    send: (data, options) => sender.sendMessage(bytes(data), { ...options, to }),
    drain: () => drain(receiver, count),
    [Symbol.dispose]: () => closeEach([sender, receiver]),
  };
}

const KINDS: Record<string, (directory: string) => Full> = {
  "UnixDatagram.sendMessage() to an address": fullByAddress,
};
for (const name of CARRIER_NAMES) {
  KINDS[`${name}.sendMessage()`] = () => full(CARRIERS[name]());
}

for (const [name, make] of Object.entries(KINDS)) {
  const withFull = (body: (full: Full) => Promise<void>) =>
    withTempDir((directory) =>
      leavesNothing(async () => {
        using full = make(directory);
        await body(full);
      })
    );

  test(`${name} that waits passes its descriptors, although the caller closed them and used their numbers again`, async () => {
    await withFull(async ({ send, receiver, drain }) => {
      const files = [fileOf("one"), fileOf("two")];
      const numbers = files.map((file) => file.fd);
      const sending = send("late", { fds: files });
      closeEach(files);
      const others = numbers.map(() => fileOf("another"));
      assertEquals(others.map((other) => other.fd).sort(), numbers.sort());
      assertEquals(await isPending(sending), true);
      drain();
      assertEquals(await sending, 4);
      using message = (await receiver.receiveMessage())!;
      assertEquals(text(message.data), "late");
      assertEquals(message.fds.map(contentOf), ["one", "two"]);
      assertEquals(others.map(contentOf), ["another", "another"]);
      closeEach(others);
    });
  });

  test(`${name} that waits holds a duplicate of each descriptor until it has sent it`, async () => {
    await withFull(async ({ send, receiver, drain }) => {
      using file = fileOf("file");
      const target = targetOf(file.fd);
      const sending = send("late", { fds: [file, file.fd] });
      assertEquals(copiesOf(target), 3);
      drain();
      await sending;
      assertEquals(copiesOf(target), 1);
      assert(!file.closed);
      (await receiver.receiveMessage())!.close();
    });
  });

  test(`${name} that waits and is aborted closes its duplicates, and the original stays`, async () => {
    await withFull(async ({ send, receiver, drain }) => {
      for (const transfer of [false, true]) {
        using file = fileOf("file");
        const target = targetOf(file.fd);
        const controller = new AbortController();
        const { signal } = controller;
        const sending = outcome(send("never", { fds: [file], transfer, signal }));
        assertEquals(copiesOf(target), 2);
        controller.abort("enough");
        assertEquals(await sending, "enough");
        assertEquals(copiesOf(target), 1);
        assertEquals([file.closed, contentOf(file)], [false, "file"]);
      }
      drain();
      assertNothingArrived(receiver);
      using next = fileOf("next");
      await send("next", { fds: [next] });
      using message = (await receiver.receiveMessage())!;
      assertEquals([text(message.data), message.fds.map(contentOf)], ["next", ["next"]]);
    });
  });

  test(`${name} that waits while its socket closes closes its duplicates, and the original stays`, async () => {
    for (const how of ["close", "intoFd"] as const) {
      await withFull(async ({ send, sender, receiver, drain }) => {
        for (const transfer of [false, true]) {
          using file = fileOf("file");
          const target = targetOf(file.fd);
          const sending = outcome(send("never", { fds: [file], transfer }));
          assertEquals(copiesOf(target), 2);
          if (!transfer) {
            // A second one that waits behind the first.
            const behind = outcome(send("never either", { fds: [file, file] }));
            assertEquals(copiesOf(target), 4);
            if (how === "close") sender.close();
            else Fd.adopt(sender.intoFd()).close();
            assertEquals([await sending, await behind], ["EBADF", "EBADF"]);
          } else assertEquals(await sending, "EBADF");
          assertEquals(copiesOf(target), 1);
          assertEquals([file.closed, contentOf(file)], [false, "file"]);
          if (!transfer) break;
        }
        drain();
        if (receiver instanceof UnixDatagram) assertNothingArrived(receiver);
        else assertEquals(await receiver.receiveMessage(), null);
      });
    }
  });

  test(`${name} that waits while its peer closes fails, and a transfer leaves the original to the caller`, async () => {
    await withFull(async ({ send, receiver }) => {
      using file = fileOf("file");
      const target = targetOf(file.fd);
      const sending = outcome(send("never", { fds: [file], transfer: true }));
      receiver.close();
      const codes = ["EPIPE", "ECONNRESET", "ECONNREFUSED", "ENOENT"];
      const code = await sending;
      assert(codes.includes(code as string), `${code}`);
      assertEquals(copiesOf(target), 1);
      assertEquals([file.closed, contentOf(file)], [false, "file"]);
    });
  });

  test(`${name} that waits closes what it transfers when it is sent, and not before`, async () => {
    await withFull(async ({ send, receiver, drain }) => {
      const [reader, writer] = Fd.pipe();
      const sending = send("given", { fds: [writer], transfer: true });
      assertEquals(await isPending(sending), true);
      assert(!writer.closed);
      writer.writeSync(bytes("x"));
      drain();
      await sending;
      assert(writer.closed);
      const message = (await receiver.receiveMessage())!;
      message.fds[0]!.writeSync(bytes("y"));
      message.close();
      const buffer = new Uint8Array(8);
      assertEquals(text(buffer.subarray(0, (await reader.read(buffer))!)), "xy");
      await assertEnded(reader);
      reader.close();
    });
  });

  test(`${name} that waits passes what the caller closed meanwhile, and closes nothing of others`, async () => {
    await withFull(async ({ send, receiver, drain }) => {
      const [closed, given] = [fileOf("closed"), fileOf("given away")];
      const sending = send("both", { fds: [closed, given], transfer: true });
      const number = closed.fd;
      closed.close();
      using other = fileOf("another");
      assertEquals(other.fd, number);
      using kept = Fd.adopt(given.intoFd());
      drain();
      await sending;
      using message = (await receiver.receiveMessage())!;
      assertEquals(message.fds.map(contentOf), ["closed", "given away"]);
      assertEquals([contentOf(other), contentOf(kept)], ["another", "given away"]);
    });
  });
}

for (const name of CARRIER_NAMES) {
  test(`${name}.sendMessageSync() that runs out of time keeps what it was to transfer`, async () => {
    await leavesNothing(async () => {
      using pair = full(CARRIERS[name]());
      using file = fileOf("file");
      const options = { fds: [file], transfer: true, timeout: 0 };
      const send = async () => await pair.sender.sendMessageSync(bytes("never"), options);
      assertEquals(await outcome(send()), "ETIMEDOUT");
      assertEquals([file.closed, copiesOf(targetOf(file.fd))], [false, 1]);
      pair.drain();
      assertNothingArrived(pair.receiver);
      await send();
      assert(file.closed);
    });
  });

  test(`${name}: many sendMessage() that wait pass their own descriptors each, in order`, async () => {
    await leavesNothing(async () => {
      using pair = full(CARRIERS[name]());
      const sending = Array.from({ length: 100 }, (_, i) => {
        const file = fileOf(`${i}`);
        return pair.send("x", { fds: [file], transfer: i % 2 === 0 }).finally(() => file.close());
      });
      pair.drain();
      for (let i = 0; i < sending.length; i++) {
        using message = (await pair.receiver.receiveMessage())!;
        assertEquals(message.fds.map(contentOf), [`${i}`]);
      }
      await Promise.all(sending);
    });
  });
}

test("UnixDatagram.sendMessage({ dontWait: true }) that finds no room keeps what it was to transfer", async () => {
  for (const name of ["UnixDatagram", "UnixSeqpacket"] as const) {
    await leavesNothing(async () => {
      const [a, b] = CARRIERS[name]();
      using pair = full([a, b]);
      using file = fileOf("file");
      const target = targetOf(file.fd);
      const options = { fds: [file], transfer: true, dontWait: true };
      assertEquals(await outcome(a.sendMessage(bytes("never"), options)), "EAGAIN");
      assertEquals([file.closed, copiesOf(target)], [false, 1]);
      pair.drain();
      await a.sendMessage(bytes("now"), options);
      assert(file.closed);
      assertNotEquals(copiesOf(target), 1);
      (await b.receiveMessage())!.close();
    });
  }
});
