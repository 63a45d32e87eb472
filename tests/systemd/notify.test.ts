import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { abstract, UnixDatagram } from "../../mod.ts";
import { notify, notifyBarrier, notifyBarrierSync, notifySync } from "../../systemd.ts";
import { fillQueue, takeQueued } from "../support/datagrams.ts";
import { freshName, Peer, python } from "../support/interop.ts";
import {
  assertFails,
  assertNoFdLeak,
  settled,
  text,
  unlessProgram,
  withTempSocketPath,
} from "../support/mod.ts";
import { nextLines, nextMessage, withEnvironment, withManager } from "../support/systemd.ts";

const CALLS = {
  notify: (options?: { unsetEnvironment?: boolean }) => notify({ ready: true }, options),
  notifySync: (options?: { unsetEnvironment?: boolean }) => notifySync({ ready: true }, options),
  notifyBarrier: (options?: { unsetEnvironment?: boolean }) => notifyBarrier(options),
  notifyBarrierSync: (options?: { unsetEnvironment?: boolean }) => notifyBarrierSync(options),
};

test("notify() reaches a manager at an abstract name too, and says who sent it", async () => {
  const name = freshName();
  using manager = UnixDatagram.bind(abstract(name));
  manager.passCredentials = true;
  await withEnvironment({ NOTIFY_SOCKET: `@${name}` }, async () => {
    for (const call of [CALLS.notify, CALLS.notifySync]) {
      assertEquals(await call(), true);
      const { lines, message } = await nextMessage(manager);
      assertEquals([lines, message.credentials?.pid], [["READY=1"], process.pid]);
    }
  });
});

for (const [name, call] of Object.entries(CALLS)) {
  test(`${name}() does nothing where there is no manager`, async () => {
    for (const value of [undefined, ""]) {
      await withEnvironment({ NOTIFY_SOCKET: value }, async () => {
        assertEquals(await call(), false);
        assertEquals(await call({ unsetEnvironment: true }), false);
      });
    }
  });

  test(`${name}() says what is wrong with NOTIFY_SOCKET, and removes it on request`, async () => {
    const cases: [string, string, string][] = [
      ["relative.sock", "EINVAL", "expected an absolute path or @NAME"],
      [
        "vsock:2:1234",
        "EAFNOSUPPORT",
        "virtual machines' sockets (vsock) are no Unix domain sockets",
      ],
      [
        "vsock-stream:2:1",
        "EAFNOSUPPORT",
        "virtual machines' sockets (vsock) are no Unix domain sockets",
      ],
    ];
    for (const [value, code, why] of cases) {
      await withEnvironment({ NOTIFY_SOCKET: value }, async () => {
        const { message } = await assertFails(() => call(), code);
        assertEquals(message, `Cannot use NOTIFY_SOCKET=${value}: ${code} (${why})`);
        assertEquals(process.env.NOTIFY_SOCKET, value);
        await assertFails(() => call({ unsetEnvironment: true }), code);
        assertEquals(process.env.NOTIFY_SOCKET, undefined);
      });
    }
    const tooLong = `@${"x".repeat(108)}`;
    await withEnvironment({ NOTIFY_SOCKET: tooLong }, () => assertFails(call, "ENAMETOOLONG"));
  });

  test(`${name}() fails where the manager is gone, and leaves nothing open`, async () => {
    await withTempSocketPath(async (path) => {
      UnixDatagram.bind(path, { unlinkOnClose: false }).close();
      await withEnvironment(
        { NOTIFY_SOCKET: path },
        () => assertNoFdLeak(async () => void await assertFails(call, "ECONNREFUSED", "connect")),
      );
      await withEnvironment(
        { NOTIFY_SOCKET: `${path}.not` },
        () => assertFails(call, "ENOENT", "connect"),
      );
    });
  });
}

