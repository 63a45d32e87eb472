/**
 * Messages whose descriptors are numbered from 0 on, for a sender and a receiver in two processes:
 * nothing here needs @std.
 * @module
 */

import { Fd, type ReceivedMessage, type UnixSeqpacket, type UnixStream } from "../../mod.ts";
import { generator } from "./random.ts";

/** A socket that keeps the order of messages and their descriptors. */
export type OrderedSocket = UnixStream | UnixSeqpacket;

/** How many files stand behind all the descriptors; a prime, so that each is looked at in turn. */
const FILES = 251;

/** One descriptor in so many is read by the receiver. */
const READ_EVERY = 1000;

/** The bytes of a message: enough that few are under way, so that the sender has to wait. */
const SIZE = 2000;

/** The most descriptors of one message. */
const MAX = 253;

/** Files in memory, each with its own number in it. */
export function numberedFiles(): Fd[] {
  return Array.from({ length: FILES }, (_, number) => {
    const file = Fd.memfd(`number ${number}`);
    file.pwriteSync(Uint32Array.of(number), 0);
    return file;
  });
}

/**
 * Sends so many descriptors in messages of 1 to 253. Some messages have one, which is given away.
 * Descriptor `n` leads to file `n` modulo their count.
 */
export async function sendNumbered(
  socket: OrderedSocket,
  files: readonly Fd[],
  total: number,
  seed: number,
): Promise<void> {
  const random = generator(seed);
  const data = new Uint8Array(SIZE);
  const header = new Uint32Array(data.buffer, 0, 2);
  for (let next = 0; next < total;) {
    const single = random(4) === 0;
    const count = single ? 1 : Math.min(1 + random(MAX), total - next);
    header.set([next, count]);
    const fileOf = (i: number) => files[(next + i) % FILES]!;
    const fds = single ? [fileOf(0).dup()] : Array.from({ length: count }, (_, i) => fileOf(i));
    await socket.sendMessage(data, { fds, transfer: single });
    next += count;
  }
}

/** Receives so many descriptors, checks and closes them; the number of messages. */
export async function receiveNumbered(socket: OrderedSocket, total: number): Promise<number> {
  let messages = 0;
  for (let next = 0; next < total; messages++) {
    using message = await socket.receiveMessage({ size: SIZE });
    if (message === null) throw new Error(`The end came after ${next} descriptors`);
    check(message, next);
    next += message.fds.length;
  }
  return messages;
}

function check({ data, fds, controlTruncated }: ReceivedMessage, next: number): void {
  const [first, count] = new Uint32Array(data.buffer, data.byteOffset, 2);
  const told = { first, count, length: data.length, controlTruncated };
  if (first !== next || count !== fds.length || data.length !== SIZE || controlTruncated) {
    throw new Error(`Got ${fds.length} descriptors at ${next} by ${JSON.stringify(told)}`);
  }
  const toRead = Math.ceil(next / READ_EVERY) * READ_EVERY;
  for (let number = toRead; number < next + fds.length; number += READ_EVERY) {
    const content = new Uint32Array(1);
    const length = fds[number - next]!.preadSync(content, 0);
    if (length !== 4 || content[0] !== number % FILES) {
      throw new Error(`Descriptor ${number} leads to ${length} bytes with ${content[0]}`);
    }
  }
}
