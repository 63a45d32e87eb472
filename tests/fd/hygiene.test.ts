import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { join } from "@std/path";
import { native, sockets } from "../../ffi/mod.ts";
import { abstract, Fd, UnixListener, UnixSocketError, UnixStream } from "../../mod.ts";
import {
  closeRaw,
  leaveStale,
  programCommand,
  rawSocket,
  socketType,
} from "../support/listening.ts";
import { afterClosing } from "../support/late_closing.ts";
import {
  openDescriptors,
  run,
  RUNTIME,
  settled,
  TestProcess,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";

const ROUNDS = 1000;

/** The flags of an open file as the kernel tells them, close-on-exec among them. */
function flagsOf(fd: number): number {
  return parseInt(/^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))![1]!, 8);
}

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

// Failures

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
    for (const fd of [datagram, plain, listener.fd, a.fd]) flagsOf(fd);
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

// Closing twice

/** Everything that owns a descriptor, each made anew; `close` closes what else was made. */
function owners(): { name: string; make(): { fd: number } & Disposable & { close(): void } }[] {
  return [
    {
      name: "UnixStream",
      make() {
        const [a, b] = UnixStream.pair();
        b.close();
        return a;
      },
    },
    { name: "UnixListener", make: () => UnixListener.listen({ kind: "unnamed" }) },
    { name: "Fd", make: () => Fd.open("/dev/null") },
  ];
}

for (const { name, make } of owners()) {
  test(`M232 ${name}.close() a second time never closes another's descriptor with the same number`, async () => {
    const first = make();
    const number = first.fd;
    first.close();
    // The lowest free number is given first: with the numbers below it taken, this one is next.
    const taken: number[] = [];
    try {
      while (!taken.includes(number)) {
        assert(taken.length < 1000, "the number does not come back");
        taken.push(rawSocket());
      }
      first.close();
      first[Symbol.dispose]();
      await settled();
      for (const fd of taken) flagsOf(fd);
      assertEquals(first.fd, -1);
    } finally {
      for (const fd of taken) closeRaw(fd);
    }
  });

  test(`M233 ${name}.intoFd() leaves close(), and the end of a using scope, nothing to close`, () => {
    let number: number;
    {
      using owner = make() as ReturnType<typeof make> & { intoFd(): number };
      const before = owner.fd;
      number = owner.intoFd();
      assertEquals(number, before);
      assertEquals(owner.fd, -1);
      owner.close();
    }
    flagsOf(number);
    closeRaw(number);
  });
}

test("M232 UnixStream.close() within the rejection that its own close caused closes once", async () => {
  const [a, b] = UnixStream.pair();
  const number = a.fd;
  const taken: number[] = [];
  const reading = a.read(new Uint8Array(1)).catch(() => {
    for (let i = 0; i < 20; i++) taken.push(rawSocket());
    a.close();
  });
  await settled();
  a.close();
  await reading;
  assert(taken.includes(number));
  for (const fd of taken) flagsOf(fd);
  for (const fd of taken) closeRaw(fd);
  b.close();
});

// Close-on-exec

test("every descriptor of the library is close-on-exec, and a process that is started has none of them", async () => {
  await withTempSocketPath(async (path) => {
    const before = new Set(openDescriptors().values());
    const ends: [number, number] = [-1, -1];
    assertEquals(sockets.socketpair(socketType("stream"), ends), 0);
    using listener = UnixListener.listen(path);
    using abstractListener = UnixListener.listen({ kind: "unnamed" });
    using client = await UnixStream.connect(path, { from: `${path}.client` });
    using server = await listener.accept();
    using other = UnixStream.connectSync(path);
    using accepted = listener.acceptSync();
    const [a, b] = UnixStream.pair();
    const [reader, writer] = Fd.pipe();
    using duplicate = reader.dup();
    using opened = Fd.open("/dev/zero");
    // The reactor's own descriptors too: something has to wait.
    const reading = a.read(new Uint8Array(1));
    const owned = [
      ...[listener, abstractListener, client, server, other, accepted, a, b],
      ...[reader, writer, duplicate, opened],
    ].map(({ fd }) => fd);
    const { O_CLOEXEC } = native().abi.constants;
    assertEquals([...owned, ...ends].filter((fd) => (flagsOf(fd) & O_CLOEXEC) === 0), []);

    // Whatever is new here, the reactor's and the watcher's included.
    const fresh = [...openDescriptors()].filter(([, target]) => !before.has(target));
    assert(fresh.length >= owned.length);
    assertEquals(
      fresh.filter(([fd, target]) =>
        /^(socket|pipe|anon_inode)/.test(target) && (flagsOf(Number(fd)) & O_CLOEXEC) === 0
      ),
      [],
    );
    // Synchronous, so that the library can do nothing about it.
    const list = () => execFileSync("ls", ["-l", "/proc/self/fd"], { encoding: "utf8" });
    const seen = afterClosing(list);
    const targets = fresh.map(([, target]) => target).filter((name) =>
      /^(socket|pipe):/.test(name)
    );
    assertEquals(targets.filter((target) => seen.includes(target)), []);

    for (const fd of ends) closeRaw(fd);
    b.writeSync(new Uint8Array(1));
    await reading;
    for (const end of [a, b, reader, writer]) end.close();
  });
});

