/**
 * Control messages made by hand: a second opinion about their layout that shares no code with the
 * library, and numbers that look random and are the same in every run.
 * @module
 */

import { type Abi, abiFor } from "../../ffi/abi/mod.ts";

/** How a system lays control messages out. */
export interface ControlShape {
  readonly name: string;
  readonly abi: Abi;
  /** Bytes of a header. */
  readonly header: number;
  /** What lengths are rounded up to. */
  readonly unit: number;
  /** Bytes of `cmsg_len`; `cmsg_level` and `cmsg_type` follow in 4 each. */
  readonly lengthWidth: 4 | 8;
  /** SOL_SOCKET. */
  readonly socketLevel: number;
}

export const LINUX: ControlShape = {
  name: "Linux",
  abi: abiFor("linux", "x86_64")!,
  header: 16,
  unit: 8,
  lengthWidth: 8,
  socketLevel: 1,
};

export const MACOS: ControlShape = {
  name: "macOS",
  abi: abiFor("darwin", "aarch64")!,
  header: 12,
  unit: 4,
  lengthWidth: 4,
  socketLevel: 0xffff,
};

/** Types of the level SOL_SOCKET; macOS has the first alone. */
export const [RIGHTS, CREDENTIALS, SECURITY, PIDFD] = [1, 2, 3, 4] as const;

/** One control message. */
export interface ControlPiece {
  type: number;
  /** SOL_SOCKET where it is left out. */
  level?: number;
  payload: Uint8Array;
  /** What the header says instead of the true length. */
  length?: bigint;
}

/** A byte that stands where nobody may read, so that what was read there is seen. */
export const CANARY = 0x7e;

/** The bytes of control messages, each padded with canaries, as a kernel leaves what was there. */
export function controlBytes(
  shape: ControlShape,
  pieces: readonly ControlPiece[],
): Uint8Array<ArrayBuffer> {
  const padded = (length: number) => Math.ceil(length / shape.unit) * shape.unit;
  const size = pieces.reduce((sum, { payload }) => sum + shape.header + padded(payload.length), 0);
  const bytes = new Uint8Array(size).fill(CANARY);
  let at = 0;
  for (const { type, level = shape.socketLevel, payload, length } of pieces) {
    putLength(shape, bytes, at, length ?? BigInt(shape.header + payload.length));
    const view = new DataView(bytes.buffer, at);
    view.setInt32(shape.lengthWidth, level, true);
    view.setInt32(shape.lengthWidth + 4, type, true);
    bytes.set(payload, at + shape.header);
    at += shape.header + padded(payload.length);
  }
  return bytes;
}

/** Writes the length of the header that begins at `at`; what is too large loses its upper half. */
export function putLength(
  shape: ControlShape,
  bytes: Uint8Array,
  at: number,
  length: bigint,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  if (shape.lengthWidth === 8) view.setBigUint64(0, length, true);
  else view.setUint32(0, Number(length & 0xffff_ffffn), true);
}

/** Integers of 4 bytes each, as descriptors and credentials are. */
export function int32s(...numbers: number[]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(4 * numbers.length));
  numbers.forEach((number, i) => view.setInt32(4 * i, number, true));
  return new Uint8Array(view.buffer);
}

/** The bytes as digits, for a comparison that shows them. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
