/**
 * Helpers around descriptors that are passed: pairs of each kind, files that tell who they are, and
 * what is left open.
 * @module
 */

import { assertEquals, assertInstanceOf } from "@std/assert";
import {
  type AncillaryOptions,
  Fd,
  type ReceivedMessage,
  type ReceiveMessageOptions,
  UnixDatagram,
  UnixSeqpacket,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { RUNTIME } from "./runtime.ts";
import { bytes, openDescriptors, text } from "./sockets.ts";
import { reactorTurn } from "./waiting.ts";

/** A connected socket that carries descriptors. */
export type Carrier = UnixStream | UnixDatagram | UnixSeqpacket;

/** How to make two connected ones of each kind. */
export const CARRIERS = {
  UnixStream: () => UnixStream.pair(),
  UnixDatagram: () => UnixDatagram.pair(),
  UnixSeqpacket: () => UnixSeqpacket.pair(),
} satisfies Record<string, () => [Carrier, Carrier]>;

export type CarrierName = keyof typeof CARRIERS;
export const CARRIER_NAMES = Object.keys(CARRIERS) as CarrierName[];

/** One way to send and to receive. */
export interface Way {
  name: string;
  send(socket: Carrier, data: string, options?: AncillaryOptions): Promise<number>;
  receive(socket: Carrier, room?: ReceiveMessageOptions): Promise<ReceivedMessage>;
}

/** Both ways: waiting, and blocking the thread. */
export const WAYS: readonly Way[] = [
  {
    name: "sendMessage() and receiveMessage()",
    send: (socket, data, options) => socket.sendMessage(bytes(data), options),
    receive: async (socket, room) => (await socket.receiveMessage(room))!,
  },
  {
    name: "sendMessageSync() and receiveMessageSync()",
    // deno-lint-ignore require-await
    send: async (socket, data, options) => socket.sendMessageSync(bytes(data), options),
    // deno-lint-ignore require-await
    receive: async (socket, room) => socket.receiveMessageSync(room)!,
  },
];

/** The sockets, pipes and files in memory of this process: what tests of passing open. */
export function held(): string[] {
  return [...openDescriptors().values()].filter((target) =>
    /^(socket|pipe|\/memfd):|^anon_inode:\[(eventfd|pidfd)\]/.test(target)
  ).sort();
}

/**
 * Which of them came since `held()` returned `before`. That some have gone says nothing: a runtime
 * closes those of a child process when it likes.
 */
export function heldSince(before: readonly string[]): string[] {
  const left = held();
  for (const each of before) {
    const at = left.indexOf(each);
    if (at !== -1) left.splice(at, 1);
  }
  return left;
}

/** Runs a body, and asserts that it leaves none of them open. */
export async function leavesNothing<T>(body: () => T | Promise<T>): Promise<T> {
  // Whatever the runtime opens for waiting is open after this.
  await reactorTurn();
  const before = held();
  const result = await body();
  assertEquals(heldSince(before), []);
  return result;
}

/** Runs a body with two connected sockets, and asserts that nothing is left open after it. */
export function withCarriers<Name extends CarrierName>(
  name: Name,
  body: (
    a: ReturnType<typeof CARRIERS[Name]>[0],
    b: ReturnType<typeof CARRIERS[Name]>[0],
  ) => void | Promise<void>,
): Promise<void> {
  return leavesNothing(async () => {
    const [a, b] = CARRIERS[name]() as ReturnType<typeof CARRIERS[Name]>;
    try {
      await body(a, b);
    } finally {
      a.close();
      b.close();
    }
  });
}

let files = 0;

/** A file in memory with this content, and with a name that no other has. */
export function fileOf(content: string): Fd {
  const file = Fd.memfd(`afunix-passing-${++files}`);
  file.pwriteSync(bytes(content), 0);
  return file;
}

/** So many of them: "0", "1", … */
export function filesOf(count: number): Fd[] {
  return Array.from({ length: count }, (_, i) => fileOf(`${i}`));
}

/** What is in a file, from its beginning. */
export function contentOf(file: Fd): string {
  const buffer = new Uint8Array(64);
  return text(buffer.subarray(0, file.preadSync(buffer, 0) ?? 0));
}

export function closeEach(list: Iterable<{ close(): void }>): void {
  for (const each of list) each.close();
}

/** How many descriptors of this process are for the same open file or socket as this one's. */
export function copiesOf(target: string): number {
  return [...openDescriptors().values()].filter((each) => each === target).length;
}

/** What `/proc` calls what is behind a descriptor. */
export function targetOf(fd: number): string {
  return openDescriptors().get(`${fd}`)!;
}

/** Asserts that nothing has arrived. */
export function assertNothingArrived(socket: Carrier): void {
  try {
    socket.receiveMessageSync({ timeout: 0 });
  } catch (error) {
    assertInstanceOf(error, UnixSocketError);
    assertEquals(error.code, "ETIMEDOUT");
    return;
  }
  throw new Error("A message has arrived");
}

/** Asserts that no writing end of a pipe is left; where one is, this would wait. */
export async function assertEnded(reader: Fd): Promise<void> {
  // The time limit only keeps a failure from waiting forever.
  const signal = AbortSignal.timeout(30_000);
  assertEquals(await reader.read(new Uint8Array(1), { signal }), null);
}

/** Sends single bytes until the next would have to wait; how many. */
export function fillCarrier(socket: Carrier): number {
  for (let sent = 0;; sent++) {
    try {
      socket.sendMessageSync(new Uint8Array(1), { timeout: 0 });
    } catch (error) {
      if (!(error instanceof UnixSocketError) || error.code !== "ETIMEDOUT") throw error;
      return sent;
    }
  }
}

/** What an engine is told, so that a program can ask for a collection. */
export const GC_FLAGS: string[] = {
  bun: [],
  deno: ["--v8-flags=--expose-gc"],
  node: ["--expose-gc"],
}[RUNTIME];
