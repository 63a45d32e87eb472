import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { errnoNumber, native } from "../../ffi/mod.ts";
import { writeField } from "../../ffi/structs/field.ts";
import { aligned } from "../../ffi/structs/msghdr.ts";
import { UnixDatagram, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { bytes, readText, text, withSocketPair } from "../support/mod.ts";

/** What no test sends: memory that nobody has written to is full of it. */
const UNTOUCHED = 0x7a;

/** Sends these pieces as one message; its length, or a negated errno. */
function sendVectors(fd: number, pieces: readonly Uint8Array[]): number {
  const { memory, buffers } = laidOut(pieces.map(({ length }) => length));
  for (const [i, piece] of pieces.entries()) buffers[i]!.set(piece);
  const { calls, abi } = native();
  return calls.sendmsg(fd, memory, abi.constants.MSG_NOSIGNAL);
}

/** Receives into buffers of these lengths: the length of all or a negated errno, and the buffers. */
function receiveVectors(
  fd: number,
  lengths: readonly number[],
): { result: number; buffers: Uint8Array[] } {
  const { memory, buffers } = laidOut(lengths);
  return { result: native().calls.recvmsg(fd, memory, 0), buffers };
}

/** A header, an entry for each buffer, and the buffers, each with a byte behind it that is no part. */
function laidOut(lengths: readonly number[]): { memory: Uint8Array; buffers: Uint8Array[] } {
  const { layouts } = native().abi;
  const { msghdr, iovec } = layouts;
  const entries = aligned(msghdr.size);
  let at = aligned(entries + iovec.size * lengths.length);
  const end = lengths.reduce((sum, length) => sum + length + 1, at);
  const memory = new Uint8Array(new ArrayBuffer(end));
  const view = new DataView(memory.buffer);
  const base = native().runtime.addressOf(memory);
  writeField(view, msghdr.fields.msg_iov, base + entries);
  writeField(view, msghdr.fields.msg_iovlen, lengths.length);
  memory.fill(UNTOUCHED, at);
  const buffers = lengths.map((length, i) => {
    const entry = entries + i * iovec.size;
    const { iov_base: [baseAt, baseWidth], iov_len: [lengthAt, lengthWidth] } = iovec.fields;
    writeField(view, [entry + baseAt, baseWidth], base + at);
    writeField(view, [entry + lengthAt, lengthWidth], length);
    const buffer = memory.subarray(at, at + length);
    at += length + 1;
    return buffer;
  });
  return { memory, buffers };
}

/** UIO_MAXIOV: the most buffers that one call takes. */
const MAX = 1024;

const single = (count: number) => Array.from({ length: count }, (_, i) => Uint8Array.of(i & 0x3f));

test("B34 sendmsg(2) of several buffers, empty ones among them, is one run of bytes to UnixStream.read()", async () => {
  await withSocketPair(async (a, b) => {
    const pieces = ["gath", "", "ered", " ", "", "here"].map(bytes);
    assertEquals(sendVectors(a.fd, pieces), 13);
    await a.writeAll(bytes(" and now"));
    assertEquals(await readText(b), "gathered here and now");
  });
});

test("B34 recvmsg(2) into several buffers fills them in order and leaves the rest as it was", async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("abcdefg"));
    const { result, buffers } = receiveVectors(b.fd, [3, 0, 2, 4, 5]);
    assertEquals(result, 7);
    assertEquals(buffers.slice(0, 3).map(text), ["abc", "", "de"]);
    const untouched = new Uint8Array(16).fill(UNTOUCHED);
    assertEquals(buffers[3], Uint8Array.of(...bytes("fg"), UNTOUCHED, UNTOUCHED));
    assertEquals(buffers[4], untouched.subarray(0, 5));
  });
});

test("B34 a message that was gathered and one that is scattered keep their bounds", async () => {
  for (const Class of [UnixDatagram, UnixSeqpacket]) {
    const [a, b] = Class.pair();
    assertEquals(sendVectors(a.fd, ["one", "", "two"].map(bytes)), 6);
    assertEquals(sendVectors(a.fd, [bytes("three")]), 5);
    assertEquals(text((await b.receive())!.data), "onetwo");
    const { result, buffers } = receiveVectors(b.fd, [4, 16]);
    assertEquals([result, text(buffers[0]!)], [5, "thre"]);
    assertEquals(text(buffers[1]!.subarray(0, 2)), `e${String.fromCharCode(UNTOUCHED)}`);
    a.close();
    b.close();
  }
});

test("B35 sendmsg(2) and recvmsg(2) take 1,024 buffers, and refuse one more with EMSGSIZE", () => {
  for (const Class of [UnixStream, UnixDatagram, UnixSeqpacket]) {
    const [a, b] = Class.pair();
    const pieces = single(MAX);
    const tooLong = new Array(MAX + 1).fill(1);
    assertEquals(sendVectors(a.fd, single(MAX + 1)), -errnoNumber("EMSGSIZE"));
    assertEquals(receiveVectors(b.fd, tooLong).result, -errnoNumber("EMSGSIZE"));
    assertEquals(sendVectors(a.fd, pieces), MAX);
    assertEquals(receiveVectors(b.fd, tooLong).result, -errnoNumber("EMSGSIZE"));
    const { result, buffers } = receiveVectors(b.fd, new Array(MAX).fill(1));
    assertEquals([result, buffers], [MAX, pieces]);
    a.close();
    b.close();
  }
});
