/**
 * A relay by a thread that waits: for macOS, whose kernel does not write by itself, and whose sets of
 * descriptors (kqueues) can be polled but not read from, as an event loop does with what it takes in.
 * @module
 */

import { builtinModule, noDescriptor } from "./adoption.ts";
import { UnixSocketError } from "./errors.ts";
import { onExit } from "./exit.ts";
import type { Relay, RelayParts } from "./relay.ts";

interface WorkerThreads {
  Worker: new (program: string, options: object) => {
    unref(): void;
    on(event: "error", listener: () => void): void;
  };
}

/**
 * What the thread does: for each byte that comes by `control` it waits until `from` is readable, and
 * writes eight bytes into `into`. When `control` ends it closes both and is over.
 *
 * A thread inside a C function cannot be terminated: so it looks up once a second.
 */
const PROGRAM = `"use strict";
process.emitWarning = () => {}; // FFI is experimental: this was said already.
const { names, from, into, control } =
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
for (const name of names) {
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
/** Waits until one of them is readable, or has ended. */
const waitFor = (...fds) => {
  fds.forEach((fd, index) => {
    entries.setInt32(index * 8, fd, true);
    entries.setInt16(index * 8 + 4, POLLIN, true);
  });
  while (libc.poll(entries, fds.length, 1000) <= 0);
};
const byte = new Uint8Array(1);
const eight = BigUint64Array.of(1n);
for (;;) {
  waitFor(control);
  if (libc.read(control, byte, 1) !== 1) break;
  waitFor(control, from);
  if (!isReady(0)) libc.write(into, eight, 8);
}
libc.close(control);
libc.close(into);
`;

/**
 * A relay by a Worker, which opens the C library anew. Where Workers are not permitted,
 * making it throws the runtime's error.
 */
export function relayByThread({ libc, abi, from, into }: RelayParts): Relay | null {
  const threads = builtinModule<WorkerThreads>("node:worker_threads");
  if (threads === undefined) return null;
  const ends = new Int32Array(2);
  const type = abi.constants.SOCK_STREAM | abi.creationFlags;
  if (libc.socketpair(abi.constants.AF_UNIX, type, 0, ends) === -1) {
    throw noDescriptor("socketpair");
  }
  const [ours, control] = [ends[0]!, ends[1]!];
  // The thread's own, which it closes whenever it is over.
  const copy = libc.fcntl(into, abi.constants.F_DUPFD_CLOEXEC, 0);
  if (copy === -1) {
    libc.close(ours);
    libc.close(control);
    throw noDescriptor("fcntl");
  }
  let state: "working" | "failed" | "closed" = "working";
  const close = () => {
    if (state === "working") libc.close(ours);
    state = "closed";
  };
  const closeTheirs = () => {
    libc.close(control);
    libc.close(copy);
  };
  /** It could not begin. What is asked for by then is told once, so that whoever waits looks. */
  const fail = () => {
    if (state === "failed") return;
    close();
    state = "failed";
    libc.write(copy, eight, eight.byteLength);
    closeTheirs();
  };
  let worker;
  try {
    const workerData = { names: abi.libraries, from, into: copy, control };
    worker = new threads.Worker(PROGRAM, { eval: true, workerData, execArgv: [], env: {} });
  } catch (error) {
    libc.close(ours);
    closeTheirs();
    throw error;
  }
  worker.on("error", fail);
  worker.unref();
  // A runtime that ends waits for its threads.
  onExit(close);
  return {
    arm() {
      if (state === "working") libc.write(ours, byte, 1);
      else if (state === "failed") throw unusable();
    },
    close,
  };
}

const byte = new Uint8Array(1);
const eight = BigUint64Array.of(1n);

function unusable(): UnixSocketError {
  const action = "Cannot wait for sockets";
  return new UnixSocketError({ action, code: "EAGAIN", errno: 0, syscall: "poll" });
}
