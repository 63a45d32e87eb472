/**
 * A relay by a thread that waits: for macOS, whose kernel does not write by itself, and whose sets of
 * descriptors (kqueues) can be polled but not read from, as an event loop does with what it takes in.
 * @module
 */

import { builtinModule } from "../runtime/builtin_module.ts";
import { noDescriptor } from "../runtime/pipe_handle.ts";
import { UnixSocketError } from "../errors.ts";
import { onExit } from "../runtime/exit.ts";
import type { Relay, RelayParts } from "../runtime/relay.ts";
import { now } from "../runtime/timers.ts";

interface WorkerThreads {
  Worker: new (program: string, options: object) => {
    unref(): void;
    on(event: "error" | "exit", listener: () => void): void;
  };
}

/**
 * What the thread does: for each byte that comes by `control` it waits until `from` is readable, and
 * writes eight bytes into `into`. When `control` ends it closes both, says so, and is over.
 *
 * A thread inside a C function cannot be terminated: so it looks up once a second.
 */
const PROGRAM = `"use strict";
process.emitWarning = () => {}; // FFI is experimental: this was said already.
const { libraries, from, into, control, closed } =
  process.getBuiltinModule("node:worker_threads").workerData;
const isBun = process.versions.bun !== undefined;
const ffi = process.getBuiltinModule(isBun ? "bun:ffi" : "node:ffi");
const signature = (...args) =>
  isBun ? { args, returns: "i32" } : { arguments: args, return: "i32" };
const table = {
  poll: signature("buffer", "u32", "i32"),
  read: signature("i32", "buffer", "u32"),
  write: signature("i32", "buffer", "u32"),
  close: signature("i32"),
};
let libc;
for (const name of libraries) {
  try {
    const opened = ffi.dlopen(name, table);
    libc = isBun ? opened.symbols : opened.functions;
    break;
  } catch {}
}
if (libc === undefined) throw new Error("no C library opens");

const POLLIN = 1;
const entries = new DataView(new ArrayBuffer(16));
const isReady = (index) => entries.getInt16(index * 8 + 6, true) !== 0;
const never = new Int32Array(new SharedArrayBuffer(4));
/** Waits until one of them is readable, or has ended. */
const waitFor = (...fds) => {
  fds.forEach((fd, index) => {
    entries.setInt32(index * 8, fd, true);
    entries.setInt16(index * 8 + 4, POLLIN, true);
  });
  for (;;) {
    const ready = libc.poll(entries, fds.length, 1000);
    if (ready > 0) return;
    if (ready < 0) Atomics.wait(never, 0, 0, 10);
  }
};
const byte = new Uint8Array(1);
const eight = BigUint64Array.of(1n);
for (;;) {
  waitFor(control);
  if (libc.read(control, byte, 1) !== 1) break;
  waitFor(control, from);
  if (!isReady(0)) libc.write(into, eight, 8);
}
closed[0] = 1;
libc.close(control);
libc.close(into);
`;

/** So many descriptors a runtime takes for a moment to start a thread; Bun ends where it finds none. */
const FOR_STARTING = 24;

/** How long to leave it after a thread that could not go on, in milliseconds. */
const TRY_AGAIN = 1000;

/** A thread that waits, and this side's end of what it hears by. */
class WaitingThread {
  #ours: number;
  readonly #parts: RelayParts;

  constructor(Worker: WorkerThreads["Worker"], parts: RelayParts, onFailed: () => void) {
    this.#parts = parts;
    const { libc, abi } = parts;
    assertRoom(parts);
    const ends = new Int32Array(2);
    const type = abi.constants.SOCK_STREAM | abi.creationFlags;
    if (libc.socketpair(abi.constants.AF_UNIX, type, 0, ends) === -1) {
      throw noDescriptor("socketpair");
    }
    const [ours, control] = [ends[0]!, ends[1]!];
    this.#ours = ours;
    // The thread's own, which it closes whenever it is over.
    const into = duplicate(parts);
    const closed = new Int32Array(new SharedArrayBuffer(4));
    const closeTheirs = () => {
      if (closed[0] === 1) return;
      libc.close(control);
      if (into !== -1) libc.close(into);
    };
    let worker;
    try {
      if (into === -1) throw noDescriptor("fcntl");
      const { libraries } = abi;
      const workerData = { libraries, from: parts.from, into, control, closed };
      worker = new Worker(PROGRAM, { eval: true, workerData, execArgv: [], env: {} });
    } catch (error) {
      libc.close(ours);
      closeTheirs();
      throw error;
    }
    // It ends in any case after one.
    worker.on("error", () => {});
    worker.on("exit", () => {
      const expected = this.#ours === -1;
      this.close();
      closeTheirs();
      if (!expected) onFailed();
    });
    worker.unref();
  }

  /** Asks for the next time; whether the thread could be told. */
  arm(): boolean {
    return this.#parts.libc.write(this.#ours, byte, 1) === 1;
  }

  /** Lets the thread end. */
  close(): void {
    if (this.#ours !== -1) this.#parts.libc.close(this.#ours);
    this.#ours = -1;
  }
}

const byte = new Uint8Array(1);
const eight = BigUint64Array.of(1n);

/**
 * A relay by a Worker, which opens the C library anew. Where Workers are not permitted, making it
 * throws the runtime's error. One that ends by itself is replaced after a second; until then, and where
 * that fails, whoever waits looks.
 */
export function relayByThread(parts: RelayParts): Relay | null {
  const { libc, into } = parts;
  const threads = builtinModule<WorkerThreads>("node:worker_threads");
  if (threads === undefined) return null;
  let failedAt = -Infinity;
  let isClosed = false;
  const start = () =>
    new WaitingThread(threads.Worker, parts, () => {
      failedAt = now();
      thread = null;
      // What was asked for is told, so that whoever waits looks.
      if (!isClosed) libc.write(into, eight, eight.byteLength);
    });
  let thread: WaitingThread | null = start();
  const close = () => {
    isClosed = true;
    thread?.close();
    thread = null;
  };
  // A runtime that ends waits for its threads.
  onExit(close);
  return {
    arm() {
      if (isClosed) return;
      if (thread === null && now() - failedAt > TRY_AGAIN) {
        failedAt = now();
        thread = start();
      }
      if (thread === null || !thread.arm()) throw unusable();
    },
    close,
  };
}

function duplicate({ libc, abi, into }: RelayParts): number {
  return libc.fcntl(into, abi.constants.F_DUPFD_CLOEXEC, 0);
}

/** Throws EMFILE where a runtime would not find what it needs to start a thread. */
function assertRoom(parts: RelayParts): void {
  const taken: number[] = [];
  while (taken.length < FOR_STARTING) {
    const fd = duplicate(parts);
    if (fd === -1) break;
    taken.push(fd);
  }
  for (const fd of taken) parts.libc.close(fd);
  if (taken.length < FOR_STARTING) throw noDescriptor("fcntl");
}

function unusable(): UnixSocketError {
  const action = "Cannot wait for sockets";
  return new UnixSocketError({ action, code: "EAGAIN", errno: 0, syscall: "poll" });
}
