import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { type Message, UnixSeqpacket, UnixSeqpacketListener } from "../../mod.ts";
import { assertFails, bytes, withTempSocketPath } from "../support/mod.ts";
import { content, fillRecords, sendTexts, withSeqpackets } from "../support/seqpacket.ts";
import { eventually } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";

test("UnixSeqpacket.readable takes no record before it is asked for one", async () => {
  await withSeqpackets("pair", async (a, b) => {
    await sendTexts(a, "one", "two");
    const reader = b.readable.getReader();
    assertEquals(content((await reader.read()).value ?? null), "one");
    reader.releaseLock();
    assertEquals(content(await b.receive()), "two");
  });
});

test("UnixSeqpacket.readable ends the reading when it is cancelled, not the sending", async () => {
  await withSeqpackets("pair", async (a, b) => {
    const reader = b.readable.getReader();
    const reading = reader.read();
    assert(await isPending(reading));
    await eventually(reader.cancel());
    assertEquals((await reading).done, true);
    await assertFails(() => a.send(bytes("late")), "EPIPE", "send");
    await sendTexts(b, "still");
    assertEquals(content(await a.receive()), "still");
  });
});

test("UnixSeqpacket.writable sends each chunk as a record, empty ones too, then the end", async () => {
  await withSeqpackets("pair", async (a, b) => {
    const writer = a.writable.getWriter();
    for (const each of ["one", "", "three"]) writer.write(bytes(each));
    await writer.close();
    const records: (string | null)[] = [];
    for await (const record of b) records.push(content(record));
    assertEquals(records, ["one", "", "three"]);
    await sendTexts(b, "the other way");
    assertEquals(content(await a.receive()), "the other way");
  });
});

test("UnixSeqpacket.writable waits while the peer does not receive", async () => {
  await withSeqpackets("pair", async (a, b) => {
    const sent = await fillRecords(a);
    const writer = a.writable.getWriter();
    const writing = writer.write(bytes("waits"));
    assert(await isPending(writing));
    for (let i = 0; i < sent; i++) await b.receive();
    await writing;
    assertEquals(content(await b.receive()), "waits");
  });
});

test("UnixSeqpacket.writable ends the sending when it is aborted", async () => {
  await withSeqpackets("pair", async (a, b) => {
    await a.writable.abort("enough");
    assertEquals(await b.receive(), null);
    await sendTexts(b, "the other way");
    assertEquals(content(await a.receive()), "the other way");
  });
});

test("UnixSeqpacket.writable that is aborted does not wait for room", async () => {
  await withSeqpackets("pair", async (a) => {
    await fillRecords(a);
    const writer = a.writable.getWriter();
    writer.closed.catch(() => {});
    const writing = writer.write(bytes("never"));
    const failed = writing.catch((reason) => reason);
    assert(await isPending(writing));
    await eventually(writer.abort("enough"));
    assertEquals(await failed, "enough");
  });
});

test("UnixSeqpacket.readable pipes to writable: an echo that keeps records apart", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixSeqpacketListener.listen(path);
    using client = await UnixSeqpacket.connect(path);
    using server = await listener.accept();
    const datas = new TransformStream<Message, Uint8Array<ArrayBuffer>>({
      transform: ({ data }, controller) => controller.enqueue(data),
    });
    const echoing = server.readable.pipeThrough(datas).pipeTo(server.writable);
    const sent = ["one", "", "x".repeat(100_000), "four"];
    await sendTexts(client, ...sent);
    client.closeWrite();
    const echoed: (string | null)[] = [];
    for await (const record of client) echoed.push(content(record));
    assertEquals(echoed, sent);
    await echoing;
  });
});
