import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { native } from "../../ffi/mod.ts";
import { UnixStream } from "../../mod.ts";
import { SharedMemory } from "../../shm.ts";
import { assertFails, commandFor, fill, ROOT, run, RUNTIME } from "../support/mod.ts";
import { GC_FLAGS, leavesNothing } from "../support/passing.ts";
import { isPending, takeSync } from "../support/waiting.ts";

function mapped(name: string): number {
  const lines = readFileSync("/proc/self/maps", "utf8").split("\n");
  return lines.filter((line) => line.includes(`/memfd:${name} `)).length;
}

test("SharedMemory.close() unmaps, closes, and leaves every view empty", () =>
  leavesNothing(() => {
    const memory = SharedMemory.create(4096, { name: "afunix-test-views" });
    memory.bytes.fill(7);
    const { buffer, bytes } = memory;
    const part = bytes.subarray(10, 20);
    const words = new Int32Array(buffer, 64, 8);
    const view = new DataView(buffer, 8);
    const iterator = bytes.values();
    assertEquals(iterator.next().value, 7);
    assertEquals(mapped("afunix-test-views"), 1);
    memory.close();
    assertEquals(mapped("afunix-test-views"), 0);
    assertEquals([memory.closed, memory.fd, memory.byteLength], [true, -1, 0]);
    assertEquals([buffer.detached, buffer.byteLength, memory.buffer === buffer], [true, 0, true]);
    assertEquals([bytes, part, words].map((each) => each.length), [0, 0, 0]);
    assertEquals([bytes[0], part[0], words[0]], [undefined, undefined, undefined]);
    assertThrows(() => bytes.at(-1), TypeError);
    bytes[0] = 1;
    assertEquals(bytes[0], undefined);
    assertThrows(() => view.getUint8(0), TypeError);
    assertThrows(() => view.setUint8(0, 1), TypeError);
    assertThrows(() => new Uint8Array(buffer), TypeError);
    assertThrows(() => buffer.slice(0), TypeError);
    assertThrows(() => bytes.fill(1), TypeError);
    assertThrows(() => bytes.set([1]));
    assertThrows(() => Atomics.load(words, 0));
    assertThrows(() => Atomics.add(words, 0, 1));
    assertThrows(() => iterator.next(), TypeError);
    memory.close();
  }));

test("SharedMemory is closed at the end of a using scope, and others keep the memory", () => {
  using kept = SharedMemory.create(10, { name: "afunix-test-using" });
  let seen: Uint8Array;
  {
    using memory = SharedMemory.map(kept);
    memory.bytes[0] = 5;
    seen = memory.bytes;
    assertEquals(mapped("afunix-test-using"), 2);
  }
  assertEquals([seen.length, kept.bytes[0], mapped("afunix-test-using")], [0, 5, 1]);
});

test("SharedMemory.close() ends what waits to send its bytes, or to read into them", async () => {
  const memory = SharedMemory.create(1 << 20);
  const [a, b] = UnixStream.pair();
  const filled = fill(a);
  const writing = a.writeAll(memory.bytes);
  const sending = a.sendMessage(memory.bytes);
  const reading = a.read(memory.bytes);
  assert(await isPending(reading));
  memory.close();
  const refused = [writing, sending, reading].map((each) => assertRejects(() => each, TypeError));
  takeSync(b, filled);
  await b.writeAll(new Uint8Array(3));
  await Promise.all(refused);
  // What came is not lost.
  assertEquals(await a.read(new Uint8Array(10)), 3);
  assertThrows(() => a.writeSync(memory.bytes), TypeError);
  assertThrows(() => a.readSync(memory.buffer), TypeError);
  a.close();
  b.close();
});

test("SharedMemory.close() leaves zeros to who has got the buffer transferred", () => {
  const memory = SharedMemory.create(8192, { name: "afunix-test-moved" });
  using other = SharedMemory.map(memory);
  const moved = new Uint8Array(structuredClone(memory.buffer, { transfer: [memory.buffer] }));
  assertEquals([memory.bytes.length, memory.closed, moved.length], [0, false, 8192]);
  moved[5] = 5;
  assertEquals(other.bytes[5], 5);
  other.bytes[8191] = 6;
  assertEquals(moved[8191], 6);
  memory.close();
  assertEquals(mapped("afunix-test-moved"), 1);
  assert(moved.every((byte) => byte === 0));
  moved.fill(9);
  assert(moved.every((byte) => byte === 9));
  assertEquals([other.bytes[0], other.bytes[5], other.bytes[8191]], [0, 5, 6]);
});

test("SharedMemory.close() ends every use also where the kernel maps no zeros", () => {
  const changed = native().libc as { mmap: unknown };
  const original = changed.mmap;
  const memory = SharedMemory.create(4096);
  const { bytes } = memory;
  changed.mmap = () => 2 ** 64;
  try {
    memory.close();
  } finally {
    changed.mmap = original;
  }
  assertEquals([bytes.length, bytes[0], memory.fd], [0, undefined, -1]);
});

test("SharedMemory that could not be mapped has closed its descriptor", () =>
  leavesNothing(async () => {
    for (let round = 0; round < 50; round++) {
      using memory = SharedMemory.create(100);
      await assertFails(() => SharedMemory.map(memory, { bytes: 101 }), "EINVAL");
    }
  }));

const PROGRAMS: [title: string, what: string][] = [
  ["SharedMemory.close() gives everything back, thousands of times", "cycles"],
  ["SharedMemory.close() gives the addresses back when the buffer was collected", "addresses"],
  ["SharedMemory that is lost is unmapped and closed", "lost"],
  ["SharedMemory that is lost while a view lives stays mapped as long as the view", "view"],
  ["SharedMemory that is lost after its buffer was transferred stays mapped", "transferred"],
  ["SharedMemory whose lost views are transferred never crashes the process", "transferred late"],
  ["SharedMemory.close() with the buffer transferred never crashes the process", "moved"],
  ["SharedMemory.close() while the runtime compresses and hashes never crashes it", "at work"],
  [
    "SharedMemory.close() while another thread uses a transferred buffer never crashes it",
    "thread",
  ],
];

for (const [title, what] of PROGRAMS) {
  test(title, async () => {
    const program = join(ROOT, "tests/programs/shm_life.ts");
    const command = [...commandFor(RUNTIME, program, { flags: [...GC_FLAGS] }), what];
    const { code, signal, stdout, stderr } = await run(command);
    assertEquals([stdout, stderr, code, signal], ["ok\n", "", 0, null]);
  });
}
