/**
 * Receives descriptors whose sender sets their open files back to blocking, uses them, and says of each
 * whether the thread went on. A thread that is stopped says nothing more.
 */

import process from "node:process";
import { native } from "../../ffi/mod.ts";
import {
  Fd,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";

type Kept = { readonly fd: number };

/** Sends a descriptor through a pair of streams; what arrives. */
async function passed(sent: Kept): Promise<Fd> {
  const [a, b] = UnixStream.pair();
  await a.sendMessage(new Uint8Array(1), { fds: [sent] });
  const message = (await b.receiveMessage())!;
  a.close();
  b.close();
  return message.fds.shift()!;
}

function setToBlocking({ fd }: Kept): void {
  const { F_SETFL, F_GETFL, O_NONBLOCK } = native().abi.constants;
  const { libc } = native();
  libc.fcntl(fd, F_SETFL, libc.fcntl(fd, F_GETFL, 0) & ~O_NONBLOCK);
}

/** Uses a descriptor once, so that it is made non-blocking. */
function used(fd: Fd, write = false): Fd {
  try {
    if (write) fd.writeSync(one);
    else fd.readSync(new BigUint64Array(1), { timeout: 0 });
  } catch {
    // Nothing was there.
  }
  return fd;
}

const one = new Uint8Array(1);
const large = new Uint8Array(1 << 20);

/** What is sent, and what its receiver makes of it and does with it. */
const CASES: Record<string, () => Promise<[sent: Kept, use: () => unknown]>> = {
  "a pipe to read from": async () => {
    const [reader] = pairKept(Fd.pipe());
    const received = used(await passed(reader));
    return [reader, () => received.read(one)];
  },
  "a duplicate of a pipe": async () => {
    const [reader] = pairKept(Fd.pipe());
    const received = used((await passed(reader)).dup());
    return [reader, () => received.read(one)];
  },
  "a pipe to write to": async () => {
    const [, writer] = pairKept(Fd.pipe());
    const received = used(await passed(writer), true);
    return [writer, () => received.writeAll(large)];
  },
  "a pipe that was adopted": async () => {
    const [reader] = pairKept(Fd.pipe());
    const adopted = Fd.adopt((await passed(reader)).intoFd());
    return [reader, () => adopted.read(one)];
  },
  "an eventfd": async () => {
    const counter = Fd.eventfd();
    const received = used(await passed(counter));
    return [counter, () => received.read(new BigUint64Array(1))];
  },
  "a stream to read from": async () => {
    const [a] = pairKept(UnixStream.pair());
    const stream = UnixStream.fromFd(await passed(a));
    return [a, () => stream.read(one)];
  },
  "a stream to peek at": async () => {
    const [a] = pairKept(UnixStream.pair());
    const stream = UnixStream.fromFd(await passed(a));
    return [a, () => stream.peek(one)];
  },
  "a stream to write to": async () => {
    const [a] = pairKept(UnixStream.pair());
    const stream = UnixStream.fromFd(await passed(a));
    return [a, () => stream.writeAll(large)];
  },
  "a stream for messages": async () => {
    const [a] = pairKept(UnixStream.pair());
    const stream = UnixStream.fromFd(await passed(a));
    return [a, () => stream.receiveMessage()];
  },
  "a stream for descriptors": async () => {
    const [a] = pairKept(UnixStream.pair());
    const stream = UnixStream.fromFd(await passed(a));
    return [a, () => sendForEver(() => stream.sendMessage(large, { fds: [a] }))];
  },
  "a datagram socket to receive from": async () => {
    const [a] = pairKept(UnixDatagram.pair());
    const socket = UnixDatagram.fromFd(await passed(a));
    return [a, () => socket.receive()];
  },
  "a datagram socket to receive into memory from": async () => {
    const [a] = pairKept(UnixDatagram.pair());
    const socket = UnixDatagram.fromFd(await passed(a));
    return [a, () => socket.receiveInto(new Uint8Array(10_000))];
  },
  "a datagram socket to send to": async () => {
    const [a] = pairKept(UnixDatagram.pair());
    const socket = UnixDatagram.fromFd(await passed(a));
    return [a, () => sendForEver(() => socket.send(one))];
  },
  "a datagram socket to send to an address": async () => {
    const receiver = UnixDatagram.bind({ kind: "unnamed" });
    kept.push(receiver);
    const sender = UnixDatagram.unbound();
    const socket = UnixDatagram.fromFd(await passed(sender));
    return [sender, () => sendForEver(() => socket.sendTo(one, receiver.localAddr))];
  },
  "a seqpacket socket to receive from": async () => {
    const [a] = pairKept(UnixSeqpacket.pair());
    const socket = UnixSeqpacket.fromFd(await passed(a));
    return [a, () => socket.receive()];
  },
  "a seqpacket socket to send to": async () => {
    const [a] = pairKept(UnixSeqpacket.pair());
    const socket = UnixSeqpacket.fromFd(await passed(a));
    return [a, () => sendForEver(() => socket.send(one))];
  },
  "a listener": async () => {
    const listener = UnixListener.listen({ kind: "unnamed" });
    const received = UnixListener.fromFd(await passed(listener));
    return [listener, () => received.accept()];
  },
  "a seqpacket listener": async () => {
    const listener = UnixSeqpacketListener.listen({ kind: "unnamed" });
    const received = UnixSeqpacketListener.fromFd(await passed(listener));
    return [listener, () => received.accept()];
  },
};

/** What must not be collected before the end. */
const kept: unknown[] = [];

function pairKept<T>(pair: [T, T]): [T, T] {
  kept.push(pair);
  return pair;
}

async function sendForEver(send: () => Promise<unknown>): Promise<void> {
  for (;;) await send();
}

for (const [name, prepare] of Object.entries(CASES)) {
  const [sent, use] = await prepare();
  kept.push(sent, use);
  setToBlocking(sent);
  let over = false;
  Promise.resolve(use()).finally(() => over = true).catch(() => {});
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  console.log(`${name}: ${over ? "over" : "waits"}`);
}
process.exit(0);
