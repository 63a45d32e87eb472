/**
 * The grammar of headers, which HTTP and framing by `Content-Length` share (RFC 9110, 5.5 and 5.6.2).
 * @module
 */

/** A token: the name of a header, or a method of HTTP. */
export const TOKEN: RegExp = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

const SPACE = " ";
const TAB = "\t";

/**
 * Splits a line at its first colon and takes spaces and tabs off both ends of the value, in linear time.
 * Null without a colon. The caller checks name and value.
 */
export function splitHeader(line: string): [name: string, value: string] | null {
  const colon = line.indexOf(":");
  if (colon === -1) return null;
  let start = colon + 1;
  let end = line.length;
  while (line[start] === SPACE || line[start] === TAB) start++;
  while (end > start && (line[end - 1] === SPACE || line[end - 1] === TAB)) end--;
  return [line.slice(0, colon), line.slice(start, end)];
}
