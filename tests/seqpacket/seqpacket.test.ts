import { existsSync } from "node:fs";
import { test } from "node:test";
import process from "node:process";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { SendBatch, UnixSeqpacket, UnixSeqpacketListener } from "../../mod.ts";
import { file, sockets } from "../../ffi/mod.ts";
import { python } from "../support/interop.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  text,
  unlessProgram,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";
import { packedPath, succeed, withRawSocket } from "../support/raw.ts";
import { content, drain, fillRecords, sendTexts, withSeqpackets } from "../support/seqpacket.ts";
import { isPending } from "../support/waiting.ts";

const MSG_EOR = 0x80;

test("F124 UnixSeqpacket keeps records apart and in order, both ways", async () => {
  await withSeqpackets("unbound", async (client, server) => {
    await sendTexts(client, "one", "two words", "3");
    await sendTexts(server, "uno", "dos");
    assertEquals(content(await server.receive()), "one");
    assertEquals(content(await server.receive()), "two words");
    assertEquals(content(await server.receive()), "3");
    assertEquals(content(await client.receive()), "uno");
    assertEquals(content(await client.receive()), "dos");
  });
});

test("UnixSeqpacket.receive() describes a whole record of an unbound peer", async () => {
  await withSeqpackets("unbound", async (client, server) => {
    await sendTexts(client, "record");
    assertEquals(await server.receive(), {
      data: bytes("record"),
      from: { kind: "unnamed" },
      length: 6,
      truncated: false,
      endOfRecord: true,
    });
  });
});

test("E112 UnixSeqpacket.receive() cuts a record at `size`, and the next one is whole", async () => {
  await withSeqpackets("pair", async (a, b) => {
    await sendTexts(a, "abcdefgh", "next");
    assertEquals(await b.receive({ size: 3 }), {
      data: bytes("abc"),
      from: { kind: "unnamed" },
      length: 8,
      truncated: true,
      endOfRecord: false,
    });
    assertEquals(content(await b.receive({ size: 4 })), "next");
  });
});

test("E112 UnixSeqpacket.receive() with size 0 tells a record's length and drops it", async () => {
  await withSeqpackets("pair", async (a, b) => {
    await sendTexts(a, "abc", "", "last");
    a.close();
    const cut = await b.receive({ size: 0 });
    assertEquals([cut?.data.length, cut?.length, cut?.truncated], [0, 3, true]);
    const empty = await b.receive({ size: 0 });
    assertEquals([empty?.data.length, empty?.length, empty?.truncated], [0, 0, false]);
    assertEquals(content(await b.receive()), "last");
    assertEquals(await b.receive({ size: 0 }), null);
  });
});

test("E113 UnixSeqpacket.receive() reports the same with and without the sender's MSG_EOR", async () => {
  await withSeqpackets("pair", async (a, b) => {
    assertEquals(sockets.send(a.fd, bytes("same"), 4, MSG_EOR), 4);
    await sendTexts(a, "same");
    const marked = await b.receive();
    assertEquals(marked, await b.receive());
    assertEquals(marked?.endOfRecord, true);
  });
});

test("E113 UnixSeqpacket.receive() takes no record for ended that it cut", async () => {
  await withSeqpackets("pair", async (a, b) => {
    assertEquals(sockets.send(a.fd, bytes("same"), 4, MSG_EOR), 4);
    assertEquals((await b.receive({ size: 2 }))?.endOfRecord, false);
  });
});

test("E118 UnixSeqpacket over an unconnected descriptor fails with ENOTCONN", async () => {
  await withRawSocket("SOCK_SEQPACKET", async (fd) => {
    using socket = UnixSeqpacket.fromFd(succeed(file.duplicate(fd)));
    await assertFails(() => socket.send(bytes("x")), "ENOTCONN", "send");
    await assertFails(() => socket.receive(), "ENOTCONN", "recvmsg");
    await assertFails(() => socket.receiveSync({ timeout: 0 }), "ENOTCONN", "recvmsg");
    await assertFails(() => socket.remoteAddr, "ENOTCONN", "getpeername");
  });
});

