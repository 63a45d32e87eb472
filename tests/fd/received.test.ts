import { assert, assertEquals } from "@std/assert";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { file, native } from "../../ffi/mod.ts";
import { Fd, type FdLike, UnixListener, UnixStream } from "../../mod.ts";
import { assertFails, bytes, openDescriptors, text, withTempDir } from "../support/mod.ts";
import { isPending } from "../support/waiting.ts";
import { O_CLOEXEC, O_NONBLOCK, openFlags } from "../support/streams.ts";
import { succeed } from "../support/raw.ts";

/** Sends descriptors through a pair of streams; what arrives. */
async function passed(...fds: FdLike[]): Promise<Fd[]> {
  const [a, b] = UnixStream.pair();
  await a.sendMessage(bytes("x"), { fds });
  const message = (await b.receiveMessage())!;
  assertEquals(message.fds.length, fds.length);
  a.close();
  b.close();
  return message.fds.splice(0);
}

async function textFrom(fd: Fd): Promise<string | null> {
  const buffer = new Uint8Array(64);
  const count = await fd.read(buffer);
  return count === null ? null : text(buffer.subarray(0, count));
}

function isBlocking(fd: number): boolean {
  return (openFlags(fd) & O_NONBLOCK) === 0;
}

/** Runs a body with a pipe in blocking mode, as other programs make them. */
async function withBlockingPipe(
  body: (reader: number, writer: number) => Promise<void>,
): Promise<void> {
  const ends = new Int32Array(new ArrayBuffer(8));
  succeed(native().libc.pipe2(ends, native().abi.constants.O_CLOEXEC));
  try {
    await body(ends[0]!, ends[1]!);
  } finally {
    for (const end of ends) file.close(end);
  }
}

const one = new Uint8Array(1);

/** What leaves the mode of a shared open file alone. */
const QUIET: Record<string, (fd: Fd) => unknown> = {
  "nothing": () => {},
  "kind": (fd) => fd.kind,
  "dup()": (fd) => fd.dup().close(),
  "seek()": (fd) => assertFails(() => fd.seek(0), "ESPIPE", "lseek"),
  "pread()": (fd) => assertFails(() => fd.pread(one, 0), "ESPIPE", "pread"),
  "close()": (fd) => fd.close(),
  "intoFd()": (fd) => file.closeHandedOver(fd.intoFd()),
};

for (const [what, use] of Object.entries(QUIET)) {
  test(`a received Fd leaves the mode of the open file that it shares alone: ${what}`, async () => {
    await withBlockingPipe(async (reader) => {
      const [fd] = await passed(reader);
      await use(fd!);
      assert(isBlocking(reader));
      fd!.close();
    });
  });
}

/** What makes the shared open file non-blocking. One byte is in the pipe. */
const READS: Record<string, (fd: Fd) => unknown> = {
  "read()": (fd) => fd.read(one),
  "readSync()": (fd) => fd.readSync(one),
  "readSync() with a timeout": (fd) => fd.readSync(one, { timeout: 1000 }),
  "readable": (fd) => fd.readable.getReader().read(),
  "read() of a duplicate": async (fd) => {
    using twin = fd.dup();
    await twin.read(one);
  },
  "read() after dup()": (fd) => {
    fd.dup().close();
    return fd.read(one);
  },
};

for (const [what, read] of Object.entries(READS)) {
  test(`a received Fd makes the open file that it shares non-blocking: ${what}`, async () => {
    await withBlockingPipe(async (reader, writer) => {
      const [fd] = await passed(reader);
      assert(isBlocking(fd!.fd));
      assertEquals(file.write(writer, one, 1), 1);
      await read(fd!);
      assert(!isBlocking(reader));
      assert(isBlocking(writer));
      fd!.close();
    });
  });
}

const WRITES: Record<string, (fd: Fd) => unknown> = {
  "write()": (fd) => fd.write(one),
  "writeSync()": (fd) => fd.writeSync(one),
  "writeAll()": (fd) => fd.writeAll(one),
  "writeAllSync()": (fd) => fd.writeAllSync(one),
  "writable": (fd) => fd.writable.getWriter().write(one),
  "write() of a duplicate": async (fd) => {
    using twin = fd.dup();
    await twin.write(one);
  },
};

for (const [what, write] of Object.entries(WRITES)) {
  test(`a received Fd makes the open file that it shares non-blocking: ${what}`, async () => {
    await withBlockingPipe(async (reader, writer) => {
      const [fd] = await passed(writer);
      assert(isBlocking(fd!.fd));
      await write(fd!);
      assert(!isBlocking(writer));
      assert(isBlocking(reader));
      fd!.close();
    });
  });
}

test("a received Fd of a blocking pipe waits without blocking the thread", async () => {
  await withBlockingPipe(async (reader, writer) => {
    const [fd] = await passed(reader);
    const reading = textFrom(fd!);
    assert(await isPending(reading));
    assertEquals(file.write(writer, bytes("late"), 4), 4);
    assertEquals(await reading, "late");
    await assertFails(() => fd!.readSync(one, { timeout: 0 }), "ETIMEDOUT", "read");
    fd!.close();
  });
});

