import { assert, assertEquals, assertThrows } from "@std/assert";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  constants,
  existsSync,
  linkSync,
  lstatSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { native } from "../../ffi/mod.ts";
import { Fd, type OpenMode, UnixDatagram, UnixListener, UnixStream } from "../../mod.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  text,
  unlessProgram,
  withTempDir,
} from "../support/mod.ts";
import { O_CLOEXEC, O_NONBLOCK, openFlags } from "../support/streams.ts";

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = constants;
const { O_PATH } = native().abi.linux!;

// Status

test("Fd.kind tells files, directories, pipes, devices and files in memory apart", async () => {
  await withTempDir((directory) => {
    const path = join(directory, "file");
    const [reader, writer] = Fd.pipe();
    const made: [Fd, string][] = [
      [Fd.open(path, "write"), "file"],
      [Fd.memfd("m"), "file"],
      [Fd.open(directory), "directory"],
      [reader, "pipe"],
      [writer, "pipe"],
      [Fd.open("/dev/null"), "character-device"],
      [Fd.eventfd(), "anonymous"],
      [Fd.adopt(native().libc.epoll_create1(0)), "anonymous"],
    ];
    for (const [fd, kind] of made) {
      assertEquals([fd.kind, fd.stat().kind], [kind, kind]);
      fd.close();
    }
  });
});

test('Fd.kind of every Unix socket is "socket"', async () => {
  await withTempDir((directory) => {
    const [stream, peer] = UnixStream.pair();
    const listener = UnixListener.listen(join(directory, "listener"));
    const datagram = UnixDatagram.bind(join(directory, "datagram"));
    for (const socket of [stream, listener, datagram]) {
      using fd = Fd.adopt(socket.intoFd());
      const { kind, size } = fd.stat();
      assertEquals([kind, size], ["socket", 0]);
    }
    peer.close();
    // The path of a socket is no socket that anybody could read.
    using named = Fd.open(join(directory, "listener"), O_PATH);
    assertEquals(named.kind, "socket");
  });
});

const device = ["/dev/vda", "/dev/sda", "/dev/loop0", "/dev/nvme0n1", "/dev/ram0"].find((path) =>
  existsSync(path)
);

test("Fd.kind tells a block device", { skip: device === undefined }, () => {
  using fd = Fd.open(device!, O_PATH);
  assertEquals(fd.kind, "block-device");
});

test("Fd.stat() agrees with the runtime's about size, permissions, owner, links and time", async () => {
  await withTempDir((directory) => {
    const [path, second] = [join(directory, "file"), join(directory, "second")];
    writeFileSync(path, "0123456789");
    using fd = Fd.open(path);
    for (const permissions of [0o4711, 0o640, 0o000, 0o777]) {
      chmodSync(path, permissions);
      assertEquals(fd.stat().permissions, permissions);
    }
    // Before 1970, in our time, and when 32 bits are no longer enough; with milliseconds.
    for (const time of [-86_400_000, 0, 1_700_000_000_123, 4_300_000_000_500]) {
      utimesSync(path, new Date(time), new Date(time));
      const { modified } = fd.stat();
      assert(modified instanceof Date);
      assertEquals(Math.abs(modified.getTime() - time) <= 1, true, `${modified.getTime()}`);
    }
    const theirs = lstatSync(path);
    const { size, uid, gid, links } = fd.stat();
    assertEquals([size, uid, gid, links], [10, theirs.uid, theirs.gid, 1]);
    linkSync(path, second);
    assertEquals(fd.stat().links, 2);
    unlinkSync(path);
    unlinkSync(second);
    assertEquals([fd.stat().links, fd.stat().size], [0, 10]);
  });
});

test("Fd.stat().identity is the same for one file under two names, and differs for its copy", async () => {
  await withTempDir((directory) => {
    const [path, second, copy] = ["file", "second", "copy"].map((name) => join(directory, name));
    for (const name of [path!, copy!]) writeFileSync(name, "content");
    linkSync(path!, second!);
    const opened = [path!, second!, copy!].map((name) => Fd.open(name));
    const [first, linked, copied] = opened.map((fd) => fd.stat().identity);
    assertEquals(first, linked);
    assert(first !== copied);
    assert(first!.endsWith(`:${statSync(path!, { bigint: true }).ino}`), first);
    using twin = opened[0]!.dup();
    assertEquals(twin.stat().identity, first);
    for (const fd of opened) fd.close();
  });
});

// Numeric flags

