/**
 * Every call that can wait, each with an object on which it has to: for the tests of what is true of all
 * of them.
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  Fd,
  type Message,
  ReceiveBatch,
  type ReceivedInto,
  type SignalOption,
  type TimeoutOption,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { batchOf, fillQueue, takeQueued, textsOf } from "./datagrams.ts";
import { type Carrier, type CarrierName, CARRIERS, fillCarrier, leavesNothing } from "./passing.ts";
import { uniqueName } from "./raw.ts";
import { bytes, text } from "./sockets.ts";

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
  /** Sends one character to those that wait to receive. */
  give?(character: string): void;
  /** Makes room for those that wait to send: takes what has arrived, and returns what they have sent. */
  take?(): string;
  /** Asserts, once the object is closed, that nothing came of what waited. */
  assertUntouched(): void;
  /** What belongs to it, first its peer. */
  others: { close(): void }[];
}

/** What a call waits for: to take something, to see that it is there, or to send. */
export type Purpose = "take" | "look" | "send";

/** A call that waits at its place. */
export interface Wait {
  /** The call, as titles name it. */
  name: string;
  /** The system call that its errors name. */
  syscall: string;
  purpose: Purpose;
  /** Whether several characters that arrive at once are one: the count of an eventfd. */
  adds: boolean;
  /** Whether no event tells of room, so that it tries again after growing pauses. */
  triesAgain: boolean;
  at(): Place | Promise<Place>;
  /** Sends this character, or returns what has come: a character, or null at the end. */
  call(object: Handle, options?: SignalOption, character?: string): Promise<unknown>;
  /** Does it while blocking the thread. */
  callSync(object: Handle, options?: TimeoutOption, character?: string): unknown;
  /** Does it with this memory to read into or to send, where it takes any. */
  callWith?(object: Handle, memory: Uint8Array): Promise<unknown>;
}

/** The name of the variant of a call that blocks the thread. */
export function syncName({ name }: Wait): string {
  return name.replace("()", "Sync()");
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
function empty(name: CarrierName): Place {
  const [object, peer] = CARRIERS[name]();
  return {
    object,
    adopt: ADOPT[name],
    give: (character) => void peer.sendMessageSync(bytes(character)),
    assertUntouched: () => assertEnded(peer),
    others: [peer],
  };
}

/** A connected pair whose first end finds no room. */
function full(name: CarrierName): Place {
  const [object, peer] = CARRIERS[name]();
  const filled = fillCarrier(object);
  return {
    object,
    adopt: ADOPT[name],
    take: () => takeAll(peer).replaceAll("\0", ""),
    assertUntouched() {
      assertEquals(takeAll(peer), "\0".repeat(filled));
      assertEnded(peer);
    },
    others: [peer],
  };
}

const ADOPT = {
  UnixStream: (fd: number) => UnixStream.fromFd(fd),
  UnixDatagram: (fd: number) => UnixDatagram.fromFd(fd),
  UnixSeqpacket: (fd: number) => UnixSeqpacket.fromFd(fd),
  Fd: (fd: number) => Fd.adopt(fd),
};

/** Takes all that has arrived, as one text. */
function takeAll(socket: Carrier): string {
  for (let all = "";;) {
    const message = inTime(() => socket.receiveMessageSync({ timeout: 0 }));
    if (message === undefined || message === null) return all;
    all += text(message.data);
  }
}

/** What a blocking call returns, or undefined where its time was over. */
function inTime<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof UnixSocketError) || error.code !== "ETIMEDOUT") throw error;
    return undefined;
  }
}

/** Asserts that a peer has closed. A datagram socket hears of that only when it sends. */
function assertEnded(socket: Carrier): void {
  if (socket instanceof UnixDatagram) return;
  assertEquals(socket.receiveMessageSync({ timeout: 0 }), null);
}

/** The address of the receiver whose queue is full. */
const TO = `\0${uniqueName()}`;

/** A datagram socket whose receiver, which others may send to as well, has a full queue. */
async function beforeFullQueue(connected: boolean): Promise<Place> {
  const receiver = UnixDatagram.bind(TO);
  const object = UnixDatagram.unbound();
  if (connected) object.connect(TO);
  const filled = await fillQueue(object, TO);
  let before = filled.length;
  return {
    object,
    adopt: ADOPT.UnixDatagram,
    take() {
      const sent = takeQueued(receiver).slice(before).join("");
      before = 0;
      return sent;
    },
    assertUntouched: () => assertEquals(takeQueued(receiver), filled),
    others: [receiver],
  };
}

function listening(
  Listener: typeof UnixListener | typeof UnixSeqpacketListener,
  Client: typeof UnixStream | typeof UnixSeqpacket,
): Place {
  const object = Listener.listen({ kind: "unnamed" });
  const address = object.addr;
  const others: { close(): void }[] = [];
  return {
    object,
    adopt: (fd) => Listener.fromFd(fd),
    give(character) {
      const client = Client.connectSync(address);
      client.sendMessageSync(bytes(character));
      others.push(client);
    },
    assertUntouched: () => {},
    others,
  };
}

