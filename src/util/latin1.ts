/**
 * Text of which each character is one byte, as the heads of messages are.
 * @module
 */

/** The maximum number of bytes for one call of `String.fromCharCode`. */
const MAX_CHUNK = 4096;

/** Bytes as text, each a character from U+0000 to U+00FF. */
export function fromLatin1(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += MAX_CHUNK) {
    text += String.fromCharCode(...bytes.subarray(i, i + MAX_CHUNK));
  }
  return text;
}

/** Text as bytes; every character has to be below U+0100. */
export function toLatin1(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(text.length));
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
