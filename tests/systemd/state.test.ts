import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Fd } from "../../mod.ts";
import { notify, type NotifyState, notifySync } from "../../systemd.ts";
import { python } from "../support/interop.ts";
import { unlessProgram } from "../support/mod.ts";
import { nextLines, nextMessage, withEnvironment, withManager } from "../support/systemd.ts";

const CASES: [NotifyState, string[]][] = [
  [{ ready: true }, ["READY=1"]],
  [{ stopping: true, ready: false }, ["STOPPING=1"]],
  [{ status: "Serving, ünd häppy = yes" }, ["STATUS=Serving, ünd häppy = yes"]],
  [{ status: "" }, ["STATUS="]],
  [{ errno: 2 }, ["ERRNO=2"]],
  [{ errno: 0, mainPid: 4711 }, ["ERRNO=0", "MAINPID=4711"]],
  [{ watchdog: true }, ["WATCHDOG=1"]],
  [{ watchdog: "trigger" }, ["WATCHDOG=trigger"]],
  [{ watchdogInterval: 1500 }, ["WATCHDOG_USEC=1500000"]],
  [{ watchdogInterval: 0.001 }, ["WATCHDOG_USEC=1"]],
  [{ extendTimeout: 30_000.5 }, ["EXTEND_TIMEOUT_USEC=30000500"]],
  [{ fdStoreRemove: true, fdName: "a b" }, ["FDSTOREREMOVE=1", "FDNAME=a b"]],
  [{ fields: { X_ONE: "1", EXIT_STATUS: "a=b" } }, ["X_ONE=1", "EXIT_STATUS=a=b"]],
  [
    { ready: true, status: "Up", mainPid: 1, fields: { X: "" } },
    ["READY=1", "STATUS=Up", "MAINPID=1", "X="],
  ],
];

test("notify() and notifySync() send each part of a state as a line", async () => {
  await withManager(async (manager) => {
    for (const [state, lines] of CASES) {
      assertEquals(await notify(state), true);
      assertEquals(await nextLines(manager), lines);
      assertEquals(notifySync(state), true);
      assertEquals(await nextLines(manager), lines);
    }
  });
});

test("notify() names what to do with descriptors that go along", async () => {
  await withManager(async (manager) => {
    using file = Fd.memfd("file");
    const store = { fdStore: true, fdName: "name", fdPoll: false };
    await notify(store, { fds: [file] });
    {
      const { lines, message } = await nextMessage(manager);
      using _received = message;
      assertEquals([lines, message.fds.length], [["FDSTORE=1", "FDNAME=name", "FDPOLL=0"], 1]);
      assertEquals(message.fds[0]!.stat().identity, file.stat().identity);
    }
    await notify({ fields: { MAINPIDFD: "1" } }, { fds: [file], transfer: true });
    const { lines, message } = await nextMessage(manager);
    using _received = message;
    assertEquals([lines, message.fds.length, file.closed], [["MAINPIDFD=1"], 1, true]);
  });
});

test(
  "notify() tells the time of reloading on the clock of all processes",
  { skip: unlessProgram("python3") },
  async () => {
    const clock = async () => {
      const script = "import time\nsay(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)";
      await using peer = python(script, []);
      return BigInt((await peer.succeeded()).trim());
    };
    await withManager(async (manager) => {
      const before = await clock();
      await notify({ reloading: true });
      const after = await clock();
      const [reloading, time, ...rest] = await nextLines(manager);
      assertEquals([reloading, rest], ["RELOADING=1", []]);
      const [name, value] = time!.split("=");
      assertEquals(name, "MONOTONIC_USEC");
      assert(before <= BigInt(value!) && BigInt(value!) <= after, `${before} ${value} ${after}`);
    });
  },
);

