import { test } from "node:test";
import { assert, assertEquals, assertLess } from "@std/assert";
import { join } from "@std/path";
import { UnixListener, UnixStream } from "../../mod.ts";
import {
  bytes,
  commandFor,
  readText,
  ROOT,
  run,
  RUNTIME,
  type RuntimeName,
  settled,
  withSocketPair,
  withTempSocketPath,
} from "../support/mod.ts";
import { closeAll, countCalls, pairs, reactorTurn } from "../support/waiting.ts";

const program = (name: string) => join(ROOT, "tests/programs", name);

/** How many operations may finish between two turns of the event loop; the library allows fewer. */
const MAX_BETWEEN_TURNS = 1000;

/** A loop that must not go on for ever stops here. */
const TOO_MANY = 2_000_000;

/** Counts turns of the event loop until it is stopped. */
function countTurns(): { turns: number; stop(): void } {
  const counter = { turns: 0, stop: () => void (stopped = true) };
  let stopped = false;
  const turn = () => {
    counter.turns++;
    if (!stopped) setImmediate(turn);
  };
  setImmediate(turn);
  return counter;
}

/** Runs operations that never have to wait; the most that finished without a turn between them. */
async function longestRun(operations: number, operation: () => Promise<unknown>): Promise<number> {
  const counter = countTurns();
  let longest = 0;
  let current = 0;
  let seen = 0;
  for (let i = 0; i < operations; i++) {
    await operation();
    if (counter.turns !== seen) current = 0;
    seen = counter.turns;
    longest = Math.max(longest, ++current);
  }
  counter.stop();
  // Nor does each of them wait for a turn.
  assertLess(counter.turns, operations / 4);
  return longest;
}

test("K218 an endless loop of reads and writes that are always ready lets the event loop turn", async () => {
  await withSocketPair(async (a, b) => {
    const data = new Uint8Array(16);
    const longest = await longestRun(5000, async () => {
      await a.write(data);
      assertEquals(await b.read(data), 16);
    });
    assertLess(longest, MAX_BETWEEN_TURNS);
  });
});

test("K218 an endless loop of UnixStream.read() over data that is there lets the event loop turn", async () => {
  await withSocketPair(async (a, b) => {
    let left = 0;
    const byte = new Uint8Array(1);
    const longest = await longestRun(20_000, () => {
      if (left === 0) a.writeAllSync(new Uint8Array(left = 10_000));
      left--;
      return b.read(byte);
    });
    assertLess(longest, MAX_BETWEEN_TURNS);
  });
});

test("K218 an endless loop of UnixStream.writeAll() to a peer that keeps up lets the event loop turn", async () => {
  await withSocketPair(async (a, b) => {
    const data = new Uint8Array(8);
    const longest = await longestRun(5000, async () => {
      await a.writeAll(data);
      b.readSync(data);
    });
    assertLess(longest, MAX_BETWEEN_TURNS);
  });
});

test("K218 a loop of UnixListener.accept() over a full backlog lets the event loop turn", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const longest = await longestRun(2000, async () => {
      UnixStream.connectSync(path).close();
      (await listener.accept()).close();
    });
    assertLess(longest, MAX_BETWEEN_TURNS);
  });
});

for (const timer of ["setTimeout", "setInterval", "setImmediate"] as const) {
  test(`K218 ${timer} fires while two ends flood each other`, async () => {
    await withSocketPair(async (a, b) => {
      let fired = false;
      const handle = (globalThis[timer] as (callback: () => void) => unknown)(() => fired = true);
      const data = new Uint8Array(64);
      let rounds = 0;
      while (!fired && rounds < TOO_MANY) {
        await a.writeAll(data);
        await b.read(data);
        rounds++;
      }
      if (timer === "setInterval") clearInterval(handle as number);
      assertLess(rounds, TOO_MANY);
    });
  });
}

