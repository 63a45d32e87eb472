import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { sockets } from "../../ffi/mod.ts";
import {
  Fd,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { assertFails, bytes, text, withTempDir } from "../support/mod.ts";
import { O_NONBLOCK, openFlags } from "../support/streams.ts";
import { setBlocking } from "../support/recvmsg.ts";

const CLASSES = {
  UnixStream,
  UnixListener,
  UnixDatagram,
  UnixSeqpacket,
  UnixSeqpacketListener,
} as const;

type Name = keyof typeof CLASSES;
const NAMES = Object.keys(CLASSES) as Name[];

interface Owned extends Disposable {
  readonly fd: number;
  intoFd(): number;
  close(): void;
}

/** A socket of a class, and what has to be closed with it. */
function make(name: Name): { socket: Owned; rest: Disposable[] } {
  switch (name) {
    case "UnixListener":
      return { socket: UnixListener.listen({ kind: "unnamed" }), rest: [] };
    case "UnixSeqpacketListener":
      return { socket: UnixSeqpacketListener.listen({ kind: "unnamed" }), rest: [] };
    default: {
      const [socket, peer] = CLASSES[name].pair();
      return { socket, rest: [peer] };
    }
  }
}

/** Runs a body with an Fd, received and still blocking, that is a socket of a class. */
async function withReceived(name: Name, body: (fd: Fd) => void | Promise<void>): Promise<void> {
  const { socket, rest } = make(name);
  const [a, b] = UnixStream.pair();
  try {
    setBlocking(socket.fd, true);
    await a.sendMessage(bytes("x"), { fds: [socket] });
    using message = (await b.receiveMessage())!;
    await body(message.fds[0]!);
  } finally {
    for (const each of [socket, a, b]) each.close();
    for (const each of rest) each[Symbol.dispose]();
  }
}

for (const name of NAMES) {
  const owner = CLASSES[name];

  test(`${name}.fromFd() takes over an Fd, which is closed for its holder from then on`, async () => {
    await withReceived(name, async (fd) => {
      const number = fd.fd;
      assertEquals(openFlags(number) & O_NONBLOCK, 0);
      using taken = owner.fromFd(fd);
      assertEquals([taken.fd, fd.fd, fd.closed], [number, -1, true]);
      assertEquals(openFlags(number) & O_NONBLOCK, O_NONBLOCK);
      // It is one owner's to close.
      fd.close();
      assert(sockets.getsockopt(taken.fd, 1, 3) > 0);
      await assertFails(() => owner.fromFd(fd), "EBADF");
      assertEquals(taken.closed, false);
    });
  });

  for (const other of NAMES) {
    if (other === name) continue;
    const types = [name, other].map((each) => each.replace("Listener", "").replace("Stream", ""));
    const sameType = types[0] === types[1];
    const code = sameType ? "EINVAL" : "EPROTOTYPE";
    test(`${name}.fromFd() refuses the Fd of a ${other} with ${code} and leaves it the caller's`, async () => {
      await withReceived(other, async (fd) => {
        const [number, flags] = [fd.fd, openFlags(fd.fd)];
        const error = await assertFails(() => owner.fromFd(fd), code, "getsockopt");
        const what = `Cannot use descriptor ${number} as a ${name}: ${code} (`;
        assert(error.message.startsWith(what), error.message);
        assertEquals([fd.fd, fd.closed, openFlags(number)], [number, false, flags]);
        // Who it was meant for can still have it.
        using taken = CLASSES[other].fromFd(fd);
        assertEquals(taken.fd, number);
      });
    });
  }

  test(`${name}.fromFd() refuses an Fd that is no socket with ENOTSOCK and leaves it the caller's`, async () => {
    const [reader, writer] = Fd.pipe();
    await withTempDir(async (directory) => {
      for (const fd of [reader, writer, Fd.open(directory), Fd.memfd("m"), Fd.eventfd()]) {
        const number = fd.fd;
        const error = await assertFails(() => owner.fromFd(fd), "ENOTSOCK", "getsockopt");
        assertEquals(error.message, `Cannot use descriptor ${number} as a ${name}: ENOTSOCK`);
        assertEquals([fd.fd, fd.closed], [number, false]);
        assert(fd.kind !== "socket");
        fd.close();
      }
    });
  });

  test(`${name}.fromFd() refuses a closed Fd with EBADF, and what is none with TypeError`, async () => {
    const fd = Fd.open("/dev/null");
    fd.close();
    const error = await assertFails(() => owner.fromFd(fd), "EBADF");
    assertEquals(error.message, "Cannot use this descriptor: EBADF (the descriptor is closed)");
    for (const none of [null, undefined, "3", {}, { fd: 3 }, [3], 3n]) {
      assertThrows(() => owner.fromFd(none as unknown as Fd), TypeError);
    }
  });
}

test("UnixStream.fromFd() of an Fd goes on where the Fd stopped, and wakes what waits with EBADF", async () => {
  const [a, b] = UnixStream.pair();
  const fd = Fd.adopt(a.intoFd());
  await b.writeAll(bytes("abcdef"));
  const buffer = new Uint8Array(3);
  assertEquals([await fd.read(buffer), text(buffer)], [3, "abc"]);
  assertEquals([await fd.read(buffer), text(buffer)], [3, "def"]);
  const waiting = assertFails(() => fd.read(buffer), "EBADF", "read");
  using stream = UnixStream.fromFd(fd);
  const { message } = await waiting;
  assertEquals(message, "Cannot read: EBADF (the descriptor was given away)");
  await b.writeAll(bytes("ghi"));
  assertEquals([await stream.read(buffer), text(buffer)], [3, "ghi"]);
  b.close();
});

test("UnixListener.fromFd() of a received Fd accepts connections", async () => {
  await withReceived("UnixListener", async (fd) => {
    using listener = UnixListener.fromFd(fd);
    using client = await UnixStream.connect(listener.addr);
    using server = await listener.accept();
    await client.writeAll(bytes("hello"));
    assertEquals(await server.read(new Uint8Array(9)), 5);
  });
});
