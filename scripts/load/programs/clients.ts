/** Connects, asks and compares. Argument: the path. */

import process from "node:process";
import { UnixStream } from "../../../mod.ts";
import { each, obey } from "./talk.ts";

const path = process.argv[2]!;
const streams: UnixStream[] = [];

/** Sends a number of eight bytes, and takes exactly those bytes with their bits turned. */
async function talk(stream: UnixStream, number: number): Promise<void> {
  const sent = new Uint8Array(8);
  new DataView(sent.buffer).setFloat64(0, number);
  await stream.writeAll(sent);
  const answer = new Uint8Array(9);
  for (let filled = 0; filled < 8;) {
    const count = await stream.read(answer.subarray(filled));
    if (count === null) throw new Error(`connection ${number} ended after ${filled} bytes`);
    filled += count;
  }
  if (sent.some((byte, i) => answer[i] !== (byte ^ 0xff))) {
    throw new Error(`connection ${number} got the answer to another number`);
  }
}

const talks: Promise<void>[] = [];
let answered = 0;

await obey({
  /** Opens so many. */
  open: ({ count }: { count: number }) =>
    each(count, 128, async () => void streams.push(await UnixStream.connect(path))),

  /** Asks over each of them at once. */
  ask: ({ from }: { from: number }) => Promise.all(streams.map((each, i) => talk(each, from + i))),

  close() {
    for (const stream of streams.splice(0)) stream.close();
  },

  /** Connects so many times at once, asks, and closes. */
  storm: ({ count, from }: { count: number; from: number }) =>
    each(count, count, async (i) => {
      using stream = await UnixStream.connect(path);
      await talk(stream, from + i);
    }),

  /** Connects one after the other, each of which gets its ordinal number. */
  async sequence({ from, count }: { from: number; count: number }) {
    const answer = new Uint8Array(8);
    const view = new DataView(answer.buffer);
    for (let i = from; i < from + count; i++) {
      const stream = await UnixStream.connect(path);
      const length = await stream.read(answer);
      if (length !== 4 || view.getUint32(0) !== i) {
        throw new Error(`connection ${i} got ${length} bytes: number ${view.getUint32(0)}`);
      }
      if (await stream.read(answer) !== null) throw new Error(`connection ${i} got more`);
      stream.close();
    }
  },

  /** Opens so many, asks over each at once, and waits for no answer. */
  async crowd({ count }: { count: number }) {
    await each(count, 16, async () => void streams.push(await UnixStream.connect(path)));
    for (const [i, stream] of streams.entries()) {
      const talking = talk(stream, i).then(() => void answered++);
      // Where it fails, `leave` tells.
      talking.catch(() => {});
      talks.push(talking);
    }
  },

  answered: () => ({ answered }),

  /** Closes each as soon as it is answered, until none is left. */
  async leave() {
    const closing = streams.splice(0).map(async (stream, i) => {
      await talks[i];
      stream.close();
    });
    await Promise.all(closing);
    talks.length = 0;
    return { answered };
  },
});
