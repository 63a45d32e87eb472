/**
 * Every call that can wait, each with an object on which it has to: the tables of what is true of all of
 * them.
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  type AsyncOptions,
  Fd,
  ReceiveBatch,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { batchOf, fillQueue, takeQueued } from "./datagrams.ts";
import { type Carrier, type CarrierName, CARRIERS, fillCarrier, leavesNothing } from "./passing.ts";
import { uniqueName } from "./raw.ts";
import { bytes } from "./sockets.ts";

/** What the objects of all classes that wait have in common. */
export interface Handle {
  readonly fd: number;
  readonly closed: boolean;
  close(): void;
  intoFd(): number;
}

/** An object on which calls have to wait. */
export interface Place<T extends Handle = Handle> {
  object: T;
  /** The class's way to take over the descriptor of `object`. */
  adopt(fd: number): T;
  /** Lets the first call that waits go on, or all: data come, or room. */
  letGo(): unknown;
  /** Asserts, once the object is closed, that nothing came of what waited. */
  assertUntouched(): unknown;
  /** What belongs to it, such as its peer. */
  others: { close(): void }[];
}

/** A call that waits at its place. */
export interface Wait<T extends Handle = Handle> {
  /** The call, as titles name it. */
  name: string;
  /** The system call that its errors name. */
  syscall: string;
  at(): Place<T> | Promise<Place<T>>;
  call(object: T, options?: AsyncOptions): Promise<unknown>;
}

/** Runs a body with the place of a call, and asserts that it leaves no descriptor open. */
export function withPlace(
  { at }: Wait,
  body: (place: Place) => void | Promise<void>,
): Promise<void> {
  return leavesNothing(async () => {
    const place = await at();
    try {
      await body(place);
    } finally {
      for (const each of [place.object, ...place.others]) each.close();
    }
  });
}

/** A connected pair; what its first end receives has to come from the second. */
function empty<T extends Carrier>(name: CarrierName): Place<T> {
  const [object, peer] = CARRIERS[name]();
  return {
    object: object as T,
    adopt: ADOPT[name] as (fd: number) => never,
    letGo: () => peer.sendMessageSync(bytes("x")),
    assertUntouched: () => assertEnded(peer),
    others: [peer],
  };
}

/** A connected pair whose first end finds no room. */
function full<T extends Carrier>(name: CarrierName): Place<T> {
  const [object, peer] = CARRIERS[name]();
  const filled = fillCarrier(object);
  return {
    object: object as T,
    adopt: ADOPT[name] as (fd: number) => never,
    letGo: () => takeAll(peer),
    assertUntouched() {
      assertEquals(takeAll(peer), filled);
      assertEnded(peer);
    },
    others: [peer],
  };
}

/** Asserts that a peer has closed. A datagram socket hears of that only when it sends. */
function assertEnded(socket: Carrier): void {
  if (socket instanceof UnixDatagram) return;
  assertEquals(socket.receiveMessageSync({ timeout: 0 }), null);
}

const ADOPT = {
  UnixStream: (fd: number) => UnixStream.fromFd(fd),
  UnixDatagram: (fd: number) => UnixDatagram.fromFd(fd),
  UnixSeqpacket: (fd: number) => UnixSeqpacket.fromFd(fd),
} satisfies Record<CarrierName, (fd: number) => Carrier>;

/** Takes all that has arrived; how many bytes. */
function takeAll(socket: Carrier): number {
  for (let total = 0;;) {
    try {
      const message = socket.receiveMessageSync({ timeout: 0 });
      if (message === null) return total;
      total += message.data.length;
    } catch (error) {
      if (!(error instanceof UnixSocketError) || error.code !== "ETIMEDOUT") throw error;
      return total;
    }
  }
}

/** The address of the receiver whose queue is full. */
const TO = `\0${uniqueName()}`;

/** A datagram socket whose receiver, which others may send to as well, has a full queue. */
async function beforeFullQueue(connected: boolean): Promise<Place<UnixDatagram>> {
  const receiver = UnixDatagram.bind(TO);
  const object = UnixDatagram.unbound();
  if (connected) object.connect(TO);
  const filled = await fillQueue(object, TO);
  return {
    object,
    adopt: ADOPT.UnixDatagram,
    letGo: () => takeQueued(receiver),
    assertUntouched: () => assertEquals(takeQueued(receiver), filled),
    others: [receiver],
  };
}

