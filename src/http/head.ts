/**
 * The heads of HTTP/1.1 messages: of requests that go out, of responses that come.
 * @module
 */

import type { ByteReader } from "../util/byte_reader.ts";
import { type BodyLength, MalformedResponse, MIN_READ, parseHeader, shown } from "./body.ts";
import { TOKEN } from "../util/header.ts";
import { fromLatin1, toLatin1 } from "../util/latin1.ts";

/** What stands before a response's body. */
export interface ResponseHead {
  status: number;
  statusText: string;
  headers: Headers;
  /** Null for none at all. */
  body: BodyLength | null;
  /** Whether another request may follow on the connection. */
  keepAlive: boolean;
  /** How long the server keeps it, in milliseconds, if it says so. */
  keepFor: number;
}

const CR = 13;

/** How many interim responses (1xx) may precede one response. */
const MAX_INTERIM = 32;

/** Reads the head of the response to a request; interim ones are passed over. */
export async function readHead(
  reader: ByteReader,
  method: string,
  most: number,
): Promise<ResponseHead | null> {
  for (let interim = 0; interim <= MAX_INTERIM; interim++) {
    const lines = await headLines(reader, most);
    if (lines === null) return null;
    const head = parseHead(lines, method);
    if (head.status === 101) throw new MalformedResponse("The server switches to another protocol");
    if (head.status >= 200) return head;
  }
  throw new MalformedResponse(`There are more than ${MAX_INTERIM} interim responses`);
}

/** The lines of a head; null where the connection ended before the first byte. */
async function headLines(reader: ByteReader, most: number): Promise<string[] | null> {
  const lines: string[] = [];
  for (let left = most;;) {
    const line = reader.takeLine(left);
    if (line === "long") throw new MalformedResponse(`The head is longer than ${most} bytes`);
    if (line === null) {
      if (await reader.fill(Math.max(left + 1, MIN_READ))) continue;
      if (lines.length === 0 && reader.available === 0) return null;
      throw new MalformedResponse("The connection ended in the head");
    }
    left = Math.max(left - line.length - 1, 0);
    const text = fromLatin1(line.at(-1) === CR ? line.subarray(0, -1) : line);
    if (text !== "") lines.push(text);
    else if (lines.length > 0) return lines;
    else throw new MalformedResponse("The status line is empty");
  }
}

function parseHead([statusLine, ...lines]: string[], method: string): ResponseHead {
  const parts = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/.exec(statusLine!);
  if (parts === null) {
    throw new MalformedResponse(`The status line is malformed: ${shown(statusLine!)}`);
  }
  const status = Number(parts[2]);
  if (status > 599) throw new MalformedResponse(`The status is ${status}`);
  const headers = new Headers();
  const lengths: string[] = [];
  for (const line of lines) {
    const [name, value] = parseHeader(line);
    if (name.toLowerCase() === "content-length") lengths.push(value);
    headers.append(name, value);
  }
  const body = bodyOf(status, method, headers, lengths);
  const connection = (headers.get("connection") ?? "").toLowerCase().split(/[ \t]*,[ \t]*/);
  const keepAlive = body !== "connection" && !connection.includes("close") &&
    (parts[1] === "1" || connection.includes("keep-alive"));
  const timeout = /(?:^|[,\s])timeout=(\d{1,6})/i.exec(headers.get("keep-alive") ?? "")?.[1];
  const keepFor = timeout === undefined ? Infinity : Number(timeout) * 1000;
  return { status, statusText: parts[3] ?? "", headers, body, keepAlive, keepFor };
}

/** How the body ends, by RFC 9112, 6.3, but without guessing at what is ambiguous. */
function bodyOf(
  status: number,
  method: string,
  headers: Headers,
  lengths: string[],
): BodyLength | null {
  const coding = headers.get("transfer-encoding");
  if (coding !== null && lengths.length > 0) {
    throw new MalformedResponse("There are Transfer-Encoding and Content-Length");
  }
  if (lengths.length > 1) throw new MalformedResponse("There are several Content-Length headers");
  const length = lengths[0];
  if (length !== undefined && !/^\d{1,15}$/.test(length)) {
    throw new MalformedResponse(`Content-Length is ${shown(length)}`);
  }
  if (method === "HEAD" || status < 200 || status === 204 || status === 304) return null;
  if (coding !== null) {
    if (coding.toLowerCase() === "chunked") return "chunked";
    throw new MalformedResponse(`Transfer-Encoding is ${shown(coding)}`);
  }
  return length === undefined ? "connection" : Number(length);
}

/** The head of a request. Whatever could end a line in it has been refused. */
export function packHead(
  method: string,
  target: string,
  headers: Iterable<readonly [string, string]>,
): Uint8Array<ArrayBuffer> {
  if (!TOKEN.test(method) || !/^[\x21-\x7e]+$/.test(target)) {
    throw new TypeError(`Cannot request ${JSON.stringify(method)} ${JSON.stringify(target)}`);
  }
  let head = `${method} ${target} HTTP/1.1\r\n`;
  for (const [name, value] of headers) {
    if (!TOKEN.test(name) || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      throw new TypeError(`Cannot send the header ${JSON.stringify(name)}`);
    }
    head += `${name}: ${value}\r\n`;
  }
  return toLatin1(`${head}\r\n`);
}
