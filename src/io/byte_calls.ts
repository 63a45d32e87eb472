/**
 * The system calls that read and write bytes, for each kind of descriptor.
 *
 * If other processes share the open file, one of them may set it back to blocking at any moment, and a
 * read(2) that finds nothing would then stop this thread.
 * @module
 */

import { file, native, sockets } from "../../ffi/mod.ts";
import { wouldBlock } from "./operation.ts";

/** The system calls of one kind of descriptor. A result below zero is a negated errno. */
export interface ByteCalls {
  readonly readName: string;
  readonly writeName: string;
  read(fd: number, buffer: Uint8Array, length: number): number;
  write(fd: number, data: Uint8Array, length: number): number;
  /** Reads without taking away; absent if the kind of descriptor cannot. */
  peek?(fd: number, buffer: Uint8Array, length: number): number;
}

const streamSocket: ByteCalls = {
  readName: "recv",
  writeName: "send",
  read: (fd, view, length) => sockets.recv(fd, view, length, 0),
  write: (fd, view, length) => sockets.send(fd, view, length, 0),
  peek: (fd, view, length) => sockets.recv(fd, view, length, native().abi.constants.MSG_PEEK),
};

/** Not for every socket: Node.js calls functions without flags by a shorter way. */
const sharedStreamSocket: ByteCalls = {
  ...streamSocket,
  read: (fd, view, length) => sockets.recv(fd, view, length, dontWait()),
  write: (fd, view, length) => sockets.send(fd, view, length, dontWait()),
  peek: (fd, view, length) =>
    sockets.recv(fd, view, length, native().abi.constants.MSG_PEEK | dontWait()),
};

function dontWait(): number {
  return native().abi.constants.MSG_DONTWAIT;
}

/** The calls for a stream socket; `shared` if other processes may have its open file. */
export function streamCalls(shared: boolean): ByteCalls {
  return shared ? sharedStreamSocket : streamSocket;
}

const plainFile: ByteCalls = { ...file, readName: "read", writeName: "write" };

/** The room in a pipe that poll(2) calls writable: the size of its smallest buffer, in bytes. */
const PIPE_ROOM = 4096;

// A pipe has no call that never blocks, so each call is made only if poll(2) says that it will be over
// at once. Between the two calls another reader of the same open file can still take the data.

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

/** The calls for a file, pipe or other descriptor; `shared` if other processes may have its open file. */
export function fileCalls(fd: number, shared: boolean): ByteCalls {
  if (!shared || !mayBlock(fd)) return plainFile;
  // A direction that is not open is never ready, and fails at once.
  const { readable, writable } = file.directionsOf(fd);
  return {
    ...plainFile,
    read: readable ? readReady : plainFile.read,
    write: writable ? writeReady : plainFile.write,
  };
}

/** Whether reading may have to wait at all: regular files, directories and block devices never do. */
function mayBlock(fd: number): boolean {
  const status = file.status(fd);
  if (typeof status === "number") return true;
  const { S_IFMT, S_IFREG, S_IFDIR, S_IFBLK } = native().abi.constants;
  const kind = status.mode & S_IFMT;
  return kind !== S_IFREG && kind !== S_IFDIR && kind !== S_IFBLK;
}
