import { assert, assertEquals } from "@std/assert";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { file } from "../../ffi/mod.ts";
import { Fd, type ReceivedMessage, UnixSeqpacket, UnixSocketError, UnixStream } from "../../mod.ts";
import { closeRaw, programCommand, rawSocket, underDescriptorLimit } from "../support/listening.ts";
import { fill, openDescriptors, run, RUNTIME, settled, unlessProgram } from "../support/mod.ts";
import { withoutRoot } from "../support/raw.ts";
import { fillRecords } from "../support/seqpacket.ts";

const ROUNDS = 1000;
const data = new Uint8Array(1);

/** What of this process comes and goes here. */
function openNow(): string[] {
  return [...openDescriptors().values()].filter((name) => /^(socket|pipe):|memfd/.test(name))
    .sort();
}

/** A message with so many duplicates of a descriptor. */
async function receivedWith(count: number): Promise<ReceivedMessage> {
  const [a, b] = UnixStream.pair();
  using fd = Fd.open("/dev/null");
  await a.sendMessage(data, { fds: Array.from({ length: count }, () => fd) });
  const message = (await b.receiveMessage())!;
  a.close();
  b.close();
  return message;
}

/** Makes sockets until they have these numbers; returns all that were made. */
function takeNumbers(numbers: readonly number[]): number[] {
  const taken: number[] = [];
  while (!numbers.every((number) => taken.includes(number))) {
    assert(taken.length < 1000, "the numbers do not come back");
    taken.push(rawSocket());
  }
  return taken;
}

function assertOpen(numbers: readonly number[]): void {
  const open = new Set(readdirSync("/proc/self/fd"));
  assertEquals(numbers.filter((number) => !open.has(String(number))), []);
}

test("M232 closing received descriptors and their message again never closes a number that was reused", async () => {
  const message = await receivedWith(3);
  const fds = [...message.fds];
  const numbers = fds.map(({ fd }) => fd);
  assertEquals(new Set(numbers).size, 3);
  fds[0]!.close();
  message.close();
  assertEquals(fds.map(({ fd, closed }) => [fd, closed]), Array(3).fill([-1, true]));
  const taken = takeNumbers(numbers);
  message.close();
  message[Symbol.dispose]();
  for (const fd of fds) {
    fd.close();
    fd[Symbol.dispose]();
  }
  await settled();
  assertOpen(taken);
  for (const fd of taken) closeRaw(fd);
});

test("M232 closing a message leaves descriptors that were taken out of it", async () => {
  const message = await receivedWith(3);
  const first = message.fds.shift()!;
  const last = message.fds.pop()!;
  message.close();
  message.close();
  assertEquals([first.kind, last.kind], ["character-device", "character-device"]);
  assertEquals(message.fds.map(({ closed }) => closed), [true]);
  first.close();
  last.close();
});

test("M233 intoFd() of a received descriptor leaves its message, close() and a using scope nothing to close", async () => {
  const numbers: number[] = [];
  {
    using message = await receivedWith(2);
    for (const fd of message.fds) {
      using owner = fd;
      const before = owner.fd;
      numbers.push(owner.intoFd());
      assertEquals([numbers.at(-1), owner.fd, owner.closed], [before, -1, true]);
      owner.close();
    }
    message.close();
  }
  assertOpen(numbers);
  // The new owner closes it, once.
  const again = numbers.map((number) => Fd.adopt(number));
  assertEquals(again.map(({ kind }) => kind), ["character-device", "character-device"]);
  for (const fd of again) fd.close();
});

const GC_FLAGS = { bun: [], deno: ["--v8-flags=--expose-gc"], node: ["--expose-gc"] }[RUNTIME];

for (
  const [what, happens] of [
    ["messages", "are closed"],
    ["descriptors", "are closed"],
    ["messages of a loop", "are closed"],
    ["pidfds", "are closed"],
    ["an unfinished receipt", "is closed"],
    ["what was given away", "stays open"],
  ] as const
) {
  test(`M233 received and lost: ${what} ${happens}`, async () => {
    const command = programCommand("lost_received", [what], [...GC_FLAGS]);
    const { code, signal, stdout, stderr } = await run(command);
    assertEquals([stdout, stderr, code, signal], ["ok\n", "", 0, null]);
  });
}

// Failures

interface Scene {
  kind: string;
  /** Its peer reads nothing and there is no room. */
  full: UnixStream | UnixSeqpacket;
  /** Its peer has closed. */
  left: UnixStream | UnixSeqpacket;
  /** Nothing comes to it. */
  idle: UnixStream | UnixSeqpacket;
  idlePeer: UnixStream | UnixSeqpacket;
  fds: Fd[];
  gone: Fd;
}

