import { Buffer } from "node:buffer";
import { test } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Fd, type Pieces, SendBatch, UnixDatagram, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { readToEnd } from "../support/mod.ts";

const text = (data: string) => new TextEncoder().encode(data);
const ofSize = (size: number, seed: number) =>
  Uint8Array.from({ length: size }, (_, i) => (i * 31 + seed) & 0xff);

/** What arrives when `pieces` are written. */
async function arrives(pieces: Pieces): Promise<Uint8Array> {
  const [a, b] = UnixStream.pair();
  const all = readToEnd(b);
  await a.writeAll(pieces);
  a.close();
  const bytes = await all;
  b.close();
  return bytes;
}

test("B34: several pieces arrive one after another, empty ones among them", async () => {
  const pieces = [text("one "), new Uint8Array(0), text("two "), new DataView(text("3").buffer)];
  assertEquals(await arrives(pieces), text("one two 3"));
  assertEquals(await arrives([text("alone").buffer]), text("alone"));
  assertEquals(await arrives([]), new Uint8Array(0));
  assertEquals(await arrives([new Uint8Array(0)]), new Uint8Array(0));
});

test("B34: small and large pieces in turn keep their order", async () => {
  const sizes = [10, 40_000, 3, 5, 300_000, 32_768, 32_767, 2, 100_000, 1];
  const pieces = sizes.map(ofSize);
  assertEquals(await arrives(pieces), new Uint8Array(Buffer.concat(pieces)));
});

test("B34: a view of a part of a buffer gives only that part", async () => {
  const whole = text("abcdefghij");
  const words = new Uint16Array(whole.buffer, 4, 2);
  assertEquals(await arrives([whole.subarray(1, 3), words]), text("bcefgh"));
});

test("B34: what is received is scattered by views of one buffer", async () => {
  const [a, b] = UnixStream.pair();
  await a.writeAll([new Uint32Array([5]), text("hello")]);
  const room = new ArrayBuffer(9);
  const length = new DataView(room, 0, 4);
  const body = new Uint8Array(room, 4);
  assertEquals(await b.read(room), 9);
  assertEquals([new Uint32Array(room, 0, 1)[0], length.byteLength, body], [5, 4, text("hello")]);
  a.close();
  b.close();
});

test("B35: more pieces than one writev takes arrive whole", async () => {
  const pieces = Array.from({ length: 5000 }, (_, i) => ofSize(i % 40, i));
  assertEquals(await arrives(pieces), new Uint8Array(Buffer.concat(pieces)));
});

test("B35: so they do without waiting, and by a plain descriptor", () => {
  const [reader, writer] = Fd.pipe();
  const pieces = Array.from({ length: 3000 }, (_, i) => ofSize(i % 20, i));
  const whole = new Uint8Array(Buffer.concat(pieces));
  writer.writeAllSync(pieces);
  const buffer = new Uint8Array(whole.length);
  for (let at = 0; at < buffer.length;) at += reader.readSync(buffer.subarray(at))!;
  assertEquals(buffer, whole);
  writer.close();
  reader.close();
});

test("pieces that overlap with other writes go out whole", async () => {
  const [a, b] = UnixStream.pair();
  const all = readToEnd(b);
  const large = [text("<"), ofSize(400_000, 1), text(">")];
  await Promise.all([a.writeAll(large), a.writeAll(text("after"))]);
  a.close();
  const bytes = await all;
  assertEquals(bytes.length, 400_002 + 5);
  assertEquals(new TextDecoder().decode(bytes.subarray(400_001)), ">after");
  b.close();
});

test("an aborted write of pieces tells how far it came over all of them", async () => {
  const [a, b] = UnixStream.pair();
  const pieces = [text("head"), ofSize(100_000, 1), ofSize(1_000_000, 2)];
  const controller = new AbortController();
  const writing = a.writeAll(pieces, { signal: controller.signal });
  controller.abort();
  await assertRejects(() => writing, DOMException);
  const written = a.bytesWritten;
  a.close();
  assertEquals((await readToEnd(b)).length, written);
  b.close();

  const [c, d] = UnixStream.pair();
  const error = assertThrows(() => c.writeAllSync(pieces, { timeout: 1 })) as unknown as {
    code: string;
    bytesTransferred: number;
    message: string;
  };
  assertEquals([error.code, error.bytesTransferred], ["ETIMEDOUT", c.bytesWritten]);
  assertEquals(error.message.includes(`after ${c.bytesWritten} bytes`), true);
  c.close();
  assertEquals((await readToEnd(d)).length, error.bytesTransferred);
  d.close();
});

