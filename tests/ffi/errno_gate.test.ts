import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { errnoNumber, file, native, sockets } from "../../ffi/mod.ts";
import { MAP_FAILED, type Signature, type SymbolName, symbols } from "../../ffi/libc/symbols.ts";

type Call = (...args: unknown[]) => number | bigint;

/** Runs a body with another function in the place of one of libc; how often that was called. */
function callsOf(name: SymbolName, replacement: Call, body: () => void): number {
  const libc = native().libc as unknown as Record<string, Call>;
  const original = libc[name]!;
  let calls = 0;
  libc[name] = (...args) => {
    calls++;
    return replacement(...args);
  };
  try {
    body();
  } finally {
    libc[name] = original;
  }
  return calls;
}

/** Fails as libc does. */
function failing(code: string | 0): -1 {
  native().errno[0] = code === 0 ? 0 : errnoNumber(code);
  return -1;
}

const one = new Uint8Array(1);
const send = () => sockets.send(-1, one, 1, 0);
/** An errno that send(2) cannot leave. */
const FOREIGN = "EXDEV";

test("a call whose errno cannot be its own is made again, each of a thousand times in a row", () => {
  let attempts = 0;
  const replacement = () => attempts++ % 2 === 0 ? failing(FOREIGN) : 1;
  const calls = callsOf("send", replacement, () => {
    for (let i = 0; i < 1000; i++) assertEquals(send(), 1, `call ${i}`);
  });
  assertEquals(calls, 2000);
});

test("each call may be made again three times, whatever became of the calls before it", () => {
  for (let i = 0; i < 5; i++) {
    let failures = 3;
    assertEquals(
      callsOf("send", () => failures-- > 0 ? failing(FOREIGN) : 1, () => assertEquals(send(), 1)),
      4,
    );
    const always = () =>
      callsOf("send", () => failing(FOREIGN), () => assertEquals(send(), -errnoNumber(FOREIGN)));
    assertEquals(always(), 4);
  }
});

test("a call that fails without an errno is no success", () => {
  assertEquals(
    callsOf("send", () => failing(0), () => assertEquals(send(), -errnoNumber("EIO"))),
    4,
  );
  const ends: [number, number] = [-1, -1];
  const pipe = () => assertEquals(file.pipe(ends), -errnoNumber("EIO"));
  assertEquals(callsOf("pipe2", () => failing(0), pipe), 4);
});

test("a call is made again after each EINTR, and those do not count", () => {
  const errnos = [..."12345678"].flatMap(() => ["EINTR", "EINTR"]);
  errnos.splice(3, 0, FOREIGN);
  errnos.splice(9, 0, FOREIGN, FOREIGN);
  const calls = callsOf("send", () => errnos.length > 0 ? failing(errnos.shift()!) : 1, () => {
    assertEquals(send(), 1);
  });
  assertEquals(calls, 20);
});

test("a call is not made again after an errno of its own", () => {
  const reset = () => assertEquals(send(), -errnoNumber("ECONNRESET"));
  assertEquals(callsOf("send", () => failing("ECONNRESET"), reset), 1);
});

test("poll(2) and close(2) are never made again", () => {
  for (const code of ["EINTR", FOREIGN]) {
    const poll = () => assertEquals(sockets.pollOne(-1, "readable", 0), -errnoNumber(code));
    assertEquals(callsOf("poll", () => failing(code), poll), 1);
    const close = () => assertEquals(native().calls.close(-1), -errnoNumber(code));
    assertEquals(callsOf("close", () => failing(code), close), 1);
  }
});

const FAILURES = { i32: -1, i64: -1n, pointer: 0 };

test("every function is called with its arguments in their order, also again, and gives back the result", () => {
  const { libc, calls } = native();
  for (const [as, call] of Object.entries(calls) as [string, Call][]) {
    const name = as.replace("Socket", "") as SymbolName;
    // What another system has.
    if (libc[name] === undefined) continue;
    const { args, result, repeats }: Signature = symbols[name];
    const given = args.map((_, i) => `argument ${i} of ${name}`);
    const results = [...(repeats === false ? [] : [FAILURES[result]]), result === "i64" ? 7n : 7];
    const made = callsOf(name, (...received) => {
      assertEquals(received, given);
      failing("EINTR");
      return results.shift()!;
    }, () => assertEquals(call(...given), 7, name));
    assertEquals([made, results], [repeats === false ? 1 : 2, []], name);
  }
});

test("a failure of a function whose result has 64 bits or is an address becomes a negated errno", () => {
  const { calls } = native();
  const denied = -errnoNumber("EACCES");
  for (const [name, call] of Object.entries(calls) as [SymbolName, Call][]) {
    const { result }: Partial<Signature> = symbols[name] ?? {};
    if (result === undefined || result === "i32") continue;
    const failures = result === "i64" ? [-1n] : [0, MAP_FAILED];
    for (const failed of failures) {
      const replacement = () => (failing("EACCES"), failed);
      assertEquals(callsOf(name, replacement, () => assertEquals(call(), denied)), 1);
    }
  }
  assert("mmap" in calls && "syscall" in calls && "lseek" in calls && "getcwd" in calls);
});
