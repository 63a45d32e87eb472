/**
 * Moving bytes through a lane: reads, writes, and writes of everything. Streams and plain
 * descriptors differ only in the system call.
 * @module
 */

import { failure, refusal, sockets } from "../ffi/mod.ts";
import type { Descriptor } from "./descriptor.ts";
import { type Work, YIELD } from "./lane.ts";
import { asBytes } from "./validate.ts";

/** The system calls of one kind of descriptor. A result below zero is a negated errno. */
export interface ByteCalls {
  readonly readName: string;
  readonly writeName: string;
  read(fd: number, buffer: Uint8Array, length: number): number;
  write(fd: number, data: Uint8Array, length: number): number;
}

/** How many calls one write of everything makes before it lets others have a turn. */
const MOST_WRITES = 16;

const CLOSED = "the descriptor is closed";

function changed(what: string): TypeError {
  return new TypeError(`Cannot ${what}: its buffer was detached or shrunk while it waited`);
}

/** Refuses to work on a closed descriptor. */
export function assertOpen(descriptor: Descriptor, action: string, syscall: string): void {
  if (descriptor.closed) throw refusal("EBADF", { action, syscall, detail: CLOSED });
}

function failed(action: string, syscall: string): Work["fail"] {
  return (negated, detail) => failure(negated, { action, syscall, detail });
}

/** A read of what is there, at most a whole view. */
export function readWork(
  owner: object,
  descriptor: Descriptor,
  calls: Pick<ByteCalls, "read" | "readName">,
  view: Uint8Array,
): Work {
  assertOpen(descriptor, "Cannot read", calls.readName);
  const expected = view.byteLength;
  return {
    owner,
    attempt() {
      const { byteLength } = view;
      if (byteLength < expected) throw changed("read");
      return calls.read(descriptor.fd, view, Math.min(byteLength, sockets.MOST_BYTES));
    },
    fail: failed("Cannot read", calls.readName),
  };
}

/** A write of as much as fits now. */
export function writeWork(
  owner: object,
  descriptor: Descriptor,
  calls: ByteCalls,
  view: Uint8Array,
): Work {
  assertOpen(descriptor, "Cannot write", calls.writeName);
  const expected = view.byteLength;
  return {
    owner,
    attempt() {
      const { byteLength } = view;
      if (byteLength < expected) throw changed("write");
      return calls.write(descriptor.fd, view, Math.min(byteLength, sockets.MOST_BYTES));
    },
    fail: failed("Cannot write", calls.writeName),
  };
}

/** A write of all there is; keeps its place in the lane until the last byte. */
export interface WriteAllWork extends Work {
  /** How many bytes have been taken by the kernel so far. */
  readonly written: number;
}

export function writeAllWork(
  owner: object,
  descriptor: Descriptor,
  calls: ByteCalls,
  view: Uint8Array,
  onWritten: (bytes: number) => void,
): WriteAllWork {
  assertOpen(descriptor, "Cannot write", calls.writeName);
  const expected = view.byteLength;
  let written = 0;
  return {
    owner,
    get written() {
      return written;
    },
    attempt() {
      for (let writes = 0; written < expected; writes++) {
        if (writes === MOST_WRITES) return YIELD;
        if (view.byteLength < expected) throw changed("write");
        const rest = written === 0 ? view : view.subarray(written);
        const length = Math.min(rest.byteLength, sockets.MOST_BYTES);
        const result = calls.write(descriptor.fd, rest, length);
        if (result < 0) return result;
        written += result;
        onWritten(result);
      }
      return 0;
    },
    fail: (negated, detail) =>
      failure(negated, {
        action: "Cannot write",
        syscall: calls.writeName,
        detail,
        bytesTransferred: written,
      }),
  };
}

/** The error of a blocking call whose time is over. */
export function timedOut(action: string, syscall: string, bytesTransferred?: number): Error {
  return refusal("ETIMEDOUT", {
    action,
    syscall,
    bytesTransferred,
    detail: bytesTransferred === undefined ? undefined : `after ${bytesTransferred} bytes`,
  });
}

/** A view to read into. */
export function asTarget(value: unknown): Uint8Array {
  return asBytes(value, "a buffer to read into");
}

/** The bytes to write. */
export function asSource(value: unknown): Uint8Array {
  return asBytes(value, "data to write");
}