const WRONG: [string, unknown, unknown?][] = [
  ["nothing", undefined],
  ["null", null],
  ["a text", "READY=1"],
  ["no field", {}],
  ["false alone", { ready: false, watchdog: false }],
  ["a flag that is a number", { ready: 1 }],
  ["a flag that is null", { stopping: null }],
  ["a status that is a number", { status: 7 }],
  ["a status of two lines", { status: "one\nREADY=1" }],
  ["a status with a NUL", { status: "one\0" }],
  ["a status with half a character", { status: "\ud800" }],
  ["an errno that is a word", { errno: "ENOENT" }],
  ["a pid that is a word", { mainPid: "1" }],
  ["another word for the watchdog", { watchdog: "bark" }],
  ["an interval that is a word", { watchdogInterval: "1s" }],
  ["fields that are a text", { fields: "X=1" }],
  ["a field whose name has a line break", { fields: { "X\nREADY": "1" } }],
  ["a field whose name has an equals sign", { fields: { "READY=1 X": "1" } }],
  ["a field without a name", { fields: { "": "1" } }],
  ["a field of two lines", { fields: { X: "1\nREADY=1" } }],
  ["a field that is a number", { fields: { X: 1 } }],
  ["a field that is there twice", { ready: true, fields: { READY: "1" } }],
  ["a barrier without its pipe", { fields: { BARRIER: "1" } }],
  ["storing nothing", { fdStore: true }],
  ["storing and removing", { fdStore: true, fdStoreRemove: true, fdName: "x" }, { fds: [1] }],
  ["removing without a name", { fdStoreRemove: true }],
  ["a name without storing", { ready: true, fdName: "x" }],
  ["polling without storing", { ready: true, fdPoll: false }],
  ["a name with a colon", { fdStoreRemove: true, fdName: "a:b" }],
  ["a name of two lines", { fdStoreRemove: true, fdName: "a\nb" }],
  ["a name that is not ASCII", { fdStoreRemove: true, fdName: "ä" }],
  ["a name that is a number", { fdStoreRemove: true, fdName: 1 }],
  ["descriptors for nothing", { ready: true }, { fds: [1] }],
  ["descriptors that are none", { fdStore: true }, { fds: ["1"] }],
  ["descriptors that are no array", { fdStore: true }, { fds: 1 }],
  ["a transfer that is a word", { ready: true }, { transfer: "yes" }],
  ["a number for unsetting", { ready: true }, { unsetEnvironment: 1 }],
  ["options that are null", { ready: true }, null],
];

const OUT_OF_RANGE: [string, NotifyState][] = [
  ["an errno below zero", { errno: -1 }],
  ["an errno beyond all", { errno: 4096 }],
  ["a pid of 0", { mainPid: 0 }],
  ["a pid that is no integer", { mainPid: 1.5 }],
  ["no interval", { watchdogInterval: 0 }],
  ["less than a microsecond", { extendTimeout: 0.0001 }],
  ["an interval that is no number", { watchdogInterval: NaN }],
  ["an interval without an end", { extendTimeout: Infinity }],
  ["an empty name", { fdStoreRemove: true, fdName: "" }],
  ["a name of 256 characters", { fdStoreRemove: true, fdName: "x".repeat(256) }],
  ["a message of 4097 bytes", { status: "x".repeat(4097 - "STATUS=".length) }],
];

test("notify() and notifySync() refuse what makes no sense, and send nothing of it", async () => {
  await withManager(async (manager) => {
    for (const [what, state, options] of WRONG) {
      await assertRejects(() => notify(state as never, options as never), TypeError, "", what);
      assertThrows(() => notifySync(state as never, options as never), TypeError, "", what);
    }
    for (const [what, state] of OUT_OF_RANGE) {
      await assertRejects(() => notify(state), RangeError, "", what);
      assertThrows(() => notifySync(state), RangeError, "", what);
    }
    assertThrows(() => notifySync({ ready: true }, { timeout: -1 }), RangeError);
    await notify({ ready: true });
    assertEquals(await nextLines(manager), ["READY=1"], "this is the first to arrive");
  });
});

test("notify() checks a state also where there is no manager", async () => {
  await withEnvironment({ NOTIFY_SOCKET: undefined }, async () => {
    await assertRejects(() => notify({}), TypeError);
    await assertRejects(() => notify({ mainPid: 0 }), RangeError);
    assertThrows(() => notifySync({ status: "\n" }), TypeError);
  });
});

test("notify() sends as much as managers read, to the byte", async () => {
  await withManager(async (manager) => {
    await notify({ status: "x".repeat(4096 - "STATUS=".length) });
    assertEquals((await nextLines(manager))[0]!.length, 4096);
  });
});
