import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Fd, UnixStream } from "../../mod.ts";
import { assertFails } from "../support/mod.ts";
import { fileOf, leavesNothing } from "../support/passing.ts";
import { eventually } from "../support/streams.ts";
import { isPending, outcome } from "../support/waiting.ts";

/** What has a buffer that can be full: the end that writes, and what makes room in it. */
interface Sink {
  fd: Fd;
  makeRoom(): void;
  /** Closes the end that reads. */
  end(): void;
}

function pipe(): Sink {
  const [reader, fd] = Fd.pipe();
  return {
    fd,
    makeRoom: () => void reader.readSync(new Uint8Array(1 << 20)),
    end: () => reader.close(),
  };
}

function socket(): Sink {
  const [peer, ours] = UnixStream.pair();
  const buffer = new Uint8Array(1 << 20);
  return {
    fd: Fd.adopt(ours.intoFd()),
    makeRoom() {
      while (peer.bytesReadable > 0) peer.readSync(buffer);
    },
    end: () => peer.close(),
  };
}

/** Writes until nothing fits any more. */
async function fill(fd: Fd): Promise<void> {
  const write = () => fd.writeSync(new Uint8Array(4096), { timeout: 0 });
  while (await outcome(Promise.resolve().then(write)) !== "ETIMEDOUT");
}

for (const [name, make] of Object.entries({ pipe, socket })) {
  test(`waitWritable() of a ${name} waits until there is room, and writes nothing`, () =>
    leavesNothing(async () => {
      const { fd, makeRoom, end } = make();
      await fd.waitWritable();
      fd.waitWritableSync({ timeout: 0 });
      await fill(fd);
      const waiting = fd.waitWritable();
      assert(await isPending(waiting));
      await assertFails(() => fd.waitWritableSync({ timeout: 0 }), "ETIMEDOUT", "poll");
      makeRoom();
      await eventually(waiting);
      assert(fd.writeSync(new Uint8Array(1), { timeout: 0 }) === 1);
      fd.close();
      end();
    }));

  test(`waitWritable() of a ${name} takes its turn among the writes`, () =>
    leavesNothing(async () => {
      const { fd, makeRoom, end } = make();
      await fill(fd);
      const order: string[] = [];
      const writing = fd.write(new Uint8Array(1)).then(() => order.push("write"));
      const waiting = fd.waitWritable().then(() => order.push("wait"));
      assert(await isPending(Promise.race([writing, waiting])));
      makeRoom();
      await eventually(Promise.all([writing, waiting]));
      assertEquals(order, ["write", "wait"]);
      fd.close();
      end();
    }));

  test(`waitWritable() of a ${name} is over when nobody reads any more`, () =>
    leavesNothing(async () => {
      const { fd, end } = make();
      await fill(fd);
      const waiting = fd.waitWritable();
      assert(await isPending(waiting));
      end();
      await eventually(waiting);
      await assertFails(() => fd.write(new Uint8Array(1)), "EPIPE", "write");
      fd.close();
    }));

  test(`waitWritable() of a ${name} is aborted with the signal's reason, and EBADF once it is closed`, () =>
    leavesNothing(async () => {
      const { fd, end } = make();
      await fill(fd);
      const controller = new AbortController();
      const aborted = outcome(fd.waitWritable({ signal: controller.signal }));
      const waiting = outcome(fd.waitWritable());
      controller.abort(new Error("enough"));
      assertEquals(await eventually(aborted), "Error: enough");
      assert(await isPending(waiting));
      fd.close();
      assertEquals(await eventually(waiting), "EBADF");
      await assertFails(() => fd.waitWritable(), "EBADF", "poll");
      await assertFails(() => fd.waitWritableSync(), "EBADF", "poll");
      end();
    }));
}

test("waitWritable() of a file, for which nobody ever waits, is over at once", () =>
  leavesNothing(async () => {
    using file = fileOf("content");
    await file.waitWritable();
    file.waitWritableSync({ timeout: 0 });
  }));