function emptyPipe(): Place {
  const [object, writer] = Fd.pipe();
  return {
    object,
    adopt: ADOPT.Fd,
    give: (character) => void writer.writeSync(bytes(character)),
    assertUntouched: () => {},
    others: [writer],
  };
}

function fullPipe(): Place {
  const [reader, object] = Fd.pipe();
  const filled = fillPipe(object);
  const read = () => {
    const buffer = new Uint8Array(filled);
    const count = inTime(() => reader.readSync(buffer, { timeout: 0 }));
    return text(buffer.subarray(0, count ?? 0));
  };
  return {
    object,
    adopt: ADOPT.Fd,
    take: () => read().replaceAll("\0", ""),
    assertUntouched() {
      assertEquals(read(), "\0".repeat(filled));
      assertEquals(reader.readSync(new Uint8Array(1)), null);
    },
    others: [reader],
  };
}

/** Fills a pipe until a write would block; the number of bytes. */
function fillPipe(writer: Fd): number {
  for (let total = 0;;) {
    const count = inTime(() => writer.writeSync(new Uint8Array(4096), { timeout: 0 }));
    if (count === undefined) return total;
    total += count;
  }
}

/** As many as an eventfd counts. */
const MAX_COUNT = (1n << 64n) - 2n;

/** Eight bytes for an eventfd, which counts by the number of a character. */
function counted(character: string): BigUint64Array<ArrayBuffer> {
  return BigUint64Array.of(BigInt(character.codePointAt(0)!));
}

function uncounted(count: BigUint64Array): string {
  return String.fromCodePoint(Number(count[0]));
}

/** An eventfd at this count, and a duplicate. */
function counterAt(count: bigint): Place {
  const object = Fd.eventfd();
  const other = object.dup();
  if (count > 0n) other.writeSync(BigUint64Array.of(count));
  const taken = new BigUint64Array(1);
  return {
    object,
    adopt: ADOPT.Fd,
    give: (character) => void other.writeSync(counted(character)),
    take() {
      const before = inTime(() => other.readSync(taken, { timeout: 0 }));
      return before === undefined || taken[0] === count ? "" : uncounted(taken);
    },
    assertUntouched() {
      if (count === 0n) other.writeSync(counted("7"));
      other.readSync(taken, { timeout: 0 });
      assertEquals(taken[0], count === 0n ? counted("7")[0] : count);
    },
    others: [other],
  };
}

/** A connected socket that is used as a descriptor. */
function emptySocket(): Place {
  const { object, ...place } = empty("UnixStream");
  return { ...place, object: Fd.adopt(object.intoFd()), adopt: ADOPT.Fd };
}

/** A method that waits, without "Sync" at its end, and its arguments; then what its result says. */
interface Call {
  syscall: string;
  purpose: Purpose;
  method: string;
  args(options: object | undefined, character: string): unknown[];
  shown?(result: unknown, args: unknown[]): unknown;
}

/** A call that fills a buffer: one character at a time, since order shall be seen. */
function into(syscall: string, method: string, purpose: Purpose = "take", size = 1): Call {
  return {
    syscall,
    purpose,
    method,
    args: (options) => [new Uint8Array(size), options],
    shown(result, [buffer]) {
      const count = result instanceof Object ? (result as ReceivedInto).bytes : result as number;
      return count === null ? null : text((buffer as Uint8Array).subarray(0, count));
    },
  };
}

/** A call that returns a message, of as many bytes on a stream. */
function message(method: string, purpose: Purpose = "take"): Call {
  return {
    syscall: "recvmsg",
    purpose,
    method,
    args: (options) => [{ ...options, size: 1 }],
    shown: (result) => result === null ? null : text((result as Message).data),
  };
}

const RECEIVE_MANY: Call = {
  syscall: "recvmmsg",
  purpose: "take",
  method: "receiveMany",
  args: (options) => [new ReceiveBatch({ messages: 1 }), options],
  shown: (count, [batch]) => count === 0 ? null : textsOf(batch as ReceiveBatch).join(),
};

const ACCEPT: Call = {
  syscall: "accept4",
  purpose: "take",
  method: "accept",
  args: (options) => [options],
  shown(result) {
    using connection = result as UnixStream | UnixSeqpacket;
    return text(connection.receiveMessageSync({ timeout: 10_000 })!.data);
  },
};

const WAIT_READABLE: Call = {
  syscall: "poll",
  purpose: "look",
  method: "waitReadable",
  args: (options) => [options],
};

const READ_COUNT: Call = {
  syscall: "read",
  purpose: "take",
  method: "read",
  args: (options) => [new BigUint64Array(1), options],
  shown: (_, [count]) => uncounted(count as BigUint64Array),
};

