import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { native, sockets } from "../../ffi/mod.ts";
import { UnixDatagram, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { negated } from "../support/listening.ts";
import { assertFails, bytes, fill, readText, withPair } from "../support/mod.ts";
import { polls } from "../support/recvmsg.ts";

// Not in the tables of the library, which has no use for them; asm-generic/socket.h.
const POLLPRI = 2;

const { MSG_OOB } = native().abi.constants;

test("I190 UnixStream.sendOutOfBand() arrives apart from the bytes in order", async () => {
  await withPair(UnixStream, async (a, b) => {
    a.writeAllSync(bytes("a"));
    a.sendOutOfBand(0x62);
    assertEquals(polls(b.fd, POLLPRI), true);
    assertEquals(b.takeOutOfBand(), 0x62);
    assertEquals(polls(b.fd, POLLPRI), false);
    assertEquals(await readText(b), "a");
    await assertFails(() => b.readSync(new Uint8Array(1), { timeout: 0 }), "ETIMEDOUT");
  });
});

test("I190 UnixStream.takeOutOfBand() is null where no urgent byte is, and after it was taken", async () => {
  await withPair(UnixStream, async (a, b) => {
    assertEquals(b.takeOutOfBand(), null);
    a.writeAllSync(bytes("ordinary"));
    assertEquals(b.takeOutOfBand(), null);
    for (const byte of [0, 1, 255]) {
      a.sendOutOfBand(byte);
      assertEquals(b.takeOutOfBand(), byte);
      assertEquals(b.takeOutOfBand(), null);
    }
    assertEquals(await readText(b), "ordinary");
    a.close();
    assertEquals(b.takeOutOfBand(), null);
  });
});

test("I191 UnixStream.read() stops before the urgent byte and goes on behind it, without it", async () => {
  await withPair(UnixStream, async (a, b) => {
    a.writeAllSync(bytes("hell"));
    a.sendOutOfBand(0x6f);
    a.writeAllSync(bytes("world"));
    assertEquals(await readText(b), "hell");
    assertEquals(await readText(b), "world");
    a.closeWrite();
    assertEquals(await readText(b), null);
  });
});

test("I191 a second urgent byte makes the first that was not taken an ordinary one", async () => {
  await withPair(UnixStream, async (a, b) => {
    a.sendOutOfBand(0x31);
    a.sendOutOfBand(0x32);
    assertEquals(b.takeOutOfBand(), 0x32);
    assertEquals(await readText(b), "1");
  });
});

test("I191 UnixStream reads all that came before and behind an urgent byte that was taken first", async () => {
  await withPair(UnixStream, async (a, b) => {
    a.writeAllSync(bytes("before"));
    a.sendOutOfBand(0x21);
    a.writeAllSync(bytes("behind"));
    assertEquals(b.takeOutOfBand(), 0x21);
    let received = "";
    while (received.length < 12) received += await readText(b);
    assertEquals(received, "beforebehind");
  });
});

test("I193 urgent bytes sent and taken again and again leave nothing behind", async () => {
  await withPair(UnixStream, async (a, b) => {
    for (let i = 0; i < 300; i++) {
      a.sendOutOfBand(i & 255);
      assertEquals(b.takeOutOfBand(), i & 255);
    }
    await assertFails(() => b.readSync(new Uint8Array(8), { timeout: 0 }), "ETIMEDOUT", "recv");
    assertEquals(polls(b.fd, POLLPRI), false);
    a.writeAllSync(bytes("fine"));
    assertEquals(await readText(b), "fine");
  });
});

test("UnixStream.sendOutOfBand() fails with EAGAIN and EPIPE where no byte can go", async () => {
  await withPair(UnixStream, async (a, b) => {
    fill(a, new Uint8Array(1));
    await assertFails(() => a.sendOutOfBand(1), "EAGAIN", "send");
    b.close();
    await assertFails(() => a.sendOutOfBand(1), "EPIPE", "send");
  });
});

test("I190 MSG_OOB is not supported on datagram and seqpacket sockets", async () => {
  for (const Class of [UnixDatagram, UnixSeqpacket]) {
    await withPair<UnixDatagram | UnixSeqpacket>(Class, (a) => {
      const data = new Uint8Array(1);
      assertEquals(sockets.send(a.fd, data, 1, MSG_OOB), negated("ENOTSUP"));
      assertEquals(sockets.recv(a.fd, data, 1, MSG_OOB), negated("ENOTSUP"));
    });
  }
});
