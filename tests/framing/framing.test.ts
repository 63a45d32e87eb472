import { test } from "node:test";
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { Fd, UnixSocketError, UnixStream } from "../../mod.ts";
import {
  ContentLengthFraming,
  type FramedStream,
  type Framing,
  FramingError,
  type FramingProblem,
  JsonChannel,
  jsonLines,
  LengthPrefixed,
  LineFraming,
  linesOf,
} from "../../framing.ts";
import { bytes, fill, readText, settled, text, withSocketPair } from "../support/mod.ts";

type Make = (stream: FramedStream, options?: { maxLength?: number }) => Framing;

const FRAMINGS: [name: string, make: Make][] = [
  ["LineFraming", (stream, options) => new LineFraming(stream, options)],
  ["ContentLengthFraming", (stream, options) => new ContentLengthFraming(stream, options)],
  ["LengthPrefixed", (stream, options) => new LengthPrefixed(stream, options)],
];

/** What a framing says about these bytes, which are all there is. */
async function received(make: Make, data: string | Uint8Array<ArrayBuffer>): Promise<string[]> {
  const [a, b] = UnixStream.pair();
  using framing = make(b);
  // More may be sent than the receiver takes.
  const writing = a.writeAll(typeof data === "string" ? bytes(data) : data).catch(() => {});
  void writing.then(() => a.close());
  const messages: string[] = [];
  for await (const message of framing) messages.push(text(message));
  return messages;
}

async function fails(
  make: Make,
  data: string | Uint8Array<ArrayBuffer>,
  code: FramingProblem,
  why: string,
): Promise<void> {
  const error = await assertRejects(() => received(make, data), FramingError, why);
  assertEquals(error.code, code);
}

async function linesIn(data: Uint8Array<ArrayBuffer>, maxLength?: number): Promise<string[]> {
  const [a, b] = UnixStream.pair();
  using stream = b;
  void a.writeAll(data).catch(() => {}).then(() => a.close());
  const options = maxLength === undefined ? {} : { maxLength };
  const lines: string[] = [];
  for await (const line of linesOf(stream, options)) lines.push(line);
  return lines;
}

test("linesOf() finds the lines, with LF or CRLF, and a last one without an end", async () => {
  assertEquals(await linesIn(bytes("one\ntwo\r\n\n\rx\r\r\nlast")), [
    "one",
    "two",
    "",
    "\rx\r",
    "last",
  ]);
  assertEquals(await linesIn(bytes("")), []);
  assertEquals(await linesIn(bytes("\n")), [""]);
  assertEquals(await linesIn(bytes("\uFEFFä\n\0\n")), ["\uFEFFä", "\0"]);
});

test("linesOf() takes lines as long as maxLength, and none longer", async () => {
  assertEquals(await linesIn(bytes("1234\n1234\r\n1234"), 4), ["1234", "1234", "1234"]);
  for (const line of ["12345\n", "12345", "1234\r", "12345\r\n", "1234567890123"]) {
    const error = await assertRejects(() => linesIn(bytes(line), 4), FramingError, "4 bytes");
    assertEquals(error.code, "limit");
  }
  await assertRejects(() => linesIn(new Uint8Array(70000)), FramingError, "65536 bytes");
  assertEquals((await linesIn(new Uint8Array(200_000).fill(65), 200_000))[0]!.length, 200_000);
});

test("linesOf() refuses what is not UTF-8, wherever it is cut", async () => {
  await assertRejects(() => linesIn(Uint8Array.of(0xc3, 10, 0xa4)), FramingError, "not UTF-8");
  const [a, b] = UnixStream.pair();
  using stream = b;
  const lines = linesOf(stream);
  const first = lines.next();
  for (const byte of bytes("ä€😀\n")) {
    await a.writeAll(Uint8Array.of(byte));
    await settled(2);
  }
  assertEquals((await first).value, "ä€😀");
  a.close();
  assert((await lines.next()).done);
});

