/**
 * The model of one direction of bytes: what was taken by the kernel, in the order of the calls, is what
 * was read, in the order of the calls; no more, no less, once.
 * @module
 */

import { firstDifference, nameOf, numbered, placeOf } from "./numbers.ts";

/** One call that wrote. */
export interface Written {
  readonly id: number;
  readonly length: number;
  /** What the kernel took of it; null where nothing tells, after an abort. */
  taken: number | null;
  /** The numbers of the descriptors that went with its first byte. */
  readonly fds: readonly number[];
}

/** One call that read. */
export interface Read {
  readonly id: number;
  readonly kind: "read" | "peek" | "message";
  /** What came; null for nothing: an error, an abort or the end. */
  data: Uint8Array | null;
  /** What came along, by number; `cut` where descriptors are missing and the call said so. */
  fds: readonly number[];
  cut: boolean;
  readonly maxFds: number;
}

export interface Direction {
  readonly written: readonly Written[];
  readonly read: readonly Read[];
  /** Whether all was read to the end. Otherwise what was read is only the beginning. */
  readonly ended: boolean;
}

/** Where in the stream each piece of what was written began, in bytes. */
interface Piece {
  start: number;
  written: Written;
}

/** What is wrong with a direction, in one line; null where nothing is. */
export function judgeBytes({ written, read, ended }: Direction): string | null {
  const received = joined(read.filter(({ kind }) => kind !== "peek"));
  const expected = expectedFor(written, received);
  const at = firstDifference(received, expected.data);
  if (at !== -1) return difference(received, expected, at);
  if (received.length > expected.data.length) {
    return `${received.length - expected.data.length} bytes too many came, after ` +
      `${expected.data.length}: ${nameOf(placeOf(received.subarray(expected.data.length)))}`;
  }
  if (ended && received.length < expected.data.length) {
    const place = placeIn(expected, received.length);
    return `${expected.data.length - received.length} bytes are lost at the end, from ` +
      `${nameOf(place)} on, position ${received.length}`;
  }
  return judgeReads(read, expected, ended);
}

/** Peeks saw what came next, and descriptors came with the byte that they were sent with. */
function judgeReads(
  read: readonly Read[],
  expected: { data: Uint8Array; pieces: Piece[] },
  ended: boolean,
): string | null {
  let position = 0;
  for (const { id, kind, data, fds, cut, maxFds } of read) {
    if (data === null) continue;
    if (kind === "peek") {
      const next = expected.data.subarray(position, position + data.length);
      // What was seen and never read may have been the beginning of what was never finished.
      if (firstDifference(data, next) !== -1 || (ended && data.length > next.length)) {
        return `the peek of step ${id} at position ${position} saw ${nameOf(placeOf(data))}`;
      }
      continue;
    }
    const along = expected.pieces
      .filter(({ start }) => start >= position && start < position + data.length)
      .flatMap(({ written }) => written.fds);
    const wanted = kind === "message" ? along.slice(0, maxFds) : [];
    const same = fds.length === wanted.length && fds.every((number, i) => number === wanted[i]);
    if (!same && !(cut && fds.length === 0)) {
      return `step ${id} got the descriptors [${fds}] instead of [${wanted}]`;
    }
    if (!cut && along.length > maxFds && kind === "message") {
      return `step ${id} was not told that more than ${maxFds} descriptors came`;
    }
    position += data.length;
  }
  return null;
}

function joined(parts: readonly Read[]): Uint8Array {
  const total = parts.reduce((sum, { data }) => sum + (data?.length ?? 0), 0);
  const all = new Uint8Array(total);
  let at = 0;
  for (const { data } of parts) {
    if (data === null) continue;
    all.set(data, at);
    at += data.length;
  }
  return all;
}

/** What should have come; where nothing tells how far a call came, what came does. */
function expectedFor(
  written: readonly Written[],
  received: Uint8Array,
): { data: Uint8Array; pieces: Piece[] } {
  const known = written.reduce((sum, { length, taken }) => sum + (taken ?? length), 0);
  const data = new Uint8Array(known);
  const pieces: Piece[] = [];
  let position = 0;
  for (const [index, call] of written.entries()) {
    const bytes = numbered(call.length, call.id);
    const taken = call.taken ?? takenOf(bytes, written.slice(index + 1), received, position);
    if (taken === 0) continue;
    pieces.push({ start: position, written: call });
    data.set(bytes.subarray(0, taken), position);
    position += taken;
  }
  return { data: data.subarray(0, position), pieces };
}

/** How many bytes more are compared to tell the end of one call from the beginning of the next. */
const CONTEXT = 64;

/** How much of a call came, when nothing else tells: as much as lets the next ones follow. */
function takenOf(
  bytes: Uint8Array,
  later: readonly Written[],
  received: Uint8Array,
  position: number,
): number {
  const rest = received.subarray(position);
  const different = firstDifference(bytes, rest);
  const most = different === -1 ? Math.min(bytes.length, rest.length) : different;
  for (let taken = most; taken >= Math.max(0, most - 16); taken--) {
    if (follows(later, rest.subarray(taken), CONTEXT)) return taken;
  }
  return most;
}

function follows(later: readonly Written[], rest: Uint8Array, context: number): boolean {
  if (context <= 0 || rest.length === 0 || later.length === 0) {
    return rest.length === 0 || context <= 0;
  }
  const [{ id, length, taken }, ...after] = later as [Written, ...Written[]];
  const bytes = numbered(taken ?? length, id);
  const different = firstDifference(bytes, rest);
  const most = different === -1 ? Math.min(bytes.length, rest.length) : different;
  if (taken !== null) {
    if (different !== -1) return false;
    return most === rest.length || follows(after, rest.subarray(most), context - most);
  }
  for (let of = most; of >= Math.max(0, most - 4); of--) {
    if (follows(after, rest.subarray(of), context - of)) return true;
  }
  return false;
}

function placeIn({ pieces }: { pieces: Piece[] }, position: number) {
  const piece = pieces.findLast(({ start }) => start <= position);
  return piece === undefined ? null : { id: piece.written.id, offset: position - piece.start };
}

function difference(
  received: Uint8Array,
  expected: { data: Uint8Array; pieces: Piece[] },
  at: number,
): string {
  const should = placeIn(expected, at);
  const came = placeOf(received.subarray(at));
  const distance = came !== null && should !== null && came.id === should.id
    ? `: ${Math.abs(came.offset - should.offset)} bytes are ` +
      (came.offset > should.offset ? "lost" : "repeated")
    : "";
  return `at position ${at} came ${nameOf(came)} instead of ${nameOf(should)}${distance}`;
}
