/**
 * One contender of the datagram benchmark, in a process of its own. Prints nanoseconds for each
 * datagram of 64 bytes that is sent through a pair and received again.
 * @module
 */

import process from "node:process";
import { native } from "../ffi/mod.ts";
import { ReceiveBatch, SendBatch, UnixDatagram } from "../mod.ts";

const SIZE = 64;
const BATCH = 64;
const [name, rounds] = [process.argv[2]!, Number(process.argv[3])];
const data = new Uint8Array(SIZE).fill(7);
const into = new Uint8Array(2048);
const [a, b] = UnixDatagram.pair();

/** Each returns how many datagrams it moved. */
const contenders: Record<string, () => number | Promise<number>> = {
  "raw FFI"() {
    const { libc } = native();
    libc.send(a.fd, data, SIZE, 0x4000);
    return check(libc.recv(b.fd, into, into.length, 0));
  },
  "sync, into a buffer"() {
    a.sendSync(data);
    return check(b.receiveIntoSync(into).length);
  },
  "sync"() {
    a.sendSync(data);
    return check(b.receiveSync().length);
  },
  async "async"() {
    await a.send(data);
    return check((await b.receive()).length);
  },
  "sync, batches of 64": batches(),
};

function batches(): () => number {
  const out = new SendBatch({ messages: BATCH, size: SIZE });
  for (let i = 0; i < BATCH; i++) out.add(data);
  const received = new ReceiveBatch({ messages: BATCH, size: SIZE });
  return () => {
    a.sendManySync(out);
    for (let count = 0; count < BATCH;) count += b.receiveManySync(received);
    return check(received.length(0)) * BATCH;
  };
}

function check(length: number): 1 {
  if (length !== SIZE) throw new Error(`Received ${length} bytes instead of ${SIZE}`);
  return 1;
}

const contender = contenders[name]!;
const waits = name === "async";
for (let moved = 0; moved < rounds / 5;) moved += waits ? await contender() : contender() as number;
const begin = performance.now();
let moved = 0;
while (moved < rounds) moved += waits ? await contender() : contender() as number;
console.log(((performance.now() - begin) * 1e6) / moved);
process.exit(0);
