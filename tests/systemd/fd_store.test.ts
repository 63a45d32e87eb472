import { test } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Fd, type FdLike, UnixStream } from "../../mod.ts";
import { removeStoredFds, removeStoredFdsSync, storeFds, storeFdsSync } from "../../systemd.ts";
import { assertFails, assertNoFdLeak, RUNTIMES } from "../support/mod.ts";
import {
  nextLines,
  nextMessage,
  programCommand,
  restart,
  withEnvironment,
  withManager,
} from "../support/systemd.ts";

const VARIANTS = { storeFds, storeFdsSync };

for (const [name, store] of Object.entries(VARIANTS)) {
  const call = async (...args: Parameters<typeof storeFdsSync>) => await store(...args);

  test(`${name}() sends descriptors with their name`, async () => {
    await withManager(async (manager) => {
      await assertNoFdLeak(async () => {
        using file = Fd.memfd("file");
        const [a, b] = UnixStream.pair();
        assertEquals(await call("state", [file, a, b.fd]), true);
        {
          const { lines, message } = await nextMessage(manager);
          using received = message;
          assertEquals(lines, ["FDSTORE=1", "FDNAME=state"]);
          assertEquals(received.fds.map(({ kind }) => kind), ["file", "socket", "socket"]);
          assertEquals(received.fds[0]!.stat().identity, file.stat().identity);
        }
        b.close();
        await call("client", [a], { poll: false, transfer: true });
        assertEquals(a.closed, true);
        const { lines, message } = await nextMessage(manager);
        message.close();
        assertEquals(lines, ["FDSTORE=1", "FDNAME=client", "FDPOLL=0"]);
      });
    });
  });

  test(`${name}() sends more than 253 descriptors in several messages`, async () => {
    await withManager(async (manager) => {
      using file = Fd.memfd("file");
      assertEquals(await call("many", Array<FdLike>(507).fill(file)), true);
      const counts = [];
      for (let i = 0; i < 3; i++) {
        const { lines, message } = await nextMessage(manager);
        counts.push(message.fds.length);
        message.close();
        assertEquals(lines, ["FDSTORE=1", "FDNAME=many"]);
      }
      assertEquals(counts, [253, 253, 1]);
    });
  });

  test(`${name}() does nothing without a manager, and leaves the descriptors`, async () => {
    await withEnvironment({ NOTIFY_SOCKET: undefined }, async () => {
      using file = Fd.memfd("file");
      assertEquals(await call("state", [file], { transfer: true }), false);
      assertEquals(file.closed, false);
    });
  });

  test(`${name}() refuses what makes no sense, with and without a manager`, async () => {
    using file = Fd.memfd("file");
    const closed = Fd.memfd("closed");
    closed.close();
    const check = async () => {
      await assertRejects(() => call("state", []), TypeError);
      await assertRejects(() => call("state", file as never), TypeError);
      await assertRejects(() => call("a:b", [file]), TypeError);
      await assertRejects(() => call("", [file]), RangeError);
      await assertRejects(() => call(undefined as never, [file]), TypeError);
      await assertRejects(() => call("state", [file], { poll: 0 as never }), TypeError);
      await assertRejects(() => call("state", [file], { transfer: 0 as never }), TypeError);
      await assertRejects(() => call("state", [file], null as never), TypeError);
      await assertRejects(() => call("state", [file.fd], { transfer: true }), TypeError);
      await assertFails(() => call("state", [closed]), "EBADF");
    };
    await withEnvironment({ NOTIFY_SOCKET: undefined }, check);
    await withManager(async (manager) => {
      await check();
      await call("state", [file]);
      const { message } = await nextMessage(manager);
      message.close();
      assertEquals(message.fds.length, 1, "this is the first to arrive");
    });
  });
}

test("removeStoredFds() and removeStoredFdsSync() name what the manager forgets", async () => {
  await withManager(async (manager) => {
    for (const remove of [removeStoredFds, removeStoredFdsSync]) {
      assertEquals(await remove("state"), true);
      assertEquals(await nextLines(manager), ["FDSTOREREMOVE=1", "FDNAME=state"]);
    }
    await assertRejects(() => removeStoredFds("a:b"), TypeError);
    assertThrows(() => removeStoredFdsSync(""), RangeError);
  });
});

test("storeFds() and listenFds() keep a state over restarts, on another runtime each time", async () => {
  await withManager(async (manager, path) => {
    const env = { NOTIFY_SOCKET: path };
    const run = async (passed: { name: string; fd: number }[], args: string[], i: number) => {
      const command = programCommand("systemd_store", args, RUNTIMES[i % RUNTIMES.length]);
      await using service = restart(passed, command, env);
      const { code, stdout, stderr } = await service.finished;
      assertEquals(code, 0, stderr);
      return stdout;
    };
    assertEquals(await run([], [], 0), "1\n");
    const { lines, message } = await nextMessage(manager);
    using received = message;
    assertEquals(lines, ["FDSTORE=1", "FDNAME=counter"]);
    using other = Fd.memfd("other");
    const passed = [{ name: "other", fd: other.fd }, { name: "counter", fd: received.fds[0]!.fd }];
    assertEquals(await run(passed, [], 1), "2\n");
    assertEquals(await run(passed, ["forget"], 2), "3\n");
    assertEquals(await nextLines(manager), ["FDSTOREREMOVE=1", "FDNAME=counter"]);
  });
});
