import { readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { createPoller, FOR_READING } from "../../ffi/mod.ts";
import { abstract, Fd, UnixListener, UnixStream } from "../../mod.ts";
import { assertFails, bytes, text } from "../support/mod.ts";
import {
  assertEnded,
  assertNothingArrived,
  CARRIER_NAMES,
  closeEach,
  contentOf,
  fileOf,
  filesOf,
  held,
  heldSince,
  targetOf,
  WAYS,
  withCarriers,
} from "../support/passing.ts";
import { uniqueName } from "../support/raw.ts";
import { polls, setBlocking } from "../support/recvmsg.ts";
import { O_CLOEXEC, O_NONBLOCK, openFlags } from "../support/streams.ts";
import { until } from "../support/waiting.ts";

/** A number that is open nowhere: far above every limit. */
const NOT_OPEN = 0x7fff_ffff;
const O_PATH = 0o10000000;
const POLLIN = 1;

for (const name of CARRIER_NAMES) {
  for (const way of WAYS) {
    test(`G130 ${name}: ${way.name} pass an end of a pipe along with a message`, async () => {
      await withCarriers(name, async (a, b) => {
        const [reader, writer] = Fd.pipe();
        assertEquals(await way.send(a, "hello", { fds: [writer] }), 5);
        assert(!writer.closed);
        writer.close();
        using message = await way.receive(b);
        assertEquals(text(message.data), "hello");
        assertEquals(message.length, 5);
        assertEquals([message.truncated, message.controlTruncated], [false, false]);
        assertEquals([message.credentials, message.pidfd, message.securityContext], [
          null,
          null,
          null,
        ]);
        const received = message.fds.shift()!;
        assertEquals(message.fds, []);
        await received.writeAll(bytes("through the pipe"));
        received.close();
        const buffer = new Uint8Array(64);
        assertEquals(text(buffer.subarray(0, (await reader.read(buffer))!)), "through the pipe");
        await assertEnded(reader);
        reader.close();
      });
    });

    test(`G131 ${name}: ${way.name} keep the order of 4, 10 and 253 descriptors`, async () => {
      await withCarriers(name, async (a, b) => {
        for (const count of [4, 10, 253]) {
          const files = filesOf(count);
          // Neither the numbers nor the ages rise from one to the next.
          files.sort((one, other) => contentOf(one).localeCompare(contentOf(other)));
          await way.send(a, "files", { fds: files });
          using message = await way.receive(b);
          assertEquals(message.fds.map(contentOf), files.map(contentOf));
          assertEquals(
            message.fds.map((file) => file.stat().identity),
            files.map((file) => file.stat().identity),
          );
          closeEach(files);
        }
      });
    });

    test(`G134 ${name}: ${way.name} pass no descriptor where none is named`, async () => {
      await withCarriers(name, async (a, b) => {
        for (const options of [{ fds: [] }, { fds: undefined }, {}, undefined]) {
          assertEquals(await way.send(a, "bare", options), 4);
          const message = await way.receive(b);
          assertEquals(text(message.data), "bare");
          assertEquals([message.fds, message.controlTruncated], [[], false]);
          assertEquals([message.credentials, message.pidfd], [null, null]);
        }
        await way.send(a, "transferred", { fds: [], transfer: true });
        assertEquals(text((await way.receive(b)).data), "transferred");
      });
    });

    test(`G136 ${name}: ${way.name} pass nothing where one descriptor is not open`, async () => {
      await withCarriers(name, async (a, b) => {
        using file = fileOf("good");
        for (
          const fds of [[NOT_OPEN], [file, NOT_OPEN], [NOT_OPEN, file], [file, NOT_OPEN, file]]
        ) {
          const error = await assertFails(() => way.send(a, "lost", { fds }), "EBADF", "sendmsg");
          assertEquals(error.message.startsWith("Cannot send"), true, error.message);
          assertNothingArrived(b);
        }
        assert(!file.closed);
        await way.send(a, "next", { fds: [file] });
        using message = await way.receive(b);
        assertEquals([text(message.data), message.fds.map(contentOf)], ["next", ["good"]]);
      });
    });
  }

  test(`${name}.sendMessage() takes numbers, Fds and sockets as descriptors`, async () => {
    await withCarriers(name, async (a, b) => {
      using file = fileOf("file");
      const like = { fd: file.fd };
      await a.sendMessage(bytes("all"), { fds: [file.fd, file, a, like, file] });
      using message = (await b.receiveMessage())!;
      const kinds = message.fds.map((fd) => fd.kind);
      assertEquals(kinds, ["file", "file", "socket", "file", "file"]);
      const numbers = new Set(message.fds.map((fd) => fd.fd));
      assertEquals(numbers.size, 5);
      assert(!numbers.has(file.fd));
    });
  });

  test(`G148 ${name}.receiveMessage() gets descriptors that are close-on-exec, whatever they were`, async () => {
    await withCarriers(name, async (a, b) => {
      b.passPidfd = true;
      using file = fileOf("file");
      await a.sendMessage(bytes("both"), { fds: [file, a] });
      using message = (await b.receiveMessage())!;
      const flags = [...message.fds, message.pidfd!].map((fd) => openFlags(fd.fd) & O_CLOEXEC);
      assertEquals(flags, [O_CLOEXEC, O_CLOEXEC, O_CLOEXEC]);
    });
  });

  test(`G157 ${name} passes the open file itself: its position and its mode are shared`, async () => {
    await withCarriers(name, async (a, b) => {
      using file = fileOf("0123456789");
      const [reader, writer] = Fd.pipe();
      setBlocking(reader.fd, true);
      await a.sendMessage(bytes("shared"), { fds: [file, reader] });
      using message = (await b.receiveMessage())!;
      const [sameFile, sameReader] = message.fds as [Fd, Fd];

      const part = new Uint8Array(3);
      file.seek(2);
      sameFile.readSync(part);
      assertEquals(text(part), "234");
      file.readSync(part);
      assertEquals(text(part), "567");
      assertEquals(sameFile.seek(0, "current"), 8);

      // The mode of somebody's file stays until it is read here.
      assertEquals(openFlags(sameReader.fd) & O_NONBLOCK, 0);
      const reading = sameReader.read(new Uint8Array(1));
      assertEquals(openFlags(reader.fd) & O_NONBLOCK, O_NONBLOCK);
      writer.writeSync(new Uint8Array(1));
      assertEquals(await reading, 1);
      closeEach([reader, writer]);
    });
  });

  test(`G154 ${name} in whose queue the end of a pipe lies keeps it open until it closes`, async () => {
    await withCarriers(name, async (a, b) => {
      const [reader, writer] = Fd.pipe();
      await a.sendMessage(bytes("kept"), { fds: [writer], transfer: true });
      a.close();
      assertEquals(polls(reader.fd, 0x10 | POLLIN), false);
      const ending = assertEnded(reader);
      b.close();
      await ending;
      reader.close();
    });
  });

  test(`G158 ${name} that was sent over itself, or over its peer, is collected`, async () => {
    await withCarriers(name, async (a, b) => {
      const [reader, writer] = Fd.pipe();
      // Each now lies in the queue of one of both, and nothing else holds them.
      await a.sendMessage(bytes("the receiver"), { fds: [b, writer] });
      await a.sendMessage(bytes("the sender"), { fds: [a] });
      await b.sendMessage(bytes("both"), { fds: [a, b, writer] });
      const inodes = [inodeOf(a.fd), inodeOf(b.fd)];
      closeEach([a, b, writer]);
      await withCollections(async () => {
        await assertEnded(reader);
        reader.close();
        // The kernel's collector has reached them, and may not be through yet.
        await until(() => !inodes.some(isKnown), "the kernel to forget the sockets");
      });
    });
  });

  test(`G158 ${name} pairs that were sent over each other in a ring are collected`, async () => {
    await withCarriers(name, async (a, b) => {
      const [reader, writer] = Fd.pipe();
      const ring = [[a, b], UnixStream.pair(), UnixStream.pair()] as const;
      for (const [i, [from]] of ring.entries()) {
        await from.sendMessage(bytes("next"), { fds: [...ring[(i + 1) % 3]!, writer] });
      }
      const inodes = ring.flat().map(({ fd }) => inodeOf(fd));
      closeEach([...ring.flat(), writer]);
      await withCollections(async () => {
        await assertEnded(reader);
        reader.close();
        // The kernel's collector has reached them, and may not be through yet.
        await until(() => !inodes.some(isKnown), "the kernel to forget the sockets");
      });
    });
  });

  for (const way of WAYS) {
    test(`G161 ${name}: after 10,000 passes by ${way.name} as many descriptors are open as before`, async () => {
      await withCarriers(name, async (a, b) => {
        using file = fileOf("file");
        const before = held();
        const numbers = new Set<number>();
        for (let round = 0; round < 10_000; round++) {
          await way.send(a, "x", { fds: [file] });
          using message = await way.receive(b);
          numbers.add(message.fds[0]!.fd);
        }
        assertEquals(heldSince(before), []);
        // The same free number again and again; a few where the runtime opened something.
        assert(numbers.size < 50, `${numbers.size} numbers`);
      });
    });
  }
}

/**
 * Keeps the kernel's collector of sockets in flight going. Only the release of a Unix socket starts it,
 * and one that lies in its own queue is not released by closing it.
 */
async function withCollections(body: () => Promise<void>): Promise<void> {
  const timer = setInterval(() => closeEach(UnixStream.pair()), 10);
  try {
    await body();
  } finally {
    clearInterval(timer);
  }
}

function inodeOf(fd: number): string {
  return /^socket:\[(\d+)\]$/.exec(targetOf(fd))![1]!;
}

/** Whether the kernel still has a Unix socket of this inode. */
function isKnown(inode: string): boolean {
  return new RegExp(` ${inode}( |$)`, "m").test(readFileSync("/proc/net/unix", "utf8"));
}

// What can be passed

/** Runs a body with what became of a descriptor after its way through a socket. */
async function passed<Owner extends Disposable & { readonly fd: number }>(
  make: () => Owner,
  body: (received: Fd, sent: Owner) => void | Promise<void>,
): Promise<void> {
  await withCarriers("UnixStream", async (a, b) => {
    using sent = make();
    await a.sendMessage(bytes("x"), { fds: [sent] });
    using message = (await b.receiveMessage())!;
    assertEquals([message.fds.length, message.controlTruncated], [1, false]);
    const received = message.fds[0]!;
    assertNotEquals(received.fd, sent.fd);
    await body(received, sent);
  });
}

test("G152 a path that was only named (O_PATH) can be passed and stays a name", async () => {
  await passed(() => Fd.open("/proc/self/task", O_PATH), async (received, sent) => {
    assertEquals(received.kind, "directory");
    assertEquals(received.stat().identity, sent.stat().identity);
    assertEquals(openFlags(received.fd) & O_PATH, O_PATH);
    await assertFails(() => received.read(new Uint8Array(1)), "EBADF");
  });
});

test("G152 an epoll set can be passed and tells what the original does", async () => {
  const make = () => {
    const poller = createPoller();
    return { poller, fd: poller.fd, [Symbol.dispose]: () => poller.close() };
  };
  await passed(make, (received, { poller }) => {
    const [reader, writer] = Fd.pipe();
    poller.add(reader.fd, 1, FOR_READING);
    assertEquals(received.kind, "anonymous");
    assertEquals(polls(received.fd, POLLIN), false);
    writer.writeSync(new Uint8Array(1));
    assertEquals(polls(received.fd, POLLIN), true);
    closeEach([reader, writer]);
  });
});

test("G152 a pidfd can be passed and names the same process", async () => {
  const make = () => {
    const [a, b] = UnixStream.pair();
    const pidfd = a.peerPidfd()!;
    closeEach([a, b]);
    return pidfd;
  };
  await passed(make, (received) => {
    const info = readFileSync(`/proc/self/fdinfo/${received.fd}`, "utf8");
    assertEquals(/^Pid:\s+(\d+)$/m.exec(info)![1], `${process.pid}`);
  });
});

test("G152 a sealed file in memory can be passed and stays sealed", async () => {
  const make = () => {
    const file = Fd.memfd("sealed", { sealable: true });
    file.pwriteSync(bytes("for ever"), 0);
    file.addSeals({ shrink: true, grow: true, write: true });
    return file;
  };
  await passed(make, async (received) => {
    assertEquals(received.seals, { shrink: true, grow: true, write: true, seal: false });
    assertEquals(contentOf(received), "for ever");
    await assertFails(() => received.pwriteSync(bytes("x"), 0), "EPERM");
  });
});

test("G152 an eventfd can be passed and counts for both", async () => {
  await passed(() => Fd.eventfd(7), (received) => {
    const sum = new BigUint64Array(1);
    received.readSync(sum);
    assertEquals(sum[0], 7n);
  });
});

test("G152 a connected socket can be passed and goes on talking", async () => {
  const make = () => {
    const [near, far] = UnixStream.pair();
    return { fd: near.fd, far, [Symbol.dispose]: () => closeEach([near, far]) };
  };
  await passed(make, async (received, { far }) => {
    using socket = UnixStream.fromFd(received.intoFd());
    await socket.writeAll(bytes("from there"));
    const buffer = new Uint8Array(64);
    assertEquals(text(buffer.subarray(0, (await far.read(buffer))!)), "from there");
  });
});

test("G152 a listening socket can be passed and accepts", async () => {
  const name = abstract(uniqueName());
  await passed(() => UnixListener.listen(name), async (received) => {
    using listener = UnixListener.fromFd(received.intoFd());
    using client = await UnixStream.connect(name);
    using server = await listener.accept();
    await server.writeAll(bytes("x"));
    assertEquals(await client.read(new Uint8Array(8)), 1);
  });
});

test("G152 a device and a directory can be passed", async () => {
  await passed(() => Fd.open("/dev/null", "read"), (received) => {
    assertEquals(received.kind, "character-device");
    assertEquals(received.readSync(new Uint8Array(1)), null);
  });
  await passed(() => Fd.open("/", "read"), (received) => assertEquals(received.kind, "directory"));
});