test("linesOf() ends with the signal's reason, and reads from an Fd as well", async () => {
  await withSocketPair(async (_a, b) => {
    const controller = new AbortController();
    const next = linesOf(b, { signal: controller.signal }).next();
    controller.abort(new Error("enough"));
    await assertRejects(() => next, Error, "enough");
  });
  for (const sent of ["a\nb\nc\n", "a"]) {
    await withSocketPair(async (a, b) => {
      await a.writeAll(bytes(sent));
      a.closeWrite();
      const controller = new AbortController();
      const lines: string[] = [];
      await assertRejects(
        async () => {
          for await (const line of linesOf(b, { signal: controller.signal })) {
            lines.push(line);
            controller.abort(new Error("enough"));
          }
        },
        Error,
        "enough",
      );
      assertEquals(lines, ["a"]);
    });
  }
  const [end, other] = Fd.pipe();
  other.writeSync(bytes("a\nb"));
  other.close();
  const lines: string[] = [];
  for await (const line of linesOf(end)) lines.push(line);
  assertEquals(lines, ["a", "b"]);
  end.close();
});

for (const [name, make] of FRAMINGS) {
  test(`${name} keeps messages whole, in order, at any size and cut`, async () => {
    const [a, b] = UnixStream.pair();
    using sender = make(a, { maxLength: 300_000 });
    using receiver = make(b, { maxLength: 300_000 });
    const sizes = [0, 1, 100, 65536, 70000, 300_000, 3];
    const messages = sizes.map((size) => new Uint8Array(size).fill(97));
    const sending = Promise.all(messages.map((message) => sender.send(message)));
    for (const message of messages) assertEquals(await receiver.receive(), message);
    await sending;
    await sender.send("text: ä");
    assertEquals(text((await receiver.receive())!), "text: ä");
    sender.close();
    assertEquals([await receiver.receive(), await receiver.receive()], [null, null]);
  });

  test(`${name} understands a message that comes byte by byte, and an abort loses none`, async () => {
    const [a, b] = UnixStream.pair();
    const [c, d] = UnixStream.pair();
    using sender = make(a);
    await sender.send("hello");
    const buffer = new Uint8Array(100);
    const frame = buffer.subarray(0, (await b.read(buffer))!);
    using receiver = make(d);
    for (const byte of frame.subarray(0, -1)) {
      const controller = new AbortController();
      const receiving = receiver.receive({ signal: controller.signal });
      await c.writeAll(Uint8Array.of(byte));
      await settled(2);
      controller.abort(new Error("not yet"));
      await assertRejects(() => receiving, Error, "not yet");
    }
    await c.writeAll(frame.subarray(-1));
    assertEquals(text((await receiver.receive())!), "hello");
    b.close();
    c.close();
  });

  test(`${name} serves several receivers in turn, and hands on what was read ahead`, async () => {
    const [a, b] = UnixStream.pair();
    using sender = make(a);
    using receiver = make(b);
    const receiving = [receiver.receive(), receiver.receive(), receiver.receive()];
    await Promise.all(["1", "2", "3"].map((message) => sender.send(message)));
    const order = (await Promise.all(receiving)).map((message) => text(message!));
    assertEquals(order, ["1", "2", "3"]);
    await sender.send("4");
    await a.writeAll(bytes("raw"));
    assertEquals(text((await receiver.receive())!), "4");
    assertEquals(text(receiver.takeRest()), "raw");
  });

  test(`${name} never mixes messages, and is torn by an abort in the middle of one`, async () => {
    const [a, b] = UnixStream.pair();
    using sender = make(a, { maxLength: 4_000_000 });
    using receiver = make(b);
    const large = new Uint8Array(4_000_000).fill(98);
    const controller = new AbortController();
    const first = sender.send(large, { signal: controller.signal });
    const waiting = new AbortController();
    const second = sender.send("second", { signal: waiting.signal });
    const third = sender.send("third");
    waiting.abort(new Error("left the queue"));
    await assertRejects(() => second, Error, "left the queue");
    controller.abort(new Error("cut"));
    await assertRejects(() => first, Error, "cut");
    const error = await assertRejects(() => third, FramingError, "only in part");
    assertEquals(error.code, "torn");
    await assertRejects(() => sender.send("x"), FramingError);
    assert(receiver.maxLength > 0);
  });

  test(`${name} goes on after an abort before the first byte`, async () => {
    const [a, b] = UnixStream.pair();
    using sender = make(a);
    let rest = fill(a);
    const controller = new AbortController();
    const sending = sender.send("not sent", { signal: controller.signal });
    await settled();
    controller.abort(new Error("not now"));
    await assertRejects(() => sending, Error, "not now");
    const buffer = new Uint8Array(65536);
    while (rest > 0) rest -= (await b.read(buffer.subarray(0, Math.min(rest, 65536))))!;
    using receiver = make(b);
    await sender.send("sent");
    assertEquals(text((await receiver.receive())!), "sent");
  });

  test(`${name} refuses messages that are too long, and arguments that make no sense`, async () => {
    await withSocketPair(async (a, b) => {
      const framing = make(a, { maxLength: 3 });
      await assertRejects(() => framing.send("four"), RangeError);
      await assertRejects(() => framing.send(4 as never), TypeError);
      await assertRejects(() => framing.receive({ signal: {} as never }), TypeError);
      await make(b).send("four");
      const error = await assertRejects(() => framing.receive(), FramingError);
      assertEquals(error.code, "limit");
      assertEquals(await framing.receive().catch((again) => again), error);
      assertThrows(() => make(a, { maxLength: 0 }), RangeError);
      assertThrows(() => make(a, { maxLength: "1" as never }), TypeError);
      assertThrows(() => make({} as never), TypeError);
      assertThrows(() => make(a, 3 as never), TypeError);
      a.close();
      await assertRejects(() => make(a).receive(), UnixSocketError);
    });
  });
}

