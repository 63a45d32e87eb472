import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { UnixDatagram, type UnixSocketError } from "../../mod.ts";
import { startWatchdog, Watchdog, watchdogInterval, type WatchdogOptions } from "../../systemd.ts";
import { fillQueue, takeQueued } from "../support/datagrams.ts";
import { assertFails, assertNoFdLeak, settled, TestProcess, text } from "../support/mod.ts";
import {
  nextLines,
  nextMessage,
  programCommand,
  withEnvironment,
  withManager,
} from "../support/systemd.ts";

const OWN = `${process.pid}`;

test("watchdogInterval() is in milliseconds, or null where the manager wants nothing", async () => {
  const cases: [string | undefined, string | undefined, number | null][] = [
    ["30000000", undefined, 30_000],
    ["30000000", OWN, 30_000],
    ["30000000", "", 30_000],
    ["1", undefined, 0.001],
    ["18446744073709551614", undefined, 18446744073709552],
    ["30000000", "1", null],
    [undefined, OWN, null],
    ["", undefined, null],
  ];
  for (const [WATCHDOG_USEC, WATCHDOG_PID, expected] of cases) {
    await withEnvironment({ WATCHDOG_USEC, WATCHDOG_PID }, () => {
      assertEquals(watchdogInterval(), expected);
      assertEquals(watchdogInterval({ unsetEnvironment: true }), expected);
      assertEquals([process.env.WATCHDOG_USEC, process.env.WATCHDOG_PID], [undefined, undefined]);
    });
  }
});

test("watchdogInterval() and startWatchdog() throw for variables that make no sense", async () => {
  const most = "18446744073709551614";
  for (const value of ["0", "-1", "1s", "18446744073709551615", "9".repeat(40)]) {
    await withEnvironment({ WATCHDOG_USEC: value, WATCHDOG_PID: "1" }, async () => {
      const { message } = await assertFails(watchdogInterval, "EINVAL");
      const expected =
        `Cannot use WATCHDOG_USEC=${value}: EINVAL (expected a number from 1 to ${most})`;
      assertEquals(message, expected);
      await assertFails(() => startWatchdog(), "EINVAL");
    });
  }
  await withEnvironment(
    { WATCHDOG_USEC: "1000", WATCHDOG_PID: "self" },
    () => assertFails(watchdogInterval, "EINVAL"),
  );
  const NOTIFY_SOCKET = "vsock:2:1";
  await withEnvironment(
    { WATCHDOG_USEC: "1000", WATCHDOG_PID: OWN, NOTIFY_SOCKET },
    () => assertFails(() => startWatchdog(), "EAFNOSUPPORT"),
  );
});

test("startWatchdog() refuses options of a wrong type", () => {
  assertThrows(() => startWatchdog(null as never), TypeError);
  assertThrows(() => startWatchdog({ healthy: true as never }), TypeError);
  assertThrows(() => startWatchdog({ onError: "log" as never }), TypeError);
  assertThrows(() => startWatchdog({ unsetEnvironment: "yes" as never }), TypeError);
});

test("startWatchdog() is null without a watchdog, and without a manager", async () => {
  const wanted = { WATCHDOG_USEC: "1000", WATCHDOG_PID: OWN };
  await withManager(() =>
    withEnvironment(
      { ...wanted, WATCHDOG_USEC: undefined },
      () => assertEquals(startWatchdog(), null),
    )
  );
  await withEnvironment(
    { ...wanted, NOTIFY_SOCKET: undefined },
    () => assertEquals(startWatchdog(), null),
  );
});

test("Watchdog goes on sending signs of life until it is stopped", async () => {
  await withManager(async (manager) => {
    await withEnvironment({ WATCHDOG_USEC: "20000", WATCHDOG_PID: OWN }, async () => {
      using watchdog = startWatchdog({ unsetEnvironment: true })!;
      assertInstanceOf(watchdog, Watchdog);
      assertEquals([watchdog.interval, watchdog.stopped], [20, false]);
      assertEquals([process.env.WATCHDOG_USEC, process.env.WATCHDOG_PID], [undefined, undefined]);
      for (let i = 0; i < 5; i++) {
        const { lines, message } = await nextMessage(manager);
        assertEquals([lines, message.credentials?.pid], [["WATCHDOG=1"], process.pid]);
      }
      watchdog.stop();
      watchdog.stop();
      assertEquals(watchdog.stopped, true);
    });
  });
});

/** A timer that a test sets off. */
interface Timer {
  pause: number;
  cleared: boolean;
  unrefd: boolean;
  fire(): Promise<void>;
}

/** Runs a body with a watchdog of so many microseconds, whose timer is the body's. */
async function withTimer(
  microseconds: string,
  options: WatchdogOptions,
  body: (manager: UnixDatagram, timer: Timer, watchdog: Watchdog, path: string) => Promise<void>,
): Promise<void> {
  const { setInterval: set, clearInterval: clear } = globalThis;
  let timer: Timer | undefined;
  await withManager(async (manager, path) => {
    await withEnvironment({ WATCHDOG_USEC: microseconds, WATCHDOG_PID: OWN }, async () => {
      const fake = (callback: () => void, pause: number) => {
        const fire = async () => {
          callback();
          await settled();
        };
        const unref = () => void (made.unrefd = true);
        const made = { pause, cleared: false, unrefd: false, fire, unref };
        return timer = made;
      };
      globalThis.setInterval = fake as never;
      globalThis.clearInterval = ((made: Timer) => void (made.cleared = true)) as never;
      let watchdog;
      try {
        watchdog = startWatchdog(options)!;
        await settled();
        await body(manager, timer!, watchdog, path);
      } finally {
        watchdog?.stop();
        globalThis.setInterval = set;
        globalThis.clearInterval = clear;
      }
      assertEquals(timer!.cleared, true);
    });
  });
}