function listening<T extends UnixListener | UnixSeqpacketListener>(
  Listener: { listen(address: string): T; fromFd(fd: number): T },
  Client: typeof UnixStream | typeof UnixSeqpacket,
): Place<T> {
  const object = Listener.listen(`\0${uniqueName()}`);
  const address = object.addr;
  const others: { close(): void }[] = [];
  return {
    object,
    adopt: (fd) => Listener.fromFd(fd),
    letGo: () => others.push(Client.connectSync(address)),
    assertUntouched: () => {},
    others,
  };
}

function emptyPipe(): Place<Fd> {
  const [object, writer] = Fd.pipe();
  return {
    object,
    adopt: (fd) => Fd.adopt(fd),
    letGo: () => writer.writeSync(bytes("x")),
    assertUntouched: () => {},
    others: [writer],
  };
}

function fullPipe(): Place<Fd> {
  const [reader, object] = Fd.pipe();
  const filled = fillPipe(object);
  return {
    object,
    adopt: (fd) => Fd.adopt(fd),
    letGo: () => reader.readSync(new Uint8Array(filled)),
    assertUntouched() {
      assertEquals(reader.readSync(new Uint8Array(filled + 1)), filled);
      assertEquals(reader.readSync(new Uint8Array(1)), null);
    },
    others: [reader],
  };
}

/** Fills a pipe until a write would block; the number of bytes. */
export function fillPipe(writer: Fd): number {
  for (let total = 0;;) {
    try {
      total += writer.writeSync(new Uint8Array(4096), { timeout: 0 });
    } catch (error) {
      if (!(error instanceof UnixSocketError) || error.code !== "ETIMEDOUT") throw error;
      return total;
    }
  }
}

/** An eventfd at this count; a duplicate changes it, and tells whether it is as it was. */
function counterAt(count: bigint): Place<Fd> {
  const object = Fd.eventfd();
  const other = object.dup();
  if (count > 0n) other.writeSync(BigUint64Array.of(count));
  const taken = new BigUint64Array(1);
  return {
    object,
    adopt: (fd) => Fd.adopt(fd),
    letGo: () => count > 0n ? other.readSync(taken) : other.writeSync(BigUint64Array.of(1n)),
    assertUntouched() {
      if (count === 0n) other.writeSync(BigUint64Array.of(7n));
      other.readSync(taken, { timeout: 0 });
      assertEquals(taken[0], count === 0n ? 7n : count);
    },
    others: [other],
  };
}

/** A connected socket that is used as a descriptor. */
function emptySocket(): Place<Fd> {
  const { object, ...place } = empty<UnixStream>("UnixStream");
  return { ...place, object: Fd.adopt(object.intoFd()), adopt: (fd) => Fd.adopt(fd) };
}

/** As many as an eventfd counts. */
const MAX_COUNT = (1n << 64n) - 2n;

type Call<T> = [syscall: string, call: (object: T, options?: AsyncOptions) => Promise<unknown>];

/** The rows of one kind of place. */
function rows<T extends Handle>(
  className: string,
  at: () => Place<T> | Promise<Place<T>>,
  calls: Record<string, Call<T>>,
): Wait[] {
  return Object.entries(calls).map(([name, [syscall, call]]) => {
    const wait: Wait<T> = { name: `${className}.${name}`, syscall, at, call };
    return wait as unknown as Wait;
  });
}

const X = bytes("x");
const room = () => new Uint8Array(8);

const RECEIVE_MESSAGE: Call<Carrier> = ["recvmsg", (socket, how) => socket.receiveMessage(how)];
const SEND_MESSAGE: Call<Carrier> = ["sendmsg", (socket, how) => socket.sendMessage(X, how)];

const RECEIVES: Record<string, Call<UnixDatagram | UnixSeqpacket>> = {
  "receive()": ["recvmsg", (socket, how) => socket.receive(how)],
  "peek()": ["recvmsg", (socket, how) => socket.peek(how)],
  "receiveMany()": [
    "recvmmsg",
    (socket, how) => socket.receiveMany(new ReceiveBatch({ messages: 1 }), how),
  ],
  "receiveMessage()": RECEIVE_MESSAGE,
};