test("LineFraming sends no line that contains an end", async () => {
  await withSocketPair(async (a) => {
    const framing = new LineFraming(a);
    for (const line of ["a\nb", "a\r", "\n"]) {
      await assertRejects(() => framing.send(line), TypeError);
    }
    await framing.send("a\rb");
  });
});

const lengths: Make = (stream) => new LengthPrefixed(stream, { maxLength: 100 });

test("LengthPrefixed has its number in either order, and notices an early end", async () => {
  for (const endian of ["big", "little"] as const) {
    await withSocketPair(async (a, b) => {
      await new LengthPrefixed(a, { endian }).send("abc");
      const expected = endian === "big" ? "\0\0\0\x03abc" : "\x03\0\0\0abc";
      assertEquals(await readText(b), expected);
    });
  }
  await fails(lengths, "\0\0", "truncated", "the length of a message");
  await fails(lengths, "\0\0\0\x05abc", "truncated", "after 3 of 5 bytes");
  await fails(lengths, "\0\0\0\x65", "limit", "101 bytes");
  await fails(lengths, Uint8Array.of(255, 255, 255, 255), "limit", "4294967295 bytes");
  await withSocketPair((a) => {
    assertThrows(() => new LengthPrefixed(a, { endian: "middle" as never }), TypeError);
  });
});

const headed: Make = (stream) =>
  new ContentLengthFraming(stream, { maxLength: 100, maxHeaderLength: 200 });

test("ContentLengthFraming keeps unknown headers, in any case", async () => {
  await withSocketPair(async (a, b) => {
    const data = "content-LENGTH:3\r\nContent-Type: \t a; b \r\nX: 1\r\nx: 2\r\n\r\nabc";
    await a.writeAll(bytes(data));
    const message = await new ContentLengthFraming(b).receiveMessage();
    assertEquals(text(message!.body), "abc");
    assertEquals([...message!.headers], [
      ["content-length", "3"],
      ["content-type", "a; b"],
      ["x", "1, 2"],
    ]);
    const framing = new ContentLengthFraming(b);
    await framing.send("hi", { headers: { "Content-Type": "text" } });
    assertEquals(await readText(a), "Content-Type: text\r\nContent-Length: 2\r\n\r\nhi");
    for (const headers of [{ "a b": "c" }, { a: "b\r\nc" }, { "content-length": "1" }, { a: 1 }]) {
      await assertRejects(() => framing.send("hi", { headers: headers as never }), TypeError);
    }
  });
});

