/**
 * Bytes of peers, right and wrong, cut anywhere: what is made of them may not hang on where they are
 * cut, and what is wrong has no other effect than the error that is documented. As random as AFUNIX_SEED
 * says, a number in the environment; a failure names the seed and the bytes.
 */

import { test } from "node:test";
import { assertEquals } from "@std/assert";
import {
  ContentLengthFraming,
  type FramedStream,
  type Framing,
  FramingError,
  LengthPrefixed,
  LineFraming,
  linesOf,
} from "../../framing.ts";
import { ByteReader, type ByteSource } from "../../src/util/byte_reader.ts";
import { BodyReader, MalformedResponse } from "../../src/http/body.ts";
import { readHead } from "../../src/http/head.ts";
import { bytes, text } from "../support/mod.ts";
import { pick, type Random, random, SEED } from "../support/random.ts";

const ROUNDS = 1500;
const MAX = 400;

/** These bytes, in the pieces in which they arrive; after the last one comes the end. */
function arriving(data: Uint8Array, random: Random): ByteSource & FramedStream {
  let at = 0;
  const most = pick(random, [1, 3, 20, 1000]);
  return {
    read(buffer) {
      if (at === data.length) return Promise.resolve(null);
      const piece = data.subarray(at, at + Math.min(1 + random(most), buffer.length));
      buffer.set(piece);
      at += piece.length;
      return Promise.resolve(piece.length);
    },
    writeAll: () => Promise.reject(new Error("Nothing is written here")),
  };
}

/** Once, or so often that limits are exceeded. */
function repeated<T>(part: readonly T[], random: Random): T[] {
  return Array.from({ length: pick(random, [1, 1, 60]) }, () => part).flat();
}

/** Bytes with some changed, left out, doubled or cut off. */
function spoiled(data: Uint8Array, random: Random): Uint8Array {
  let all = [...data];
  for (let times = 1 + random(3); times > 0; times--) {
    const at = random(all.length + 1);
    const what = random(5);
    if (what === 0) all[at] = random(256);
    else if (what === 1) all.splice(at, 1 + random(3));
    else if (what === 2) all.splice(at, 0, ...repeated(all.slice(at, at + 1 + random(20)), random));
    else if (what === 3) all.splice(at, 0, pick(random, [...bytes("\r\n\0:; -+0\xff")]));
    else all = all.slice(0, at);
  }
  return Uint8Array.from(all);
}

/** What a parser makes of bytes, as text: what it found, and how that ended. */
type Parse = (source: ByteSource & FramedStream) => Promise<string[]>;

interface Language {
  name: string;
  parse: Parse;
  /** Right bytes, and what is to be found in them. */
  make(random: Random): { data: Uint8Array; found: string[] };
  /** The errors that are documented. */
  error: typeof FramingError | typeof MalformedResponse;
}

function word(random: Random, most = 12): string {
  const letters = "abcXYZ019 -_äß€😀:;,\t";
  return Array.from({ length: random(most) }, () => pick(random, [...letters])).join("");
}

/** Messages of a framing, each as text; sizes around its limit among them. */
function framing(
  name: string,
  of: (stream: FramedStream) => Framing,
  pack: (message: string, random: Random) => Uint8Array,
): Language {
  return {
    name,
    error: FramingError,
    async parse(source) {
      const found: string[] = [];
      for await (const message of of(source)) found.push(text(message));
      return found;
    },
    make(random) {
      const found = Array.from({ length: random(6) }, () => word(random, pick(random, [3, 90])));
      return { data: joined(found.map((message) => pack(message, random))), found };
    },
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function prefixed(message: string): Uint8Array {
  const data = bytes(message);
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, data.length);
  return joined([length, data]);
}

const STATUS = [200, 201, 204, 299, 304, 404, 500, 599];

/** A response, and what it says: status, headers and body. */
function response(random: Random): { data: Uint8Array; found: string[] } {
  const status = pick(random, STATUS);
  const headers = Array.from({ length: random(4) }, (_, i) => {
    // Latin-1, without space at its ends.
    const value = word(random).replaceAll(/[^\x20-\x7e]/g, "").trim();
    return [`x-${i}`, value] as const;
  });
  const body = bytes(word(random, 120));
  const kind = status === 204 || status === 304
    ? "none"
    : pick(random, ["length", "chunked", "connection"]);
  const head = [`HTTP/1.1 ${status} ${pick(random, ["OK", "", "Not so"])}`];
  for (const [name, value] of headers) {
    head.push(
      `${pick(random, [name, name.toUpperCase()])}:${pick(random, [" ", "", "\t "])}${value}`,
    );
  }
  if (kind === "length") head.push(`Content-Length: ${body.length}`);
  if (kind === "chunked") head.push("Transfer-Encoding: chunked");
  const interim = random(5) === 0 ? "HTTP/1.1 103 Early\r\nlink: x\r\n\r\n" : "";
  const end = pick(random, ["\r\n", "\r\n", "\n"]);
  const parts = [bytes(`${interim}${head.join(end)}${end}${end}`)];
  if (kind === "chunked") parts.push(chunked(body, random));
  else if (kind !== "none") parts.push(body);
  const said = [String(status), ...headers.map(([name, value]) => `${name}=${value}`)];
  return { data: joined(parts), found: [...said, kind === "none" ? "" : text(body)] };
}

function chunked(body: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at < body.length;) {
    const chunk = body.subarray(at, at + 1 + random(30));
    const size = chunk.length.toString(16);
    const line = pick(random, [size, `00${size.toUpperCase()}`, `${size};name=value`]);
    parts.push(bytes(`${line}\r\n`), chunk, bytes("\r\n"));
    at += chunk.length;
  }
  return joined([...parts, bytes(pick(random, ["0\r\n\r\n", "0;last\r\nx-trailer: 1\r\n\r\n"]))]);
}