test("E118 UnixSeqpacket.sendMany() sends to the peer whatever address a batch names", async () => {
  await withSeqpackets("unbound", async (client, server, path) => {
    using other = UnixSeqpacketListener.listen(`${path}.other`);
    const batch = new SendBatch();
    batch.add(bytes("first"), `${path}.other`);
    batch.add(bytes("second"), `${path}.missing`);
    assertEquals(await client.sendMany(batch), { sent: 2, error: null });
    const address = packedPath(`${path}.other`);
    assertEquals(sockets.sendto(client.fd, bytes("third"), 5, 0, address), 5);
    for (const expected of ["first", "second", "third"]) {
      assertEquals(content(await server.receive()), expected);
    }
    await assertFails(() => other.acceptSync({ timeout: 0 }), "ETIMEDOUT");
  });
});

test("E121 UnixSeqpacket.shutdown('read') leaves what has arrived, then comes the end", async () => {
  await withSeqpackets("unbound", async (client, server) => {
    await sendTexts(client, "one", "", "three");
    server.shutdown("read");
    assertEquals(content(await server.receive()), "one");
    assertEquals(content(await server.receive()), "");
    assertEquals(content(await server.receive()), "three");
    assertEquals(await server.receive(), null);
    await assertFails(() => client.send(bytes("late")), "EPIPE", "send");
    await sendTexts(server, "the other way goes on");
    assertEquals(content(await client.receive()), "the other way goes on");
  });
});

test("E121 UnixSeqpacket.shutdown('read') ends a receipt that waits", async () => {
  await withSeqpackets("pair", async (_, b) => {
    const receiving = b.receive();
    assert(await isPending(receiving));
    b.shutdown("read");
    assertEquals(await receiving, null);
  });
});

test("E122 UnixSeqpacket.send() is limited by the send buffer, not by the length of a queue", async () => {
  await withSeqpackets("unbound", async (client, server) => {
    await client.send(new Uint8Array(1));
    const expected = Math.ceil(client.sendBufferSize / client.bytesUnsent);
    const sent = 1 + await fillRecords(client);
    assertEquals(sent, expected);
    assert(sent > 11, "a datagram socket would take so many");
    const sending = client.send(new Uint8Array(1));
    assert(await isPending(sending));
    await drain(server, sent);
    await sending;
    assertEquals((await server.receive())?.length, 1);
  });
});

test("UnixSeqpacket.send() fails with EMSGSIZE for a record beyond the send buffer", async () => {
  await withSeqpackets("pair", async (a, b) => {
    const most = a.sendBufferSize - 32;
    await assertFails(() => a.send(new Uint8Array(most + 1)), "EMSGSIZE", "send");
    await assertFails(() => a.sendSync(new Uint8Array(most + 1)), "EMSGSIZE", "send");
    await a.send(new Uint8Array(most).fill(7));
    const { data, truncated } = (await b.receive())!;
    assertEquals([data.length, data[most - 1], truncated], [most, 7, false]);
  });
});

test("UnixSeqpacket.closeWrite() ends one way: records, the end, and answers after it", async () => {
  await withSeqpackets("unbound", async (client, server) => {
    await sendTexts(client, "last words");
    client.closeWrite();
    await assertFails(() => client.send(bytes("late")), "EPIPE", "send");
    assertEquals(content(await server.receive()), "last words");
    assertEquals(await server.receive(), null);
    await sendTexts(server, "answer");
    assertEquals(content(await client.receive()), "answer");
  });
});

test(
  "H164 UnixSeqpacket.peerCredentials() on each side is the other process",
  { skip: unlessProgram("python3") },
  async () => {
    await withTempDir(async (directory) => {
      const path = join(directory, "test.sock");
      using listener = UnixSeqpacketListener.listen(path);
      await using peer = python(
        `
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.connect(args[0])
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server.bind(args[0] + ".peer")
        server.listen(1)
        say(json.dumps([os.getpid(), os.geteuid(), os.getegid()]), *peer_credentials(client))
        hear()
        `,
        [path],
      );
      using server = await listener.accept();
      const line = await peer.line();
      const [pid, uid, gid] = JSON.parse(line.slice(0, line.indexOf("]") + 1));
      assertEquals(server.peerCredentials(), { pid, uid, gid });
      using client = await UnixSeqpacket.connect(`${path}.peer`);
      assertEquals(client.peerCredentials(), { pid, uid, gid });
      assertEquals(
        line.slice(line.indexOf("]") + 2),
        `${process.pid} ${process.getuid!()} ${process.getgid!()}`,
      );
      peer.tell();
      await peer.succeeded();
    });
  },
);

