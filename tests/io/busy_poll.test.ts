import { test } from "node:test";
import process from "node:process";
import { join } from "@std/path";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { configure, UnixStream } from "../../mod.ts";
import { BusyPoll } from "../../src/io/busy_poll.ts";
import { bytes, commandFor, ROOT, run, RUNTIME } from "../support/mod.ts";

test("the window is closed at first, and stays so while answers are slow", () => {
  const poll = new BusyPoll(100);
  assertEquals(poll.window, 0);
  for (let i = 0; i < 5; i++) poll.learn(10);
  assertEquals(poll.window, 0);
});

test("the window opens when an answer came soon after parking, and doubles up to its limit", () => {
  const poll = new BusyPoll(100);
  const seen = [];
  for (let i = 0; i < 4; i++) {
    poll.learn(poll.window + 0.001);
    seen.push(poll.window);
  }
  assertEquals(seen, [0.025, 0.05, 0.1, 0]);
});

test("an answer within the window changes nothing", () => {
  const poll = new BusyPoll(100);
  poll.learn(0.05);
  poll.learn(0.01);
  assertEquals(poll.window, 0.025);
});

test("an answer that even the longest look would have missed closes the window", () => {
  const poll = new BusyPoll(100);
  poll.learn(0.05);
  poll.learn(0.09);
  assertEquals(poll.window, 0.05);
  poll.learn(0.101);
  assertEquals(poll.window, 0);
});

test("looking that never finds what comes right after parking is given up, longer each time", () => {
  const poll = new BusyPoll(1000);
  const rests = [];
  for (let round = 0; round < 7; round++) {
    let waits = 0;
    while (poll.window === 0) {
      poll.learn(0.02);
      waits++;
    }
    rests.push(waits);
    while (poll.window > 0) poll.learn(poll.window + 0.001);
  }
  // The last of each rest opens the window again.
  assertEquals(rests, [1, 33, 65, 129, 257, 513, 1025]);
});

test("one answer that a look finds ends the distrust", () => {
  const poll = new BusyPoll(1000);
  const giveUp = () => {
    while (poll.window === 0) poll.learn(0.02);
    while (poll.window > 0) poll.learn(poll.window + 0.001);
  };
  giveUp();
  giveUp();
  while (poll.window === 0) poll.learn(0.02);
  poll.learn(0.01);
  while (poll.window > 0) poll.learn(poll.window + 0.001);
  let waits = 0;
  while (poll.window === 0) {
    poll.learn(0.02);
    waits++;
  }
  assertEquals(waits, 33);
});

test("a limit of 0 never opens the window, and a lower limit narrows it", () => {
  const poll = new BusyPoll(0);
  poll.learn(0);
  poll.learn(0.001);
  assertEquals(poll.window, 0);
  const other = new BusyPoll(100);
  other.learn(0.05);
  other.learn(0.06);
  other.max = 30;
  assertEquals(other.window, 0.03);
  other.max = 0;
  assertEquals(other.window, 0);
});

test("configure() refuses what makes no sense", () => {
  for (const max of [0, -1, 1.5, 10_001, NaN]) {
    assertThrows(() => configure({ busyPoll: { max } }), RangeError);
  }
  for (const busyPoll of [true, 5, "100", null, { max: "100" }, {}]) {
    assertThrows(() => configure({ busyPoll } as never), TypeError);
  }
  assertThrows(() => configure(null as never), TypeError);
  configure({});
});

for (const busyPoll of [false, { max: 1 }, { max: 100 }, { max: 10_000 }] as const) {
  const how = busyPoll === false ? "off" : `up to ${busyPoll.max} microseconds`;

  test(`with busy polling ${how}, round trips arrive, and timers and immediates go on`, async () => {
    configure({ busyPoll });
    const [a, b] = UnixStream.pair();
    let timers = 0;
    const timer = setInterval(() => timers++, 1);
    let immediates = 0;
    let going = true;
    const count = () => {
      immediates++;
      if (going) setImmediate(count);
    };
    count();
    const echo = (async () => {
      for await (const chunk of b) await b.writeAll(chunk);
    })();
    const buffer = new Uint8Array(16);
    let rounds = 0;
    while (rounds < 200 || timers < 3) {
      await a.writeAll(bytes("ping"));
      assertEquals(await a.read(buffer), 4);
      rounds++;
    }
    going = false;
    clearInterval(timer);
    a.close();
    await echo;
    b.close();
    assert(immediates > 0);
    configure({ busyPoll: { max: 100 } });
  });
}

test("a signal handler and a fetch are served while a thread looks for events", async () => {
  configure({ busyPoll: { max: 10_000 } });
  const [a, b] = UnixStream.pair();
  const { promise: signalled, resolve } = Promise.withResolvers<void>();
  process.once("SIGUSR2", () => resolve());
  let over = false;
  const echo = (async () => {
    for await (const chunk of b) await b.writeAll(chunk);
  })();
  const talk = (async () => {
    const buffer = new Uint8Array(16);
    while (!over) {
      await a.writeAll(bytes("ping"));
      await a.read(buffer);
    }
  })();
  process.kill(process.pid, "SIGUSR2");
  await signalled;
  assertEquals(await (await fetch("data:text/plain,here")).text(), "here");
  over = true;
  await talk;
  a.close();
  await echo;
  b.close();
  configure({ busyPoll: { max: 100 } });
});

for (const [value, expected] of [["0", 0], ["40", 0.025], ["", 0.025]] as const) {
  test(`AFUNIX_BUSY_POLL=${JSON.stringify(value)} sets the limit of a process`, async () => {
    const program = join(ROOT, "tests", "programs", "busy_poll_window.ts");
    const env = { AFUNIX_BUSY_POLL: value };
    const { stdout } = await run(commandFor(RUNTIME, program), { env });
    assertEquals(JSON.parse(stdout), expected);
  });
}

for (const value of ["off", "fast", "-1", "1.5", "10001", "NaN", "Infinity", "40us"]) {
  test(`AFUNIX_BUSY_POLL=${JSON.stringify(value)} is ignored with one warning`, async () => {
    const program = join(ROOT, "tests", "programs", "busy_poll_window.ts");
    const { code, stdout, stderr } = await run(commandFor(RUNTIME, program), {
      env: { AFUNIX_BUSY_POLL: value },
    });
    assertEquals([code, JSON.parse(stdout)], [0, 0.025]);
    assertEquals(stderr.match(/AFUNIX_BUSY_POLL/g)?.length, 1, stderr);
    assert(stderr.includes(value), stderr);
  });
}

test("AFUNIX_BUSY_POLL that is no number warns once of all that waits and blocks, which works", async () => {
  const program = join(ROOT, "tests", "programs", "unref_conversation.ts");
  const { code, stdout, stderr } = await run([...commandFor(RUNTIME, program), "configured"], {
    env: { AFUNIX_BUSY_POLL: "off" },
  });
  assertEquals([code, stdout], [0, "over\n"]);
  assertEquals(stderr.match(/AFUNIX_BUSY_POLL/g)?.length, 1, stderr);
});

for (const max of ["configured", "0", "1", "10000"]) {
  test(`a fast conversation that is unref'd keeps no process alive, busy polling up to: ${max}`, async () => {
    const program = join(ROOT, "tests", "programs", "unref_conversation.ts");
    const finished = await run([...commandFor(RUNTIME, program), max]);
    assertEquals(finished, { code: 0, signal: null, stdout: "over\n", stderr: "" });
  });
}