test("notify() removes NOTIFY_SOCKET on request, after its use", async () => {
  await withManager(async (manager) => {
    assertEquals(await notify({ ready: true }, { unsetEnvironment: true }), true);
    assertEquals(await nextLines(manager), ["READY=1"]);
    assertEquals([process.env.NOTIFY_SOCKET, await notify({ ready: true })], [undefined, false]);
  });
});

test("notify() keeps the order of what waits for room", async () => {
  await withManager(async (manager, path) => {
    using other = UnixDatagram.unbound();
    const before = (await fillQueue(other, path)).length;
    const sent = [];
    for (let i = 0; i < 20; i++) sent.push(notify({ status: `${i}` }));
    const received: string[] = [];
    while (received.length < before + 20) received.push(text((await manager.receive()).data));
    assertEquals(await Promise.all(sent), Array(20).fill(true));
    assertEquals(received.slice(before), Array.from({ length: 20 }, (_, i) => `STATUS=${i}`));
  });
});

test("notify() is stopped by a signal while it waits for room, and goes on afterwards", async () => {
  await withManager(async (manager, path) => {
    using other = UnixDatagram.unbound();
    await assertNoFdLeak(async () => {
      await fillQueue(other, path);
      const stop = new AbortController();
      const [first, second] = [notify({ status: "1" }, stop), notify({ status: "2" })];
      stop.abort("enough");
      assertEquals(await first.catch((reason) => reason), "enough");
      assertEquals(await notify({ ready: true }, stop).catch((reason) => reason), "enough");
      takeQueued(manager);
      assertEquals(await second, true);
      assertEquals(await nextLines(manager), ["STATUS=2"]);
      await notify({ ready: true });
      assertEquals(await nextLines(manager), ["READY=1"]);
    });
  });
});

test("notify() rejects all that waits when the manager goes away, and finds the next one", async () => {
  await withTempSocketPath(async (path) => {
    await withEnvironment({ NOTIFY_SOCKET: path }, async () => {
      const first = UnixDatagram.bind(path);
      using other = UnixDatagram.unbound();
      await fillQueue(other, path);
      const waiting = [notify({ status: "1" }), notify({ status: "2" })];
      const outcomes = Promise.allSettled(waiting);
      const atOnce = waiting[0]!.catch(() => notify({ status: "3" }));
      first.close();
      using second = UnixDatagram.bind(path);
      assertEquals(await atOnce, true);
      assertEquals(await nextLines(second), ["STATUS=3"]);
      for (const outcome of await outcomes) assertEquals(outcome.status, "rejected");
      assertEquals(await notify({ ready: true }), true);
      assertEquals(await nextLines(second), ["READY=1"]);
    });
  });
});

test("notifySync() gives up after its timeout where there is no room", async () => {
  await withManager(async (manager, path) => {
    using other = UnixDatagram.unbound();
    await fillQueue(other, path);
    await assertNoFdLeak(async () => {
      await assertFails(() => notifySync({ ready: true }, { timeout: 0 }), "ETIMEDOUT");
      await assertFails(() => notifyBarrierSync({ timeout: 0 }), "ETIMEDOUT");
    });
    assert(!takeQueued(manager).includes("READY=1"));
  });
});

test("notifyBarrier() waits until the manager closes the one descriptor that it gets", async () => {
  await withManager(async (manager) => {
    await assertNoFdLeak(async () => {
      await notify({ ready: true });
      let over = false;
      const barrier = notifyBarrier().finally(() => over = true);
      assertEquals(await nextLines(manager), ["READY=1"]);
      const { lines, message } = await nextMessage(manager);
      assertEquals([lines, message.fds.map(({ kind }) => kind)], [["BARRIER=1"], ["pipe"]]);
      await settled();
      assertEquals(over, false);
      message.close();
      assertEquals(await barrier, true);
    });
  });
});