test("a process that is started while a UnixStream is open does not keep its peer waiting for the end", async () => {
  const [a, b] = UnixStream.pair();
  await using child = new TestProcess(["sh", "-c", "echo started; read _"]);
  await child.waitFor("started");
  a.close();
  // The time limit only keeps a failure from waiting forever.
  const signal = AbortSignal.timeout(10_000);
  assertEquals(await b.read(new Uint8Array(1), { signal }), null);
  b.close();
  child.closeStdin();
  await child.finished;
});

test("UnixListener's address is free at once after close(), although a process was started meanwhile", async () => {
  const address = abstract(`afunix-hygiene-${crypto.randomUUID()}`);
  const listener = UnixListener.listen(address);
  await using child = new TestProcess(["sh", "-c", "echo started; read _"]);
  await child.waitFor("started");
  listener.close();
  UnixListener.listen(address).close();
  child.closeStdin();
  await child.finished;
});

// Garbage

/** What an engine is told, so that a program can ask for a collection. */
const GC_FLAGS = { bun: [], deno: ["--v8-flags=--expose-gc"], node: ["--expose-gc"] }[RUNTIME];

for (
  const [what, happens] of [
    ["streams", "are closed"],
    ["pipes", "are closed"],
    ["duplicates", "are closed"],
    ["listeners", "are closed"],
    ["streams that were read from", "are closed"],
    ["streams with an aborted read", "are closed"],
    ["connections", "are closed"],
    ["connections of a loop", "are closed"],
    ["web streams", "are closed"],
    ["a listener with a path", "is closed and its path removed"],
    ["a listener with a path that was told to leave it", "leaves it"],
    ["a stream whose descriptor was given away", "closes nothing"],
    ["a closed stream whose number is another's", "closes nothing"],
    ["a stream with a pending read", "is kept until its data come"],
    ["a stream with a pending write", "is kept until all is written"],
    ["a stream in a loop", "is kept as long as the loop"],
    ["a listener with a pending accept", "is kept until its connection comes"],
    ["a listener in a loop", "is kept as long as the loop"],
  ] as const
) {
  test(`M233 what a program has lost: ${what} ${happens}`, async () => {
    await withTempSocketPath(async (path) => {
      const command = programCommand("lost_objects", [what, path], [...GC_FLAGS]);
      const { code, signal, stdout, stderr } = await run(command);
      assertEquals([stdout, stderr, code, signal], ["ok\n", "", 0, null]);
    });
  });
}

test("M232 a number that the kernel gives again belongs to the new owner alone", async () => {
  const [a, b] = UnixStream.pair();
  const numbers = [a.fd, b.fd];
  const waiting = a.read(new Uint8Array(1)).catch((error) => error.code);
  await settled();
  a.close();
  b.close();
  assertEquals(await waiting, "EBADF");
  const [c, d] = UnixStream.pair();
  assertEquals([c.fd, d.fd].sort(), numbers.sort());
  assertNotEquals(a.fd, c.fd);
  const reading = c.read(new Uint8Array(1));
  a.close();
  await settled();
  await d.writeAll(new Uint8Array(1));
  assertEquals(await reading, 1);
  c.close();
  d.close();
});
