/**
 * Passes descriptors at the limits of what a process may have. Prints as JSON what came of it.
 * Argument: which limit.
 */

import process from "node:process";
import { Fd, UnixDatagram, UnixSeqpacket, UnixSocketError, UnixStream } from "../../mod.ts";
import { openForSignals } from "../support/descriptor_table.ts";

openForSignals();

const PAIRS = {
  UnixStream: () => UnixStream.pair(),
  UnixDatagram: () => UnixDatagram.pair(),
  UnixSeqpacket: () => UnixSeqpacket.pair(),
} satisfies Record<string, () => unknown>;
type Carrier = UnixStream | UnixDatagram | UnixSeqpacket;

const taken: Fd[] = [];

/** Opens files until no descriptor is free; how many. */
function takeAll(): number {
  const before = taken.length;
  for (;;) {
    try {
      taken.push(Fd.open("/dev/null"));
    } catch (error) {
      if ((error as UnixSocketError).code !== "EMFILE") throw error;
      return taken.length - before;
    }
  }
}

function giveBack(count: number): void {
  for (const fd of taken.splice(taken.length - count)) fd.close();
}

/** How many descriptors are free. */
function free(): number {
  const count = takeAll();
  giveBack(count);
  return count;
}

async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
    return "ok";
  } catch (error) {
    if (!(error instanceof UnixSocketError)) throw error;
    return `${error.code} ${error.syscall}`;
  }
}

const data = new TextEncoder().encode("data");

const programs: Record<string, (a: Carrier, b: Carrier) => Promise<unknown>> = {
  /** Sends ten descriptors with each message, until the kernel takes no more. */
  async "under way"(a, b) {
    const file = Fd.memfd("file");
    const fds = Array.from({ length: 10 }, () => file);
    let sent = 0;
    let code;
    while ((code = await codeOf(() => a.sendMessageSync(data, { fds }))) === "ok") sent++;
    const waiting = await codeOf(() => a.sendMessage(data, { fds }));
    const transferred = await codeOf(() => a.sendMessage(data, { fds: [file], transfer: true }));
    const kept = !file.closed;
    const plain = await codeOf(() => a.sendMessage(data));
    const message = (await b.receiveMessage())!;
    const received = message.fds.length;
    message.close();
    const afterwards = await codeOf(() => a.sendMessage(data, { fds }));
    return { sent, code, waiting, transferred, kept, plain, received, afterwards };
  },

  /** Receives three descriptors where two are free, then two. */
  async "receiving"(a, b) {
    const file = Fd.memfd("file");
    await a.sendMessage(data, { fds: [file, file, file] });
    await a.sendMessage(data, { fds: [file, file] });
    await a.sendMessage(data, { fds: [file] });
    takeAll();
    const results: unknown[] = [];
    for (const room of [2, 2, 0]) {
      giveBack(room);
      const message = (await b.receiveMessage())!;
      const { fds, controlTruncated } = message;
      const length = message.data.length;
      results.push({ length, fds: fds.length, controlTruncated, free: free() });
      message.close();
      results.push(`${free()} free`);
      takeAll();
    }
    giveBack(taken.length);
    return results;
  },

  /** Sends two descriptors with a message that has to wait, where one is free. */
  async "waiting"(a, b) {
    // What waiting needs is open after this.
    const first = b.receiveMessage();
    await a.sendMessage(data);
    await first;
    let queued = 0;
    try {
      for (;; queued++) a.sendMessageSync(data, { timeout: 0 });
    } catch (error) {
      if ((error as UnixSocketError).code !== "ETIMEDOUT") throw error;
    }
    const file = Fd.memfd("file");
    takeAll();
    giveBack(1);
    const code = await codeOf(() => a.sendMessage(data, { fds: [file, file], transfer: true }));
    const result = { code, free: free(), kept: !file.closed };
    giveBack(taken.length);
    const sending = a.sendMessage(data, { fds: [file, file], transfer: true });
    let fds = 0;
    for (let left = (queued + 1) * data.length; left > 0;) {
      const message = (await b.receiveMessage())!;
      left -= message.data.length;
      fds += message.fds.length;
      message.close();
    }
    await sending;
    return { ...result, fds };
  },
};

const [what, kind] = process.argv.slice(2) as [string, keyof typeof PAIRS];
const [a, b] = PAIRS[kind]();
console.log(JSON.stringify(await programs[what]!(a, b)));
process.exit(0);