/** A call that sends. */
function sends(
  syscall: string,
  method: string,
  args: Call["args"] = (options, character) => [bytes(character), options],
): Call {
  return { syscall, purpose: "send", method, args };
}

const SENDS = {
  "send()": sends("send", "send"),
  "sendMany()": sends("sendmmsg", "sendMany", (how, character) => [[bytes(character)], how]),
  "sendMessage()": sends("sendmsg", "sendMessage"),
};

const RECEIVES = {
  "receive()": message("receive"),
  "peek()": message("peek", "look"),
  "receiveMany()": RECEIVE_MANY,
  "receiveMessage()": message("receiveMessage"),
};

/** The rows of one kind of place. */
function rows(
  className: string,
  at: () => Place | Promise<Place>,
  calls: Record<string, Call>,
): Wait[] {
  return Object.entries(calls).map(([name, { syscall, purpose, method, args, shown }]) => {
    const invoke = (object: Handle, which: string, given: unknown[]) =>
      (object as unknown as Record<string, (...args: unknown[]) => unknown>)[which]!(...given);
    const [memory] = args(undefined, "x");
    const wait: Wait = {
      name: `${className}.${name}`,
      syscall,
      purpose,
      adds: name.includes("eventfd"),
      triesAgain: /sendTo|destinations|address/.test(name),
      at,
      async call(object, options, character = "x") {
        const given = args(options, character);
        const result = await invoke(object, method, given);
        return shown?.(result, given);
      },
      callSync(object, options, character = "x") {
        const given = args(options, character);
        const result = invoke(object, `${method}Sync`, given);
        return shown?.(result, given);
      },
    };
    if (memory instanceof Uint8Array && memory.length > 0) {
      wait.callWith = async (object, memory) =>
        await invoke(object, method, [memory, ...args(undefined, "x").slice(1)]);
    }
    return wait;
  });
}

/** All that wait, by class. A connected datagram socket waits for room otherwise than one that is not. */
export const WAITS: readonly Wait[] = [
  ...rows("UnixStream", () => empty("UnixStream"), {
    "read()": into("recv", "read"),
    "read() into nothing": into("recv", "read", "look", 0),
    "peek()": into("recv", "peek", "look"),
    "receiveMessage()": message("receiveMessage"),
  }),
  ...rows("UnixStream", () => full("UnixStream"), {
    "write()": sends("send", "write"),
    "writeAll()": sends("send", "writeAll"),
    "sendMessage()": sends("sendmsg", "sendMessage"),
  }),
  ...rows("UnixDatagram", () => empty("UnixDatagram"), {
    ...RECEIVES,
    "receiveInto()": into("recvfrom", "receiveInto"),
  }),
  ...rows("UnixDatagram", () => full("UnixDatagram"), SENDS),
  ...rows("UnixDatagram", () => beforeFullQueue(true), {
    "send() to a full queue": SENDS["send()"],
    "sendMany() to a full queue": SENDS["sendMany()"],
    "sendMessage() to a full queue": SENDS["sendMessage()"],
  }),
  ...rows("UnixDatagram", () => beforeFullQueue(false), {
    "sendTo()": sends("sendto", "sendTo", (how, character) => [bytes(character), TO, how]),
    "sendMany() to destinations": sends("sendmmsg", "sendMany", (how, character) => [
      batchOf([character], TO),
      how,
    ]),
    "sendMessage() to an address": sends("sendmsg", "sendMessage", (how, character) => [
      bytes(character),
      { ...how, to: TO },
    ]),
  }),
  ...rows("UnixSeqpacket", () => empty("UnixSeqpacket"), RECEIVES),
  ...rows("UnixSeqpacket", () => full("UnixSeqpacket"), SENDS),
  ...rows("UnixListener", () => listening(UnixListener, UnixStream), { "accept()": ACCEPT }),
  ...rows("UnixSeqpacketListener", () => listening(UnixSeqpacketListener, UnixSeqpacket), {
    "accept()": ACCEPT,
  }),
  ...rows("Fd", emptyPipe, {
    "read() of a pipe": into("read", "read"),
    "waitReadable() of a pipe": WAIT_READABLE,
  }),
  ...rows("Fd", fullPipe, {
    "write() to a pipe": sends("write", "write"),
    "writeAll() to a pipe": sends("write", "writeAll"),
  }),
  ...rows("Fd", () => counterAt(0n), {
    "read() of an eventfd": READ_COUNT,
    "waitReadable() of an eventfd": WAIT_READABLE,
  }),
  ...rows("Fd", () => counterAt(MAX_COUNT), {
    "write() to an eventfd": sends("write", "write", (how, character) => [counted(character), how]),
  }),
  ...rows("Fd", emptySocket, {
    "read() of a socket": into("read", "read"),
    "waitReadable() of a socket": WAIT_READABLE,
  }),
];