test("K218 a flooding peer does not starve another socket", async () => {
  const [[flooder, flooded], [quiet, waiting]] = pairs(2) as [
    [UnixStream, UnixStream],
    [UnixStream, UnixStream],
  ];
  try {
    let floods = 0;
    let stop = false;
    const data = new Uint8Array(1024);
    const flood = (async () => {
      while (!stop && floods < TOO_MANY) {
        await flooder.writeAll(data);
        await flooded.read(data);
        floods++;
      }
    })();
    const delays: number[] = [];
    for (let round = 0; round < 50; round++) {
      const reading = readText(waiting);
      await settled(1);
      const before = floods;
      quiet.writeSync(bytes("heard"));
      assertEquals(await reading, "heard");
      delays.push(floods - before);
    }
    stop = true;
    await flood;
    assertLess(floods, TOO_MANY);
    delays.sort((x, y) => x - y);
    // Not the worst one: the machine may do something else between the event and its report.
    assertLess(delays[25]!, MAX_BETWEEN_TURNS);
  } finally {
    closeAll([[flooder, flooded, quiet, waiting]]);
  }
});

test("K218 many waiting reads of one socket do not delay those of another", async () => {
  const [[a, b], [c, d]] = pairs(2) as [[UnixStream, UnixStream], [UnixStream, UnixStream]];
  try {
    const byte = () => new Uint8Array(1);
    let finished = 0;
    const many = Array.from(
      { length: 5000 },
      () => b.read(byte()).then(() => finished++),
    );
    let before = -1;
    const other = d.read(byte()).then(() => before = finished);
    await reactorTurn();
    a.writeAllSync(new Uint8Array(5000));
    c.writeSync(byte());
    await other;
    assertLess(before, MAX_BETWEEN_TURNS);
    await Promise.all(many);
  } finally {
    closeAll([[a, b, c, d]]);
  }
});

test("K218 a writeAll() of much data to a peer that drains it lets other sockets in between", async () => {
  await withSocketPair(async (a, b) => {
    const counter = countTurns();
    const writing = a.writeAll(new Uint8Array(20_000_000));
    let chunks = 0;
    let total = 0;
    const buffer = new Uint8Array(65536);
    while (total < 20_000_000) {
      total += (await b.read(buffer))!;
      chunks++;
    }
    await writing;
    counter.stop();
    assert(counter.turns * MAX_BETWEEN_TURNS > chunks);
  });
});

test("K214 a thousand idle sockets cost a busy one no system call", async () => {
  const idle = pairs(1000);
  const [busy, peer] = UnixStream.pair();
  const buffer = new Uint8Array(16);
  const roundTrips = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const reading = peer.read(buffer);
      await busy.writeAll(bytes("x"));
      await reading;
    }
  };
  await roundTrips(10);
  const reads = idle.map(([, b]) => readText(b));
  await reactorTurn();
  {
    using calls = countCalls("recv", "read", "send", "epoll_ctl", "epoll_wait");
    await roundTrips(100);
    const { recv, read, send, epoll_ctl, epoll_wait } = calls.counts;
    // Each read tries, waits, and tries again; nobody else does anything.
    assertEquals({ reads: recv + read, send, epoll_ctl }, { reads: 200, send: 100, epoll_ctl: 0 });
    assert(epoll_wait <= 200, `${epoll_wait} calls of epoll_wait`);
  }
  // Idle does not mean dead.
  idle.forEach(([a], index) => a.writeSync(bytes(`${index}`)));
  assertEquals(await Promise.all(reads), idle.map((_, index) => `${index}`));
  closeAll([...idle, [busy, peer]]);
});

const withCollector: Record<RuntimeName, { flags: string[] }> = {
  deno: { flags: ["--v8-flags=--expose-gc"] },
  bun: { flags: ["--expose-gc"] },
  node: { flags: ["--expose-gc"] },
};

for (const what of ["small", "waiting", "large", "lost", "forgotten"]) {
  const titles: Record<string, string> = {
    small: "N245 small fresh buffers arrive intact while garbage is collected",
    waiting: "N245 operations that wait survive collections, with their buffers and sockets",
    large: "N245 large writes arrive intact while garbage is collected",
    lost: "N245 a socket that the program has lost is closed by a collection, a waiting one is not",
    forgotten: "N245 a socket that was closed is forgotten altogether",
  };
  test(titles[what]!, async () => {
    const command = commandFor(RUNTIME, program("collected.ts"), withCollector[RUNTIME]);
    const { code, signal, stdout, stderr } = await run([...command, what]);
    assertEquals({ code, signal, stdout, stderr }, {
      code: 0,
      signal: null,
      stdout: "intact\n",
      stderr: "",
    });
  });
}
