import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { errnoNumber } from "../../ffi/mod.ts";
import { Fd } from "../../mod.ts";
import { assertError, withObstacles } from "../support/errors.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  commandFor,
  run,
  RUNTIME,
  text,
  withTempDir,
} from "../support/mod.ts";
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

const OPEN_ERRORS: [what: string, name: string, mode: "read" | "write" | "append", code: string][] =
  [
    ["nothing is there", "missing", "read", "ENOENT"],
    ["there is no such directory", "missing/file", "write", "ENOENT"],
    ["a directory is opened for writing", "directory", "write", "EISDIR"],
    ["the path goes through a file", "file/x", "read", "ENOTDIR"],
    ["a symlink leads to itself", "loop", "read", "ELOOP"],
    ["a socket is there", "stale", "read", "ENXIO"],
    ["the name has 256 bytes", "n".repeat(256), "append", "ENAMETOOLONG"],
    ["the path has 4,200 bytes", `${"d/".repeat(2090)}name`, "read", "ENAMETOOLONG"],
    ["the path has a NUL", "file\0", "read", "EINVAL"],
  ];

for (const [what, name, mode, code] of OPEN_ERRORS) {
  test(`Fd.open() throws ${code} where ${what}`, async () => {
    await withObstacles((directory) => {
      const path = `${directory}/${name}`;
      return assertNoFdLeak(async () => {
        const before = readdirSync(directory);
        const error = await assertFails(() => Fd.open(path, mode), code, "open");
        assertEquals(error.errno, errnoNumber(code));
        if (name !== "file\0") {
          assertStringIncludes(error.message, `Cannot open "${path}": ${code}`);
        }
        await assertFails(() => Fd.open(bytes(path), mode), code, "open");
        if (!name.includes("\0")) assertEquals(error.address, path);
        assertEquals(readdirSync(directory), before);
      });
    });
  });
}

test("Fd.open() throws EINVAL for an empty path, and for one with a NUL", async () => {
  for (const path of ["", new Uint8Array(0)]) {
    await assertError(() => Fd.open(path), { code: "EINVAL", syscall: "open", address: "" });
  }
  for (const path of ["\0", "a\0b", bytes("a\0")]) {
    await assertFails(() => Fd.open(path), "EINVAL", "open");
  }
});
