import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { createPoller, file, FOR_READING, FOR_WRITING, native } from "../../ffi/mod.ts";
import { relayByAio } from "../../ffi/runtime/watch_deno.ts";
import { relayByUring } from "../../ffi/linux/relay_uring.ts";
import { Fd, UnixSocketError, UnixStream } from "../../mod.ts";
import { openDescriptors } from "../support/mod.ts";
import { unlessAio, unlessUring } from "../support/refuse.ts";

const permitted = { skip: unlessUring() };

/** A relay from a pipe into an eventfd, over a C library whose system call is ours to spoil. */
function withRelay(
  body: (rig: {
    arm(): void;
    /** How often it was told since the last time of asking. */
    told(): number;
    makeReadable(): void;
    makeUnreadable(): void;
    /** How the next call is answered; it may make the real one, with so many requests. */
    next: ((real: (requests: bigint) => bigint) => bigint) | null;
  }) => void,
): void {
  const real = native();
  const { syscalls } = real.abi;
  const [reader, writer] = Fd.pipe();
  using told = Fd.eventfd();
  const count = new BigUint64Array(1);
  const rig = {
    arm: () => {},
    told() {
      const result = file.read(told.fd, count, 8);
      return result < 0 ? 0 : Number(count[0]!);
    },
    makeReadable: () => void writer.writeSync(Uint8Array.of(1)),
    makeUnreadable: () => void reader.readSync(new Uint8Array(16)),
    next: null as ((real: (requests: bigint) => bigint) => bigint) | null,
  };
  const libc: typeof real.libc = {
    ...real.libc,
    syscall(number, ring, ...args) {
      const { next } = rig;
      if (next === null || number !== BigInt(syscalls!.io_uring_enter)) {
        return real.libc.syscall(number, ring, ...args);
      }
      rig.next = null;
      return next((requests) => real.libc.syscall(number, ring, requests, null, 0n));
    },
  };
  const relay = relayByUring({ ...real, libc, from: reader.fd, into: told.fd });
  assert(relay !== null, "this kernel does not permit io_uring");
  rig.arm = () => relay.arm();
  try {
    body(rig);
  } finally {
    relay.close();
    reader.close();
    writer.close();
  }
}

test("Relay.arm() tells once, at once where the descriptor is readable already", permitted, () => {
  withRelay((rig) => {
    rig.makeReadable();
    assertEquals(rig.told(), 0, "not armed");
    for (let i = 0; i < 100; i++) {
      rig.arm();
      assertEquals(rig.told(), 1);
      assertEquals(rig.told(), 0, "told twice");
    }
    rig.makeUnreadable();
    rig.arm();
    assertEquals(rig.told(), 0);
    rig.makeReadable();
    assertEquals(rig.told(), 1);
  });
});

test("Relay.arm() that the kernel refuses throws EAGAIN, and the next one works", permitted, () => {
  withRelay((rig) => {
    rig.makeReadable();
    for (let i = 0; i < 20; i++) {
      rig.next = () => -1n;
      const error = assertThrows(() => rig.arm(), UnixSocketError);
      assertEquals([error.code, error.syscall], ["EAGAIN", "io_uring_enter"]);
      assertEquals(rig.told(), 0);
      rig.arm();
      assertEquals(rig.told(), 1);
    }
  });
});

test(
  "Relay.arm() of which the kernel takes a part throws EAGAIN, and the next one works",
  permitted,
  () => {
    withRelay((rig) => {
      rig.makeReadable();
      for (let i = 0; i < 20; i++) {
        rig.next = (real) => real(1n);
        assertEquals(assertThrows(() => rig.arm(), UnixSocketError).code, "EAGAIN");
        assertEquals(rig.told(), 0);
        rig.arm();
        assertEquals(rig.told(), 1);
        assertEquals(rig.told(), 0);
      }
    });
  },
);

test(
  "relayByUring() is null, and leaves no descriptor behind, where its memory cannot be mapped",
  permitted,
  () => {
    const real = native();
    const [reader, writer] = Fd.pipe();
    for (const failing of [1, 2]) {
      let maps = 0;
      const libc: typeof real.libc = {
        ...real.libc,
        mmap: (...args) => ++maps === failing ? 2 ** 64 : real.libc.mmap(...args),
      };
      const parts = { ...real, libc, from: reader.fd, into: writer.fd };
      const free = file.duplicate(reader.fd);
      file.close(free);
      assertEquals(relayByUring(parts), null);
      const next = file.duplicate(reader.fd);
      file.close(next);
      assertEquals(next, free, "a descriptor stayed open");
    }
    reader.close();
    writer.close();
  },
);

