/**
 * Data in one piece or in several.
 * @module
 */

import { refusal, sockets } from "../../ffi/mod.ts";
import { asBytes, type Bytes } from "../util/validate.ts";

/** Data to write or to send: in one piece, or in several that follow each other. */
export type Pieces = Bytes | readonly Bytes[];

/** From this size on, in bytes, a system call of its own costs less than copying. */
const LARGE = 32 * 1024;

/** All of it in one view: one piece as it is, several copied together. */
export function gathered(data: Pieces, what: string): Uint8Array {
  if (!Array.isArray(data)) return asBytes(data, what);
  return joined(viewsOf(data, what));
}

/** All of one message, to be sent whole. An array can be longer than any call of libc takes. */
export function gatheredMessage(data: Pieces): Uint8Array {
  const view = gathered(data, "a message");
  if (view.byteLength <= sockets.MAX_BYTES) return view;
  const detail = `it has ${view.byteLength} bytes`;
  throw refusal("EMSGSIZE", { action: "Cannot send a message", syscall: "send", detail });
}

/** A part of the data to write, and its length at the time of the call. */
export interface Part {
  readonly view: Uint8Array;
  readonly length: number;
}

/** The pieces in their order. Small neighbours are copied together, so that there are few calls. */
export function gatheredParts(pieces: readonly Bytes[], what: string): Part[] {
  const parts: Part[] = [];
  let small: Uint8Array[] = [];
  let size = 0;
  const flush = () => {
    if (size > 0) parts.push({ view: joined(small), length: size });
    small = [];
    size = 0;
  };
  for (const view of viewsOf(pieces, what)) {
    if (size + view.byteLength > LARGE) flush();
    small.push(view);
    size += view.byteLength;
  }
  flush();
  return parts;
}

function viewsOf(pieces: readonly Bytes[], what: string): Uint8Array[] {
  return Array.from(pieces, (piece) => asBytes(piece, what));
}

function joined(views: readonly Uint8Array[]): Uint8Array {
  if (views.length === 1) return views[0]!;
  const whole = new Uint8Array(views.reduce((sum, view) => sum + view.byteLength, 0));
  let at = 0;
  for (const view of views) {
    whole.set(view, at);
    at += view.byteLength;
  }
  return whole;
}