test("notifyBarrier() follows the notifications that wait for room", async () => {
  await withManager(async (manager, path) => {
    using other = UnixDatagram.unbound();
    const before = (await fillQueue(other, path)).length;
    const all = Promise.all([notify({ status: "1" }), notifyBarrier(), notify({ status: "2" })]);
    const received: string[] = [];
    while (received.length < before + 3) received.push(text((await manager.receive()).data));
    assertEquals(received.slice(before), ["STATUS=1", "BARRIER=1", "STATUS=2"]);
    assertEquals(await all, [true, true, true]);
  });
});

test("notifyBarrier() is stopped by a signal, in the queue as well as behind it", async () => {
  await withManager(async (manager, path) => {
    await assertNoFdLeak(async () => {
      const stop = new AbortController();
      const barrier = notifyBarrier(stop);
      const { message } = await nextMessage(manager);
      stop.abort("enough");
      assertEquals(await barrier.catch((reason) => reason), "enough");
      message.close();

      using other = UnixDatagram.unbound();
      await fillQueue(other, path);
      const again = new AbortController();
      const waiting = notifyBarrier(again);
      again.abort("again");
      assertEquals(await waiting.catch((reason) => reason), "again");
      assert(!takeQueued(manager).includes("BARRIER=1"));
    });
    await assertRejects(
      () => notifyBarrier({ signal: AbortSignal.abort(new Error("no")) }),
      Error,
      "no",
    );
  });
});

test("notifyBarrier() is over when the manager ends", async () => {
  await withTempSocketPath(async (path) => {
    await withEnvironment({ NOTIFY_SOCKET: path }, async () => {
      using manager = UnixDatagram.bind(path);
      const barrier = notifyBarrier();
      await manager.peek();
      manager.close();
      assertEquals(await barrier, true);
    });
  });
});

test("notifyBarrierSync() gives up after its timeout where the manager keeps the descriptor", async () => {
  await withManager(async (manager) => {
    await assertNoFdLeak(async () => {
      await assertFails(() => notifyBarrierSync({ timeout: 5 }), "ETIMEDOUT");
      (await nextMessage(manager)).message.close();
    });
  });
});

test(
  "notifyBarrierSync() blocks until another process has closed the descriptor",
  { skip: unlessProgram("python3") },
  async () => {
    await withTempSocketPath(async (path) => {
      const script = `
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.bind(args[0])
        say("ready")
        for _ in range(2):
            data, fds, flags, _ = socket.recv_fds(manager, 4096, 10)
            say(data.decode(), len(fds))
            for fd in fds:
                os.close(fd)
      `;
      await using manager = python(script, [path]);
      await manager.line();
      await withEnvironment({ NOTIFY_SOCKET: path }, () => {
        assertEquals(notifySync({ stopping: true }, { timeout: 60_000 }), true);
        assertEquals(notifyBarrierSync(), true);
      });
      assertEquals(await manager.succeeded(), "ready\nSTOPPING=1 0\nBARRIER=1 1\n");
    });
  },
);

test(
  "notify() and notifyBarrier() send what systemd-notify sends",
  { skip: unlessProgram("systemd-notify") },
  async () => {
    await withManager(async (manager, path) => {
      const options = ["--ready", "--status=Up, and running", "--pid=4711", "X_OWN=1"];
      await using theirs = new Peer(["systemd-notify", ...options], {
        env: { NOTIFY_SOCKET: path },
      });
      const messages: unknown[][] = [[], []];
      for (let i = 0; i < 2; i++) {
        const { lines, message } = await nextMessage(manager);
        messages[0]!.push([lines.sort(), message.fds.map(({ kind }) => kind)]);
        message.close();
      }
      await theirs.succeeded();
      const fields = { X_OWN: "1" };
      const told = notify({ ready: true, status: "Up, and running", mainPid: 4711, fields });
      const barrier = notifyBarrier();
      for (let i = 0; i < 2; i++) {
        const { lines, message } = await nextMessage(manager);
        messages[1]!.push([lines.sort(), message.fds.map(({ kind }) => kind)]);
        message.close();
      }
      assertEquals(await Promise.all([told, barrier]), [true, true]);
      assertEquals(messages[1], messages[0]);
    });
  },
);
