import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import { join } from "@std/path";
import { UnixListener, UnixStream } from "../../mod.ts";
import {
  assertFails,
  bytes,
  commandFor,
  fill,
  readText,
  readToEnd,
  ROOT,
  RUNTIME,
  TestProcess,
  withSocketPair,
  withTempSocketPath,
} from "../support/mod.ts";
import { takeSync } from "../support/waiting.ts";

const program = join(ROOT, "tests/programs", "interrupted.ts");

/** Not by ChildProcess.kill(), which on Deno works once and then calls that signal the end. */
function signal(pid: number): void {
  try {
    process.kill(pid, "SIGUSR2");
  } catch {
    // It has ended.
  }
}

test("K212 UnixStream.writeAllSync() says on a timeout how much went out, and the peer gets just that", async () => {
  await withSocketPair(async (a, b) => {
    const data = Uint8Array.from({ length: 1_000_000 }, (_, index) => index * 7);
    const error = await assertFails(() => a.writeAllSync(data, { timeout: 20 }), "ETIMEDOUT");
    const sent = error.bytesTransferred!;
    assert(sent > 0 && sent < data.length);
    assertEquals(a.bytesWritten, sent);
    a.closeWrite();
    assertEquals(await readToEnd(b), data.subarray(0, sent));
  });
});

test("K212 blocking calls with a timeout throw ETIMEDOUT no earlier than asked and leave the socket usable", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path, { backlog: 0 });
    const timesOut = async (what: () => unknown, syscall: string) => {
      const start = performance.now();
      await assertFails(what, "ETIMEDOUT", syscall);
      assert(performance.now() - start >= 20);
    };
    await timesOut(() => listener.acceptSync({ timeout: 20 }), "accept4");
    using queued = UnixStream.connectSync(path);
    await timesOut(() => UnixStream.connectSync(path, { timeout: 20 }), "connect");
    using accepted = listener.acceptSync({ timeout: 20 });
    await timesOut(() => queued.readSync(new Uint8Array(1), { timeout: 20 }), "recv");
    await timesOut(() => queued.peekSync(new Uint8Array(1), { timeout: 20 }), "recv");
    const filled = fill(queued);
    await timesOut(() => queued.writeSync(new Uint8Array(1), { timeout: 20 }), "send");
    takeSync(accepted, filled);
    queued.writeSync(bytes("still fine"), { timeout: 0 });
    assertEquals(await readText(accepted), "still fine");
  });
});

test("K215 UnixStream.readSync() goes on when signals interrupt it", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using child = new TestProcess([...commandFor(RUNTIME, program), path, "read"]);
    using stream = await listener.accept();
    await child.waitFor("ready\n");
    const interruptions = () => child.stdout.split("interrupted\n").length - 1;
    // A signal that comes between two waits interrupts none.
    for (let signals = 0; interruptions() < 5 && signals < 1000; signals++) {
      signal(child.pid);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert(interruptions() >= 5);
    stream.writeSync(bytes("after the signals"));
    const { stdout, code, stderr } = await child.finished;
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout.replaceAll("interrupted\n", ""), "ready\nafter the signals\n");
  });
});

for (const what of ["read", "write", "accept", "connect"]) {
  test(`K215 a blocking ${what} ends at its time, no earlier and at all, while signals keep interrupting it`, async () => {
    await withTempSocketPath(async (path) => {
      using _full = UnixListener.listen(path, { backlog: 0 });
      using _queued = UnixStream.connectSync(path);
      await using child = new TestProcess([
        ...commandFor(RUNTIME, program),
        path,
        `${what}-timeout`,
      ]);
      await child.waitFor("ready\n");
      let ended = false;
      child.finished.then(() => ended = true);
      // More often than the timeout, which a wait that starts anew with each would never reach.
      for (let signals = 0; !ended && signals < 1000; signals++) {
        signal(child.pid);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      assert(ended);
      const { stdout, code, stderr } = await child.finished;
      assertEquals([code, stderr], [0, ""]);
      assertEquals(stdout.replaceAll("interrupted\n", ""), "ready\nETIMEDOUT in time\n");
    });
  });
}
