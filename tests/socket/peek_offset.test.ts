import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { UnixDatagram, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { bytes, readText, settled, text, withEveryClass, withPair } from "../support/mod.ts";

/** Peeks at most so many bytes; as text, or null where nothing is there. */
function peekText(socket: UnixStream | UnixDatagram | UnixSeqpacket, size: number): string | null {
  try {
    if (socket instanceof UnixStream) {
      const buffer = new Uint8Array(size);
      return text(buffer.subarray(0, socket.peekSync(buffer, { timeout: 0 })!));
    }
    return text(socket.peekSync({ size, timeout: 0 })!.data);
  } catch (error) {
    if ((error as { code?: string }).code === "ETIMEDOUT") return null;
    throw error;
  }
}

test("I187 Socket.peekOffset is −1 at first, and what it was set to", async () => {
  await withEveryClass((all) => {
    for (const Class of ["UnixStream", "UnixDatagram", "UnixSeqpacket"]) {
      const socket = all[Class]!;
      assertEquals(socket.peekOffset, -1, Class);
      socket.peekOffset = 5;
      assertEquals(socket.peekOffset, 5, Class);
      socket.peekOffset = -1;
      assertEquals(socket.peekOffset, -1, Class);
    }
  });
});

test("I187 UnixStream.peekOffset moves on with each peek and back with each read", async () => {
  await withPair(UnixStream, async (a, b) => {
    b.peekOffset = 0;
    a.writeAllSync(bytes("abcdefgh"));
    assertEquals(peekText(b, 4), "abcd");
    assertEquals(b.peekOffset, 4);
    assertEquals(peekText(b, 16), "efgh");
    assertEquals(b.peekOffset, 8);
    assertEquals(peekText(b, 16), null);
    assertEquals(await readText(b, 3), "abc");
    assertEquals(b.peekOffset, 5);
    a.writeAllSync(bytes("ij"));
    assertEquals(peekText(b, 16), "ij");
    assertEquals(await readText(b), "defghij");
    assertEquals(b.peekOffset, 0);
  });
});

test("I187 UnixStream.peekOffset lets one peek go over what was written at several times", async () => {
  await withPair(UnixStream, (a, b) => {
    b.peekOffset = 2;
    a.writeAllSync(bytes("abc"));
    a.writeAllSync(bytes("def"));
    assertEquals(peekText(b, 3), "cde");
    assertEquals(peekText(b, 3), "f");
  });
});

test("I187 UnixStream.peek() with peekOffset waits for bytes beyond it", async () => {
  await withPair(UnixStream, async (a, b) => {
    b.peekOffset = 0;
    a.writeAllSync(bytes("seen"));
    assertEquals(peekText(b, 16), "seen");
    const buffer = new Uint8Array(16);
    const peeking = b.peek(buffer);
    await settled();
    a.writeAllSync(bytes("new"));
    assertEquals(text(buffer.subarray(0, (await peeking)!)), "new");
    assertEquals(await readText(b), "seennew");
  });
});

for (const Class of [UnixDatagram, UnixSeqpacket]) {
  test(`I187 ${Class.name}.peekOffset moves on by what a peek took, within one message`, async () => {
    await withPair<UnixDatagram | UnixSeqpacket>(Class, (a, b) => {
      b.peekOffset = 0;
      a.sendSync(bytes("abcdefgh"));
      a.sendSync(bytes("ijkl"));
      assertEquals(peekText(b, 4), "abcd");
      assertEquals(b.peekOffset, 4);
      assertEquals(peekText(b, 16), "efgh");
      assertEquals(b.peekOffset, 8);
    });
  });

  test(`I187 ${Class.name}.peek() with peekOffset goes from message to message and never over a bound`, async () => {
    await withPair<UnixDatagram | UnixSeqpacket>(Class, (a, b) => {
      b.peekOffset = 0;
      a.sendSync(bytes("abc"));
      a.sendSync(bytes("defg"));
      assertEquals(peekText(b, 64), "abc");
      assertEquals(peekText(b, 64), "defg");
      assertEquals(peekText(b, 64), null);
      assertEquals(text(b.receiveSync()!.data), "abc");
      assertEquals(b.peekOffset, 4);
      assertEquals(text(b.receiveSync()!.data), "defg");
      assertEquals(b.peekOffset, 0);
      a.sendSync(bytes("again"));
      assertEquals(peekText(b, 64), "again");
    });
  });

  test(`I187 ${Class.name}.receive() pays no attention to peekOffset`, async () => {
    await withPair<UnixDatagram | UnixSeqpacket>(Class, (a, b) => {
      b.peekOffset = 3;
      a.sendSync(bytes("abcdef"));
      const message = b.receiveSync()!;
      assertEquals([text(message.data), message.length, message.truncated], ["abcdef", 6, false]);
    });
  });

  test(`I187 ${Class.name}.peek() tells how much of the message is left behind peekOffset`, async () => {
    await withPair<UnixDatagram | UnixSeqpacket>(Class, (a, b) => {
      b.peekOffset = 2;
      a.sendSync(bytes("abcdef"));
      const seen = b.peekSync({ size: 3 })!;
      assertEquals([text(seen.data), seen.length, seen.truncated], ["cde", 4, true]);
    });
  });
}