const HEADS: [data: string, code: FramingProblem, why: string][] = [
  ["\r\n", "malformed", "no Content-Length"],
  ["A: b\r\n\r\nabc", "malformed", "no Content-Length"],
  ["Content-Length: 3\n\nabc", "malformed", "does not end with CRLF"],
  ["Content-Length 3\r\n\r\n", "malformed", 'A header has no colon: "Content-Length 3"'],
  ["Content-Length : 3\r\n\r\n", "malformed", "no proper name"],
  [": 3\r\n\r\n", "malformed", "no proper name"],
  ["A: b\0\r\n\r\n", "malformed", "The header A has no proper value"],
  ["Content-Length: -3\r\n\r\n", "malformed", "Content-Length is no number"],
  ["Content-Length: 0x3\r\n\r\n", "malformed", "Content-Length is no number"],
  ["Content-Length: \r\n\r\n", "malformed", "Content-Length is no number"],
  ["Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "malformed", "two Content-Length"],
  ["Content-Length: 101\r\n\r\n", "limit", "101 bytes is longer than 100"],
  [`Content-Length: ${"9".repeat(50)}\r\n\r\n`, "limit", "longer than 100"],
  [`A: ${"b".repeat(300)}`, "limit", "headers of a message exceed 200 bytes"],
  ["A: b\r\n".repeat(100), "limit", "headers of a message exceed 200 bytes"],
  ["Content-Length: 3\r\n", "truncated", "in the headers"],
  ["Content-", "truncated", "in the headers"],
  ["Content-Length: 3\r\n\r\nab", "truncated", "after 2 of 3 bytes"],
];

for (const [data, code, why] of HEADS) {
  test(`ContentLengthFraming says ${code} for ${JSON.stringify(data.slice(0, 40))}`, async () => {
    await fails(headed, data, code, why);
  });
}

test("an announced length takes no memory before its bytes come", async () => {
  let largest = 0;
  const stream: FramedStream = {
    read(buffer) {
      largest = Math.max(largest, buffer.buffer.byteLength);
      if (largest > 0 && first !== null) {
        buffer.set(first);
        const { length } = first;
        first = null;
        return Promise.resolve(length);
      }
      return Promise.resolve(null);
    },
    writeAll: () => Promise.resolve(),
  };
  let first: Uint8Array | null = bytes("Content-Length: 1000000000\r\n\r\nx");
  const framing = new ContentLengthFraming(stream, { maxLength: 2 ** 30 });
  await assertRejects(() => framing.receive(), FramingError, "after 1 of 1000000000");
  assert(largest <= 65536, `${largest}`);
});

test("jsonLines() and JsonChannel carry values, and go on after one that is none", async () => {
  await withSocketPair(async (a, b) => {
    const sender = jsonLines(a);
    const receiver = jsonLines(b);
    const values = [null, 1, "a\nb\u2028", [true], { a: { b: [] }, __proto__: 3 }];
    for (const value of values) await sender.send(value);
    for (const value of values) assertEquals(await receiver.receive(), value);
    for (const value of [undefined, () => {}, 1n]) {
      await assertRejects(() => sender.send(value), TypeError);
    }
    await a.writeAll(bytes('\n  \r\n{"a":\n'));
    await a.writeAll(Uint8Array.of(0xff, 10));
    await a.writeAll(bytes("[1]\n"));
    const error = await assertRejects(() => receiver.receive(), FramingError, "not JSON");
    assertInstanceOf(error.cause, SyntaxError);
    await assertRejects(() => receiver.receive(), FramingError, "not UTF-8");
    assertEquals(await receiver.receive(), [1]);
    sender.close();
    assertEquals(await receiver.receive(), undefined);
    assertThrows(() => new JsonChannel({} as never), TypeError);
  });
});
