/**
 * Sending and receiving of descriptors at random, for tests and for the programs that they start:
 * nothing here needs @std.
 * @module
 */

import { type Fd, UnixDatagram, UnixSeqpacket, UnixSocketError, UnixStream } from "../../mod.ts";
import type { Random } from "./random.ts";

export type AnySocket = UnixStream | UnixDatagram | UnixSeqpacket;

/** How many descriptors each message had, by its number. */
export type Log = Map<number, number>;

/** The number of the message that comes last. */
const MAX_U32 = 0xffff_ffff;

/** The bytes of a message; few enough that a stream takes or delivers them at once. */
const SIZE = 100;

/** How many sendings of one socket wait at most. */
const MAX_AT_ONCE = 3;

const reason = new Error("given up at random");

/** So many turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A signal for some calls, which aborts after a few turns, and none for the others. */
function sometimesSignal(random: Random): { signal?: AbortSignal } {
  if (random(3) > 0) return {};
  const controller = new AbortController();
  turns(random(4)).then(() => controller.abort(reason));
  return { signal: controller.signal };
}

/** Whether this is how an operation ends on a socket that was closed here or there. */
export function isClosing(error: unknown): boolean {
  return error instanceof UnixSocketError &&
    ["EBADF", "EPIPE", "ECONNRESET", "ECONNREFUSED", "ENOTCONN"].includes(error.code);
}

/**
 * Sends so many duplicates of a descriptor, some messages of which are given up, closes its own in
 * every way there is, and says the end; the messages that the kernel took.
 */
export async function sendStorm(
  socket: AnySocket,
  witness: Fd,
  total: number,
  random: Random,
): Promise<Log> {
  const sent: Log = new Map();
  const under = new Set<Promise<void>>();
  const later: Promise<void>[] = [];
  let stopped = false;

  const sendOne = async (id: number, count: number): Promise<void> => {
    const how = random(4);
    const own = how === 0 ? [] : Array.from({ length: count }, () => witness.dup());
    const fds = how === 0 ? new Array<Fd>(count).fill(witness) : own;
    const close = () => own.forEach((fd) => fd.close());
    const data = messageOf(id, count);
    const sending = socket.sendMessage(data, {
      fds,
      transfer: how === 1,
      ...sometimesSignal(random),
    });
    if (how === 2) close();
    if (how === 3) later.push(turns(random(4)).then(close));
    try {
      await sending;
      sent.set(id, count);
    } catch (error) {
      if (isClosing(error)) stopped = true;
      else if (error !== reason) throw error;
    } finally {
      // A transfer that was given up leaves them here.
      if (how === 1) close();
    }
  };

  for (let id = 0, passed = 0; passed < total && !stopped; id++) {
    const count = random(40) === 0 ? 60 : 1 + random(24);
    const sending: Promise<void> = sendOne(id, count).finally(() => under.delete(sending));
    under.add(sending);
    passed += count;
    if (under.size === MAX_AT_ONCE || random(4) === 0) await Promise.race(under);
    if (random(16) === 0) await turns(random(3));
  }
  await Promise.all(under);
  if (!stopped) await socket.sendMessage(messageOf(MAX_U32, 0)).catch(ignoreClosing);
  await Promise.all(later);
  return sent;
}

function messageOf(id: number, count: number): Uint8Array {
  const data = new Uint8Array(SIZE);
  new Uint32Array(data.buffer, 0, 2).set([id, count]);
  return data;
}

function ignoreClosing(error: unknown): void {
  if (!isClosing(error)) throw error;
}

/** How a receiver works. */
export interface Receiving {
  /**
   * What it does with a message: it leaves the descriptors to `using` or takes some of them, as it
   * comes; leaves them always; loses them; or takes half of the messages by calls that bring bytes
   * alone, and the others as it comes.
   */
  manner?: "any" | "leave" | "lose" | "plain";
  onMessage?: () => void;
  /** Ends it, where no end comes. */
  stop?: AbortSignal;
}

