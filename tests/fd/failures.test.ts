import { closeSync, mkdirSync, openSync, readdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { abstract, Fd, UnixListener, UnixSocketError, UnixStream } from "../../mod.ts";
import { closeRaw, leaveStale, rawSocket } from "../support/listening.ts";
import { openDescriptors, settled, withTempDir, withTempSocketPath } from "../support/mod.ts";
import { openFlags } from "../support/streams.ts";

const ROUNDS = 1000;

/** The sockets and pipes of this process, for nothing else here comes and goes. */
function socketsAndPipes(): string[] {
  return [...openDescriptors().values()].filter((target) => /^(socket|pipe):/.test(target)).sort();
}

/** How many descriptors this process has open. */
function countOpen(): number {
  return readdirSync("/proc/self/fd").length;
}

/** Asserts that something that fails a thousand times leaves no descriptor behind. */
async function assertFailureLeavesNothing(
  code: string,
  attempt: () => unknown,
): Promise<void> {
  const once = async () => {
    try {
      await attempt();
    } catch (error) {
      const found = error instanceof UnixSocketError ? error.code : (error as Error).name;
      if (found !== code) throw error;
      return;
    }
    assert(false, `nothing was thrown; expected ${code}`);
  };
  for (let round = 0; round < 10; round++) await once();
  await settled();
  const before = { count: countOpen(), open: socketsAndPipes() };
  for (let round = 0; round < ROUNDS; round++) await once();
  await settled();
  // A runtime opens and keeps one or the other file of its own; a leak would be a thousand.
  assert(countOpen() < before.count + 20, `${before.count} before, ${countOpen()} after`);
  assertEquals(socketsAndPipes(), before.open);
}

for (
  const [title, code, attempt] of [
    [
      "UnixListener.listen() in a missing directory",
      "ENOENT",
      (directory) => UnixListener.listen(join(directory, "missing", "s")),
    ],
    [
      "UnixListener.listen() in a missing directory, with a path too long for a sockaddr_un",
      "ENOENT",
      (directory) => UnixListener.listen(join(directory, "m".repeat(120), "s")),
    ],
    [
      "UnixListener.listen() with a name that is too long for any file",
      "ENAMETOOLONG",
      (directory) => UnixListener.listen(join(directory, "n".repeat(300))),
    ],
    [
      "UnixListener.listen() on the path of a live server",
      "EADDRINUSE",
      (directory) => UnixListener.listen(join(directory, "full")),
    ],
    [
      "UnixListener.listen() on the long path of a live server",
      "EADDRINUSE",
      (directory) => UnixListener.listen(join(directory, "d".repeat(100), "live")),
    ],
    [
      "UnixListener.listen() on the path of a live server, with a mode",
      "EADDRINUSE",
      (directory) => UnixListener.listen(join(directory, "full"), { mode: 0o600 }),
    ],
    [
      "UnixListener.listen() on a stale path that is to stay",
      "EADDRINUSE",
      (directory) => UnixListener.listen(join(directory, "stale"), { stale: "fail" }),
    ],
    [
      "UnixListener.listen() on a regular file",
      "EADDRINUSE",
      (directory) => UnixListener.listen(join(directory, "file")),
    ],
    [
      "UnixListener.listen() with a mode for an abstract name",
      "TypeError",
      () => UnixListener.listen(abstract("afunix-hygiene"), { mode: 0o600 }),
    ],
    [
      "UnixStream.connect() to a stale path",
      "ECONNREFUSED",
      (directory) => UnixStream.connect(join(directory, "stale")),
    ],
    [
      "UnixStream.connect() to a stale long path",
      "ECONNREFUSED",
      (directory) => UnixStream.connect(join(directory, "d".repeat(100), "stale")),
    ],
    [
      "UnixStream.connect() to a stale path, from a path of its own",
      "ECONNREFUSED",
      (directory) =>
        UnixStream.connect(join(directory, "stale"), { from: join(directory, "client") }),
    ],
    [
      "UnixStream.connect() from a path that is taken",
      "EADDRINUSE",
      (directory) =>
        UnixStream.connect(join(directory, "stale"), { from: join(directory, "file") }),
    ],
    [
      "UnixStream.connectSync() to a missing path",
      "ENOENT",
      (directory) => UnixStream.connectSync(join(directory, "missing")),
    ],
    [
      "UnixStream.connectSync() to a full backlog",
      "ETIMEDOUT",
      (directory) => UnixStream.connectSync(join(directory, "full"), { timeout: 0 }),
    ],
    [
      "UnixStream.connect() aborted at a full backlog",
      "AbortError",
      (directory) => {
        const controller = new AbortController();
        const { signal } = controller;
        const connecting = UnixStream.connect(join(directory, "full"), { signal });
        controller.abort();
        return connecting;
      },
    ],
    [
      "UnixStream.connect() aborted at a full backlog after it waited, from a path of its own",
      "AbortError",
      async (directory) => {
        const controller = new AbortController();
        const { signal } = controller;
        const from = join(directory, "client");
        const connecting = UnixStream.connect(join(directory, "full"), { signal, from });
        await new Promise((resolve) => setImmediate(resolve));
        controller.abort();
        await connecting;
      },
    ],
    [
      "UnixStream.connect() with a signal that was aborted before",
      "AbortError",
      (directory) => UnixStream.connect(join(directory, "full"), { signal: AbortSignal.abort() }),
    ],
    [
      "UnixStream.read() aborted while it waits",
      "AbortError",
      async () => {
        const [a, b] = UnixStream.pair();
        const controller = new AbortController();
        const reading = a.read(new Uint8Array(1), { signal: controller.signal });
        controller.abort();
        try {
          await reading;
        } finally {
          a.close();
          b.close();
        }
      },
    ],
    [
      "UnixStream.read() that closing ends",
      "EBADF",
      async () => {
        const [a, b] = UnixStream.pair();
        const reading = a.read(new Uint8Array(1));
        a.close();
        b.close();
        await reading;
      },
    ],
    [
      "UnixListener.accept() that closing ends",
      "EBADF",
      async (directory) => {
        const listener = UnixListener.listen(join(directory, "another"));
        const accepting = listener.accept();
        listener.close();
        await accepting;
      },
    ],
    [
      "UnixListener.acceptSync() without a connection",
      "ETIMEDOUT",
      () => {
        using listener = UnixListener.listen({ kind: "unnamed" });
        listener.acceptSync({ timeout: 0 });
      },
    ],
    ["Fd.open() of a missing file", "ENOENT", (directory) => Fd.open(join(directory, "missing"))],
  ] as [string, string, (directory: string) => unknown][]
) {
  test(`M236 ${title} leaves no descriptor behind in 1,000 failures with ${code}`, async () => {
    await withTempDir(async (directory) => {
      mkdirSync(join(directory, "d".repeat(100)));
      writeFileSync(join(directory, "file"), "");
      leaveStale(join(directory, "stale"));
      UnixListener.listen(join(directory, "d".repeat(100), "stale"), { unlinkOnClose: false })
        .close();
      using live = UnixListener.listen(join(directory, "d".repeat(100), "live"));
      // Full, so that a look at it leaves no connection in its backlog.
      using full = UnixListener.listen(join(directory, "full"), { backlog: 0 });
      using filling = await UnixStream.connect(join(directory, "full"));
      const entries = readdirSync(directory);
      await assertFailureLeavesNothing(code, async () => {
        try {
          await attempt(directory);
        } finally {
          // What the looks have left in the other one's backlog.
          for (let more = true; more;) {
            try {
              live.acceptSync({ timeout: 0 }).close();
            } catch {
              more = false;
            }
          }
        }
      });
      assertEquals(readdirSync(directory), entries);
      assertEquals([live.closed, full.closed, filling.closed], [false, false, false]);
    });
  });
}

test("M236 fromFd() and adopt() that refuse leave the descriptor open and make no other, in 1,000 failures", async () => {
  const datagram = rawSocket("datagram");
  const plain = openSync("/dev/null", "r");
  const gone = rawSocket();
  using listener = UnixListener.listen({ kind: "unnamed" });
  const [a, b] = UnixStream.pair();
  closeRaw(gone);
  try {
    for (
      const [code, attempt] of [
        ["EPROTOTYPE", () => UnixStream.fromFd(datagram)],
        ["EPROTOTYPE", () => UnixListener.fromFd(datagram)],
        ["ENOTSOCK", () => UnixStream.fromFd(plain)],
        ["EINVAL", () => UnixStream.fromFd(listener.fd)],
        ["EINVAL", () => UnixListener.fromFd(a.fd)],
        ["EBADF", () => UnixStream.fromFd(gone)],
        ["EBADF", () => Fd.adopt(gone)],
        ["RangeError", () => Fd.adopt(-1)],
      ] as const
    ) {
      await assertFailureLeavesNothing(code, attempt);
    }
    for (const fd of [datagram, plain, listener.fd, a.fd]) openFlags(fd);
  } finally {
    closeRaw(datagram);
    closeSync(plain);
    a.close();
    b.close();
  }
});

test("M236 everything that succeeds and closes leaves no descriptor behind in 1,000 rounds", async () => {
  await withTempSocketPath(async (path) => {
    const round = async () => {
      using listener = UnixListener.listen(path);
      using named = await UnixStream.connect(path, { from: `${path}.client` });
      using client = await UnixStream.connect(path);
      using first = await listener.accept();
      using second = listener.acceptSync();
      const reading = [first.read(new Uint8Array(4)), second.read(new Uint8Array(4))];
      await named.writeAll(new Uint8Array(4));
      await client.writeAll(new Uint8Array(4));
      await Promise.all(reading);
      using _again = UnixStream.fromFd(client.intoFd());
      const [reader, writer] = Fd.pipe();
      using _duplicate = reader.dup();
      reader.close();
      writer.close();
    };
    for (let i = 0; i < 10; i++) await round();
    await settled();
    const before = { count: countOpen(), open: socketsAndPipes() };
    for (let i = 0; i < ROUNDS; i++) await round();
    await settled();
    assert(countOpen() < before.count + 20, `${before.count} before, ${countOpen()} after`);
    assertEquals(socketsAndPipes(), before.open);
  });
});
