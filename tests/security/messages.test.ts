import { createServer } from "node:http";
import { release } from "node:os";
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { ContentLengthFraming, FramingError, LengthPrefixed, linesOf } from "../../framing.ts";
import { createFetch, serve } from "../../http.ts";
import { UnixDatagram, UnixListener, type UnixStream } from "../../mod.ts";
import { hostile, unlessHostile, withPublicDir } from "../support/hostile.ts";
import type { Peer } from "../support/interop.ts";
import { text } from "../support/mod.ts";

const options = { skip: unlessHostile };

/** Sends the same bytes again and again, for as long as somebody takes them. */
const ENDLESS = `
  peer = connected(args[0])
  sent = 0
  try:
      peer.sendall(bytes.fromhex(args[1]))
      while True:
          sent += peer.send(b"x" * 65536)
  except (BrokenPipeError, ConnectionResetError):
      say(sent)
`;

/** Lets another user connect and send: first a beginning, then without an end. */
async function withEndless(
  beginning: string,
  body: (stream: UnixStream) => Promise<void>,
): Promise<void> {
  await withPublicDir(0o755, async (directory) => {
    const path = join(directory, "s");
    using listener = UnixListener.listen(path, { mode: 0o666 });
    await using attacker = hostile(ENDLESS, [path, new TextEncoder().encode(beginning)]);
    const stream = await listener.accept();
    await body(stream);
    const { bytesRead } = stream;
    stream.close();
    // What was taken in, and what fits into the queue behind it.
    const sent = Number(await attacker.line());
    assert(sent < bytesRead + 1_000_000, `${sent} sent, ${bytesRead} read`);
    await attacker.succeeded();
  });
}

const FRAMINGS: Record<string, (stream: UnixStream) => Promise<unknown>> = {
  "a line without an end": (stream) => linesOf(stream, { maxLength: 1000 }).next(),
  "a message of 4 GiB": (stream) => new LengthPrefixed(stream, { endian: "big" }).receive(),
  "a head without an end": (stream) => new ContentLengthFraming(stream).receive(),
};

for (const [what, receive] of Object.entries(FRAMINGS)) {
  test(`${what} from another user is refused before it fills the memory`, options, async () => {
    const beginning = what === "a message of 4 GiB" ? "\x7f\x7f\x7f\x7f" : "X";
    await withEndless(beginning, async (stream) => {
      const error = await assertRejects(() => receive(stream), FramingError);
      assertEquals((error as FramingError).code, "limit");
      assert(stream.bytesRead < 1_000_000, `${stream.bytesRead}`);
    });
  });
}

test("a Content-Length of a petabyte from another user takes no memory", options, async () => {
  await withEndless("Content-Length: 1125899906842624\r\n\r\n", async (stream) => {
    await assertRejects(() => new ContentLengthFraming(stream).receive(), FramingError);
    assert(stream.bytesRead < 1_000_000);
  });
});

test(
  "a server of another user's that answers without an end is left by createFetch()",
  options,
  async () => {
    await withPublicDir(0o1777, async (directory) => {
      const path = join(directory, "s");
      await using attacker = hostile(
        `
        server = listening(args[0])
        os.chmod(args[0], 0o777)
        say("listening")
        peer, _ = server.accept()
        try:
            peer.sendall(b"HTTP/1.1 200 OK\\r\\nA: ")
            while True:
                peer.send(b"x" * 65536)
        except (BrokenPipeError, ConnectionResetError):
            say("left")
        `,
        [path],
      );
      assertEquals(await attacker.line(), "listening");
      using fetch = createFetch(path);
      await assertRejects(() => fetch("http://x/"), TypeError, "longer than");
      assertEquals(await attacker.line(), "left");
      await attacker.succeeded();
    });
  },
);

/** Serves HTTP to another user; `times` are the server's. */
async function withServed(
  script: string,
  times: { headersTimeout?: number; requestTimeout?: number },
  body: (attacker: Peer) => Promise<void>,
): Promise<void> {
  await withPublicDir(0o755, async (directory) => {
    const path = join(directory, "s");
    const server = createServer((request, response) => {
      request.resume();
      request.on("end", () => response.end("done"));
    });
    Object.assign(server, times);
    const service = serve(UnixListener.listen(path, { mode: 0o666 }), server);
    await using attacker = hostile(script, [path]);
    await body(attacker);
    await attacker.succeeded();
    service.close();
    await service.finished;
  });
}

/** Sends some bytes, then one at a time, and says when that no longer works. */
const dribble = (beginning: string) => `
  peer = connected(args[0])
  try:
      peer.sendall(${beginning})
      while True:
          peer.send(b"x")
          if select.select([peer], [], [], 0.02)[0] and not peer.recv(1000):
              break
  except (BrokenPipeError, ConnectionResetError):
      pass
  say("cut off")
`;

const [major = 0, minor = 0] = release().split(".").map(Number);
const refuses = {
  skip: unlessHostile || (major > 6 || major === 6 && minor >= 16 ? false : "needs Linux 6.16"),
};

test("another user cannot send a descriptor to an HTTP service", refuses, async () => {
  const script = `
    peer = connected(args[0])
    try:
        socket.send_fds(peer, [b"GET / HTTP/1.1\\r\\n"], [0])
        say("sent")
    except PermissionError:
        say("refused")
    peer.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    say(read_all(peer).decode().splitlines()[0])
  `;
  await withServed(script, {}, async (attacker) => {
    assertEquals(await attacker.line(), "refused");
    assertEquals(await attacker.line(), "HTTP/1.1 200 OK");
  });
});

for (
  const [what, beginning] of [
    ["head", `b"GET / HTTP/1.1\\r\\nHost: x\\r\\nA: "`],
    ["body", `b"POST / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1000000\\r\\n\\r\\n"`],
  ] as const
) {
  test(
    `another user who sends the ${what} of a request a byte at a time is cut off`,
    options,
    async () => {
      const times = { headersTimeout: 300, requestTimeout: 300 };
      await withServed(dribble(beginning), times, async (attacker) => {
        assertEquals(await attacker.line(), "cut off");
      });
    },
  );
}

test(
  "a datagram of 200,000 bytes from another user brings no more than was asked for",
  options,
  async () => {
    await withPublicDir(0o755, async (directory) => {
      const path = join(directory, "s");
      using socket = UnixDatagram.bind(path, { mode: 0o666 });
      await using attacker = hostile(
        `
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        peer.sendto(b"x" * 200000, args[0])
        peer.sendto(b"short", args[0])
        say("sent")
        `,
        [path],
      );
      assertEquals(await attacker.line(), "sent");
      const cut = await socket.receive({ size: 100 });
      assertEquals([cut.data.length, cut.data.buffer.byteLength <= 65536], [100, true]);
      assertEquals([cut.truncated, cut.length], [true, 200_000]);
      assertEquals(text((await socket.receive({ size: 100 })).data), "short");
      await attacker.succeeded();
    });
  },
);
