import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Fd, UnixListener, UnixStream } from "../../mod.ts";
import { programCommand } from "../support/listening.ts";
import { assertFails, bytes, TestProcess, text, withTempSocketPath } from "../support/mod.ts";
import { fileOf, leavesNothing } from "../support/passing.ts";
import { polls } from "../support/recvmsg.ts";
import { eventually } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";

/** The eight bytes that an eventfd takes. */
const counted = (count: bigint) => BigUint64Array.of(count);

/** What can be waited for: something to wait on, how data come, and how they are taken again. */
interface Source {
  fd: Fd;
  come(): void;
  take(): Promise<string>;
  close(): void;
}

function pipe(): Source {
  const [reader, writer] = Fd.pipe();
  return {
    fd: reader,
    come: () => void writer.writeSync(bytes("data")),
    async take() {
      const buffer = new Uint8Array(16);
      return text(buffer.subarray(0, (await reader.read(buffer))!));
    },
    close() {
      reader.close();
      writer.close();
    },
  };
}

function eventfd(): Source {
  const fd = Fd.eventfd();
  return {
    fd,
    come: () => void fd.writeSync(counted(7n)),
    async take() {
      const count = new BigUint64Array(1);
      await fd.read(count);
      return count[0] === 7n ? "data" : `${count[0]}`;
    },
    close: () => fd.close(),
  };
}

function socket(): Source {
  const [a, b] = UnixStream.pair();
  const fd = Fd.adopt(b.intoFd());
  return {
    fd,
    come: () => void a.writeSync(bytes("data")),
    async take() {
      const buffer = new Uint8Array(16);
      return text(buffer.subarray(0, (await fd.read(buffer))!));
    },
    close() {
      a.close();
      fd.close();
    },
  };
}

for (const [name, make] of Object.entries({ pipe, eventfd, socket })) {
  test(`waitReadable() of a ${name} waits until data are there, and takes nothing away`, () =>
    leavesNothing(async () => {
      const source = make();
      const waiting = source.fd.waitReadable();
      assert(await isPending(waiting));
      source.come();
      assertEquals(await eventually(waiting), undefined);
      await source.fd.waitReadable();
      source.fd.waitReadableSync({ timeout: 0 });
      assertEquals(await eventually(source.take()), "data");
      const again = source.fd.waitReadable();
      assert(await isPending(again));
      source.come();
      await eventually(again);
      source.close();
    }));

  test(`waitReadable() of a ${name}: all that wait at once are told`, () =>
    leavesNothing(async () => {
      const source = make();
      const waiting = Array.from({ length: 50 }, () => source.fd.waitReadable());
      assert(await isPending(Promise.race(waiting)));
      source.come();
      await eventually(Promise.all(waiting));
      assertEquals(await eventually(source.take()), "data");
      source.close();
    }));

  test(`waitReadable() of a ${name} takes its turn among the reads`, () =>
    leavesNothing(async () => {
      const source = make();
      const before = source.fd.waitReadable();
      const taken = source.take();
      const after = source.fd.waitReadable();
      source.come();
      await eventually(before);
      assertEquals(await eventually(taken), "data");
      assert(await isPending(after));
      source.come();
      await eventually(after);
      source.close();
    }));
}

test("waitReadable() of a pipe is told of its end", () =>
  leavesNothing(async () => {
    const [reader, writer] = Fd.pipe();
    const waiting = reader.waitReadable();
    assert(await isPending(waiting));
    writer.close();
    await eventually(waiting);
    reader.waitReadableSync({ timeout: 0 });
    assertEquals(await reader.read(new Uint8Array(1)), null);
    reader.close();
  }));

test("waitReadable() of a file, for which nobody ever waits, is over at once", () =>
  leavesNothing(async () => {
    using file = fileOf("content");
    await file.waitReadable();
    file.waitReadableSync({ timeout: 0 });
  }));

test("waitReadable() of what is always readable lets timers and other sockets have their turn", async () => {
  using counter = Fd.eventfd(1);
  let over = false;
  setTimeout(() => over = true, 1);
  while (!over) await counter.waitReadable();
});

for (const how of ["waitReadable()", "waitReadableSync()"] as const) {
  test(`${how} of a pidfd is over when its process has ended`, () =>
    withTempSocketPath(async (path) => {
      using listener = UnixListener.listen(path);
      await using child = new TestProcess(programCommand("ends_with_connection", [path]));
      const connection = await listener.accept();
      await leavesNothing(async () => {
        using pidfd = connection.peerPidfd()!;
        const before = pidfd.waitReadable();
        assert(await isPending(before));
        await assertFails(() => pidfd.waitReadableSync({ timeout: 0 }), "ETIMEDOUT", "poll");
        connection.close();
        if (how === "waitReadableSync()") pidfd.waitReadableSync({ timeout: 60_000 });
        await eventually(before);
        assert(polls(pidfd.fd, 1));
        assertEquals((await child.finished).code, 0);
        // It stays so when nobody asks for its exit status any more.
        await pidfd.waitReadable();
        pidfd.waitReadableSync({ timeout: 0 });
      });
    }));
}