const LANGUAGES: Language[] = [
  framing(
    "LineFraming",
    (stream) => new LineFraming(stream, { maxLength: MAX }),
    (message, random) => bytes(message + pick(random, ["\n", "\r\n"])),
  ),
  framing("LengthPrefixed", (stream) => new LengthPrefixed(stream, { maxLength: MAX }), prefixed),
  framing(
    "ContentLengthFraming",
    (stream) => new ContentLengthFraming(stream, { maxLength: MAX }),
    (message, random) => {
      const data = bytes(message);
      const other = pick(random, ["", "Content-Type: x\r\n", "x-y:z\r\n"]);
      const name = pick(random, ["Content-Length", "content-length", "CONTENT-LENGTH"]);
      return joined([bytes(`${other}${name}: ${data.length}\r\n\r\n`), data]);
    },
  ),
  {
    name: "linesOf()",
    error: FramingError,
    async parse(source) {
      const found: string[] = [];
      for await (const line of linesOf(source, { maxLength: MAX })) found.push(line);
      return found;
    },
    make(random) {
      const found = Array.from({ length: random(6) }, () => word(random, pick(random, [3, 90])));
      const data = found.map((line) => bytes(line + pick(random, ["\n", "\r\n"])));
      return { data: joined(data), found };
    },
  },
  {
    name: "a response of fetch()",
    error: MalformedResponse,
    async parse(source) {
      const reader = new ByteReader(source);
      const head = await readHead(reader, "GET", MAX);
      if (head === null) return ["nothing"];
      const named = [...head.headers].filter(([name]) => name.startsWith("x-"));
      const found = [String(head.status), ...named.map(([name, value]) => `${name}=${value}`)];
      const body = head.body === null ? null : new BodyReader(reader, head.body, MAX);
      const pieces: Uint8Array[] = [];
      for (let piece; (piece = await body?.next() ?? null) !== null;) pieces.push(piece);
      return [...found, text(joined(pieces))];
    },
    make: response,
  },
];

/** What a parser makes of bytes; an error that is not documented is thrown. */
async function outcome({ parse, error: Documented }: Language, source: ByteSource & FramedStream) {
  try {
    return await parse(source);
  } catch (error) {
    if (!(error instanceof Documented)) throw error;
    return `${error.name}: ${error.message}`;
  }
}

async function naming(data: Uint8Array, body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    throw new Error(`With AFUNIX_SEED=${SEED}: ${JSON.stringify(text(data))}`, { cause: error });
  }
}

for (const [index, language] of LANGUAGES.entries()) {
  test(`${language.name} finds what was said, wherever it is cut`, async () => {
    const numbers = random(60 + index);
    for (let round = 0; round < ROUNDS; round++) {
      const { data, found } = language.make(numbers);
      await naming(
        data,
        async () => assertEquals(await language.parse(arriving(data, numbers)), found),
      );
    }
  });

  test(`${language.name} says the same of what is wrong, wherever it is cut`, async () => {
    const numbers = random(80 + index);
    let wrong = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const data = spoiled(language.make(numbers).data, numbers);
      await naming(data, async () => {
        const whole = await outcome(language, arriving(data, () => 999));
        if (typeof whole === "string") wrong++;
        for (let times = 0; times < 2; times++) {
          assertEquals(await outcome(language, arriving(data, numbers)), whole);
        }
      });
    }
    assertEquals(wrong > ROUNDS / 60, true, `${wrong} of ${ROUNDS} were wrong`);
  });
}