const SENDS: Record<string, Call<UnixDatagram | UnixSeqpacket>> = {
  "send()": ["send", (socket, how) => socket.send(X, how)],
  "sendMany()": ["sendmmsg", (socket, how) => socket.sendMany([X], how)],
  "sendMessage()": SEND_MESSAGE,
};

const ACCEPT: Call<UnixListener | UnixSeqpacketListener> = [
  "accept4",
  (listener, how) => listener.accept(how),
];

const WAIT_READABLE: Call<Fd> = ["poll", (fd, how) => fd.waitReadable(how)];

/** All that wait, by class. A connected datagram socket waits for room otherwise than one that is not. */
export const WAITS: readonly Wait[] = [
  ...rows<UnixStream>("UnixStream", () => empty("UnixStream"), {
    "read()": ["recv", (stream, how) => stream.read(room(), how)],
    "read() into nothing": ["recv", (stream, how) => stream.read(new Uint8Array(0), how)],
    "peek()": ["recv", (stream, how) => stream.peek(room(), how)],
    "receiveMessage()": RECEIVE_MESSAGE,
  }),
  ...rows<UnixStream>("UnixStream", () => full("UnixStream"), {
    "write()": ["send", (stream, how) => stream.write(X, how)],
    "writeAll()": ["send", (stream, how) => stream.writeAll(X, how)],
    "sendMessage()": SEND_MESSAGE,
  }),
  ...rows<UnixDatagram>("UnixDatagram", () => empty("UnixDatagram"), {
    ...RECEIVES,
    "receiveInto()": ["recvfrom", (socket, how) => socket.receiveInto(room(), how)],
  }),
  ...rows<UnixDatagram>("UnixDatagram", () => full("UnixDatagram"), SENDS),
  ...rows<UnixDatagram>("UnixDatagram", () => beforeFullQueue(true), {
    "send() to a full queue": SENDS["send()"]!,
    "sendMany() to a full queue": SENDS["sendMany()"]!,
    "sendMessage() to a full queue": SEND_MESSAGE,
  }),
  ...rows<UnixDatagram>("UnixDatagram", () => beforeFullQueue(false), {
    "sendTo()": ["sendto", (socket, how) => socket.sendTo(X, TO, how)],
    "sendMany() to destinations": [
      "sendmmsg",
      (socket, how) => socket.sendMany(batchOf(["x"], TO), how),
    ],
    "sendMessage() to an address": [
      "sendmsg",
      (socket, how) => socket.sendMessage(X, { to: TO, ...how }),
    ],
  }),
  ...rows<UnixSeqpacket>("UnixSeqpacket", () => empty("UnixSeqpacket"), RECEIVES),
  ...rows<UnixSeqpacket>("UnixSeqpacket", () => full("UnixSeqpacket"), SENDS),
  ...rows("UnixListener", () => listening(UnixListener, UnixStream), { "accept()": ACCEPT }),
  ...rows("UnixSeqpacketListener", () => listening(UnixSeqpacketListener, UnixSeqpacket), {
    "accept()": ACCEPT,
  }),
  ...rows("Fd", emptyPipe, {
    "read() of a pipe": ["read", (fd, how) => fd.read(room(), how)],
    "waitReadable() of a pipe": WAIT_READABLE,
  }),
  ...rows("Fd", fullPipe, {
    "write() to a pipe": ["write", (fd, how) => fd.write(X, how)],
    "writeAll() to a pipe": ["write", (fd, how) => fd.writeAll(X, how)],
  }),
  ...rows("Fd", () => counterAt(0n), {
    "read() of an eventfd": ["read", (fd, how) => fd.read(room(), how)],
    "waitReadable() of an eventfd": WAIT_READABLE,
  }),
  ...rows("Fd", () => counterAt(MAX_COUNT), {
    "write() to an eventfd": ["write", (fd, how) => fd.write(BigUint64Array.of(1n), how)],
  }),
  ...rows("Fd", emptySocket, {
    "read() of a socket": ["read", (fd, how) => fd.read(room(), how)],
    "waitReadable() of a socket": WAIT_READABLE,
  }),
];
