/**
 * Receives and sends descriptors where only a few are free, or none. Arguments: a type of socket, and as
 * JSON a list of what to do: how many descriptors are free, how many the message carries, and in which
 * way.
 *
 * Prints as JSON what came of each, how many were free after it, how the socket went on when
 * descriptors were free again, and what had changed in the descriptor table by then.
 */

import process from "node:process";
import {
  Fd,
  type ReceivedMessage,
  UnixDatagram,
  UnixSeqpacket,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { descriptorTable, openForSignals, tableChanges } from "../support/descriptor_table.ts";

interface Result {
  outcome: unknown;
  /** How many descriptors were free right after it; null where that is the runtime's affair. */
  room: number | null;
}

interface Case {
  what: "receive" | "pidfd" | "send" | "transfer";
  free: number;
  count: number;
  way?: string;
}

type Pair = [UnixStream, UnixStream] | [UnixDatagram, UnixDatagram] | [
  UnixSeqpacket,
  UnixSeqpacket,
];

const [type, cases] = process.argv.slice(2) as [string, string];
const name = `\0afunix-at-limit-${process.pid}`;
const taken: Fd[] = [];

function pair(way: string | undefined): Pair {
  if (type === "stream") return UnixStream.pair();
  if (type === "seqpacket") return UnixSeqpacket.pair();
  if (way !== "to") return UnixDatagram.pair();
  return [UnixDatagram.unbound(), UnixDatagram.bind(name)];
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Opens until no descriptor is free; how many. */
function takeAll(): number {
  for (let opened = 0;; opened++) {
    try {
      taken.push(Fd.open("/dev/null"));
    } catch (error) {
      if ((error as UnixSocketError).code !== "EMFILE") throw error;
      return opened;
    }
  }
}

function giveBack(count: number): void {
  for (const fd of taken.splice(taken.length - count)) fd.close();
}

/** What a call came to: its error's code and system call, or what it returned. */
async function outcomeOf(call: () => unknown): Promise<unknown> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof UnixSocketError)) throw error;
    return [error.code, error.syscall];
  }
}

/** What was received, closed; the descriptors by their content. */
function received(message: ReceivedMessage | null) {
  using open = message!;
  const contents = open.fds.map((fd) => {
    const buffer = new Uint8Array(16);
    return text(buffer.subarray(0, fd.preadSync(buffer, 0) ?? 0));
  });
  const { data, controlTruncated, pidfd } = open;
  return { data: text(data), fds: contents, pidfd: pidfd !== null, controlTruncated };
}

/** Fills the way to the receiver with messages "x"; how many. */
function fill(a: Pair[0], to: { to?: string }): number {
  for (let sent = 0;; sent++) {
    try {
      a.sendMessageSync(bytes("x"), { timeout: 0, ...to });
    } catch (error) {
      if ((error as UnixSocketError).code !== "ETIMEDOUT") throw error;
      return sent;
    }
  }
}

/** Leaves so many descriptors free. */
function limitTo(free: number): void {
  takeAll();
  giveBack(free);
}

/** How many descriptors are free; as many are afterwards. */
function leftFree(): number {
  const room = takeAll();
  giveBack(room);
  return room;
}

/** Receives at the limit; the message was sent before. */
async function receive([a, b]: Pair, file: Fd, { what, free, count, way }: Case): Promise<Result> {
  const fds = new Array<Fd>(count).fill(file);
  const data = bytes(way === "empty" ? "" : "data");
  if (what === "pidfd") b.passPidfd = true;
  if (way === "waiting") {
    const waiting = b.receiveMessage();
    limitTo(free);
    a.sendMessageSync(data, { fds });
    const outcome = received(await waiting);
    // On Bun the event itself gives a descriptor back: nobody can tell how many are free.
    return { outcome, room: null };
  }
  a.sendMessageSync(data, { fds });
  if (way === "later") a.sendMessageSync(bytes("more"));
  limitTo(free);
  const message = way === "sync" ? b.receiveMessageSync() : await b.receiveMessage();
  return { outcome: received(message), room: leftFree() };
}

/** Sends at the limit, where that has to wait. */
async function send([a, b]: Pair, file: Fd, { what, free, count, way }: Case): Promise<Result> {
  const fds = new Array<Fd>(count).fill(file);
  const to: object = way === "to" ? { to: name } : {};
  const filled = fill(a, to);
  // One who waits already is served as if nothing had been.
  const before = a.sendMessage(bytes("x"), to);
  limitTo(free);
  const transfer = what === "transfer";
  const outcome = await outcomeOf(() => a.sendMessage(bytes("never"), { fds, transfer, ...to }));
  const room = leftFree();
  let data = "";
  while (data.length < filled + 1) data += text((await b.receiveMessage())!.data);
  await before;
  const onlyFilled = data === "x".repeat(filled + 1);
  return { outcome: { outcome, onlyFilled, open: !file.closed }, room };
}

/** Does one thing with a pair of its own. */
async function attempt(wanted: Case): Promise<unknown> {
  const { what, way } = wanted;
  const file = Fd.memfd("passed");
  file.writeSync(bytes("content"));
  const ends = pair(way);
  const [a, b] = ends;
  const to: object = way === "to" ? { to: name } : {};
  // Whatever the runtime opens for waiting is open after this, and stays so.
  const pending = outcomeOf(() => a.receiveMessage());
  const warm = b.receiveMessage();
  await turn();
  await a.sendMessage(bytes("warm"), to);
  await warm;
  const before = descriptorTable();
  const { outcome, room } = what === "receive" || what === "pidfd"
    ? await receive(ends, file, wanted)
    : await send(ends, file, wanted);
  giveBack(taken.length);
  const changes = tableChanges(before, descriptorTable());
  if (what === "pidfd") b.passPidfd = false;
  await a.sendMessage(bytes("on"), { fds: [file, file], ...to });
  const afterwards = [];
  do afterwards.push(received(await b.receiveMessage())); while (
    !afterwards.at(-1)!.data.endsWith("on")
  );
  a.close();
  b.close();
  await pending;
  file.close();
  return { outcome, room, changes, afterwards };
}

openForSignals();
const results: unknown[] = [];
for (const wanted of JSON.parse(cases) as Case[]) results.push(await attempt(wanted));
console.log(JSON.stringify(results));
