/**
 * Memory of a class of the caller's, of another realm, and beyond what a call of libc counts; and the
 * number −0, which is none to an FFI.
 */

import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import { Buffer } from "node:buffer";
import vm from "node:vm";
import {
  abstract,
  Fd,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  type UnixStream,
} from "../../mod.ts";
import { parseAddress } from "../../src/address.ts";
import { assertFails, bytes, withSocketPair, withTempSocketPath } from "../support/mod.ts";

/** A class whose constructor takes a length alone: what `subarray` makes of it begins at the beginning. */
class Sized extends Uint8Array {
  constructor(size: number) {
    super(Number(size) > 0 ? Number(size) : 0);
  }
}

/** One whose constructor takes other arguments: what `subarray` makes of it is shorter than asked for. */
class Named extends Uint8Array {
  constructor(_name: string, size: number) {
    super(size);
  }
}

const SIZE = 1 << 20;
const numbered = (data: Uint8Array) => data.map((_, i) => (i >> 12) & 255);
const expected = numbered(new Uint8Array(SIZE));

function filled<T extends Uint8Array>(data: T): T {
  data.set(expected);
  return data;
}

const DERIVED: Record<string, () => Uint8Array<ArrayBuffer>> = {
  "a length": () => filled(new Sized(SIZE)),
  "a name and a length": () => filled(new Named("packet", SIZE)),
};

async function received(from: UnixStream | Fd): Promise<Uint8Array> {
  const all = new Uint8Array(SIZE);
  let at = 0;
  for await (const chunk of from.readable) {
    all.set(chunk.subarray(0, SIZE - at), at);
    at += chunk.length;
  }
  assertEquals(at, SIZE);
  return all;
}

for (const [what, make] of Object.entries(DERIVED)) {
  test(`L227 all of a Uint8Array whose class is made with ${what} arrives`, async () => {
    const writes: Record<
      string,
      (stream: UnixStream, data: Uint8Array<ArrayBuffer>) => Promise<unknown>
    > = {
      writeAll: (stream, data) => stream.writeAll(data),
      "writeAll of pieces": (stream, data) => stream.writeAll([data, bytes("")]),
      sendMessage: (stream, data) => stream.sendMessage(data),
      "sendMessage with a descriptor": (stream, data) => stream.sendMessage(data, { fds: [0] }),
      writable: (stream, data) => stream.writable.getWriter().write(data),
    };
    for (const [how, write] of Object.entries(writes)) {
      await withSocketPair(async (a, b) => {
        const writing = write(a, make()).then(() => a.closeWrite());
        assertEquals(Buffer.compare(await received(b), expected), 0, how);
        await writing;
      });
    }
    const [reader, writer] = Fd.pipe();
    const writing = writer.writeAll(make()).then(() => writer.close());
    assertEquals(Buffer.compare(await received(reader), expected), 0, "Fd.writeAll");
    await writing;
    reader.close();
  });
}

test("an address of a Uint8Array of another class is its bytes", () => {
  const name = Object.setPrototypeOf(bytes("\0packet"), Sized.prototype);
  assertEquals(parseAddress(name, "bind").address, { kind: "abstract", name: bytes("packet") });
});

test("memory and addresses of another realm serve as their own", async () => {
  const foreign = (expression: string) => vm.runInNewContext(expression);
  await withSocketPair(async (a, b) => {
    const buffer = new Uint8Array(8);
    for (
      const memory of [
        "new Uint8Array(3)",
        "new ArrayBuffer(3)",
        "new DataView(new ArrayBuffer(3))",
      ]
    ) {
      assertEquals(await a.write(foreign(memory)), 3, memory);
      assertEquals(await b.read(buffer), 3, memory);
    }
  });
  assertEquals(abstract(foreign("Uint8Array.of(97, 98)")), abstract("ab"));
  assertEquals(parseAddress(foreign("Uint8Array.of(0, 97, 98)"), "bind").address, abstract("ab"));
  assertEquals(
    parseAddress(foreign("Uint8Array.of(47, 97)"), "bind").address,
    parseAddress("/a", "bind").address,
  );
});

/** More than libc's calls count, though no memory until it is touched; null where there is no such array. */
function huge(): Uint8Array<ArrayBuffer> | null {
  try {
    return new Uint8Array(2 ** 32);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

const HUGE = huge();

test("messages of 4 GiB are EMSGSIZE, and nothing is sent", { skip: HUGE === null }, async () => {
  const data = HUGE!;
  for (const [a, b] of [UnixDatagram.pair(), UnixSeqpacket.pair()]) {
    await assertFails(() => a.send(data), "EMSGSIZE", "send");
    await assertFails(() => a.sendSync(data), "EMSGSIZE", "send");
    await assertFails(() => a.sendMessage(data), "EMSGSIZE", "send");
    await assertFails(() => a.sendMessageSync(data), "EMSGSIZE", "send");
    await assertFails(() => b.receiveSync({ timeout: 0 }), "ETIMEDOUT");
    a.close();
    b.close();
  }
  using receiver = UnixDatagram.bind({ kind: "unnamed" });
  using sender = UnixDatagram.unbound();
  await assertFails(() => sender.sendTo(data, receiver.localAddr), "EMSGSIZE", "send");
  await assertFails(() => sender.sendToSync(data, receiver.localAddr), "EMSGSIZE", "send");
  await assertFails(() => receiver.receiveSync({ timeout: 0 }), "ETIMEDOUT");
});

test("a buffer of 4 GiB is filled as any other", { skip: HUGE === null }, async () => {
  const buffer = HUGE!;
  const [a, b] = UnixDatagram.pair();
  a.sendSync(bytes("one"));
  a.sendSync(bytes("three"));
  const { from: _, ...first } = b.receiveIntoSync(buffer);
  assertEquals(first, { bytes: 3, length: 3, truncated: false });
  assertEquals(buffer.slice(0, 3), bytes("one"));
  assertEquals((await b.receiveInto(buffer)).bytes, 5);
  assertEquals(buffer.slice(0, 5), bytes("three"));
  a.close();
  b.close();
  await withSocketPair(async (c, d) => {
    c.writeAllSync(bytes("four"));
    assertEquals(await d.read(buffer), 4);
    assertEquals(buffer.slice(0, 4), bytes("four"));
    const written = c.writeSync(buffer, { timeout: 0 });
    assert(written > 0 && written < 1 << 26, `${written}`);
  });
});

test("−0 is 0 wherever a number is taken", async () => {
  await withTempSocketPath((path) => {
    using listener = UnixListener.listen(path, { mode: -0, backlog: -0 });
    assert(!listener.closed);
  });
  using file = Fd.memfd("zero");
  assertEquals(file.pwriteSync(bytes("abc"), -0), 3);
  assertEquals(file.preadSync(new Uint8Array(3), -0), 3);
  assert(Object.is(file.seek(-0), 0));
  file.truncate(-0);
  Fd.eventfd(-0).close();
  Fd.open("/dev/null", -0, { permissions: -0 }).close();
  await withSocketPair(async (a, b) => {
    b.peekOffset = -0;
    assert(Object.is(b.peekOffset, 0));
    await a.sendMessage(bytes("x"), {
      fds: [-0],
      credentials: { pid: process.pid, uid: process.getuid!(), gid: process.getgid!() },
    });
    using message = await b.receiveMessage({ size: 9, maxFds: -0 });
    assertEquals(message!.fds, []);
  });
});
