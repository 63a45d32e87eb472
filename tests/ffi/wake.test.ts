import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { watchByRelayToSocket, watchBySocket } from "../../ffi/runtime/watch_bun.ts";
import { type PollLater, relayByAio, watchByThread } from "../../ffi/runtime/watch_deno.ts";
import { createPoller, FOR_READING, native, type Poller, type Watcher } from "../../ffi/mod.ts";
import { watchByPipe } from "../../ffi/runtime/watch_node.ts";
import { type MakeRelay, type RelayParts, watchByRelay } from "../../ffi/runtime/relay.ts";
import { relayByThread } from "../../ffi/darwin/relay_thread.ts";
import { relayByUring } from "../../ffi/linux/relay_uring.ts";
import { Fd, UnixSocketError } from "../../mod.ts";
import { commandFor, openDescriptors, ROOT, run, RUNTIME, settled } from "../support/mod.ts";
import { unlessUring } from "../support/refuse.ts";
import { until } from "../support/waiting.ts";

const program = join(ROOT, "tests/programs", "watching.ts");

type Watch = (fd: number, onReadable: () => void) => Watcher;

interface DenoFfi {
  dlopen(name: string, symbols: object): { symbols: { poll: PollLater } };
}

type ByRelay = (
  make: MakeRelay,
  parts: Omit<RelayParts, "into">,
  onReadable: () => void,
) => Watcher | null;

function through(make: MakeRelay, by: ByRelay): Watch {
  return (from, onReadable) => {
    const watcher = by(make, { ...native(), from }, onReadable);
    assert(watcher !== null, "this kernel does not have it");
    return watcher;
  };
}

function uring(by: ByRelay): Record<string, Watch> {
  return unlessUring() === false ? { "by io_uring": through(relayByUring, by) } : {};
}

/** Each runtime's ways, and which of them it takes by itself. */
const ways: Record<string, Watch> = {
  "by itself": (fd, onReadable) => {
    const { runtime, libc, abi } = native();
    return runtime.watch(fd, onReadable, libc, abi);
  },
  ...{
    node: {
      ...uring(watchByRelay),
      "by a thread of its own": through(relayByThread, watchByRelay),
      "by a pipe handle": ((fd, onReadable) => {
        const { libc, abi } = native();
        return watchByPipe(libc, abi, fd, onReadable);
      }) as Watch,
    },
    bun: {
      ...uring(watchByRelayToSocket),
      "by a thread of its own": through(relayByThread, watchByRelayToSocket),
      "by a socket that closes": ((fd, onReadable) => {
        const { libc, abi } = native();
        return watchBySocket(libc, abi, fd, onReadable);
      }) as Watch,
    },
    deno: {
      ...uring(watchByRelay),
      "by aio": through(relayByAio, watchByRelay),
      "by a thread": ((fd, onReadable) => {
        const { dlopen } = (globalThis as unknown as { Deno: DenoFfi }).Deno;
        const parameters = ["u64", "u32", "i32"];
        const { symbols } = dlopen("libc.so.6", {
          poll: { parameters, result: "i32", nonblocking: true },
        });
        const { runtime, libc, abi } = native();
        return watchByThread(runtime, libc, symbols.poll, abi, fd, onReadable);
      }) as Watch,
    },
  }[RUNTIME],
};

/** A watched epoll set with one pipe in it, level-triggered by what was not collected. */
interface Watched {
  watcher: Watcher;
  poller: Poller;
  calls: number;
  /** The next callback. */
  called(): Promise<void>;
  /** Makes the set readable. */
  write(): void;
  /** Takes the events out of the set. */
  collect(): number;
}

async function withWatched(
  watch: Watch,
  body: (watched: Watched) => Promise<void>,
  onCalled: (watched: Watched) => void = () => {},
): Promise<void> {
  const poller = createPoller();
  const [reader, writer] = Fd.pipe();
  assertEquals(poller.add(reader.fd, 1, FOR_READING), 0);
  let wake: (() => void) | null = null;
  const watched: Watched = {
    watcher: watch(poller.fd, () => {
      watched.calls++;
      onCalled(watched);
      wake?.();
    }),
    poller,
    calls: 0,
    called: () => new Promise((resolve) => wake = resolve),
    write: () => void writer.writeSync(new Uint8Array(1)),
    collect() {
      let events = 0;
      poller.collect(() => events++);
      reader.readSync(new Uint8Array(64));
      return events;
    },
  };
  // A set that was watched once may stay watched until the process ends: its descriptor stays too.
  watched.watcher.ref();
  try {
    await body(watched);
  } finally {
    watched.watcher.unref();
    reader.close();
    writer.close();
  }
}

