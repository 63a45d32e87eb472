import { assert, assertEquals, assertMatch } from "@std/assert";
import { test } from "node:test";
import { Fd, UnixStream } from "../../mod.ts";
import { assertFails, bytes, fill, settled, withSocketPair } from "../support/mod.ts";
import { closeEach, leavesNothing } from "../support/passing.ts";
import { digest, eventually, pattern } from "../support/streams.ts";
import { isPending, outcome } from "../support/waiting.ts";
import { WAITS, withPlace } from "../support/waits.ts";

for (const wait of WAITS) {
  const { name, syscall, purpose, triesAgain, call } = wait;

  test(`K211 ${name} that waits rejects with EBADF when its object closes`, () =>
    withPlace(wait, async ({ object, assertUntouched }) => {
      const controller = new AbortController();
      const { signal } = controller;
      const calls = [call(object), call(object, { signal }), call(object)];
      const failing = calls.map((each) => assertFails(() => eventually(each), "EBADF", syscall));
      assert(await isPending(Promise.race(calls)));
      object.close();
      object.close();
      controller.abort();
      for (const { message, bytesTransferred } of await Promise.all(failing)) {
        assertMatch(message, /^Cannot .+: EBADF \(the descriptor was closed\)$/);
        assertEquals(
          bytesTransferred,
          /writeAll|UnixStream.sendMessage/.test(name) ? 0 : undefined,
        );
      }
      assertEquals([object.closed, object.fd], [true, -1]);
      await assertUntouched();
    }));

  test(`K211 ${name} that waits rejects with EBADF when the descriptor is given away, which works on`, () =>
    withPlace(wait, async ({ object, adopt, give, take }) => {
      const failing = assertFails(() => eventually(call(object)), "EBADF", syscall);
      const fd = object.intoFd();
      const { message } = await failing;
      // What waits for room at an address is not told which of the two has ended it.
      const end = triesAgain ? "(closed|given away)" : "given away";
      assertMatch(message, new RegExp(`^Cannot .+: EBADF \\(the descriptor was ${end}\\)$`));
      assertEquals([object.closed, object.fd], [true, -1]);
      const next = adopt(fd);
      try {
        assertEquals(next.fd, fd);
        const again = call(next);
        assert(await isPending(again));
        if (purpose === "send") take!();
        else give!("x");
        await eventually(again);
      } finally {
        next.close();
      }
    }));
}

test("K211 UnixStream.close() rejects all that waits, in both directions", async () => {
  await withSocketPair(async (a) => {
    fill(a);
    const waiting = [
      a.read(new Uint8Array(1)),
      a.peek(new Uint8Array(1)),
      a.read(new Uint8Array(0)),
      a.write(bytes("1")),
      a.writeAll(bytes("2")),
      a.write(bytes("3")),
    ].map(outcome<unknown>);
    await settled();
    a.close();
    assertEquals(await Promise.all(waiting), waiting.map(() => "EBADF"));
  });
});

for (
  const [name, pair] of [
    ["UnixStream", () => UnixStream.pair()],
    ["Fd", () => Fd.pipe().reverse()],
  ] as [string, () => (UnixStream | Fd)[]][]
) {
  test(`K211 ${name}.writeAll() of which a part is written says how much when its object closes`, () =>
    leavesNothing(async () => {
      const [writer, reader] = pair() as [UnixStream | Fd, UnixStream | Fd];
      const data = pattern(1 << 20);
      const writing = assertFails(() => writer.writeAll(data), "EBADF");
      await settled();
      writer.close();
      const sent = (await writing).bytesTransferred!;
      assert(sent > 0 && sent < data.length, `${sent} bytes`);
      const received: Uint8Array<ArrayBuffer>[] = [];
      for await (const chunk of reader.readable) received.push(chunk);
      const all = new Uint8Array(await new Blob(received).arrayBuffer());
      assertEquals([all.length, digest(all)], [sent, digest(data.subarray(0, sent))]);
      closeEach([writer, reader]);
    }));
}

test("K211 UnixStream.close() within a continuation of one read rejects the reads behind it", async () => {
  await withSocketPair(async (a, b) => {
    const first = b.read(new Uint8Array(1)).then(() => b.close());
    const others = [b.read(new Uint8Array(1)), b.read(new Uint8Array(1))].map(outcome);
    await settled();
    a.writeSync(bytes("1"));
    await first;
    assertEquals(await Promise.all(others), ["EBADF", "EBADF"]);
  });
});
