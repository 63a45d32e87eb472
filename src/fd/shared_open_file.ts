/**
 * Reading and writing through an open file that other processes have too. Whether it blocks is a
 * property of the open file, not of a descriptor: whoever else holds it may set it back to blocking at
 * any moment, and a read(2) that finds nothing would then stop this thread for as long as he likes.
 * @module
 */

import { file, native, sockets } from "../../ffi/mod.ts";
import type { ByteCalls } from "../io/byte_operations.ts";
import { wouldBlock } from "../io/operation_queue.ts";

const plain: ByteCalls = { ...file, readName: "read", writeName: "write" };

/** What fits into a pipe of which poll(2) says that there is room: its smallest buffer. */
const PIPE_ROOM = 4096;

// No call is made that poll(2) does not say will be over at once. Between the two another reader of the
// same open file can take what was there; nothing but a call that never blocks would help against that,
// and pipes have none.

function readReady(fd: number, buffer: Uint8Array, length: number): number {
  return isReady(fd, "readable") ? file.read(fd, buffer, length) : wouldBlock();
}

function writeReady(fd: number, data: Uint8Array, length: number): number {
  return isReady(fd, "writable") ? file.write(fd, data, Math.min(length, PIPE_ROOM)) : wouldBlock();
}

/** Whether a descriptor is ready, at an end, or in an error. */
export function isReady(fd: number, direction: sockets.Direction): boolean {
  return sockets.pollOne(fd, direction, 0) === 1;
}

/** The calls for a descriptor, by whether others may have its open file. */
export function callsFor(fd: number, shared: boolean): ByteCalls {
  if (!shared || !mayBlock(fd)) return plain;
  // A direction that is not open is never ready, and fails at once.
  const { readable, writable } = file.directionsOf(fd);
  return {
    ...plain,
    read: readable ? readReady : plain.read,
    write: writable ? writeReady : plain.write,
  };
}

/** Whether reading may have to wait at all: not where there is a place for the bytes. */
function mayBlock(fd: number): boolean {
  const status = file.status(fd);
  if (typeof status === "number") return true;
  const { S_IFMT, S_IFREG, S_IFDIR, S_IFBLK } = native().abi.constants;
  const kind = status.mode & S_IFMT;
  return kind !== S_IFREG && kind !== S_IFDIR && kind !== S_IFBLK;
}
