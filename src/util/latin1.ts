/**
 * Text of which each character is one byte: heads of messages, and paths that are no UTF-8.
 * @module
 */

/** Bytes as text, each a character from U+0000 to U+00FF. */
export function fromLatin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Text as bytes; every character has to be below U+0100. */
export function toLatin1(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(text.length));
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
