import { assert, assertEquals, assertThrows } from "@std/assert";
import { readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { errnoNumber, native } from "../../ffi/mod.ts";
import { UnixStream } from "../../mod.ts";
import { Fd, SharedMemory } from "../../shm.ts";
import { assertFails, bytes, text, withTempDir } from "../support/mod.ts";
import { leavesNothing } from "../support/passing.ts";
import { assertRefuses, NO_INTEGERS, NOT_NUMBERS, NOT_OPTIONS } from "../support/refusals.ts";

/** A file in memory with this content, sealed against becoming shorter. */
function sealedFile(content: string, seals = {}): Fd {
  const file = Fd.memfd("afunix-test-shm", { sealable: true });
  file.pwriteSync(bytes(content), 0);
  file.addSeals({ shrink: true, ...seals });
  return file;
}

/** The lines of this process's mappings that name a file. */
function mappingsOf(name: string): string[] {
  return readFileSync("/proc/self/maps", "utf8").split("\n").filter((line) => line.includes(name));
}

test("SharedMemory.create() maps zeros that can be written to, exactly so many", () =>
  leavesNothing(() => {
    for (const size of [1, 7, 4095, 4096, 4097, 65536, 8_294_400]) {
      using memory = SharedMemory.create(size);
      assertEquals([memory.byteLength, memory.bytes.length], [size, size]);
      assertEquals(memory.buffer.byteLength, size);
      assert(memory.buffer instanceof ArrayBuffer);
      assert(memory.bytes.buffer === memory.buffer);
      assert(memory.bytes.every((byte) => byte === 0));
      assertEquals([memory.readOnly, memory.closed], [false, false]);
      memory.bytes.fill(7);
      memory.bytes[size - 1] = 9;
      assertEquals(new DataView(memory.buffer).getUint8(size - 1), 9);
      using file = memory.dup();
      const last = new Uint8Array(2);
      assertEquals(file.preadSync(last, size - 1), 1);
      assertEquals(last[0], 9);
    }
  }));

test("SharedMemory.create() makes a file whose size and seals nobody can change", async () => {
  using memory = SharedMemory.create(5000);
  using file = memory.dup();
  assertEquals(file.seals, { shrink: true, grow: true, write: false, seal: true });
  assertEquals(file.stat().size, 5000);
  await assertFails(() => file.truncate(4999), "EPERM", "ftruncate");
  await assertFails(() => file.truncate(5001), "EPERM", "ftruncate");
  await assertFails(() => file.addSeals({ write: true }), "EPERM", "fcntl");
});

test("SharedMemory.create() names the file as it is told", async () => {
  const named = (name?: string) => {
    using memory = name === undefined ? SharedMemory.create(1) : SharedMemory.create(1, { name });
    return readlinkSync(`/proc/self/fd/${memory.fd}`);
  };
  assertEquals(named(), "/memfd:afunix (deleted)");
  assertEquals(named("frames"), "/memfd:frames (deleted)");
  assertEquals(named(""), "/memfd: (deleted)");
  await leavesNothing(() => assertFails(() => named("n".repeat(250)), "EINVAL", "memfd_create"));
});

test("SharedMemory.create() refuses sizes, names and options that make no sense before any call", async () => {
  const out = [0, -1, -4096, 2 ** 31 + 1, 2 ** 32, 2 ** 53, ...NO_INTEGERS];
  await assertRefuses(RangeError, out, (size) => SharedMemory.create(size));
  const wrong = [...NOT_NUMBERS, undefined, null];
  await assertRefuses(TypeError, wrong, (size) => SharedMemory.create(size));
  await assertRefuses(TypeError, NOT_OPTIONS, (options) => SharedMemory.create(1, options));
  const names = [null, 5, true, {}, "a\0b"];
  await assertRefuses(TypeError, names, (name) => SharedMemory.create(1, { name }));
});

test(
  "SharedMemory.create() and map() take 2 GiB, on every runtime",
  { skip: totalmem() < 2 ** 33 && "needs a machine with 8 GiB" },
  () => {
    using memory = SharedMemory.create(2 ** 31, { name: "afunix-test-large" });
    memory.bytes[2 ** 31 - 1] = 1;
    using other = SharedMemory.map(memory);
    assertEquals([other.byteLength, other.bytes[2 ** 31 - 1], other.bytes[0]], [2 ** 31, 1, 0]);
    other.close();
    memory.close();
    assertEquals(mappingsOf("afunix-test-large"), []);
  },
);

test("SharedMemory.map() shows the same bytes, in both directions", () =>
  leavesNothing(() => {
    using memory = SharedMemory.create(10_000);
    using fd = memory.dup();
    for (const given of [memory, fd, memory.fd, { fd: fd.fd }]) {
      using other = SharedMemory.map(given);
      assertEquals([other.byteLength, other.readOnly], [10_000, false]);
      assert(other.fd !== fd.fd && other.fd !== memory.fd);
      memory.bytes[9_999] = 1;
      other.bytes[0] = 2;
      assertEquals([other.bytes[9_999], memory.bytes[0]], [1, 2]);
      memory.bytes.fill(0);
    }
    fd.pwriteSync(bytes("by a system call"), 100);
    assertEquals(text(memory.bytes.slice(100, 116)), "by a system call");
  }));

test("SharedMemory.map() leaves the descriptor to the caller, who may close it", () => {
  const file = sealedFile("kept");
  using memory = SharedMemory.map(file);
  assertEquals(file.closed, false);
  file.close();
  assertEquals(text(memory.bytes.slice()), "kept");
  using twin = SharedMemory.map(memory);
  memory.close();
  assertEquals(text(twin.bytes.slice()), "kept");
});

test("SharedMemory.map() maps as many bytes as it is told", async () => {
  using file = sealedFile("0123456789");
  using some = SharedMemory.map(file, { bytes: 4 });
  assertEquals(text(some.bytes.slice()), "0123");
  using all = SharedMemory.map(file, { bytes: 10 });
  assertEquals(text(all.bytes.slice()), "0123456789");
  await leavesNothing(async () => {
    const error = await assertFails(() => SharedMemory.map(file, { bytes: 11 }), "EINVAL", "mmap");
    const expected = "Cannot map the descriptor: EINVAL (the file has 10 bytes, not 11)";
    assertEquals(error.message, expected);
  });
});

test("SharedMemory.map() refuses arguments that make no sense before any call", async () => {
  const out = [0, -1, 2 ** 31 + 1, ...NO_INTEGERS];
  await assertRefuses(RangeError, out, (bytes) => SharedMemory.map(0, { bytes }));
  const wrong = [...NOT_NUMBERS, null];
  await assertRefuses(TypeError, wrong, (bytes) => SharedMemory.map(0, { bytes }));
  await assertRefuses(TypeError, NOT_OPTIONS, (options) => SharedMemory.map(0, options));
  const flags = [null, 1, "yes", {}];
  await assertRefuses(TypeError, flags, (readOnly) => SharedMemory.map(0, { readOnly }));
  await assertRefuses(TypeError, flags, (unsealed) => SharedMemory.map(0, { unsealed }));
  const descriptors = [null, undefined, "0", {}, { fd: "0" }, true];
  await assertRefuses(TypeError, descriptors, (fd) => SharedMemory.map(fd));
  await assertRefuses(RangeError, [-2, 1.5, 2 ** 31, NaN], (fd) => SharedMemory.map(fd));
});

test("SharedMemory.map() refuses a closed descriptor, and a number that nobody has", () =>
  leavesNothing(async () => {
    const file = sealedFile("closed");
    file.close();
    const closed = SharedMemory.create(1);
    closed.close();
    for (const each of [file, closed, -1, 0x7fff_ffff]) {
      await assertFails(() => SharedMemory.map(each), "EBADF");
    }
    await assertFails(() => closed.dup(), "EBADF", "fcntl");
  }));

test("SharedMemory.map() refuses a file that others could make shorter, unless it is told", () =>
  leavesNothing(() =>
    withTempDir(async (directory) => {
      const path = join(directory, "file");
      writeFileSync(path, "on disk");
      const files = [
        Fd.open(path, "read-write"),
        Fd.memfd("unsealable"),
        Fd.memfd("unsealed", { sealable: true }),
        Fd.memfd("sealed otherwise", { sealable: true }),
      ];
      files[3]!.addSeals({ grow: false, seal: false });
      for (const file of files) {
        file.pwriteSync(bytes("on disk"), 0);
        const error = await assertFails(() => SharedMemory.map(file), "EPERM", "fcntl");
        assertEquals(
          error.message,
          "Cannot map the descriptor: EPERM (the file is not sealed against becoming shorter)",
        );
        await assertFails(() => SharedMemory.map(file, { readOnly: true }), "EPERM", "fcntl");
        using memory = SharedMemory.map(file, { unsealed: true });
        assertEquals(text(memory.bytes.slice()), "on disk");
        memory.bytes.set(bytes("changed"));
        memory.close();
        const content = new Uint8Array(7);
        file.preadSync(content, 0);
        assertEquals(text(content), "changed");
        file.close();
      }
      assertEquals(readFileSync(path, "utf8"), "changed");
    })
  ));

test("SharedMemory.map() refuses an empty file, and one that is too long", () =>
  leavesNothing(async () => {
    using empty = sealedFile("");
    const error = await assertFails(() => SharedMemory.map(empty), "EINVAL", "mmap");
    assertEquals(error.message, "Cannot map the descriptor: EINVAL (the file is empty)");
    await assertFails(() => SharedMemory.map(empty, { bytes: 1 }), "EINVAL", "mmap");
    using long = Fd.memfd("long", { sealable: true });
    long.truncate(2 ** 31 + 1);
    long.addSeals({ shrink: true });
    await assertFails(() => SharedMemory.map(long), "EFBIG", "mmap");
    using beginning = SharedMemory.map(long, { bytes: 3 });
    assertEquals(beginning.byteLength, 3);
  }));

test("SharedMemory.map() refuses what is no file", () =>
  leavesNothing(async () => {
    const [reader, writer] = Fd.pipe();
    const [a, b] = UnixStream.pair();
    const others = [reader, writer, a, b, Fd.open("/"), Fd.open("/dev/zero", 2), Fd.eventfd()];
    for (const each of others) {
      for (const unsealed of [false, true]) {
        const error = await assertFails(() => SharedMemory.map(each, { unsealed }), "ENODEV");
        assert(/^Cannot map the descriptor: ENODEV \(this is no file: /.test(error.message));
      }
      each.close();
    }
  }));

test("SharedMemory.map() with readOnly keeps what is written to itself, and sees the others", () => {
  using memory = SharedMemory.create(8192);
  using other = SharedMemory.map(memory, { readOnly: true });
  assertEquals(other.readOnly, true);
  memory.bytes[0] = 1;
  memory.bytes[4096] = 2;
  assertEquals([other.bytes[0], other.bytes[4096]], [1, 2]);
  other.bytes[1] = 3;
  assertEquals([memory.bytes[1], other.bytes[1]], [0, 3]);
  memory.bytes[4097] = 4;
  assertEquals(other.bytes[4097], 4);
});

test("SharedMemory.map() needs readOnly where the file is sealed against writing", () =>
  leavesNothing(async () => {
    using file = sealedFile("sealed", { write: true, grow: true, seal: true });
    const error = await assertFails(() => SharedMemory.map(file), "EPERM", "mmap");
    assertEquals(
      error.message,
      "Cannot map 6 bytes: EPERM (the file is sealed against writing: map it with readOnly)",
    );
    using memory = SharedMemory.map(file, { readOnly: true });
    memory.bytes[0] = 83;
    assertEquals(text(memory.bytes.slice()), "Sealed");
    const content = new Uint8Array(6);
    file.preadSync(content, 0);
    assertEquals(text(content), "sealed");
  }));

test("SharedMemory.map() needs readOnly where the descriptor is open for reading only", () =>
  leavesNothing(async () => {
    using memory = SharedMemory.create(6);
    memory.bytes.set(bytes("shared"));
    using reader = Fd.open(`/proc/self/fd/${memory.fd}`);
    const error = await assertFails(() => SharedMemory.map(reader), "EACCES", "mmap");
    assert(error.message.startsWith("Cannot map 6 bytes: EACCES (the descriptor is not open for "));
    using other = SharedMemory.map(reader, { readOnly: true });
    assertEquals(text(other.bytes.slice()), "shared");
    using writer = Fd.open(`/proc/self/fd/${memory.fd}`, native().abi.constants.O_WRONLY);
    await assertFails(() => SharedMemory.map(writer), "EACCES", "mmap");
    await assertFails(() => SharedMemory.map(writer, { readOnly: true }), "EACCES", "mmap");
  }));

test("SharedMemory.create() and map() report ENOMEM, and leave nothing open", () =>
  leavesNothing(async () => {
    const { libc, errno } = native();
    const changed = libc as { mmap: typeof libc.mmap };
    const original = changed.mmap;
    using memory = SharedMemory.create(4096);
    changed.mmap = () => {
      errno[0] = errnoNumber("ENOMEM");
      return 2 ** 64;
    };
    try {
      const error = await assertFails(() => SharedMemory.create(4096), "ENOMEM", "mmap");
      assertEquals(error.message, "Cannot map 4096 bytes: ENOMEM");
      await assertFails(() => SharedMemory.map(memory), "ENOMEM", "mmap");
      await assertFails(() => SharedMemory.map(memory, { readOnly: true }), "ENOMEM", "mmap");
    } finally {
      changed.mmap = original;
    }
    using again = SharedMemory.map(memory);
    assertEquals(again.byteLength, 4096);
  }));

test("SharedMemory's bytes can be sent, received into and read into like any others", async () => {
  using memory = SharedMemory.create(100_000);
  using other = SharedMemory.create(100_000);
  memory.bytes.forEach((_, i, bytes) => bytes[i] = i % 251);
  const [a, b] = UnixStream.pair();
  const sending = a.writeAll(memory.bytes);
  for (let at = 0; at < 100_000;) at += (await b.read(other.bytes.subarray(at)))!;
  await sending;
  assertEquals(Buffer.compare(memory.bytes, other.bytes), 0);
  await a.sendMessage(memory.bytes.subarray(0, 10));
  using message = await b.receiveMessage();
  assertEquals([...message!.data], [...memory.bytes.subarray(0, 10)]);
  a.close();
  b.close();
});

test("SharedMemory takes Atomics that do not wait, and refuses to wait by them", () => {
  using memory = SharedMemory.create(64);
  using other = SharedMemory.map(memory);
  const [here, there] = [new Int32Array(memory.buffer), new Int32Array(other.buffer)];
  assertEquals(Atomics.add(here, 0, 5), 0);
  assertEquals(Atomics.compareExchange(there, 0, 5, 7), 5);
  assertEquals(Atomics.load(here, 0), 7);
  assertEquals(Atomics.notify(here, 0), 0);
  assertThrows(() => Atomics.wait(here, 0, 7, 0), TypeError);
});
