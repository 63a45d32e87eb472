/**
 * Helpers around sockets: temporary paths, pairs, leaks, errors.
 * @module
 */

import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { join } from "@std/path";
import {
  type Socket,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { reactor } from "../../src/io/reactor.ts";
import { RUNTIME } from "./runtime.ts";

/** Runs a body with a directory of its own, removed afterwards. */
export async function withTempDir<T>(body: (directory: string) => T | Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "afunix-"));
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Runs a body with a path that nothing is at. */
export function withTempSocketPath<T>(body: (path: string) => T | Promise<T>): Promise<T> {
  return withTempDir((directory) => body(join(directory, "test.sock")));
}

/** Runs a body with two connected sockets of a class, closed afterwards. */
export async function withPair<S extends Socket, T = void>(
  Class: { pair(): [S, S] },
  body: (a: S, b: S) => T | Promise<T>,
): Promise<T> {
  const [a, b] = Class.pair();
  try {
    return await body(a, b);
  } finally {
    a.close();
    b.close();
  }
}

/** Runs a body with two connected streams, closed afterwards. */
export function withSocketPair<T>(
  body: (a: UnixStream, b: UnixStream) => T | Promise<T>,
): Promise<T> {
  return withPair(UnixStream, body);
}

/** Runs a body with a socket of every class, closed afterwards. */
export async function withEveryClass(
  body: (sockets: Record<string, Socket>) => void | Promise<void>,
): Promise<void> {
  const unnamed = { kind: "unnamed" } as const;
  const all: Record<string, Socket> = {
    UnixStream: UnixStream.pair()[0],
    UnixDatagram: UnixDatagram.unbound(),
    UnixSeqpacket: UnixSeqpacket.pair()[0],
    UnixListener: UnixListener.listen(unnamed),
    UnixSeqpacketListener: UnixSeqpacketListener.listen(unnamed),
  };
  try {
    await body(all);
  } finally {
    for (const socket of Object.values(all)) socket.close();
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

export function text(data: Uint8Array): string {
  return decoder.decode(data);
}

/** Reads once, as text; null at the end. */
export async function readText(stream: UnixStream, size = 65536): Promise<string | null> {
  const buffer = new Uint8Array(size);
  const count = await stream.read(buffer);
  return count === null ? null : text(buffer.subarray(0, count));
}

/** Reads to the end, as one array. */
export async function readToEnd(stream: UnixStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}

/** Fills a stream's way to its peer until a write would block; the number of bytes. */
export function fill(stream: UnixStream, chunk = new Uint8Array(65536)): number {
  let total = 0;
  try {
    for (;;) total += stream.writeSync(chunk, { timeout: 0 });
  } catch (error) {
    assertInstanceOf(error, UnixSocketError);
    assertEquals(error.code, "ETIMEDOUT");
    return total;
  }
}

/** This process's descriptors: number and what it is, those that waiting takes once among them. */
export function openDescriptors(): Map<string, string> {
  reactor().prepare();
  const open = new Map<string, string>();
  for (const number of readdirSync("/proc/self/fd")) {
    try {
      open.set(number, readlinkSync(`/proc/self/fd/${number}`));
    } catch {
      // The descriptor of the listing itself.
    }
  }
  return open;
}

/**
 * Runs a body twice, the first time to let the runtime open what it keeps, and asserts that the
 * second time leaves no descriptor behind.
 */
export async function assertNoFdLeak(body: () => void | Promise<void>): Promise<void> {
  await body();
  await settled();
  const before = openDescriptors();
  await body();
  await settled();
  // The watcher of a runtime may hold its duplicate of the epoll set under another number.
  const left = () =>
    [...openDescriptors()]
      .filter(([number, target]) => before.get(number) !== target && !isRuntimes(target))
      .map(([number, target]) => `${number}: ${target}`);
  // Bun closes its ends of a child's pipes on another thread; what leaks stays open.
  for (let tries = 0; RUNTIME === "bun" && tries < 100 && left().length > 0; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertEquals(left(), []);
}

function isRuntimes(target: string): boolean {
  // Node's reporter opens its file whenever the first report is due.
  if (target === "anon_inode:[eventpoll]" || target.endsWith("/report.xml")) return true;
  return !/^(socket|pipe|\/|anon_inode)/.test(target);
}

/** Lets all that is already due run: a few turns of the event loop. */
export async function settled(turns = 5): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Asserts that something throws or rejects with a UnixSocketError of this code and system call. */
export async function assertFails(
  action: () => unknown,
  code: string,
  syscall?: string,
): Promise<UnixSocketError> {
  let failure: unknown;
  try {
    await action();
  } catch (error) {
    failure = error;
  }
  assert(failure !== undefined, `nothing was thrown; expected ${code}`);
  if (!(failure instanceof UnixSocketError)) throw failure;
  assertEquals(failure.code, code, failure.message);
  if (syscall !== undefined) assertEquals(failure.syscall, syscall, failure.message);
  return failure;
}