/** Whether nothing calls within a while in which much else is called. */
async function staysQuiet(watched: Watched): Promise<void> {
  const { calls } = watched;
  for (let i = 0; i < 20; i++) {
    await settled(10);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assertEquals(watched.calls, calls);
}

for (const [name, watch] of Object.entries(ways)) {
  test(`${name}: Watcher.arm() buys one callback once the descriptor is readable`, async () => {
    await withWatched(watch, async (watched) => {
      watched.watcher.arm();
      await staysQuiet(watched);
      const called = watched.called();
      watched.write();
      await called;
      assertEquals(watched.calls, 1);
      assertEquals(watched.collect(), 1);
    });
  });

  test(`${name}: Watcher calls nobody back without another arm(), though the set is readable`, async () => {
    await withWatched(watch, async (watched) => {
      const called = watched.called();
      watched.watcher.arm();
      watched.write();
      await called;
      await staysQuiet(watched);
      watched.write();
      await staysQuiet(watched);
      assertEquals(watched.calls, 1);
    });
  });

  test(`${name}: Watcher.arm() on a set that is readable already calls back`, async () => {
    await withWatched(watch, async (watched) => {
      watched.write();
      for (let times = 1; times <= 5; times++) {
        const called = watched.called();
        watched.watcher.arm();
        assertEquals(watched.calls, times - 1, "not before the next turn");
        await called;
        assertEquals(watched.calls, times);
      }
      assertEquals(watched.collect(), 1);
      watched.watcher.arm();
      await staysQuiet(watched);
    });
  });

  test(`${name}: Watcher.arm() while it is armed changes nothing`, async () => {
    await withWatched(watch, async (watched) => {
      const called = watched.called();
      for (let i = 0; i < 5; i++) watched.watcher.arm();
      await settled();
      watched.watcher.arm();
      watched.write();
      await called;
      await staysQuiet(watched);
      assertEquals(watched.calls, 1);
    });
  });

  test(`${name}: Watcher.arm() within the callback, in its microtasks and later works a thousand times`, async () => {
    await withWatched(watch, async (watched) => {
      watched.watcher.arm();
      for (let times = 1; times <= 1000; times++) {
        const called = watched.called();
        watched.write();
        await called;
        assertEquals(watched.calls, times);
        if (times % 3 === 2) await settled(1);
        if (times % 3 !== 0) watched.watcher.arm();
      }
      await staysQuiet(watched);
    }, (watched) => {
      assertEquals(watched.collect(), 1);
      if (watched.calls % 3 === 0) watched.watcher.arm();
    });
  });

  test(`${name}: Watcher.unref() and ref() in every state lose no callback`, async () => {
    await withWatched(watch, async (watched) => {
      const { watcher } = watched;
      const keptAlive = setInterval(() => {}, 1000);
      for (const steps of ["u", "ua", "au", "uar", "aur", "uaur", "a", "ra", "aru", "uarua"]) {
        watcher.ref();
        const called = watched.called();
        for (const step of steps) {
          if (step === "u") watcher.unref();
          if (step === "r") watcher.ref();
          if (step === "a") watcher.arm();
          await settled(1);
        }
        if (!steps.includes("a")) watcher.arm();
        watched.write();
        await called;
        assertEquals(watched.collect(), 1, steps);
      }
      clearInterval(keptAlive);
    });
  });

  test(`${name}: several watchers call back each for its own descriptor`, async () => {
    await withWatched(watch, async (one) => {
      await withWatched(watch, async (two) => {
        one.watcher.arm();
        two.watcher.arm();
        let called = two.called();
        two.write();
        await called;
        assertEquals([one.calls, two.calls], [0, 1]);
        called = one.called();
        one.write();
        await called;
        assertEquals([one.calls, two.calls], [1, 1]);
      });
    });
  });
}

// A relay by a thread

/** Watches a pipe by a thread, with this C library. */
function watchedByThread(libraries: readonly string[], onReadable: () => void) {
  const { runtime, libc, abi } = native();
  const [reader, writer] = Fd.pipe();
  const by: ByRelay = RUNTIME === "bun" ? watchByRelayToSocket : watchByRelay;
  const parts = { runtime, libc, abi: { ...abi, libraries }, from: reader.fd };
  return { watcher: by(relayByThread, parts, onReadable)!, reader, writer };
}

// Deno has threads of its own for that.
if (RUNTIME !== "deno") {
  test("a relay by a thread that is closed, armed or not, leaves no descriptor", async () => {
    const once = async (armed: boolean, pause: number) => {
      const { watcher, reader, writer } = watchedByThread(native().abi.libraries, () => {});
      if (armed) watcher.arm();
      await new Promise((resolve) => setTimeout(resolve, pause));
      watcher.close();
      reader.close();
      writer.close();
    };
    await once(true, 50);
    const before = openDescriptors().size;
    for (const pause of [0, 20, 200]) {
      await once(false, pause);
      await once(true, pause);
    }
    await until(
      () => openDescriptors().size <= before,
      "the descriptors of the threads to be closed",
    );
  });

  test("a relay by a thread that cannot begin tells whoever waits, and says so from then on", async () => {
    const before = openDescriptors().size;
    const { promise: told, resolve } = Promise.withResolvers<void>();
    const { watcher, reader, writer } = watchedByThread(["libnone.so.0"], resolve);
    watcher.arm();
    await told;
    const error = assertThrows(() => watcher.arm(), UnixSocketError);
    assertEquals(error.code, "EAGAIN");
    for (const each of [watcher, reader, writer]) each.close();
    await until(
      () => openDescriptors().size <= before,
      "the descriptors of the thread to be closed",
    );
  });
}

// Whether it keeps the process alive, seen from outside

const limited = (command: string[]) => ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh", ...command];

async function says(args: string[], expected: string, descriptors?: "few"): Promise<void> {
  const command = [...commandFor(RUNTIME, program), ...args];
  const finished = await run(descriptors === "few" ? limited(command) : command);
  const { code, signal, stdout, stderr } = finished;
  assertEquals({ code, signal, stdout, stderr }, {
    code: 0,
    signal: null,
    stdout: expected,
    stderr: "",
  });
}

async function staysAlive(args: string[]): Promise<void> {
  const command = [...commandFor(RUNTIME, program), ...args];
  // It ends itself once an unref.d timer shows that something else keeps it alive.
  const finished = await run(command);
  assertEquals([finished.stdout, finished.stderr], ["still alive\n", ""]);
}

for (const args of [[], ["io_uring"], ["syscalls"], ["macos"]]) {
  const [refused = ""] = args;
  const way = { "": "by itself", macos: "as on macOS" }[refused] ??
    `where the kernel refuses ${args}`;

  test(`${way}: sockets work, a thousand waits leave no descriptor behind, and the process ends by itself`, async () => {
    await says(["exchange", ...args], "ok\n");
  });

  test(`${way}: what waits from within the first wait of all is told, too`, async () => {
    await says(["first of many", ...args], "ok\n");
  });

  test(`${way}: a pending read keeps the process alive`, async () => {
    await staysAlive(["pending", ...args]);
  });

  test(`${way}: unref() of what is pending lets the process end`, async () => {
    await says(["unref", ...args], "");
  });

  test(`${way}: ref() after unref() keeps the process alive`, async () => {
    await staysAlive(["ref again", ...args]);
  });
}

test("sockets that wait work on at the descriptor limit and after it", async () => {
  await says(["limit"], "ok\n", "few");
});

test("sockets that waited before the descriptor limit was reached work on", async () => {
  await says(["limit while waiting"], "ok\n", "few");
});

test("unref() holds for waits that begin at the descriptor limit", async () => {
  await says(["limit, unref"], "ok\n", "few");
});

test("a first wait at the descriptor limit rejects with EMFILE, and the next, with room, works", async () => {
  await says(["limit from the start"], "EMFILE\nok\n", "few");
});