test("UnixSeqpacket reports the addresses of both sides", async () => {
  await withSeqpackets("bound", async (client, server, path) => {
    const named = { kind: "pathname", path } as const;
    const clientName = { kind: "pathname", path: join(path, "../client.sock") } as const;
    assertEquals(client.localAddr, clientName);
    assertEquals(client.remoteAddr, named);
    assertEquals(server.localAddr, named);
    assertEquals(server.remoteAddr, clientName);
    await sendTexts(client, "from whom");
    assertEquals((await server.receive())?.from, clientName);
    await sendTexts(server, "from the server");
    assertEquals((await client.receive())?.from, named);
    client.close();
    assertEquals(existsSync(clientName.path), false);
  });
});

test("UnixSeqpacket.pair() is unnamed on both sides", () => {
  const [a, b] = UnixSeqpacket.pair();
  using _a = a;
  using _b = b;
  for (const address of [a.localAddr, a.remoteAddr, b.localAddr, b.remoteAddr]) {
    assertEquals(address, { kind: "unnamed" });
  }
});

test("UnixSeqpacket.bytesReadable counts all records, and bytesUnsent falls to 0", async () => {
  await withSeqpackets("pair", async (a, b) => {
    assertEquals([b.bytesReadable, a.bytesUnsent], [0, 0]);
    await sendTexts(a, "four", "", "three");
    assertEquals(b.bytesReadable, 9);
    assert(a.bytesUnsent > 0);
    await drain(b, 3);
    assertEquals([b.bytesReadable, a.bytesUnsent], [0, 0]);
  });
});

test("UnixSeqpacket.fromFd() takes over a descriptor that another object gave away", async () => {
  await withSeqpackets("unbound", async (client, server, path) => {
    await sendTexts(client, "", "queued before");
    const fd = server.intoFd();
    using taken = UnixSeqpacket.fromFd(fd);
    assertEquals(taken.fd, fd);
    assertEquals(taken.localAddr, { kind: "pathname", path });
    assertEquals(content(await taken.receive()), "");
    assertEquals(content(await taken.receive()), "queued before");
    taken.close();
    assertEquals(await client.receive(), null);
  });
});

test("UnixSeqpacket leaves no descriptor behind, whatever ended it", async () => {
  await assertNoFdLeak(async () => {
    await withSeqpackets("bound", async (client, server) => {
      await sendTexts(client, "x");
      await server.receive();
      const waiting = server.receive();
      client.close();
      await waiting;
    });
    await withTempSocketPath(async (path) => {
      await assertFails(() => UnixSeqpacket.connect(path), "ENOENT");
      await assertFails(() => UnixSeqpacket.connectSync(path, { from: `${path}.me` }), "ENOENT");
      assertEquals(existsSync(`${path}.me`), false);
    });
  });
});

test("UnixSeqpacket exchanges records of many sizes with itself at once", async () => {
  await withSeqpackets("unbound", async (client, server) => {
    const sizes = [0, 1, 2, 3, 4095, 4096, 4097, 65536, 100_000, 0, 17];
    const sending = (async () => {
      for (const size of sizes) await client.send(new Uint8Array(size).fill(size % 251));
      client.closeWrite();
    })();
    const echoing = (async () => {
      for await (const { data } of server) await server.send(data);
      server.closeWrite();
    })();
    const echoed: number[] = [];
    for await (const { data } of client) {
      assert(data.every((byte) => byte === data.length % 251));
      echoed.push(data.length);
    }
    await Promise.all([sending, echoing]);
    assertEquals(echoed, sizes);
  });
});

test("UnixSeqpacket.receive() gives each record memory of its own", async () => {
  await withSeqpackets("pair", async (a, b) => {
    await sendTexts(a, "first", "other");
    const first = (await b.receive())!;
    const second = (await b.receive())!;
    assertEquals([text(first.data), text(second.data)], ["first", "other"]);
    assert(first.data.buffer !== second.data.buffer);
    assertEquals(first.data.buffer.byteLength, 5);
  });
});
