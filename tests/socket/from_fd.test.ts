import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { test } from "node:test";
import { file, native, sockets } from "../../ffi/mod.ts";
import {
  Fd,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { assertError } from "../support/errors.ts";
import { assertFails, bytes, text } from "../support/mod.ts";
import { fileOf, leavesNothing } from "../support/passing.ts";
import { packedName, succeed, uniqueName } from "../support/raw.ts";
import { setBlocking } from "../support/recvmsg.ts";
import { O_CLOEXEC, O_NONBLOCK, openFlags } from "../support/streams.ts";

const CLASSES = { UnixStream, UnixListener, UnixDatagram, UnixSeqpacket, UnixSeqpacketListener };

type Name = keyof typeof CLASSES;
const NAMES = Object.keys(CLASSES) as Name[];

/** Descriptors as other programs have them: blocking, and not close-on-exec. */
const SOURCES: Record<string, () => number> = {
  "/dev/null": () => native().libc.open(bytes("/dev/null\0"), 0, 0),
  "a directory": () => native().libc.open(bytes("/\0"), 0, 0),
  "a pipe": () => rawPipe()[0],
  "an epoll set": () => native().libc.epoll_create1(0),
  "a file in memory": () => blocking(fileOf("m").intoFd()),
  "an eventfd": () => blocking(Fd.eventfd().intoFd()),
  "a TCP socket": () => native().libc.socket(native().abi.constants.AF_INET, types().stream, 0),
  "an unbound stream socket": () => rawSocket("stream"),
  "a bound stream socket": () => bound("stream"),
  "a connected stream socket": () => rawPair("stream"),
  "a listening stream socket": () => listening("stream"),
  "an unbound datagram socket": () => rawSocket("datagram"),
  "a connected datagram socket": () => rawPair("datagram"),
  "an unbound seqpacket socket": () => rawSocket("seqpacket"),
  "a connected seqpacket socket": () => rawPair("seqpacket"),
  "a listening seqpacket socket": () => listening("seqpacket"),
};

type Type = "stream" | "datagram" | "seqpacket";

function types(): Record<Type, number> {
  const { constants, linux } = native().abi;
  const { SOCK_STREAM: stream, SOCK_DGRAM: datagram } = constants;
  return { stream, datagram, seqpacket: linux!.SOCK_SEQPACKET };
}

function rawSocket(type: Type): number {
  return native().libc.socket(native().abi.constants.AF_UNIX, types()[type], 0);
}

function bound(type: Type): number {
  const fd = rawSocket(type);
  succeed(sockets.bind(fd, packedName(bytes(uniqueName()))));
  return fd;
}

function listening(type: Type): number {
  const fd = bound(type);
  succeed(sockets.listen(fd, 1));
  return fd;
}

/** Both ends of a connection, or one whose other end is closed. */
function rawPair(type: Type): number;
function rawPair(type: Type, both: true): [number, number];
function rawPair(type: Type, both?: true): number | [number, number] {
  const ends = new Int32Array(new ArrayBuffer(8));
  succeed(native().libc.socketpair(native().abi.constants.AF_UNIX, types()[type], 0, ends));
  if (both) return [ends[0]!, ends[1]!];
  file.close(ends[1]!);
  return ends[0]!;
}

/** Both ends of a pipe, or the first, the other closed. */
function rawPipe(both = false): [number, number] {
  const ends = new Int32Array(new ArrayBuffer(64));
  succeed(native().libc.pipe2(ends, 0));
  if (!both) file.close(ends[1]!);
  return [ends[0]!, ends[1]!];
}

/** A descriptor of the library's as if another program had it. */
function blocking(fd: number): number {
  const { F_SETFD, F_SETFL } = native().abi.constants;
  succeed(native().libc.fcntl(fd, F_SETFD, 0));
  succeed(native().libc.fcntl(fd, F_SETFL, 0));
  // This test closes it, in debug mode too.
  native().debugging?.own(fd);
  return fd;
}

/** The classes that take a source over; and the error that the others throw. */
function verdict(name: Name, what: string): "ENOTSOCK" | "EPROTOTYPE" | "EINVAL" | null {
  if (what === "a TCP socket") return "EPROTOTYPE";
  const [, state, type] = /^an? (\w+) (\w+) socket$/.exec(what) ?? [];
  if (type === undefined) return "ENOTSOCK";
  const wanted = name.replace("Unix", "").replace("Listener", "").toLowerCase() || "stream";
  if (type !== wanted) return "EPROTOTYPE";
  return name.endsWith("Listener") === (state === "listening") ? null : "EINVAL";
}

for (const name of NAMES) {
  const owner = CLASSES[name];

  for (const [what, make] of Object.entries(SOURCES)) {
    const code = verdict(name, what);
    const numbers = code === "ENOTSOCK" ? "L223 " : code === "EINVAL" ? "C58 " : "";
    if (code === null) {
      test(`${name}.fromFd() takes over ${what}, and makes it non-blocking and close-on-exec`, () =>
        leavesNothing(async () => {
          const fd = succeed(make());
          assertEquals(openFlags(fd) & (O_NONBLOCK | O_CLOEXEC), 0);
          const object = owner.fromFd(fd);
          assertEquals([object.fd, object.closed], [fd, false]);
          assertEquals(openFlags(fd) & (O_NONBLOCK | O_CLOEXEC), O_NONBLOCK | O_CLOEXEC);
          object.close();
          await assertFails(() => owner.fromFd(fd), "EBADF", "getsockopt");
        }));
      continue;
    }
    test(`${numbers}${name}.fromFd() refuses ${what} with ${code}, as a number and as an Fd, and leaves it as it was`, () =>
      leavesNothing(async () => {
        const fd = succeed(make());
        const expected = { code, syscall: "getsockopt" };
        const says = `Cannot use descriptor ${fd} as a ${name}: ${code}`;
        const { message } = await assertError(() => owner.fromFd(fd), expected);
        assertStringIncludes(message, says);
        if (code === "EINVAL") {
          const hint = name.endsWith("Listener")
            ? "it does not listen"
            : `use ${name.replace("Stream", "")}Listener.fromFd`;
          assertStringIncludes(message, hint);
        }
        assertEquals(openFlags(fd) & (O_NONBLOCK | O_CLOEXEC), 0);
        using received = await passed(fd);
        const flags = openFlags(received.fd);
        assertEquals(flags & O_NONBLOCK, 0);
        const number = received.fd;
        await assertError(() => owner.fromFd(received), expected);
        assertEquals([received.fd, received.closed, openFlags(number)], [number, false, flags]);
        // Whom it was meant for can still have it.
        const right = NAMES.find((each) => verdict(each, what) === null);
        if (right !== undefined) CLASSES[right].fromFd(received).close();
        assert(typeof file.status(fd) !== "number");
        file.close(fd);
      }));
  }

  test(`${name}.fromFd() takes over a received Fd, which is closed for its holder from then on`, () =>
    leavesNothing(async () => {
      const what = Object.keys(SOURCES).find((each) => verdict(name, each) === null)!;
      const fd = succeed(SOURCES[what]!());
      const received = await passed(fd);
      file.close(fd);
      const number = received.fd;
      assertEquals(openFlags(number) & O_NONBLOCK, 0);
      using taken = owner.fromFd(received);
      assertEquals([taken.fd, received.fd, received.closed], [number, -1, true]);
      assertEquals(openFlags(number) & O_NONBLOCK, O_NONBLOCK);
      // It is one owner's to close.
      received.close();
      assert(sockets.getsockopt(taken.fd, 1, 3) > 0);
      await assertFails(() => owner.fromFd(received), "EBADF");
      assertEquals(taken.closed, false);
    }));

  test(`L223 ${name}.fromFd() throws EBADF where nothing is open under the number, and for a closed Fd`, async () => {
    for (const fd of [999_999, 0x7fff_ffff]) {
      const expected = { code: "EBADF", syscall: "getsockopt" };
      const { message } = await assertError(() => owner.fromFd(fd), expected);
      assertEquals(message, `Cannot use descriptor ${fd} as a ${name}: EBADF`);
    }
    const closed = Fd.open("/dev/null");
    closed.close();
    const { message } = await assertFails(() => owner.fromFd(closed), "EBADF");
    assertEquals(message, "Cannot use this descriptor: EBADF (the descriptor is closed)");
    for (const none of [null, undefined, "3", {}, { fd: 3 }, [3], 3n]) {
      assertThrows(() => owner.fromFd(none as unknown as Fd), TypeError);
    }
  });
}

/** A descriptor as an Fd that was received, and whose mode is still its sender's. */
async function passed(fd: number): Promise<Fd> {
  const [a, b] = UnixStream.pair();
  using _a = a, _b = b;
  await a.sendMessage(bytes("x"), { fds: [fd] });
  const [received] = (await b.receiveMessage())!.takeFds();
  setBlocking(received!.fd, true);
  return received!;
}

test("Fd.adopt() takes over a descriptor and makes it close-on-exec and non-blocking", () =>
  leavesNothing(async () => {
    const ends = rawPipe(true);
    const [reader, writer] = ends.map((fd) => Fd.adopt(fd));
    for (const [index, fd] of [reader!, writer!].entries()) {
      assertEquals(fd.fd, ends[index]);
      assertEquals(openFlags(fd.fd) & (O_CLOEXEC | O_NONBLOCK), O_CLOEXEC | O_NONBLOCK);
    }
    await writer!.writeAll(bytes("adopted"));
    writer!.close();
    const buffer = new Uint8Array(16);
    assertEquals([await reader!.read(buffer), await reader!.read(buffer)], [7, null]);
    assertEquals(text(buffer.subarray(0, 7)), "adopted");
    reader!.close();
  }));

test("L223 Fd.adopt() throws EBADF where nothing is open under the number", async () => {
  for (const fd of [999_999, 0x7fff_ffff]) {
    await assertError(() => Fd.adopt(fd), { code: "EBADF", syscall: "fcntl" });
  }
});

test("UnixStream.fromFd() of blocking descriptors makes a conversation that waits", () =>
  leavesNothing(async () => {
    const [first, second] = rawPair("stream", true);
    using a = UnixStream.fromFd(first);
    using b = UnixStream.fromFd(second);
    const buffer = new Uint8Array(8);
    const reading = b.read(buffer);
    await a.writeAll(bytes("hello"));
    assertEquals([await reading, text(buffer.subarray(0, 5))], [5, "hello"]);
  }));

test("UnixStream.fromFd() of an Fd goes on where the Fd stopped, and wakes what waits with EBADF", () =>
  leavesNothing(async () => {
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
  }));

test("UnixListener.fromFd() of a received Fd accepts connections", () =>
  leavesNothing(async () => {
    using made = UnixListener.listen({ kind: "unnamed" });
    using listener = UnixListener.fromFd(await passed(made.fd));
    using client = await UnixStream.connect(listener.addr);
    using server = await listener.accept();
    await client.writeAll(bytes("hello"));
    assertEquals(await server.read(new Uint8Array(9)), 5);
  }));