test("received descriptors are close-on-exec, whatever those were that were sent", async () => {
  const { libc } = native();
  const ends = new Int32Array(new ArrayBuffer(8));
  succeed(libc.pipe2(ends, 0));
  const received = await passed(...ends);
  for (const fd of received) {
    assertEquals(openFlags(fd.fd) & O_CLOEXEC, O_CLOEXEC);
    await assertFails(() => fd.seek(0), "ESPIPE");
    fd.close();
  }
  for (const end of ends) {
    assertEquals(openFlags(end) & O_CLOEXEC, 0);
    file.close(end);
  }
});

test("received descriptors of every kind do what their originals do", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "file");
    writeFileSync(path, "content");
    using regular = Fd.open(path);
    using counter = Fd.eventfd(5);
    using memory = Fd.memfd("sealed", { sealable: true });
    memory.pwriteSync(bytes("memory"), 0);
    memory.addSeals({ write: true, shrink: true });
    using named = Fd.open(path, native().abi.linux!.O_PATH);
    using folder = Fd.open(directory);
    const [reader, writer] = Fd.pipe();
    const received = await passed(regular, counter, memory, named, folder, reader, writer);
    const kinds = ["file", "anonymous", "file", "file", "directory", "pipe", "pipe"];
    assertEquals(received.map((fd) => fd.kind), kinds);
    const [file2, counter2, memory2, named2, folder2, reader2, writer2] = received as [
      ...[Fd, Fd, Fd, Fd, Fd, Fd, Fd],
    ];
    assertEquals(file2.stat().identity, regular.stat().identity);
    assertEquals([await textFrom(file2), await textFrom(file2)], ["content", null]);

    const count = new BigUint64Array(1);
    assertEquals([await counter2.read(count), count[0]], [8, 5n]);
    const waiting = counter2.read(count);
    assert(await isPending(waiting));
    counter.writeSync(BigUint64Array.of(3n));
    assertEquals([await waiting, count[0]], [8, 3n]);

    assertEquals(memory2.seals, { shrink: true, grow: false, write: true, seal: false });
    await assertFails(() => memory2.write(one), "EPERM", "write");
    assertEquals(await memory2.pread(new Uint8Array(9), 0), 6);

    await assertFails(() => named2.read(one), "EBADF", "read");
    await assertFails(() => named2.writeSync(one), "EBADF", "write");
    await assertFails(() => folder2.read(one), "EISDIR", "read");

    const reading = textFrom(reader2);
    await writer2.writeAll(bytes("through"));
    assertEquals(await reading, "through");
    await assertFails(() => writer2.read(one), "EBADF", "read");
    for (const fd of [...received, reader, writer]) fd.close();
  });
});

test("sending a closed Fd, or a number that nothing is open under, fails with EBADF", async () => {
  const [a, b] = UnixStream.pair();
  using open = Fd.open("/dev/null");
  const closed = Fd.open("/dev/null");
  closed.close();
  const named = await assertFails(() => a.sendMessage(one, { fds: [open, closed] }), "EBADF");
  assertEquals(named.message, "Cannot send a descriptor: EBADF (the descriptor is closed)");
  for (const attempt of ["sendMessage", "sendMessageSync"] as const) {
    await assertFails(() => a[attempt](one, { fds: [open, 999_999] }), "EBADF", "sendmsg");
  }
  // Nothing came of it.
  await a.writeAll(bytes("next"));
  using message = (await b.receiveMessage())!;
  assertEquals([text(message.data), message.fds.length], ["next", 0]);
  a.close();
  b.close();
});

// TCP

/** The number of this process's connected TCP socket at a port of this machine. */
function tcpDescriptor(port: number): number {
  const local = new RegExp(`^\\s*\\d+: \\w+:${port.toString(16).padStart(4, "0")} .* 01 `, "i");
  const lines = readFileSync("/proc/self/net/tcp", "utf8").split("\n");
  const inode = lines.find((line) => local.test(line))!.trim().split(/\s+/)[9];
  for (const [number, target] of openDescriptors()) {
    if (target === `socket:[${inode}]`) return Number(number);
  }
  throw new Error(`No descriptor is open for port ${port}`);
}

test("a TCP connection of node:net is passed on: no Unix socket, but to be read and written", async () => {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const connection = once(server, "connection") as Promise<[Socket]>;
  const client = connect(port, "127.0.0.1");
  await once(client, "connect");
  const [accepted] = await connection;
  const [fd] = await passed(tcpDescriptor(port));
  accepted.destroy();
  await once(accepted, "close");

  assertEquals(fd!.kind, "socket");
  for (const type of [UnixStream, UnixListener]) {
    const { message } = await assertFails(() => type.fromFd(fd!), "EPROTOTYPE", "getsockopt");
    const expected = `Cannot use descriptor ${fd!.fd} as a ${type.name}: EPROTOTYPE `;
    assertEquals(message, `${expected}(it is no Unix domain socket)`);
    assert(!fd!.closed);
  }
  const reading = textFrom(fd!);
  assert(await isPending(reading));
  client.write("over TCP");
  assertEquals(await reading, "over TCP");
  const answer = once(client, "data");
  await fd!.writeAll(bytes("and back"));
  assertEquals(text((await answer)[0]), "and back");
  const end = once(client, "end");
  client.resume();
  fd!.close();
  await end;
  client.destroy();
  server.close();
  await once(server, "close");
});