test("Watchdog sends at once, and then at half the interval", async () => {
  await withTimer("5001000", {}, async (manager, timer) => {
    assertEquals([timer.pause, timer.unrefd], [2500, true]);
    assertEquals(takeQueued(manager), ["WATCHDOG=1"]);
    await timer.fire();
    await timer.fire();
    assertEquals(takeQueued(manager), ["WATCHDOG=1", "WATCHDOG=1"]);
  });
});

test("Watchdog's timer has a pause that timers can have", async () => {
  for (const [microseconds, pause] of [["1", 1], ["18446744073709551614", 0x7fff_ffff]] as const) {
    await withTimer(microseconds, {}, async (_, timer) => {
      await settled();
      assertEquals(timer.pause, pause);
    });
  }
});

test("Watchdog sends nothing after it was stopped, and leaves nothing open", async () => {
  await assertNoFdLeak(() =>
    withTimer("1000000", {}, async (manager, timer, watchdog) => {
      watchdog[Symbol.dispose]();
      assertEquals([watchdog.stopped, timer.cleared, takeQueued(manager)], [true, true, [
        "WATCHDOG=1",
      ]]);
      await timer.fire();
      assertEquals(takeQueued(manager), []);
    })
  );
});

test("Watchdog sends nothing of a service that is not healthy", async () => {
  const errors: unknown[] = [];
  let health: () => unknown = () => true;
  const healthy = () => health() as boolean;
  await withTimer(
    "1000000",
    { healthy, onError: (error) => errors.push(error) },
    async (manager, timer) => {
      assertEquals(takeQueued(manager), ["WATCHDOG=1"]);
      for (const answer of [false, Promise.resolve(false), undefined, 1]) {
        health = () => answer;
        await timer.fire();
        assertEquals(takeQueued(manager), []);
      }
      health = () => {
        throw new Error("thrown");
      };
      await timer.fire();
      health = () => Promise.reject(new Error("rejected"));
      await timer.fire();
      assertEquals(takeQueued(manager), []);
      assertEquals(errors.map(String), ["Error: thrown", "Error: rejected"]);

      let answer = (_: boolean) => {};
      let asked = 0;
      health = () => {
        asked++;
        return new Promise((resolve) => answer = resolve);
      };
      for (let i = 0; i < 3; i++) await timer.fire();
      assertEquals([asked, takeQueued(manager)], [1, []]);
      answer(true);
      assertEquals(await nextLines(manager), ["WATCHDOG=1"]);
      health = () => Promise.resolve(true);
      await settled();
      await timer.fire();
      assertEquals(await nextLines(manager), ["WATCHDOG=1"]);
    },
  );
});

test("Watchdog tells when the manager cannot be told, and tries again", async () => {
  const errors: unknown[] = [];
  await withTimer(
    "1000000",
    { onError: (error) => errors.push(error) },
    async (manager, timer, _, path) => {
      manager.close();
      await timer.fire();
      using next = UnixDatagram.bind(path);
      await timer.fire();
      assertEquals(takeQueued(next), ["WATCHDOG=1"]);
      assertEquals(errors.map((error) => (error as UnixSocketError).code), ["ENOENT"]);
    },
  );
  await withTimer("1000000", {}, async (manager, timer) => {
    manager.close();
    await timer.fire();
  });
});

test("Watchdog waits for room with one sign of life, and no longer once it is stopped", async () => {
  const errors: unknown[] = [];
  await assertNoFdLeak(() =>
    withTimer(
      "1000000",
      { onError: (error) => errors.push(error) },
      async (manager, timer, watchdog, path) => {
        takeQueued(manager);
        using other = UnixDatagram.unbound();
        const before = (await fillQueue(other, path)).length;
        for (let i = 0; i < 3; i++) await timer.fire();
        for (let i = 0; i < before; i++) await manager.receive();
        assertEquals(text((await manager.receive()).data), "WATCHDOG=1");
        await settled();
        assertEquals(takeQueued(manager), []);

        await fillQueue(other, path);
        await timer.fire();
        watchdog.stop();
        await settled();
        assertEquals([takeQueued(manager).includes("WATCHDOG=1"), errors], [false, []]);
      },
    )
  );
});

test("Watchdog does not keep a process alive, not even while it waits for room", async () => {
  await withManager(async (manager, path) => {
    using other = UnixDatagram.unbound();
    for (const full of [false, true]) {
      if (full) await fillQueue(other, path);
      const env = { WATCHDOG_USEC: "60000000", WATCHDOG_PID: "", NOTIFY_SOCKET: path };
      await using service = new TestProcess(programCommand("systemd_watchdog", []), { env });
      const { code, stdout, stderr } = await service.finished;
      assertEquals([code, stdout, stderr], [0, "every 60000 ms\n", ""]);
      assertEquals(
        takeQueued(manager).filter((each) => each === "WATCHDOG=1").length,
        full ? 0 : 1,
      );
    }
  });
});
