/**
 * Bytes that tell where they belong: word `i` of operation `id` is a number that can be turned back,
 * so that a byte which is lost, repeated or out of order can be named. Nothing here needs @std.
 * @module
 */

/** A place in what was written: a byte of an operation. */
export interface Place {
  id: number;
  offset: number;
}

/** How many words one operation has at most; what is beyond goes on in the next one's numbers. */
const WORDS = 1 << 18;

/** Spreads the bits of a word; every word has one origin. */
export function spread(word: number): number {
  word ^= word >>> 16;
  word = Math.imul(word, 0x7feb352d);
  word ^= word >>> 15;
  word = Math.imul(word, 0x846ca68b);
  return (word ^ (word >>> 16)) >>> 0;
}

/** The word that was spread. */
export function gather(word: number): number {
  word ^= word >>> 16;
  word = Math.imul(word, 0x43021123);
  word ^= (word >>> 15) ^ (word >>> 30);
  word = Math.imul(word, 0x1d69e2a5);
  return (word ^ (word >>> 16)) >>> 0;
}

/** Fills a view with the bytes of an operation, from an offset on. */
export function fillNumbered(view: Uint8Array, id: number, offset = 0): void {
  const first = id * WORDS;
  for (let i = 0; i < view.length;) {
    const at = offset + i;
    const word = spread((first + Math.floor(at / 4)) | 0);
    let byte = at % 4;
    while (byte < 4 && i < view.length) view[i++] = word >>> (8 * byte++);
  }
}

/** So many bytes of an operation. */
export function numbered(length: number, id: number, offset = 0): Uint8Array<ArrayBuffer> {
  const view = new Uint8Array(length);
  fillNumbered(view, id, offset);
  return view;
}

/** Where these bytes belong, or null where they are too few to tell, or none of ours. */
export function placeOf(view: Uint8Array): Place | null {
  const data = new DataView(view.buffer, view.byteOffset, view.byteLength);
  for (let shift = 0; shift < 4 && shift + 8 <= view.length; shift++) {
    const word = gather(data.getUint32(shift, true));
    const next = gather(data.getUint32(shift + 4, true));
    if (next !== (word + 1) >>> 0) continue;
    return { id: Math.floor(word / WORDS), offset: (word % WORDS) * 4 - shift };
  }
  return null;
}

/** The first byte in which two views differ, within both; −1 where none does. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return -1;
}

/** What a place is called in a message. */
export function nameOf(place: Place | null): string {
  return place === null ? "unknown bytes" : `byte ${place.offset} of operation ${place.id}`;
}
