/**
 * Sends and receives very many batches, always with the same two objects. Prints as JSON how much
 * the heap and the whole process grew meanwhile, in bytes.
 */

import process from "node:process";
import { ReceiveBatch, SendBatch, UnixDatagram } from "../../mod.ts";
import { collectNow } from "../support/garbage.ts";

const BATCHES = 100_000;
const MESSAGES = 4;

const name = `\0afunix-datagram-batches-${process.pid}`;
const receiver = UnixDatagram.bind(name);
const sender = UnixDatagram.unbound().connect(name);
const sendBatch = new SendBatch({ messages: MESSAGES, size: 64 });
const receiveBatch = new ReceiveBatch({ messages: 2 * MESSAGES, size: 64 });
const message = new Uint8Array(48);

async function round(number: number): Promise<void> {
  sendBatch.clear();
  for (let i = 0; i < MESSAGES; i++) {
    message[0] = number + i;
    // Now with a destination of its own, now to the peer.
    if (!(number % 100 === 0 ? sendBatch.add(message, name) : sendBatch.add(message))) {
      throw new Error("the batch is full");
    }
  }
  const { sent, error } = number % 2 === 0
    ? sender.sendManySync(sendBatch)
    : await sender.sendMany(sendBatch);
  if (sent !== MESSAGES || error !== null) throw new Error(`sent ${sent}: ${error}`);
  const count = number % 2 === 0
    ? receiver.receiveManySync(receiveBatch)
    : await receiver.receiveMany(receiveBatch);
  if (count !== MESSAGES) throw new Error(`received ${count}`);
  for (let i = 0; i < count; i++) {
    if (receiveBatch.data(i)[0] !== ((number + i) & 255)) throw new Error("a wrong message");
  }
}

/** What is used after all garbage was collected. */
async function usage(): Promise<{ heap: number; whole: number }> {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    collectNow();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, whole: rss };
}

for (let i = 0; i < BATCHES / 10; i++) await round(i);
const before = await usage();
for (let i = 0; i < BATCHES; i++) await round(i);
const after = await usage();
console.log(
  JSON.stringify({ heap: after.heap - before.heap, whole: after.whole - before.whole }),
);
