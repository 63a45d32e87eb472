import { assert, assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { chmodSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { Fd, type OpenMode, UnixListener } from "../../mod.ts";
import { assertFails, bytes, commandFor, run, RUNTIME, text, withTempDir } from "../support/mod.ts";
import { O_CLOEXEC, openFlags, program } from "../support/streams.ts";

/** Runs a body with the path of a file that does not exist yet. */
function withPath<T>(body: (path: string, directory: string) => T | Promise<T>): Promise<T> {
  return withTempDir((directory) => body(join(directory, "file"), directory));
}

async function readTextFrom(fd: Fd, size = 1024): Promise<string | null> {
  const buffer = new Uint8Array(size);
  const count = await fd.read(buffer);
  return count === null ? null : text(buffer.subarray(0, count));
}

test("Fd.open() opens for reading by default", async () => {
  await withPath(async (path) => {
    writeFileSync(path, "content");
    for (const fd of [Fd.open(path), Fd.open(path, "read"), Fd.open(bytes(path))]) {
      assertEquals(await readTextFrom(fd), "content");
      assertEquals(await readTextFrom(fd), null);
      await assertFails(() => fd.write(bytes("x")), "EBADF", "write");
      fd.close();
    }
    assertEquals(readFileSync(path, "utf8"), "content");
  });
});

test('Fd.open() with "write" makes the file, or empties it', async () => {
  await withPath(async (path) => {
    for (const content of ["a long first content", "short"]) {
      using fd = Fd.open(path, "write");
      await fd.writeAll(bytes(content));
      await assertFails(() => readTextFrom(fd), "EBADF", "read");
      assertEquals(readFileSync(path, "utf8"), content);
    }
  });
});

test('Fd.open() with "read-write" makes the file, or keeps it, and shares one position', async () => {
  await withPath(async (path) => {
    using first = Fd.open(path, "read-write");
    await first.writeAll(bytes("abcdef"));
    assertEquals(await readTextFrom(first), null);
    using second = Fd.open(path, "read-write");
    assertEquals(await readTextFrom(second, 2), "ab");
    await second.writeAll(bytes("XY"));
    assertEquals(await readTextFrom(second), "ef");
    assertEquals(readFileSync(path, "utf8"), "abXYef");
  });
});

test('Fd.open() with "append" makes the file, or adds to it', async () => {
  await withPath(async (path) => {
    using first = Fd.open(path, "append");
    await first.writeAll(bytes("one,"));
    using second = Fd.open(path, "append");
    await second.writeAll(bytes("two,"));
    await first.writeAll(bytes("three"));
    assertEquals(readFileSync(path, "utf8"), "one,two,three");
    await assertFails(() => readTextFrom(first), "EBADF", "read");
  });
});

test("Fd.open() gives a new file the permissions less the umask, and leaves those of an old one", async () => {
  await withPath((path, directory) => {
    const before = process.umask(0o027);
    try {
      Fd.open(path, "write").close();
      assertEquals(statSync(path).mode & 0o7777, 0o640);
      Fd.open(path, "write", { permissions: 0o777 }).close();
      assertEquals(statSync(path).mode & 0o7777, 0o640);
      const other = join(directory, "other");
      Fd.open(other, "append", { permissions: 0o711 }).close();
      assertEquals(statSync(other).mode & 0o7777, 0o710);
    } finally {
      process.umask(before);
    }
  });
});

test("Fd.open() makes the descriptor close-on-exec", async () => {
  await withPath((path) => {
    for (const mode of ["write", "read", "read-write", "append"] as const) {
      using fd = Fd.open(path, mode);
      assertEquals(openFlags(fd.fd) & O_CLOEXEC, O_CLOEXEC, mode);
    }
  });
});

test("Fd.open() opens a path that is not UTF-8", async () => {
  await withPath(async (_, directory) => {
    const path = new Uint8Array([...bytes(`${directory}/`), 0xff, 0xfe]);
    {
      using fd = Fd.open(path, "write");
      await fd.writeAll(bytes("odd name"));
    }
    using fd = Fd.open(path);
    assertEquals(await readTextFrom(fd), "odd name");
  });
});

test("Fd.open() fails with the errno of open(2), and names the path", async () => {
  await withPath(async (path, directory) => {
    writeFileSync(path, "");
    const loop = join(directory, "loop");
    symlinkSync(loop, loop);
    const listening = join(directory, "socket");
    using _listener = UnixListener.listen(listening);
    const cases: [string, OpenMode, string][] = [
      [join(directory, "missing"), "read", "ENOENT"],
      [join(directory, "missing", "file"), "write", "ENOENT"],
      [join(path, "below"), "read", "ENOTDIR"],
      [directory, "write", "EISDIR"],
      [loop, "read", "ELOOP"],
      [join(directory, "x".repeat(256)), "write", "ENAMETOOLONG"],
      [listening, "read", "ENXIO"],
    ];
    for (const [target, mode, code] of cases) {
      const error = await assertFails(() => Fd.open(target, mode), code, "open");
      assertEquals(error.address, target);
      assert(error.message.startsWith(`Cannot open "${target}": ${code}`), error.message);
    }
  });
});

test("Fd.open() fails with EACCES without permission", async () => {
  await withPath(async (path, directory) => {
    writeFileSync(path, "secret");
    chmodSync(path, 0o000);
    chmodSync(directory, 0o755);
    const shell = process.geteuid!() === 0
      ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
      : [];
    const child = commandFor(RUNTIME, program("open_file.ts"));
    const env = { HOME: directory, DENO_DIR: join(directory, "deno") };
    const command = [...shell, ...child, path, directory];
    const { stdout, stderr } = await run(command, { env });
    assertEquals([stdout.trim(), stderr], ["EACCES", ""]);
  });
});

test("Fd.open() refuses an empty path and one with a NUL with EINVAL", async () => {
  for (const path of ["", "a\0b", "\0", new Uint8Array(0), bytes("a\0")]) {
    await assertFails(() => Fd.open(path), "EINVAL", "open");
  }
});

test("Fd.open() refuses arguments that make no sense with TypeError or RangeError", () => {
  for (const mode of ["r", "", null, {}]) {
    assertThrows(() => Fd.open("/dev/null", mode as OpenMode), TypeError);
  }
  for (const flags of [-1, 1.5, 2 ** 31]) {
    assertThrows(() => Fd.open("/dev/null", flags), RangeError);
  }
  for (const path of [null, undefined, 5, {}]) {
    assertThrows(() => Fd.open(path as string), TypeError, undefined, String(path));
  }
  for (const permissions of [-1, 0o10000, 1.5]) {
    assertThrows(() => Fd.open("/dev/null", "read", { permissions }), RangeError);
  }
});
