import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { native, sockets } from "../../ffi/mod.ts";
import { abstract, Fd, UnixListener, UnixStream } from "../../mod.ts";
import { closeRaw, programCommand, rawSocket, socketType } from "../support/listening.ts";
import { afterClosing } from "../support/late_closing.ts";
import {
  openDescriptors,
  run,
  RUNTIME,
  settled,
  TestProcess,
  withTempSocketPath,
} from "../support/mod.ts";
import { openFlags } from "../support/streams.ts";

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
      for (const fd of taken) openFlags(fd);
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
    openFlags(number);
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
  for (const fd of taken) openFlags(fd);
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
    assertEquals([...owned, ...ends].filter((fd) => (openFlags(fd) & O_CLOEXEC) === 0), []);

    // Whatever is new here, the reactor's and the watcher's included.
    const fresh = [...openDescriptors()].filter(([, target]) => !before.has(target));
    assert(fresh.length >= owned.length);
    assertEquals(
      fresh.filter(([fd, target]) =>
        /^(socket|pipe|anon_inode)/.test(target) && (openFlags(Number(fd)) & O_CLOEXEC) === 0
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
