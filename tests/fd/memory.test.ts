import { assert, assertEquals, assertThrows } from "@std/assert";
import { readlinkSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { Fd, type Seals } from "../../mod.ts";
import { python } from "../support/interop.ts";
import { assertFails, assertNoFdLeak, bytes, text, unlessProgram } from "../support/mod.ts";
import { O_CLOEXEC, O_NONBLOCK, openFlags } from "../support/streams.ts";
import { callsMade } from "../support/raw.ts";

/** What `/proc` shows in the place of a path. */
function shownName(fd: Fd): string {
  return readlinkSync(`/proc/self/fd/${fd.fd}`);
}

const UNSEALED = { shrink: false, grow: false, write: false, seal: false };

// Files in memory

test("Fd.memfd() makes an empty file without a name that is open for reading and writing", async () => {
  using fd = Fd.memfd("scratch");
  const { kind, size, links } = fd.stat();
  assertEquals({ kind, size, links }, { kind: "file", size: 0, links: 0 });
  await fd.writeAll(bytes("in memory"));
  assertEquals(fd.stat().size, 9);
  fd.seek(3);
  const buffer = new Uint8Array(16);
  assertEquals(await fd.read(buffer), 6);
  assertEquals(text(buffer.subarray(0, 6)), "memory");
  assertEquals(await fd.read(buffer), null);
});

test("Fd.memfd() shows its name in /proc, at most 249 bytes of UTF-8", async () => {
  for (const name of ["", "a", "two words", "a/b", "päckchen", "n".repeat(249), "é".repeat(124)]) {
    using fd = Fd.memfd(name);
    assertEquals(shownName(fd), `/memfd:${name} (deleted)`);
    // A name is no address: the same one makes another file.
    using other = Fd.memfd(name);
    assert(other.stat().identity !== fd.stat().identity);
  }
  for (const name of ["n".repeat(250), "é".repeat(125), "n".repeat(100_000)]) {
    const error = await assertFails(() => Fd.memfd(name), "EINVAL", "memfd_create");
    assertEquals(error.message, "Cannot create a memfd: EINVAL");
  }
});

test("Fd.memfd() refuses what is no name, and options that make no sense, before any call", async () => {
  const calls = await callsMade(() => {
    for (const name of ["a\0b", "\0", undefined, null, 5, bytes("name")]) {
      assertThrows(() => Fd.memfd(name as string), TypeError, "Cannot use this as a name");
    }
    for (const sealable of [null, 1, "yes"]) {
      const options = { sealable } as unknown as { sealable: boolean };
      assertThrows(() => Fd.memfd("name", options), TypeError, "sealable");
    }
    assertThrows(() => Fd.memfd("name", true as unknown as { sealable: boolean }), TypeError);
  });
  assertEquals(calls, []);
});

// Seals

test("Fd.addSeals() is refused with EPERM where the file was not made sealable", async () => {
  for (const options of [undefined, {}, { sealable: false }, { sealable: undefined }]) {
    using fd = Fd.memfd("unsealable", options);
    assertEquals(fd.seals, { ...UNSEALED, seal: true });
    for (const seals of [{ shrink: true }, { grow: true }, { write: true }, { seal: true }]) {
      const error = await assertFails(() => fd.addSeals(seals), "EPERM", "fcntl");
      assertEquals(error.message, "Cannot seal: EPERM");
    }
    fd.pwriteSync(bytes("still open to all"), 0);
    fd.truncate(5);
    assertEquals(fd.stat().size, 5);
  }
});

/** What a seal leaves and what it refuses of a file of ten bytes. */
const EFFECTS: { seal: keyof Seals; refused: string[] }[] = [
  { seal: "shrink", refused: ["shorten"] },
  { seal: "grow", refused: ["lengthen", "append"] },
  { seal: "write", refused: ["overwrite", "append", "write"] },
  { seal: "seal", refused: ["seal"] },
];

const CHANGES: Record<string, (fd: Fd) => unknown> = {
  shorten: (fd) => fd.truncate(9),
  lengthen: (fd) => fd.truncate(20),
  overwrite: (fd) => fd.pwriteSync(bytes("x"), 0),
  append: (fd) => fd.pwriteSync(bytes("x"), 10),
  write: (fd) => {
    fd.seek(0);
    fd.writeSync(bytes("x"));
  },
  seal: (fd) => fd.addSeals({ shrink: true }),
};

for (const { seal, refused } of EFFECTS) {
  for (const [change, make] of Object.entries(CHANGES)) {
    const expected = refused.includes(change) ? "refuses with EPERM" : "allows";
    test(`Fd.addSeals() of "${seal}" ${expected} to ${change}`, async () => {
      using fd = Fd.memfd("sealed", { sealable: true });
      await fd.writeAll(bytes("0123456789"));
      assertEquals(fd.seals, UNSEALED);
      fd.addSeals({ [seal]: true });
      assertEquals(fd.seals, { ...UNSEALED, [seal]: true });
      if (!refused.includes(change)) return void make(fd);
      const error = await assertFails(() => make(fd), "EPERM");
      const calls: Record<string, string> = {
        shorten: "ftruncate",
        lengthen: "ftruncate",
        overwrite: "pwrite",
        append: "pwrite",
        write: "write",
        seal: "fcntl",
      };
      assertEquals(error.syscall, calls[change]);
      const buffer = new Uint8Array(32);
      assertEquals(fd.preadSync(buffer, 0), 10);
      assertEquals(text(buffer.subarray(0, 10)), "0123456789");
    });
  }
}

test("Fd.write(), writeAll() and pwrite() of a file sealed against it reject with EPERM", async () => {
  using fd = Fd.memfd("sealed", { sealable: true });
  fd.addSeals({ write: true });
  await assertFails(() => fd.write(bytes("x")), "EPERM", "write");
  const error = await assertFails(() => fd.writeAll(bytes("x")), "EPERM", "write");
  assertEquals(error.bytesTransferred, 0);
  await assertFails(() => fd.writeAllSync(bytes("x")), "EPERM", "write");
  await assertFails(() => fd.pwrite(bytes("x"), 0), "EPERM", "pwrite");
});

test("Fd.addSeals() adds to the seals that are there, and takes none away", () => {
  using fd = Fd.memfd("sealed", { sealable: true });
  fd.addSeals({});
  assertEquals(fd.seals, UNSEALED);
  fd.addSeals({ shrink: true, grow: false, write: undefined });
  assertEquals(fd.seals, { ...UNSEALED, shrink: true });
  fd.addSeals({ shrink: false, grow: true });
  assertEquals(fd.seals, { ...UNSEALED, shrink: true, grow: true });
  fd.addSeals({ shrink: true, write: true, seal: true });
  assertEquals(fd.seals, { shrink: true, grow: true, write: true, seal: true });
});

test("Fd.addSeals() holds for whoever else has the file open", async () => {
  using fd = Fd.memfd("shared", { sealable: true });
  await fd.writeAll(bytes("shared"));
  using twin = fd.dup();
  using reopened = Fd.open(`/proc/self/fd/${fd.fd}`, "read-write");
  fd.addSeals({ shrink: true, write: true });
  for (const other of [twin, reopened]) {
    assertEquals(other.seals, { ...UNSEALED, shrink: true, write: true });
    await assertFails(() => other.pwriteSync(bytes("x"), 0), "EPERM", "pwrite");
    await assertFails(() => other.truncate(0), "EPERM", "ftruncate");
    other.truncate(10);
  }
});

test("Fd.addSeals() is refused with EPERM to who has the file open for reading only", async () => {
  using fd = Fd.memfd("shared", { sealable: true });
  using reader = Fd.open(`/proc/self/fd/${fd.fd}`);
  await assertFails(() => reader.addSeals({ grow: true }), "EPERM", "fcntl");
  assertEquals(reader.seals, UNSEALED);
});

test(
  "Fd.addSeals() is refused with EBUSY while a process has the file mapped for writing",
  { skip: unlessProgram("python3") },
  async () => {
    using fd = Fd.memfd("mapped", { sealable: true });
    fd.truncate(4096);
    await using peer = python(
      `
        import mmap
        fd = os.open(args[0], os.O_RDWR)
        memory = mmap.mmap(fd, 4096)
        memory[:5] = b"hello"
        say("mapped")
        hear()
        memory.close()
        say("unmapped")
        hear()
        os.pread(fd, 5, 0) == b"hello" or sys.exit("other bytes")
        try:
            os.pwrite(fd, b"x", 0)
        except PermissionError:
            say("sealed")
      `,
      [`/proc/${process.pid}/fd/${fd.fd}`],
    );
    assertEquals(await peer.line(), "mapped");
    await assertFails(() => fd.addSeals({ write: true }), "EBUSY", "fcntl");
    assertEquals(fd.seals, UNSEALED);
    fd.addSeals({ grow: true, shrink: true });
    peer.tell();
    assertEquals(await peer.line(), "unmapped");
    fd.addSeals({ write: true });
    peer.tell();
    assertEquals(await peer.line(), "sealed");
    await peer.succeeded();
    const buffer = new Uint8Array(5);
    assertEquals(fd.preadSync(buffer, 0), 5);
    assertEquals(text(buffer), "hello");
  },
);

test("Fd.addSeals() and seals fail with EINVAL, or EPERM, on what is no file in memory", async () => {
  const [reader, writer] = Fd.pipe();
  for (const fd of [reader, writer, Fd.open("/dev/null", "write"), Fd.open("/"), Fd.eventfd()]) {
    const readOnly = fd === reader || fd.kind === "directory";
    const code = readOnly ? "EPERM" : "EINVAL";
    await assertFails(() => fd.addSeals({ grow: true }), code, "fcntl");
    const error = await assertFails(() => fd.seals, "EINVAL", "fcntl");
    assertEquals(error.message, "Cannot read the seals: EINVAL");
    fd.close();
  }
});

test("Fd.addSeals() refuses what is no set of seals", () => {
  using fd = Fd.memfd("sealed", { sealable: true });
  for (const seals of [null, 5, "grow", true]) {
    assertThrows(() => fd.addSeals(seals as unknown as Seals), TypeError);
  }
  for (const value of [1, "yes", null]) {
    assertThrows(() => fd.addSeals({ grow: true, write: value as unknown as boolean }), TypeError);
  }
  assertEquals(fd.seals, UNSEALED);
});

// Descriptors

test("Fd.memfd() and Fd.eventfd() are close-on-exec, and so are their duplicates", () => {
  const made = [
    Fd.memfd("a"),
    Fd.memfd("b", { sealable: true }),
    Fd.eventfd(),
    Fd.eventfd(1, { semaphore: true }),
  ];
  for (const fd of [...made, ...made.map((each) => each.dup())]) {
    assertEquals(openFlags(fd.fd) & O_CLOEXEC, O_CLOEXEC, shownName(fd));
    if (fd.kind === "anonymous") assertEquals(openFlags(fd.fd) & O_NONBLOCK, O_NONBLOCK);
    fd.close();
  }
  for (const fd of made) fd.close();
});

test("Fd.memfd() and Fd.eventfd() that fail, are sealed or waited for leave no descriptor behind", async () => {
  await assertNoFdLeak(async () => {
    for (let round = 0; round < 100; round++) {
      using memory = Fd.memfd(`round ${round}`, { sealable: true });
      memory.addSeals({ write: true, seal: true });
      await assertFails(() => memory.addSeals({ grow: true }), "EPERM");
      await assertFails(() => Fd.memfd("n".repeat(250)), "EINVAL");
      assertThrows(() => Fd.eventfd(-1), RangeError);
      const counter = Fd.eventfd();
      const waiting = assertFails(() => counter.read(new Uint8Array(8)), "EBADF", "read");
      counter.close();
      await waiting;
    }
  });
});