/** Receives to the last message, giving up now and then; the messages that came whole. */
export async function receiveStorm(
  socket: AnySocket,
  random: Random,
  options: Receiving = {},
): Promise<Log> {
  const received: Log = new Map();
  const later: Promise<void>[] = [];
  await receiveAll(socket, random, options, received, later);
  await Promise.all(later);
  return received;
}

async function receiveAll(
  socket: AnySocket,
  random: Random,
  options: Receiving,
  received: Log,
  later: Promise<void>[],
): Promise<void> {
  for (;;) {
    let taken: Taken | null;
    try {
      taken = options.manner === "plain" && random(2) === 0
        ? await takePlain(socket, random)
        : await takeMessage(socket, random, options, later);
    } catch (error) {
      if (error === reason || (error as UnixSocketError).code === "ETIMEDOUT") {
        await turns(1);
        continue;
      }
      if (isClosing(error) || options.stop?.aborted) return;
      throw error;
    }
    if (taken === null || taken.id === MAX_U32) return;
    if (taken.got !== taken.count) throw new Error(`Message with ${JSON.stringify(taken)}`);
    received.set(taken.id, taken.count);
    options.onMessage?.();
    if (random(16) === 0) await turns(random(3));
  }
}

/** A message's number, how many descriptors it said it had, and how many came. */
interface Taken {
  id: number;
  count: number;
  got: number;
}

async function takeMessage(
  socket: AnySocket,
  random: Random,
  { manner, stop }: Receiving,
  later: Promise<void>[],
): Promise<Taken | null> {
  const signals = stop === undefined ? sometimesSignal(random) : { signal: stop };
  const message = random(4) === 0
    ? socket.receiveMessageSync({ size: SIZE, timeout: 0 })
    : await socket.receiveMessage({ size: SIZE, ...signals });
  if (message === null) return null;
  if (message.controlTruncated) throw new Error("Descriptors are missing");
  const taken = { ...headerOf(message.data), got: message.fds.length };
  if (manner === "lose") return taken;
  using left = message;
  if (manner === "leave" || random(2) === 0) return taken;
  const own = left.fds.splice(random(taken.got + 1), random(taken.got + 1));
  const close = () => own.forEach((fd) => fd.close());
  if (random(2) === 0) close();
  else later.push(turns(random(4)).then(close));
  return taken;
}

/** Takes the bytes alone, and sometimes looks first. */
async function takePlain(socket: AnySocket, random: Random): Promise<Taken | null> {
  const signals = sometimesSignal(random);
  let data: Uint8Array = new Uint8Array(SIZE);
  if (socket instanceof UnixStream) {
    if (random(3) === 0) await socket.peek(data, signals);
    if (await socket.read(data, signals) === null) return null;
  } else {
    if (random(3) === 0) await socket.peek(signals);
    const message = await socket.receive({ ...signals });
    if (message === null) return null;
    data = message.data;
  }
  const header = headerOf(data);
  return { ...header, got: header.count };
}

function headerOf(data: Uint8Array): { id: number; count: number } {
  if (data.length !== SIZE) throw new Error(`Got ${data.length} of ${SIZE} bytes`);
  const [id, count] = new Uint32Array(data.buffer, data.byteOffset, 2);
  return { id: id!, count: count! };
}

/** The types of sockets that carry descriptors. */
export const TYPES = ["stream", "datagram", "seqpacket"] as const;
export type Type = (typeof TYPES)[number];

/** Two ends with room for few messages, so that senders wait. */
export function narrowPair(type: Type): [AnySocket, AnySocket] {
  const ends: [AnySocket, AnySocket] = type === "stream"
    ? UnixStream.pair()
    : type === "datagram"
    ? UnixDatagram.pair()
    : UnixSeqpacket.pair();
  for (const end of ends) end.sendBufferSize = 1;
  return ends;
}

/**
 * Asserts that nobody anywhere holds the writing end of a pipe any more: what was sent and never
 * received would keep it open too.
 */
export async function assertReleased(reader: Fd): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  let end: unknown;
  try {
    end = await reader.read(new Uint8Array(1), { signal });
  } catch (error) {
    throw new Error("A descriptor that was passed is still open somewhere", { cause: error });
  }
  if (end !== null) throw new Error("Somebody wrote into the pipe");
}
