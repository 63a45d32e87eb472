import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { test } from "node:test";
import { errnoNumber, file, native, sockets } from "../../ffi/mod.ts";
import { UnixStream } from "../../mod.ts";
import { uncheckedLibc } from "../support/debug.ts";
import {
  assertNoFdLeak,
  bytes,
  commandFor,
  readText,
  run,
  RUNTIME,
  text,
  withSocketPair,
} from "../support/mod.ts";
import { O_CLOEXEC, O_NONBLOCK, openFlags, program } from "../support/streams.ts";

/** The types of sockets by name. */
function types(): [name: string, type: number][] {
  const { constants, linux } = native().abi;
  return [
    ["stream", constants.SOCK_STREAM],
    ["datagram", constants.SOCK_DGRAM],
    ["seqpacket", linux!.SOCK_SEQPACKET],
  ];
}

/** Runs a body with two descriptors, closed afterwards. */
function withEnds(ends: readonly number[], body: (a: number, b: number) => void): void {
  const [a, b] = ends;
  assert(a! >= 0 && b! >= 0);
  try {
    body(a!, b!);
  } finally {
    file.close(a!);
    file.close(b!);
  }
}

test("F124 UnixStream.pair() carries bytes in both directions", async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("there"));
    await b.writeAll(bytes("back"));
    assertEquals(await readText(b), "there");
    assertEquals(await readText(a), "back");
  });
});

test("F124 socketpair(2) connects datagram and seqpacket sockets in both directions", () => {
  for (const [name, type] of types()) {
    const ends: [number, number] = [-1, -1];
    assertEquals(sockets.socketpair(type, ends), 0, name);
    withEnds(ends, (a, b) => {
      const buffer = new Uint8Array(16);
      for (const [from, to, word] of [[a, b, "there"], [b, a, "back"]] as const) {
        assertEquals(sockets.send(from, bytes(word), word.length, 0), word.length, name);
        assertEquals(sockets.send(from, bytes("!"), 1, 0), 1, name);
        // Only a stream merges the two.
        const expected = name === "stream" ? `${word}!` : word;
        assertEquals(sockets.recv(to, buffer, 16, 0), expected.length, name);
        assertEquals(text(buffer.subarray(0, expected.length)), expected, name);
        if (name !== "stream") assertEquals(sockets.recv(to, buffer, 16, 0), 1, name);
        assertEquals(sockets.recv(to, buffer, 16, 0), -errnoNumber("EAGAIN"), name);
      }
    });
  }
});

test("UnixStream.pair() makes two open streams of different descriptors", async () => {
  await withSocketPair((a, b) => {
    assert(a instanceof UnixStream && b instanceof UnixStream);
    assertNotEquals(a.fd, b.fd);
    assert(!a.closed && !b.closed);
  });
});

test("F125 UnixStream.pair() makes both ends non-blocking and close-on-exec", async () => {
  await withSocketPair((a, b) => {
    for (const end of [a, b]) {
      assertEquals(openFlags(end.fd) & (O_NONBLOCK | O_CLOEXEC), O_NONBLOCK | O_CLOEXEC);
    }
  });
});

test("F125 socketpair(2) sets the flags that are asked for on both ends, and none by default", () => {
  const { libc, abi } = native();
  const { SOCK_NONBLOCK, SOCK_CLOEXEC } = abi.linux!;
  const cases = [
    [0, 0],
    [SOCK_NONBLOCK, O_NONBLOCK],
    [SOCK_CLOEXEC, O_CLOEXEC],
    [SOCK_NONBLOCK | SOCK_CLOEXEC, O_NONBLOCK | O_CLOEXEC],
  ] as const;
  for (const [name, type] of types()) {
    for (const [asked, set] of cases) {
      const ends = new Int32Array(new ArrayBuffer(8));
      assertEquals(libc.socketpair(abi.constants.AF_UNIX, type | asked, 0, ends), 0);
      withEnds([...ends], (a, b) => {
        const flags = [a, b].map((fd) => openFlags(fd) & (O_NONBLOCK | O_CLOEXEC));
        assertEquals(flags, [set, set], name);
      });
    }
  }
});

test("F127 socketpair(2) refuses other families and an address that is none", () => {
  const { errno } = native();
  const { libc, abi, runtime } = uncheckedLibc();
  const { AF_UNIX, SOCK_STREAM } = abi.constants;
  const failure = (domain: number, where: Int32Array) => {
    const result = libc.socketpair(domain, SOCK_STREAM, 0, where);
    // Before any other call can change it.
    const code = errno[0]!;
    return result === -1 ? code : 0;
  };
  const ends = new Int32Array(new ArrayBuffer(8));
  assertEquals(failure(0, ends), errnoNumber("EAFNOSUPPORT"));
  assertEquals(failure(2, ends), errnoNumber("ENOTSUP"));
  // The first pages are never mapped; only the kernel looks there.
  const nowhere = new Int32Array(runtime.viewAt(4096, 8));
  assertEquals(failure(AF_UNIX, nowhere), errnoNumber("EFAULT"));
});

test("F127 sockets.socketpair() of a type that is none returns a negated errno", () => {
  const ends: [number, number] = [-1, -1];
  assertEquals(sockets.socketpair(15, ends), -errnoNumber("EINVAL"));
  assertEquals(sockets.socketpair(4, ends), -errnoNumber("ESOCKTNOSUPPORT"));
  assertEquals(ends, [-1, -1]);
});

test("F128 UnixStream.pair() and Fd.pipe() fail with EMFILE where one descriptor is free, and leak none", async () => {
  const child = commandFor(RUNTIME, program("one_free_descriptor.ts"));
  const { code, stdout, stderr } = await run([
    "sh",
    "-c",
    'ulimit -n 256; exec "$@"',
    "sh",
    ...child,
  ]);
  assertEquals([stderr, code], ["", 0]);
  const refused = (call: string) => ["EMFILE", call, "room for 1"];
  assertEquals(JSON.parse(stdout), {
    pair: refused("socketpair"),
    pipe: refused("pipe2"),
    afterwards: "works",
  });
});

test("UnixStream.pair() closed on both sides leaves no descriptor behind", async () => {
  await assertNoFdLeak(async () => {
    for (let round = 0; round < 50; round++) {
      const [a, b] = UnixStream.pair();
      const reading = readText(b);
      await a.writeAll(bytes("x"));
      assertEquals(await reading, "x");
      a.close();
      b.close();
    }
  });
});
