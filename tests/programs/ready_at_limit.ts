/**
 * Reads, receives and writes where no descriptor is free and nothing has ever waited, so that there is
 * no epoll set and none can be made. Prints as JSON what came of it. Argument: what to do.
 */

import process from "node:process";
import {
  Fd,
  ReceiveBatch,
  SendBatch,
  UnixDatagram,
  UnixSeqpacket,
  type UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { openForSignals } from "../support/descriptor_table.ts";

const ROUNDS = 1000;
const byte = new Uint8Array(1);
const taken: Fd[] = [];

/** Opens until no descriptor is free. */
function takeAll(): void {
  try {
    for (;;) taken.push(Fd.open("/dev/null"));
  } catch (error) {
    if ((error as UnixSocketError).code !== "EMFILE") throw error;
  }
}

function giveBack(): void {
  for (const fd of taken.splice(0)) fd.close();
}

type Carrier = UnixStream | UnixDatagram | UnixSeqpacket;
type Ends = readonly [Carrier, Carrier];

/** How many of the rounds succeed, and the first error. */
async function count(round: () => Promise<unknown>): Promise<unknown> {
  takeAll();
  let succeeded = 0;
  try {
    for (; succeeded < ROUNDS; succeeded++) await round();
    return { succeeded };
  } catch (error) {
    return { succeeded, error: (error as Error).message };
  } finally {
    giveBack();
  }
}

/** What goes on with the descriptor table full, but for a few, once something has waited. */
async function afterWait(
  free: number,
  ends: Ends,
  body: (ends: Ends) => Promise<unknown>,
): Promise<unknown> {
  const [a, b] = UnixStream.pair();
  const reading = b.read(byte);
  await a.write(byte);
  await reading;
  takeAll();
  for (const fd of taken.splice(taken.length - free)) fd.close();
  let turns = 0;
  let counting = true;
  const countTurn = () => {
    turns++;
    if (counting) setImmediate(countTurn);
  };
  setImmediate(countTurn);
  try {
    const result = await body(ends);
    return { result, turned: turns > 3 };
  } catch (error) {
    return { error: (error as Error).message };
  } finally {
    counting = false;
    giveBack();
  }
}

/** A thousand messages with a descriptor, each sent and received before the next; what was lost. */
async function inSequence([a, b]: Ends): Promise<unknown> {
  for (let i = 0; i < ROUNDS; i++) {
    await a.sendMessage(byte, { fds: [file] });
    (await b.receiveMessage())!.close();
  }
  return ROUNDS;
}

/** The same in bursts of which none waits for another, which the receiver has room for. */
async function inBursts([a, b]: Ends, burst: number): Promise<unknown> {
  const got: number[] = [];
  const data = new Uint8Array(1);
  for (let sent = 0; sent < ROUNDS;) {
    const sending: Promise<number>[] = [];
    for (let i = 0; i < burst; i++) {
      data[0] = sent++;
      sending.push(a.sendMessage(data.slice(), { fds: [file] }));
    }
    await Promise.all(sending);
    for (let i = 0; i < burst; i++) {
      using message = (await b.receiveMessage({ size: 1 }))!;
      got.push(message.data[0]!);
    }
  }
  return got.every((value, i) => value === i % 256) ? got.length : "out of order";
}

/** Two ends of each kind, and what one sends and the other receives a byte by. */
function messageRounds(Kind: typeof UnixDatagram | typeof UnixSeqpacket): () => Promise<unknown> {
  const [a, b] = Kind.pair();
  const out = new SendBatch({ messages: 1, size: 1 });
  out.add(byte);
  const received = new ReceiveBatch({ messages: 1, size: 1 });
  return async () => {
    await a.send(byte);
    await b.receive();
    await a.sendMessage(byte);
    (await b.receiveMessage())!.close();
    await a.sendMany(out);
    await b.receiveMany(received);
  };
}

/** What a sending comes to that has to wait when a part has left, and how the stream goes on. */
async function cutShort(
  file: Fd,
  start: (a: UnixStream, data: Uint8Array) => Promise<unknown>,
): Promise<unknown> {
  const [a, b] = UnixStream.pair();
  const data = new Uint8Array(4 << 20).fill(7);
  takeAll();
  let error: UnixSocketError;
  try {
    await start(a, data);
    return "succeeded";
  } catch (thrown) {
    error = thrown as UnixSocketError;
  } finally {
    giveBack();
  }
  const { code, bytesTransferred } = error;
  const left = a.bytesWritten;
  const buffer = new Uint8Array(1 << 20);
  let arrived = 0;
  let descriptors = 0;
  while (arrived < left) {
    using message = b.receiveMessageSync({ size: buffer.length, timeout: 10_000 });
    arrived += message!.length;
    descriptors += message!.fds.length;
  }
  const more = b.bytesReadable;
  const reading = b.read(buffer);
  await a.writeAll(byte);
  const goesOn = await reading === 1 && !file.closed;
  a.close();
  b.close();
  const exact = bytesTransferred === left && left > 0 && left < data.length && more === 0;
  return { code, exact, descriptors, goesOn };
}

const file = Fd.memfd("along");
const programs: Record<string, () => Promise<unknown>> = {
  "UnixStream.read()"() {
    const [a, b] = UnixStream.pair();
    a.writeSync(new Uint8Array(ROUNDS));
    return count(() => b.read(byte));
  },

  "UnixStream.write() and receiveMessage()"() {
    const [a, b] = UnixStream.pair();
    return count(async () => {
      await a.write(byte);
      await a.writeAll(byte);
      await a.sendMessage(byte);
      const message = await b.receiveMessage();
      if (message!.length !== 3) throw new Error(`${message!.length} bytes came`);
    });
  },

  "all of UnixDatagram": () => count(messageRounds(UnixDatagram)),
  "all of UnixSeqpacket": () => count(messageRounds(UnixSeqpacket)),

  "Fd.read()"() {
    const [reader, writer] = Fd.pipe();
    return count(async () => {
      await writer.write(byte);
      await reader.read(byte);
    });
  },

  "Fd.pread()": () => count(() => file.pread(byte, 0)),

  "UnixStream.writeAll()": () => cutShort(file, (a, data) => a.writeAll(data)),
  "UnixStream.sendMessage()": () => cutShort(file, (a, data) => a.sendMessage(data)),
  "UnixStream.sendMessage() with descriptors": () =>
    cutShort(file, (a, data) => a.sendMessage(data, { fds: [file, file] })),
};

for (const Kind of [UnixStream, UnixDatagram, UnixSeqpacket]) {
  for (const free of [0, 3]) {
    programs[`${Kind.name}.sendMessage() with a descriptor where ${free} are free`] = () =>
      afterWait(free, Kind.pair(), async (ends) => [
        await inSequence(ends),
        // A datagram receiver has room for ten messages; a burst as large as the credit cannot be.
        await inBursts(ends, Kind === UnixDatagram ? 10 : 200),
      ]);
  }
}

openForSignals();
console.log(JSON.stringify(await programs[process.argv[2]!]!()));
