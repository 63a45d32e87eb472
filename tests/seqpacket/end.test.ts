import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { ReceiveBatch, UnixSeqpacket, UnixSeqpacketListener } from "../../mod.ts";
import { assertFails, bytes, withTempSocketPath } from "../support/mod.ts";
import { content, contents, PEERINGS, sendTexts, withSeqpackets } from "../support/seqpacket.ts";
import { isPending } from "../support/waiting.ts";

/** Everything up to the end, by one way of receiving. */
const WAYS: Record<string, (socket: UnixSeqpacket) => Promise<(string | null)[]>> = {
  async "receive()"(socket) {
    const records = [];
    for (let record; (record = await socket.receive()) !== null;) records.push(content(record));
    return records;
  },
  // deno-lint-ignore require-await
  async "receiveSync()"(socket) {
    const records = [];
    for (let record; (record = socket.receiveSync({ timeout: 10_000 })) !== null;) {
      records.push(content(record));
    }
    return records;
  },
  async "receiveMany()"(socket) {
    const records = [];
    const batch = new ReceiveBatch({ messages: 2 });
    while (await socket.receiveMany(batch) > 0) records.push(...contents(batch));
    assertEquals(batch.count, 0);
    return records;
  },
  // deno-lint-ignore require-await
  async "receiveManySync()"(socket) {
    const records = [];
    const batch = new ReceiveBatch({ messages: 64 });
    while (socket.receiveManySync(batch, { timeout: 10_000 }) > 0) records.push(...contents(batch));
    return records;
  },
  async "peek()"(socket) {
    const records = [];
    for (let record; (record = await socket.peek()) !== null;) {
      records.push(content(record));
      assertEquals(await socket.receive(), record);
    }
    return records;
  },
  async "iteration"(socket) {
    const records = [];
    for await (const record of socket) records.push(content(record));
    return records;
  },
  async "readable"(socket) {
    const records = [];
    const reader = socket.readable.getReader();
    for (let next; !(next = await reader.read()).done;) records.push(content(next.value));
    return records;
  },
};

const RECORDS = ["", "one", "", "", "two", ""];

for (const peering of PEERINGS) {
  for (const [way, receiveAll] of Object.entries(WAYS)) {
    test(`E116 UnixSeqpacket ${way} tells empty records from the end, ${peering}, after close()`, async () => {
      await withSeqpackets(peering, async (client, server) => {
        await sendTexts(client, ...RECORDS);
        client.close();
        assertEquals(await receiveAll(server), RECORDS);
        assertEquals(await server.receive(), null);
      });
    });

    test(`E116 UnixSeqpacket ${way} tells empty records from the end, ${peering}, after closeWrite()`, async () => {
      await withSeqpackets(peering, async (client, server) => {
        await sendTexts(client, ...RECORDS);
        client.closeWrite();
        assertEquals(await receiveAll(server), RECORDS);
        assertEquals(await server.receive(), null);
        await sendTexts(server, "");
        assertEquals(content(await client.receive()), "");
      });
    });
  }

  test(`E116 UnixSeqpacket.receive() gives empty records behind a reset, ${peering}`, async () => {
    await withSeqpackets(peering, async (client, server) => {
      await sendTexts(server, "unread");
      await sendTexts(client, "", "one", "");
      client.close();
      await assertFails(() => server.receive(), "ECONNRESET", "recvmsg");
      assertEquals(await WAYS["receive()"]!(server), ["", "one", ""]);
    });
  });

  test(`E116 UnixSeqpacket.receiveMany() gives empty records behind a reset, ${peering}`, async () => {
    await withSeqpackets(peering, async (client, server) => {
      await sendTexts(server, "unread");
      await sendTexts(client, "", "one", "");
      client.close();
      const batch = new ReceiveBatch();
      await assertFails(() => server.receiveMany(batch), "ECONNRESET", "recvmmsg");
      assertEquals(await server.receiveMany(batch), 3);
      assertEquals(contents(batch), ["", "one", ""]);
      assertEquals(await server.receiveMany(batch), 0);
      assertEquals(await server.receiveMany(batch), 0);
    });
  });
}

test("E116 UnixSeqpacket iteration rejects with ECONNRESET, and another goes on behind it", async () => {
  await withSeqpackets("unbound", async (client, server) => {
    await sendTexts(server, "unread");
    await sendTexts(client, "", "kept");
    client.close();
    await assertFails(() => WAYS["iteration"]!(server), "ECONNRESET", "recvmsg");
    assertEquals(await WAYS["iteration"]!(server), ["", "kept"]);
  });
});

test("E116 UnixSeqpacket.receive() that waits gets an empty record", async () => {
  await withSeqpackets("pair", async (a, b) => {
    const receiving = b.receive();
    assert(await isPending(receiving));
    await a.send(bytes(""));
    assertEquals(content(await receiving), "");
  });
});

test("E116 UnixSeqpacket.receive() that waits gets null at the end, as all behind it", async () => {
  await withSeqpackets("pair", async (a, b) => {
    const receiving = [b.receive(), b.receive(), b.peek()];
    assert(await isPending(receiving[0]!));
    a.close();
    assertEquals(await Promise.all(receiving), [null, null, null]);
  });
});

test("E116 UnixSeqpacket.receiveMany() that waits gets empty records and the end apart", async () => {
  await withSeqpackets("pair", async (a, b) => {
    const batch = new ReceiveBatch();
    const receiving = b.receiveMany(batch);
    assert(await isPending(receiving));
    await sendTexts(a, "", "", "");
    assert(await receiving >= 1);
    let count = batch.count;
    while (count < 3) count += await b.receiveMany(batch);
    assertEquals(count, 3);
    const ending = b.receiveMany(batch);
    assert(await isPending(ending));
    a.close();
    assertEquals(await ending, 0);
  });
});

test("E116 UnixSeqpacketListener.accept() finds the empty record of a client that is gone", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixSeqpacketListener.listen(path);
    {
      using client = await UnixSeqpacket.connect(path);
      await sendTexts(client, "", "x", "");
    }
    using server = await listener.accept();
    assertEquals(await WAYS["receive()"]!(server), ["", "x", ""]);
  });
});

test("E116 UnixSeqpacket.fromFd() tells an empty record that was queued before from the end", async () => {
  const [a, b] = UnixSeqpacket.pair();
  await sendTexts(a, "");
  a.close();
  using taken = UnixSeqpacket.fromFd(b.intoFd());
  const batch = new ReceiveBatch();
  assertEquals(await taken.receiveMany(batch), 1);
  assertEquals(batch.length(0), 0);
  assertEquals(await taken.receiveMany(batch), 0);
});

test("E116 UnixSeqpacket.receiveMany() fills a batch with empty records to the brim", async () => {
  await withSeqpackets("bound", async (client, server) => {
    await sendTexts(client, "", "", "", "");
    client.close();
    const batch = new ReceiveBatch({ messages: 4, size: 1 });
    assertEquals(await server.receiveMany(batch), 4);
    assertEquals(Array.from(batch, ({ from }) => from), Array(4).fill(server.remoteAddr));
    assertEquals(await server.receiveMany(batch), 0);
  });
});
