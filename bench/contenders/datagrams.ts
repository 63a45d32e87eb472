/**
 * ROUNDS: datagrams of 64 bytes through a pair and out again. Nanoseconds for each.
 * @module
 */

import { native } from "../../ffi/mod.ts";
import { ReceiveBatch, SendBatch, UnixDatagram } from "../../mod.ts";
import { expect, timed } from "./timed.ts";

const SIZE = 64;
const BATCH = 64;
const data = new Uint8Array(SIZE).fill(7);
const into = new Uint8Array(2048);
const [a, b] = UnixDatagram.pair();

function check(length: number): void {
  if (length !== SIZE) throw new Error(`Received ${length} bytes instead of ${SIZE}`);
}

const ways: Record<string, () => unknown> = {
  raw() {
    const { libc } = native();
    libc.send(a.fd, data, SIZE, 0x4000);
    check(libc.recv(b.fd, into, into.length, 0));
  },
  into() {
    a.sendSync(data);
    check(b.receiveIntoSync(into).length);
  },
  sync() {
    a.sendSync(data);
    check(b.receiveSync().length);
  },
  async async() {
    await a.send(data);
    check((await b.receive()).length);
  },
  batches: batches(),
};

function batches(): () => void {
  const out = new SendBatch({ messages: BATCH, size: SIZE });
  for (let i = 0; i < BATCH; i++) out.add(data);
  const received = new ReceiveBatch({ messages: BATCH, size: SIZE });
  return () => {
    a.sendManySync(out);
    for (let count = 0; count < BATCH;) {
      count += b.receiveManySync(received);
      check(received.length(0));
    }
  };
}

export async function contend(api: string, args: string[]): Promise<number> {
  a.sendSync(data);
  expect(b.receiveSync().data.every((byte) => byte === 7), "Other bytes arrived");
  const each = api === "batches" ? BATCH : 1;
  const rounds = Math.ceil(Number(args[0]) / each);
  return (await timed(rounds, api === "async", ways[api]!)) * 1e6 / (rounds * each);
}
