/**
 * Receives datagrams at a path that hold 0, 1, 2, … (a number of 32 bits in each), so many, and
 * checks each. Prints "listening", "halfway", and the count of those that came.
 */

import process from "node:process";
import { ReceiveBatch, UnixDatagram } from "../../mod.ts";

const [path, count] = process.argv.slice(2);
const total = Number(count);
using socket = UnixDatagram.bind(path!);
process.stdout.write("listening\n");

const batch = new ReceiveBatch({ messages: 256, size: 16 });
let next = 0;
while (next < total) {
  const received = await socket.receiveMany(batch);
  const before = next;
  for (let i = 0; i < received; i++, next++) {
    const data = batch.data(i);
    const number = new DataView(data.buffer, data.byteOffset).getUint32(0);
    if (data.length !== 4 || number !== next) {
      throw new Error(`Got ${data.length} bytes with ${number} instead of ${next}`);
    }
  }
  if (before < total / 2 && next >= total / 2) process.stdout.write("halfway\n");
}
process.stdout.write(`${next}\n`);