test("Fd.open() with numeric flags opens as open(2) does, and adds O_CLOEXEC and O_NONBLOCK", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "file");
    for (const flags of [O_WRONLY | O_CREAT, O_RDWR, O_RDONLY, 0]) {
      using fd = Fd.open(path, flags);
      const shown = openFlags(fd.fd);
      assertEquals(shown & 3, flags & 3);
      assertEquals(shown & (O_CLOEXEC | O_NONBLOCK), O_CLOEXEC | O_NONBLOCK);
    }
    using writer = Fd.open(path, O_RDWR | O_TRUNC);
    await writer.writeAll(bytes("0123456789"));
    await assertFails(() => Fd.open(join(directory, "missing"), O_RDWR), "ENOENT", "open");
    using kept = Fd.open(path, O_RDWR);
    assertEquals(kept.stat().size, 10);
    using _emptied = Fd.open(path, O_RDWR | O_TRUNC);
    assertEquals(kept.stat().size, 0);
  });
});

test("Fd.open() with O_CREAT and O_EXCL makes the file, with its permissions, once", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "file");
    const flags = O_RDWR | O_CREAT | O_EXCL;
    {
      using fd = Fd.open(path, flags, { permissions: 0o600 });
      await fd.writeAll(bytes("first"));
      assertEquals(fd.stat().permissions, 0o600);
    }
    const error = await assertFails(() => Fd.open(path, flags), "EEXIST", "open");
    assertEquals(error.message, `Cannot open "${path}": EEXIST`);
    assertEquals(error.address, path);
    symlinkSync(join(directory, "nothing"), join(directory, "dangling"));
    await assertFails(() => Fd.open(join(directory, "dangling"), flags), "EEXIST", "open");
    assertEquals(readFileSync(path, "utf8"), "first");
  });
});

test("Fd.open() with O_DIRECTORY opens directories and nothing else", async () => {
  await withTempDir(async (directory) => {
    using fd = Fd.open(directory, O_RDONLY | O_DIRECTORY);
    assertEquals(fd.kind, "directory");
    const path = join(directory, "file");
    writeFileSync(path, "");
    await assertFails(() => Fd.open(path, O_RDONLY | O_DIRECTORY), "ENOTDIR", "open");
  });
});

test("Fd.open() with O_PATH names a file without opening it: status yes, bytes no", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "file");
    writeFileSync(path, "content", { mode: 0o600 });
    using fd = Fd.open(path, O_PATH);
    assertEquals(openFlags(fd.fd) & O_CLOEXEC, O_CLOEXEC);
    const { kind, size, permissions } = fd.stat();
    assertEquals([kind, size, permissions], ["file", 7, 0o600]);
    const one = new Uint8Array(1);
    await assertFails(() => fd.read(one), "EBADF", "read");
    await assertFails(() => fd.readSync(one), "EBADF", "read");
    await assertFails(() => fd.write(one), "EBADF", "write");
    await assertFails(() => fd.writeAllSync(one), "EBADF", "write");
    await assertFails(() => fd.pread(one, 0), "EBADF", "pread");
    await assertFails(() => fd.seek(0), "EBADF", "lseek");
    await assertFails(() => fd.sync(), "EBADF", "fsync");
    await assertFails(() => fd.seals, "EBADF", "fcntl");
    // The number is open all the same, and leads to the file.
    using twin = fd.dup();
    using opened = Fd.open(`/proc/self/fd/${twin.fd}`);
    const buffer = new Uint8Array(16);
    assertEquals(text(buffer.subarray(0, (await opened.read(buffer))!)), "content");
  });
});

test("Fd.open() with O_PATH and O_NOFOLLOW names a symbolic link itself", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "link");
    symlinkSync("nothing", path);
    using fd = Fd.open(path, O_PATH | O_NOFOLLOW);
    const { kind, size } = fd.stat();
    assertEquals([kind, size], ["symlink", "nothing".length]);
    await assertFails(() => Fd.open(path, O_PATH), "ENOENT", "open");
    await assertFails(() => Fd.open(path, O_NOFOLLOW), "ELOOP", "open");
  });
});

test("Fd.open() refuses flags that are none", async () => {
  await assertNoFdLeak(() => {
    for (const flags of [-1, 1.5, NaN, 2 ** 31]) {
      assertThrows(() => Fd.open("/dev/null", flags), RangeError);
    }
    for (const flags of ["r", "w+", null, 0n, {}]) {
      assertThrows(() => Fd.open("/dev/null", flags as unknown as OpenMode), TypeError);
    }
  });
});

test("Fd.open() of a FIFO for reading does not wait for a writer", {
  skip: unlessProgram("mkfifo"),
}, async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "fifo");
    execFileSync("mkfifo", [path]);
    await assertFails(() => Fd.open(path, O_WRONLY), "ENXIO", "open");
    using reader = Fd.open(path, O_RDONLY);
    using writer = Fd.open(path, O_WRONLY);
    assertEquals([reader.kind, writer.kind], ["pipe", "pipe"]);
    const buffer = new Uint8Array(8);
    const reading = reader.read(buffer);
    await writer.writeAll(bytes("through"));
    assertEquals(await reading, 7);
  });
});
