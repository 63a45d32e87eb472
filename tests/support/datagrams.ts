/**
 * Helpers around datagrams: full queues, what is in them, and which calls are made.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  type Address,
  type AddressLike,
  type ReceiveBatch,
  SendBatch,
  UnixDatagram,
  UnixSocketError,
} from "../../mod.ts";
import { ample } from "./queue.ts";
import { bytes, text } from "./sockets.ts";

/**
 * Fills what a sender sends to with "0", "1", … until the next would have to wait; what was sent.
 *
 * Between two that are connected to each other it is the sender's buffer that is full then; else it is the
 * receiver's queue. That is filled by a socket of its own, because the kernel calls a sender writable only
 * while three quarters of its own buffer are free, and a long queue takes more.
 */
export async function fillQueue(sender: UnixDatagram, to?: AddressLike): Promise<string[]> {
  const peer = to ?? sender.remoteAddr!;
  if (typeof peer === "object" && "kind" in peer && peer.kind === "unnamed") {
    return await sendUntilFull((message) => sender.send(message, { dontWait: true }));
  }
  using filler = ample(UnixDatagram.unbound());
  return await sendUntilFull((message) => filler.sendTo(message, peer, { dontWait: true }));
}

async function sendUntilFull(send: (message: Uint8Array) => Promise<void>): Promise<string[]> {
  const sent: string[] = [];
  for (;;) {
    try {
      await send(bytes(`${sent.length}`));
    } catch (error) {
      if (!(error instanceof UnixSocketError) || error.code !== "EAGAIN") throw error;
      return sent;
    }
    sent.push(`${sent.length}`);
  }
}

/** Takes all that has arrived, as texts. */
export function takeQueued(receiver: UnixDatagram): string[] {
  const received: string[] = [];
  for (;;) {
    try {
      received.push(text(receiver.receiveSync({ timeout: 0 }).data));
    } catch (error) {
      if (!(error instanceof UnixSocketError) || error.code !== "ETIMEDOUT") throw error;
      return received;
    }
  }
}

/** Receives so many messages, waiting for each; their texts. */
export async function receiveTexts(receiver: UnixDatagram, count: number): Promise<string[]> {
  const received: string[] = [];
  while (received.length < count) received.push(text((await receiver.receive()).data));
  return received;
}

/** Asserts that two addresses are equal to the last byte, whichever kind of array holds them. */
export function assertSameAddress(actual: Address, expected: Address): void {
  assertEquals(plain(actual), plain(expected));
}

function plain(address: Address): unknown {
  if (address.kind === "abstract") return { ...address, name: [...address.name] };
  if (address.kind === "pathname" && address.bytes !== undefined) {
    return { ...address, bytes: [...address.bytes] };
  }
  return { ...address };
}

/** Kinds of memory that hold these bytes, each under its name. */
export function memoriesOf(data: Uint8Array): [string, ArrayBufferView | ArrayBuffer][] {
  const copy = () => data.slice().buffer;
  const shifted = new Uint8Array(data.length + 5);
  shifted.set(data, 3);
  return [
    ["Uint8Array", data.slice()],
    ["subarray", shifted.subarray(3, 3 + data.length)],
    ["ArrayBuffer", copy()],
    ["DataView", new DataView(copy())],
    ["Uint16Array", new Uint16Array(copy())],
    ["BigInt64Array", new BigInt64Array(copy())],
    ["Float64Array", new Float64Array(copy())],
  ];
}

/** A batch of these messages, each to this address where there is one. */
export function batchOf(messages: readonly string[], to?: string): SendBatch {
  const batch = new SendBatch({ messages: Math.max(1, messages.length), size: 64 });
  for (const message of messages) assert(batch.add(bytes(message), to));
  return batch;
}

/** So many messages: "0", "1", … */
export function numbered(count: number, prefix = ""): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

/** The messages in a batch, as texts. */
export function textsOf(batch: ReceiveBatch): string[] {
  return Array.from({ length: batch.count }, (_, i) => text(batch.data(i)));
}