test("Relay writes into nothing that has taken the number of what it wrote into", permitted, () => {
  const [reader, writer] = Fd.pipe();
  const told = Fd.eventfd();
  const relay = relayByUring({ ...native(), from: reader.fd, into: told.fd })!;
  relay.arm();
  const { fd } = told;
  told.close();
  using other = Fd.memfd("other");
  assertEquals(other.fd, fd);
  writer.writeSync(Uint8Array.of(1));
  assertEquals(other.stat().size, 0);
  relay.close();
  reader.close();
  writer.close();
});

for (const [make, why] of [[relayByUring, unlessUring()], [relayByAio, unlessAio()]] as const) {
  for (const state of ["new", "armed", "armed and told", "told"]) {
    test(`Relay.close() of ${make.name}, ${state}, ends every wait`, { skip: why }, () => {
      const [reader, writer] = Fd.pipe();
      const told = Fd.eventfd();
      const before = openDescriptors();
      const relay = make({ ...native(), from: reader.fd, into: told.fd })!;
      const count = new BigUint64Array(1);
      if (state !== "new") relay.arm();
      if (state.endsWith("told")) {
        writer.writeSync(Uint8Array.of(1));
        assertEquals([file.read(told.fd, count, 8), count[0]], [8, 1n]);
      }
      if (state === "armed and told") relay.arm();
      relay.close();
      // It may be told of that, and of what was there before.
      file.read(told.fd, count, 8);
      writer.writeSync(Uint8Array.of(1));
      assert(file.read(told.fd, count, 8) < 0);
      assertEquals(openDescriptors(), before);
      for (const end of [reader, writer, told]) end.close();
    });
  }
}

test("Relay.close() twice closes once, and what is closed cannot be armed", permitted, () => {
  const [reader, writer] = Fd.pipe();
  using told = Fd.eventfd();
  const relay = relayByUring({ ...native(), from: reader.fd, into: told.fd })!;
  relay.close();
  using other = Fd.memfd("takes the number");
  using another = Fd.memfd("takes the next number");
  relay.close();
  assertEquals([other.stat().size, another.stat().size], [0, 0]);
  assertEquals(assertThrows(() => relay.arm(), UnixSocketError).code, "EAGAIN");
  reader.close();
  writer.close();
});

test("Poller reports room to write only where it is asked for, and then at once", () => {
  const poller = createPoller();
  const [a, b] = UnixStream.pair();
  const seen: [boolean, boolean][] = [];
  const collect = () => {
    seen.length = 0;
    poller.collect((_, readable, writable) => seen.push([readable, writable]));
    return seen;
  };
  assertEquals(poller.add(a.fd, 1, FOR_READING), 0);
  assertEquals(collect(), []);
  // What the peer takes away makes room: no event for one that only reads.
  for (let i = 0; i < 3; i++) {
    a.writeAllSync(new Uint8Array(64));
    b.readSync(new Uint8Array(64));
    assertEquals(collect(), []);
  }
  assertEquals(poller.change(a.fd, 1, FOR_READING | FOR_WRITING), 0);
  assertEquals(collect(), [[false, true]]);
  b.writeAllSync(new Uint8Array(1));
  assertEquals(collect(), [[true, true]]);
  assertEquals(collect(), []);
  a.close();
  b.close();
  poller.close();
});

test("a socket that reads, then writes, then reads again is told of both", async () => {
  const [a, b] = UnixStream.pair();
  const into = new Uint8Array(16);
  const reading = a.read(into);
  await new Promise((resolve) => setImmediate(resolve));
  const large = new Uint8Array(1_000_000).fill(7);
  const writing = a.writeAll(large);
  let taken = 0;
  const room = new Uint8Array(65_536);
  while (taken < large.length) taken += (await b.read(room))!;
  await writing;
  await b.writeAll(Uint8Array.of(1, 2, 3));
  assertEquals(await reading, 3);
  a.close();
  b.close();
});
