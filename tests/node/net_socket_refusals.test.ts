import { once } from "node:events";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  Fd,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { intoNodeSocket } from "../../node.ts";
import { assertFails, bytes, text } from "../support/mod.ts";
import { fileOf, leavesNothing, targetOf } from "../support/passing.ts";

const UNNAMED = { kind: "unnamed" } as const;

/** Asserts that intoNodeSocket() refuses a descriptor, which stays open and its owner's. */
async function assertRefused(fd: Fd, code: string): Promise<void> {
  const before = [fd.fd, targetOf(fd.fd)];
  await assertFails(() => intoNodeSocket(fd), code);
  assert(!fd.closed);
  assertEquals([fd.fd, targetOf(fd.fd)], before);
}

for (const [name, Kind] of Object.entries({ UnixDatagram, UnixSeqpacket })) {
  test(`intoNodeSocket() of the descriptor of a ${name} is EPROTOTYPE, and it goes on working`, () =>
    leavesNothing(async () => {
      const [a, b] = Kind.pair();
      const fd = Fd.adopt(b.intoFd());
      await assertRefused(fd, "EPROTOTYPE");
      using again = Kind.fromFd(fd);
      await a.send(bytes("still here"));
      assertEquals(text((await again.receive())!.data), "still here");
      a.close();
    }));
}

test("intoNodeSocket() of the descriptor of a datagram socket without a peer is EPROTOTYPE", () =>
  leavesNothing(async () => {
    using fd = Fd.adopt(UnixDatagram.unbound().intoFd());
    await assertRefused(fd, "EPROTOTYPE");
  }));

test("intoNodeSocket() of the descriptor of a UnixListener is EINVAL, and it goes on listening", () =>
  leavesNothing(async () => {
    const fd = Fd.adopt(UnixListener.listen(UNNAMED).intoFd());
    await assertRefused(fd, "EINVAL");
    using listener = UnixListener.fromFd(fd);
    using client = await UnixStream.connect(listener.addr);
    using server = await listener.accept();
    await client.writeAll(bytes("x"));
    assertEquals(await server.read(new Uint8Array(8)), 1);
  }));

test("intoNodeSocket() of the descriptor of a UnixSeqpacketListener is EPROTOTYPE", () =>
  leavesNothing(async () => {
    using fd = Fd.adopt(UnixSeqpacketListener.listen(UNNAMED).intoFd());
    await assertRefused(fd, "EPROTOTYPE");
  }));

test("intoNodeSocket() of the descriptor of what is no socket is ENOTSOCK", () =>
  leavesNothing(async () => {
    using file = fileOf("content");
    const [reader, writer] = Fd.pipe();
    using counter = Fd.eventfd();
    using directory = Fd.open("/");
    for (const fd of [file, reader, writer, counter, directory]) {
      await assertRefused(fd, "ENOTSOCK");
    }
    await writer.writeAll(bytes("x"));
    assertEquals(await reader.read(new Uint8Array(8)), 1);
    reader.close();
    writer.close();
  }));

test("intoNodeSocket() of a descriptor that was closed is EBADF", async () => {
  const fd = fileOf("content");
  fd.close();
  await assertFails(() => intoNodeSocket(fd), "EBADF");
});

test("intoNodeSocket() that refuses leaves what waits on the descriptor waiting", () =>
  leavesNothing(async () => {
    const [reader, writer] = Fd.pipe();
    const buffer = new Uint8Array(8);
    const reading = reader.read(buffer);
    await assertRefused(reader, "ENOTSOCK");
    await writer.writeAll(bytes("x"));
    assertEquals(await reading, 1);
    reader.close();
    writer.close();
  }));

test("intoNodeSocket() of the descriptor of a connected stream is a socket", async () => {
  const [a, b] = UnixStream.pair();
  const fd = Fd.adopt(b.intoFd());
  const socket = intoNodeSocket(fd);
  assert(fd.closed);
  await a.writeAll(bytes("hello"));
  const [data] = await once(socket, "data");
  assertEquals(String(data), "hello");
  socket.destroy();
  await once(socket, "close");
  a.close();
});