const FAILURES: Record<string, [code: string, attempt: (scene: Scene) => unknown]> = {
  "a number that is not open": [
    "EBADF",
    ({ idlePeer, fds }) => idlePeer.sendMessage(data, { fds: [...fds, 999_999] }),
  ],
  "a number that is not open, while it would wait": [
    "EBADF",
    ({ full, fds }) => full.sendMessage(data, { fds: [...fds, 999_999] }),
  ],
  "a closed Fd": [
    "EBADF",
    ({ idlePeer, fds, gone }) => idlePeer.sendMessage(data, { fds: [...fds, gone] }),
  ],
  "more than 253": [
    "RangeError",
    ({ idlePeer, fds }) => idlePeer.sendMessage(data, { fds: Array(254).fill(fds[0]) }),
  ],
  "a transfer of a number": [
    "TypeError",
    ({ idlePeer, fds }) =>
      idlePeer.sendMessage(data, { fds: [...fds, fds[0]!.fd], transfer: true }),
  ],
  "a transfer to a peer that has closed": [
    "EPIPE",
    ({ left, fds }) => left.sendMessage(data, { fds, transfer: true }),
  ],
  "a peer that has closed": ["EPIPE", ({ left, fds }) => left.sendMessage(data, { fds })],
  "a peer that has closed, blocking": [
    "EPIPE",
    ({ left, fds }) => left.sendMessageSync(data, { fds }),
  ],
  "no room in time": [
    "ETIMEDOUT",
    ({ full, fds }) => full.sendMessageSync(data, { fds, timeout: 0 }),
  ],
  "a transfer without room in time": [
    "ETIMEDOUT",
    ({ full, fds }) => full.sendMessageSync(data, { fds, timeout: 0, transfer: true }),
  ],
  "an abort while it waits": [
    "AbortError",
    ({ full, fds }) => aborted((signal) => full.sendMessage(data, { fds, signal })),
  ],
  "an abort while a transfer waits": [
    "AbortError",
    ({ full, fds }) => aborted((signal) => full.sendMessage(data, { fds, signal, transfer: true })),
  ],
  "an abort before": [
    "AbortError",
    ({ full, fds }) => full.sendMessage(data, { fds, signal: AbortSignal.abort() }),
  ],
  "an abort while it receives": [
    "AbortError",
    ({ idle }) => aborted((signal) => idle.receiveMessage({ signal })),
  ],
  "nothing to receive in time": [
    "ETIMEDOUT",
    ({ idle }) => idle.receiveMessageSync({ timeout: 0 }),
  ],
  "a receipt with too little room": [
    "truncated",
    async ({ idle, idlePeer, fds }) => {
      await idlePeer.sendMessage(data, { fds });
      using message = (await idle.receiveMessage({ maxFds: 1 }))!;
      if (message.fds.length === 1 && message.controlTruncated) throw named("truncated");
    },
  ],
  "close() with a message that was not received": [
    "closed",
    async ({ kind, fds }) => {
      const [a, b] = kind === "UnixStream" ? UnixStream.pair() : UnixSeqpacket.pair();
      await a.sendMessage(data, { fds });
      a.close();
      b.close();
      throw named("closed");
    },
  ],
  "close() while it waits": [
    "EBADF",
    async ({ kind, fds }) => {
      const [a, b] = kind === "UnixStream" ? UnixStream.pair() : UnixSeqpacket.pair();
      if (a instanceof UnixStream) fill(a);
      else await fillRecords(a);
      const sending = a.sendMessage(data, { fds });
      a.close();
      b.close();
      await sending;
    },
  ],
};

function named(name: string): Error {
  return Object.assign(new Error(name), { name });
}

function aborted(start: (signal: AbortSignal) => Promise<unknown>): Promise<unknown> {
  const controller = new AbortController();
  const started = start(controller.signal);
  controller.abort();
  return started;
}

async function withScene(kind: string, body: (scene: Scene) => Promise<void>): Promise<void> {
  const pair = (): [UnixStream, UnixStream] | [UnixSeqpacket, UnixSeqpacket] =>
    kind === "UnixStream" ? UnixStream.pair() : UnixSeqpacket.pair();
  const [full, unread] = pair();
  const [left, peer] = pair();
  const [idle, idlePeer] = pair();
  const [reader, writer] = Fd.pipe();
  const fds = [reader, writer, Fd.memfd("passed")];
  const gone = Fd.memfd("gone");
  gone.close();
  peer.close();
  if (full instanceof UnixStream) fill(full);
  else await fillRecords(full);
  try {
    await body({ kind, full, left, idle, idlePeer, fds, gone });
  } finally {
    for (const each of [full, unread, left, idle, idlePeer, ...fds]) each.close();
  }
}

for (const kind of ["UnixStream", "UnixSeqpacket"]) {
  for (const [what, [code, attempt]] of Object.entries(FAILURES)) {
    test(`M236 ${kind} and descriptors: ${what}, 1,000 times, leaves none behind and closes none`, async () => {
      await withScene(kind, async (scene) => {
        const once = async () => {
          try {
            await attempt(scene);
          } catch (error) {
            const found = error instanceof UnixSocketError ? error.code : (error as Error).name;
            if (found === code) return;
            throw error;
          }
          assert(false, `nothing was thrown; expected ${code}`);
        };
        for (let round = 0; round < 10; round++) await once();
        await settled();
        const before = openNow();
        for (let round = 0; round < ROUNDS; round++) await once();
        await settled();
        assertEquals(openNow(), before);
        assertEquals(scene.fds.map((fd) => fd.kind), ["pipe", "pipe", "file"]);
        assert(typeof file.status(scene.fds[0]!.fd) !== "number");
      });
    });
  }
}

test(
  "M236 ETOOMANYREFS, 1,000 times, leaves no descriptor behind, and descriptors go again once others were received",
  { skip: unlessProgram("setpriv") },
  async () => {
    const command = withoutRoot(underDescriptorLimit(300, programCommand("too_many_references")));
    const { stdout, stderr, code } = await run(command);
    assertEquals([stdout, stderr, code], ["ok\n", "", 0]);
  },
);
