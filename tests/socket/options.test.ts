import { assert, assertEquals, assertGreater } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import { file, native, sockets } from "../../ffi/mod.ts";
import { type Socket, UnixDatagram, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { takeQueued } from "../support/datagrams.ts";
import { negated } from "../support/listening.ts";
import {
  assertFails,
  bytes,
  fill,
  readText,
  settled,
  TestProcess,
  text,
  withEveryClass,
  withPair,
  withTempDir,
} from "../support/mod.ts";
import { kernelSetting } from "../support/queue.ts";
import { succeed } from "../support/raw.ts";
import { getTimeval, polls, recvmsg, setBlocking, setTimeval } from "../support/recvmsg.ts";
import { until } from "../support/waiting.ts";

// Not in the tables of the library, which has no use for them; asm-generic/socket.h.
const SO_RCVLOWAT = 18;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const SO_SNDBUFFORCE = 32;
const SO_INQ = 84;
const SCM_INQ = 84;

const { SOL_SOCKET, SO_TYPE, SO_ERROR, SO_ACCEPTCONN, SO_SNDBUF } = native().abi.constants;
const { MSG_PEEK, MSG_TRUNC, MSG_DONTWAIT, POLLIN } = native().abi.constants;
const { SO_DOMAIN, SO_PROTOCOL, SO_TIMESTAMPNS, SCM_TIMESTAMPNS } = native().abi.linux!;

// Truncation of streams.

test("I188 MSG_TRUNC discards nothing and reports nothing on a stream", async () => {
  await withPair(UnixStream, async (a, b) => {
    a.writeAllSync(bytes("abcdef"));
    const buffer = new Uint8Array(4);
    assertEquals(sockets.recv(b.fd, buffer, 4, MSG_TRUNC), 4);
    assertEquals(text(buffer), "abcd");
    assertEquals(sockets.recv(b.fd, buffer, 1, MSG_TRUNC | MSG_PEEK), 1);
    const { result, flags } = recvmsg(b.fd, MSG_PEEK, 1);
    assertEquals([result, flags & MSG_TRUNC], [1, 0]);
    assertEquals(await readText(b), "ef");
  });
});

// How much is left, in a control message.

/** Turns an option on, for a raw look; 0 or a negated errno. */
function turnOn(socket: Socket, option: number): number {
  return sockets.setsockopt(socket.fd, SOL_SOCKET, option, 1);
}

const noInq = (() => {
  const [a, b] = UnixStream.pair();
  const supported = turnOn(a, SO_INQ) === 0;
  a.close();
  b.close();
  return !supported && "needs SO_INQ (Linux 6.17)";
})();

test(
  "I194 SCM_INQ tells on a stream how many bytes are left after each reading",
  { skip: noInq },
  async () => {
    await withPair(UnixStream, (a, b) => {
      assertEquals(turnOn(b, SO_INQ), 0);
      a.writeAllSync(bytes("abcdefghij"));
      for (const left of [6, 2, 0]) {
        const { control } = recvmsg(b.fd, 0, 4);
        assertEquals(control.map(({ type }) => type), [SCM_INQ]);
        assertEquals(new DataView(control[0]!.data.buffer).getInt32(0, true), left);
        assertEquals(b.bytesReadable, left);
      }
    });
  },
);

test("I194 SO_INQ is no option of datagram and seqpacket sockets", async () => {
  for (const Class of [UnixDatagram, UnixSeqpacket]) {
    await withPair<UnixDatagram | UnixSeqpacket>(Class, (a) => {
      assertEquals(turnOn(a, SO_INQ), negated("ENOPROTOOPT"));
    });
  }
});

// What sockets are.

test("J196 every socket says its type, family and protocol, whether it listens, and no error", async () => {
  const types: Record<string, [type: number, listens: number]> = {
    UnixStream: [1, 0],
    UnixDatagram: [2, 0],
    UnixSeqpacket: [5, 0],
    UnixListener: [1, 1],
    UnixSeqpacketListener: [5, 1],
  };
  await withEveryClass((all) => {
    for (const [name, socket] of Object.entries(all)) {
      const option = (number: number) => sockets.getsockopt(socket.fd, SOL_SOCKET, number);
      assertEquals([option(SO_TYPE), option(SO_ACCEPTCONN)], types[name]!, name);
      assertEquals([option(SO_DOMAIN), option(SO_PROTOCOL), option(SO_ERROR)], [1, 0, 0], name);
    }
  });
});

// Buffers.

test("J197 Socket.sendBufferSize is twice what was set, from 4,608 to twice net.core.wmem_max", async () => {
  await withEveryClass((all) => {
    const most = 2 * kernelSetting("net/core/wmem_max");
    for (const [name, socket] of Object.entries(all)) {
      assertEquals(socket.sendBufferSize, kernelSetting("net/core/wmem_default"), name);
      socket.sendBufferSize = 10_000;
      assertEquals(socket.sendBufferSize, 20_000, name);
      socket.sendBufferSize = 1;
      assertEquals(socket.sendBufferSize, 4608, name);
      socket.sendBufferSize = 0x7fff_ffff;
      assertEquals(socket.sendBufferSize, most, name);
    }
  });
});

test("J197 SO_SNDBUFFORCE goes beyond net.core.wmem_max for root, and is EPERM for others", async () => {
  await withPair(UnixStream, (a) => {
    const wanted = kernelSetting("net/core/wmem_max") + 4096;
    const result = sockets.setsockopt(a.fd, SOL_SOCKET, SO_SNDBUFFORCE, wanted);
    const before = a.sendBufferSize;
    if (process.getuid!() === 0 && result === 0) assertEquals(a.sendBufferSize, 2 * wanted);
    else assertEquals([result, a.sendBufferSize], [negated("EPERM"), before]);
  });
});

test("J197 Socket.receiveBufferSize is what was set, twice, and limits nothing", async () => {
  await withPair(UnixDatagram, (a, b) => {
    b.receiveBufferSize = 10_000;
    assertEquals(b.receiveBufferSize, 20_000);
    b.receiveBufferSize = 1;
    const least = b.receiveBufferSize;
    a.sendSync(new Uint8Array(10 * least));
    assertEquals(b.receiveSync().length, 10 * least);
  });
});

test("J197 UnixStream.sendBufferSize is how much may be under way", async () => {
  await withPair(UnixStream, (a, b) => {
    a.sendBufferSize = 1;
    const little = fill(a);
    b.sendBufferSize = 100_000;
    const much = fill(b);
    assertGreater(much, 10 * little);
  });
});

// Time limits and low-water marks of the kernel's, which the library does not need.

test("J199 SO_RCVTIMEO and SO_SNDTIMEO keep what they are set to; zero means no limit", async () => {
  await withPair(UnixStream, (a) => {
    for (const option of [SO_RCVTIMEO, SO_SNDTIMEO]) {
      assertEquals(getTimeval(a.fd, option), 0);
      for (const milliseconds of [1500, 40, 0]) {
        assertEquals(setTimeval(a.fd, option, milliseconds), 0);
        assertEquals(getTimeval(a.fd, option), milliseconds);
      }
    }
  });
});

test("J199 a blocking call whose SO_RCVTIMEO or SO_SNDTIMEO is over fails with EAGAIN", async () => {
  await withPair(UnixStream, (a, b) => {
    for (const socket of [a, b]) setBlocking(socket.fd, true);
    assertEquals(setTimeval(b.fd, SO_RCVTIMEO, 20), 0);
    assertEquals(sockets.recv(b.fd, new Uint8Array(1), 1, 0), negated("EAGAIN"));
    assertEquals(setTimeval(a.fd, SO_SNDTIMEO, 20), 0);
    const chunk = new Uint8Array(65536);
    let result;
    do result = sockets.send(a.fd, chunk, chunk.length, 0); while (result > 0);
    assertEquals(result, negated("EAGAIN"));
  });
});

test("J199 the library's own timeout decides on a socket that has SO_RCVTIMEO", async () => {
  await withPair(UnixStream, async (a, b) => {
    assertEquals(setTimeval(b.fd, SO_RCVTIMEO, 1), 0);
    await assertFails(() => b.readSync(new Uint8Array(1), { timeout: 5 }), "ETIMEDOUT", "recv");
    const reading = readText(b);
    await settled();
    a.writeAllSync(bytes("later"));
    assertEquals(await reading, "later");
  });
});

test("J200 SO_RCVLOWAT holds up neither poll(2) nor a read that does not block", async () => {
  await withPair(UnixStream, async (a, b) => {
    assertEquals(sockets.setsockopt(b.fd, SOL_SOCKET, SO_RCVLOWAT, 5), 0);
    const reading = readText(b);
    await settled();
    a.writeAllSync(bytes("a"));
    assertEquals(await reading, "a");
    a.writeAllSync(bytes("b"));
    assertEquals(polls(b.fd, POLLIN), true);
    assertEquals(sockets.recv(b.fd, new Uint8Array(8), 8, MSG_DONTWAIT), 1);
  });
});

test("J200 SO_RCVLOWAT makes a blocking read wait for so many bytes", async () => {
  await withPair(UnixStream, async (a, b) => {
    assertEquals(sockets.setsockopt(b.fd, SOL_SOCKET, SO_RCVLOWAT, 5), 0);
    setBlocking(b.fd, true);
    a.writeAllSync(bytes("a"));
    // One read(2) of at most ten bytes: what it returns is what is printed.
    await using reader = new TestProcess(["dd", "bs=10", "count=1", "status=none"], {
      stdio: [b.fd, "pipe", "inherit"],
    });
    // It has taken the first byte and, without the option, would be done.
    await until(() => b.bytesReadable === 0, "the reader");
    a.writeAllSync(bytes("bcde"));
    assertEquals((await reader.finished).stdout, "abcde");
  });
});

// Times.

test("J202 SO_TIMESTAMPNS gives messages the time of their sending, and streams none", async () => {
  for (const Class of [UnixDatagram, UnixSeqpacket]) {
    await withPair<UnixDatagram | UnixSeqpacket>(Class, (a, b) => {
      assertEquals(turnOn(b, SO_TIMESTAMPNS), 0);
      const before = Date.now();
      a.sendSync(bytes("x"));
      const { control } = recvmsg(b.fd);
      const after = Date.now();
      assertEquals(control.map(({ level, type }) => [level, type]), [[
        SOL_SOCKET,
        SCM_TIMESTAMPNS,
      ]]);
      const time = new DataView(control[0]!.data.buffer);
      const milliseconds = Number(time.getBigInt64(0, true)) * 1000 +
        Number(time.getBigInt64(8, true)) / 1e6;
      // The clock of the runtime may be coarser, and may be set meanwhile.
      assert(milliseconds > before - 60_000 && milliseconds < after + 60_000, `${milliseconds}`);
    });
  }
  await withPair(UnixStream, (a, b) => {
    assertEquals(turnOn(b, SO_TIMESTAMPNS), 0);
    a.writeAllSync(bytes("x"));
    assertEquals(recvmsg(b.fd).control, []);
  });
});

test("J202 UnixDatagram receives as ever on a socket that has SO_TIMESTAMPNS", async () => {
  await withPair(UnixDatagram, async (a, b) => {
    assertEquals(turnOn(b, SO_TIMESTAMPNS), 0);
    for (const message of ["one", "", "three"]) a.sendSync(bytes(message));
    const message = await b.receive();
    assertEquals([text(message.data), message.truncated], ["one", false]);
    assertEquals(takeQueued(b), ["", "three"]);
  });
});

// What is under way.

test("J203 UnixDatagram.bytesReadable is the length of the next message", async () => {
  await withPair(UnixDatagram, async (a, b) => {
    assertEquals(b.bytesReadable, 0);
    for (const message of ["12345", "", "123"]) a.sendSync(bytes(message));
    for (const length of [5, 0, 3]) {
      assertEquals(b.bytesReadable, length);
      assertEquals((await b.receive()).length, length);
    }
    assertEquals(b.bytesReadable, 0);
  });
});

test("J203 UnixStream.bytesReadable is all that has arrived", async () => {
  await withPair(UnixStream, async (a, b) => {
    assertEquals(b.bytesReadable, 0);
    a.writeAllSync(bytes("12345"));
    a.writeAllSync(bytes("678"));
    assertEquals(b.bytesReadable, 8);
    await readText(b, 3);
    assertEquals([b.bytesReadable, a.bytesReadable], [5, 0]);
  });
});

test("J203 UnixSeqpacket.bytesReadable is all that has arrived", async () => {
  await withPair(UnixSeqpacket, async (a, b) => {
    a.sendSync(bytes("12345"));
    a.sendSync(bytes("678"));
    assertEquals(b.bytesReadable, 8);
    await b.receive();
    assertEquals(b.bytesReadable, 3);
  });
});

test("J203 Socket.bytesUnsent is the memory of what the peer has not read, and 0 when it has", async () => {
  await withPair(UnixStream, async (a, b) => {
    assertEquals(a.bytesUnsent, 0);
    a.writeAllSync(bytes("x"));
    const one = a.bytesUnsent;
    assertGreater(one, 1);
    a.writeAllSync(bytes("y"));
    assertEquals(a.bytesUnsent, 2 * one);
    assertEquals(b.bytesUnsent, 0);
    await readText(b);
    assertEquals(a.bytesUnsent, 0);
  });
  for (const Class of [UnixDatagram, UnixSeqpacket]) {
    await withPair<UnixDatagram | UnixSeqpacket>(Class, async (a, b) => {
      a.sendSync(bytes("x"));
      a.sendSync(new Uint8Array(0));
      assertGreater(a.bytesUnsent, 1);
      await b.receive();
      await b.receive();
      assertEquals(a.bytesUnsent, 0);
    });
  }
});

test("J203 UnixDatagram.bytesUnsent counts what all receivers have not read", async () => {
  await withTempDir(async (directory) => {
    using one = UnixDatagram.bind(`${directory}/1`);
    using two = UnixDatagram.bind(`${directory}/2`);
    using sender = UnixDatagram.unbound();
    const sendAll = async (to: string) => {
      for (let i = 0; i < 10; i++) await sender.sendTo(bytes(`${i}`), to);
    };
    await sendAll(`${directory}/1`);
    const half = sender.bytesUnsent;
    assertGreater(half, 10);
    await sendAll(`${directory}/2`);
    assertEquals(sender.bytesUnsent, 2 * half);
    takeQueued(one);
    assertEquals(sender.bytesUnsent, half);
    two.close();
    assertEquals(sender.bytesUnsent, 0);
  });
});

test("J203 bytesReadable of a listener fails with EINVAL; its bytesUnsent is 0", async () => {
  await withEveryClass(async (all) => {
    for (const name of ["UnixListener", "UnixSeqpacketListener"]) {
      const listener = all[name]!;
      await assertFails(() => listener.bytesReadable, "EINVAL", "ioctl");
      assertEquals(listener.bytesUnsent, 0);
    }
  });
});

test("options hold for every descriptor of one open socket", async () => {
  await withPair(UnixStream, (a) => {
    const copy = succeed(file.duplicate(a.fd));
    try {
      a.sendBufferSize = 30_000;
      assertEquals(sockets.getsockopt(copy, SOL_SOCKET, SO_SNDBUF), 60_000);
    } finally {
      file.close(copy);
    }
  });
});
