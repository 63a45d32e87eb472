import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import process from "node:process";
import { join } from "@std/path";
import { Fd, UnixListener, UnixStream } from "../../mod.ts";
import {
  assertFails,
  bytes,
  commandFor,
  ROOT,
  RUNTIME,
  TestProcess,
  withTempSocketPath,
} from "../support/mod.ts";
import { digest, pattern, readExactly } from "../support/streams.ts";

const program = join(ROOT, "tests/programs", "interrupted.ts");

/** Not by ChildProcess.kill(), which on Deno works once and then calls that signal the end. */
function signal(pid: number): void {
  try {
    process.kill(pid, "SIGUSR2");
  } catch {
    // It has ended.
  }
}

for (
  const [Class, pair] of [
    ["UnixStream", () => UnixStream.pair()],
    ["Fd", () => Fd.pipe().reverse() as [Fd, Fd]],
  ] as [string, () => [UnixStream | Fd, UnixStream | Fd]][]
) {
  test(`K212 ${Class}.writeAllSync() says on a timeout how much was written, and the peer gets just that`, async () => {
    for (const timeout of [0, 5]) {
      const [writer, reader] = pair();
      using _reader = reader;
      const data = pattern(4 << 20);
      const write = () => writer.writeAllSync(data, { timeout });
      const { bytesTransferred: sent, message } = await assertFails(write, "ETIMEDOUT");
      assert(sent! > 0 && sent! < data.length, `${sent} bytes`);
      assertStringIncludes(message, `after ${sent} bytes`);
      if (writer instanceof UnixStream) assertEquals(writer.bytesWritten, sent);
      assertEquals((await assertFails(write, "ETIMEDOUT")).bytesTransferred, 0);
      writer.close();
      const received = await readExactly(reader, data.length);
      assertEquals(digest(received), digest(data.subarray(0, sent)));
    }
  });
}

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