test("a piece that is taken away while it waits ends the write, and nothing wrong is sent", async () => {
  const [a, b] = UnixStream.pair();
  const first = ofSize(1_000_000, 1);
  const second = ofSize(50_000, 2);
  const writing = a.writeAll([first, second, text("end")]);
  structuredClone(second, { transfer: [second.buffer] });
  const all = readToEnd(b);
  await assertRejects(() => writing, TypeError, "detached or shrunk");
  a.close();
  assertEquals(await all, first);
  b.close();
});

test("small pieces may be changed as soon as the call has returned", async () => {
  const [a, b] = UnixStream.pair();
  const blocking = a.writeAll(ofSize(1_000_000, 1));
  const small = text("kept");
  const writing = a.writeAll([small, small]);
  small.fill(0);
  const all = readToEnd(b);
  await Promise.all([blocking, writing]);
  a.close();
  assertEquals((await all).subarray(1_000_000), text("keptkept"));
  b.close();
});

test("pieces make one message of a datagram and of a record", async () => {
  const pieces = [text("a message "), new Uint8Array(0), text("of parts")];
  const whole = text("a message of parts");
  const [a, b] = UnixDatagram.pair();
  const [c, d] = UnixSeqpacket.pair();
  for (const [from, to] of [[a, b], [c, d]] as const) {
    await from.send(pieces);
    from.sendSync(pieces);
    assertEquals(await from.sendMessage(pieces), whole.length);
    await from.sendMany([pieces, text("single")]);
    for (let i = 0; i < 4; i++) assertEquals((await to.receive())?.data, whole);
    assertEquals((await to.receive())?.data, text("single"));
  }
  const batch = new SendBatch({ messages: 2 });
  batch.add(pieces);
  await a.sendMany(batch);
  assertEquals((await b.receive()).data, whole);
  for (const socket of [a, b, c, d]) socket.close();
});

test("pieces go to an address, and along with descriptors", async () => {
  const receiver = UnixDatagram.bind({ kind: "unnamed" });
  const sender = UnixDatagram.unbound();
  await sender.sendTo([text("x"), text("y")], receiver.localAddr!);
  sender.sendToSync([text("x"), text("z")], receiver.localAddr!);
  assertEquals((await receiver.receive()).data, text("xy"));
  assertEquals((await receiver.receive()).data, text("xz"));

  const [a, b] = UnixStream.pair();
  using file = Fd.memfd("pieces");
  assertEquals(await a.sendMessage([text("with "), text("it")], { fds: [file] }), 7);
  using message = await b.receiveMessage();
  assertEquals([message!.data, message!.fds.length], [text("with it"), 1]);
  for (const socket of [receiver, sender, a, b]) socket.close();
});

test("what is no piece is refused before anything is written", async () => {
  const [a, b] = UnixStream.pair();
  const datagrams = UnixDatagram.pair();
  // deno-lint-ignore no-sparse-arrays
  for (
    const wrong of [[text("ok"), "no"], [1], [null], [text("ok"), , text("ok")], [[text("x")]]]
  ) {
    const pieces = wrong as unknown as Uint8Array[];
    await assertRejects(() => a.writeAll(pieces), TypeError, "as data to write");
    assertThrows(() => a.writeAllSync(pieces), TypeError);
    await assertRejects(() => datagrams[0].send(pieces), TypeError, "as a message");
  }
  const detached = ofSize(8, 1);
  structuredClone(detached, { transfer: [detached.buffer] });
  await assertRejects(() => a.writeAll([text("ok"), detached]), TypeError);
  assertEquals([a.bytesWritten, b.bytesReadable], [0, 0]);
  for (const socket of [a, b, ...datagrams]) socket.close();
});
