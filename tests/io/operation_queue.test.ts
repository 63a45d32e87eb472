import { assert, assertEquals, assertMatch, assertRejects, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { assertFails, settled } from "../support/mod.ts";
import { eventually } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";
import { type Place, syncName, WAITS, withPlace } from "../support/waits.ts";

/** More operations than one turn finishes for one descriptor, each with a character of its own. */
const MANY = Array.from({ length: 90 }, (_, i) => String.fromCodePoint(33 + i));

/** Takes what waits to be sent until so many characters have come: a queue holds only a few. */
async function takeAll({ take }: Place, count: number): Promise<string> {
  let all = "";
  for (let tries = 0; all.length < count && tries < 5000; tries++) {
    all += take!();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return all + take!();
}

for (const wait of WAITS) {
  const { name, syscall, purpose, adds, triesAgain, call, callSync } = wait;

  // What looks takes nothing away, and counts that are added up have no order.
  if (!adds && purpose === "take") {
    test(`${name} serves those that wait in the order of the calls, however many`, () =>
      withPlace(wait, async ({ object, give }) => {
        const order: number[] = [];
        const calls = MANY.map(async (_, i) => {
          const taken = await call(object);
          order.push(i);
          return taken;
        });
        assert(await isPending(Promise.race(calls)));
        for (const character of MANY) give!(character);
        assertEquals(await eventually(Promise.all(calls)), MANY);
        assertEquals(order, [...MANY.keys()]);
        // And where they come one at a time.
        const trickling = ["a", "b", "c"].map((character) => [character, call(object)] as const);
        for (const [character, taken] of trickling) {
          give!(character);
          assertEquals(await eventually(taken), character);
        }
        const first = call(object);
        await settled();
        give!("1");
        give!("2");
        // The character is there, and the first call has not been told yet.
        const second = call(object);
        assertEquals(await eventually(Promise.all([first, second])), ["1", "2"]);
      }));

    test(`${syncName(wait)} lets those that wait go first`, () =>
      withPlace(wait, async ({ object, give }) => {
        const waiting = [call(object), call(object)];
        await settled();
        for (const character of ["1", "2", "3"]) give!(character);
        assertEquals(callSync(object), "3");
        assertEquals(await eventually(Promise.all(waiting)), ["1", "2"]);
      }));
  }

  if (!adds && purpose === "send") {
    test(`${name} sends what waits in the order of the calls, however many`, () =>
      withPlace(wait, async (place) => {
        const { object, take } = place;
        const calls = MANY.map((character) => call(object, {}, character));
        assert(await isPending(Promise.race(calls)));
        assertEquals(take!(), "");
        // There is room now, but it is spoken for.
        calls.push(call(object, {}, "!"));
        assertEquals(await takeAll(place, MANY.length + 1), [...MANY, "!"].join(""));
        await eventually(Promise.all(calls));
      }));

    test(
      `${syncName(wait)} ${triesAgain ? "may overtake" : "lets"} those that wait${
        triesAgain ? "" : " go first"
      }`,
      () =>
        withPlace(wait, async (place) => {
          const { object, take } = place;
          const waiting = [call(object, {}, "1"), call(object, {}, "2")];
          await settled();
          assertEquals(take!(), "");
          callSync(object, {}, "3");
          await eventually(Promise.all(waiting));
          const sent = take!();
          assertEquals(triesAgain ? [...sent].sort().join("") : sent, "123");
        }),
    );
  }

  test(`${name}: aborting one that waits rejects it with the reason, and leaves the others all, in order`, async () => {
    for (const index of [0, 1, 2]) {
      await withPlace(wait, async ({ object, give, take }) => {
        const controller = new AbortController();
        const { signal } = controller;
        const reason = new Error("enough");
        const calls = ["1", "2", "3"].map((character, i) =>
          call(object, i === index ? { signal } : {}, character)
        );
        const aborted = assertRejects(() => eventually(calls[index]!));
        assert(await isPending(Promise.race(calls)));
        // There is room from now on: what need not wait for another goes soon.
        if (purpose === "send") assertEquals(take!(), "");
        controller.abort(reason);
        assertStrictEquals(await aborted, reason);
        const others = calls.filter((_, i) => i !== index);
        if (purpose === "send") {
          await eventually(Promise.all(others));
          if (!adds) assertEquals(take!(), "123".replace(`${index + 1}`, ""));
        } else {
          assert(await isPending(Promise.race(others)));
          for (const [i, other] of others.entries()) {
            give!(`${i}`);
            const taken = await eventually(other);
            if (purpose === "take") assertEquals(taken, `${i}`);
          }
        }
      });
    }
  });

  test(`${name}: a signal that is aborted, before or while several wait, leaves the object usable`, () =>
    withPlace(wait, async ({ object, give, take }) => {
      const controller = new AbortController();
      const { signal } = controller;
      const reason = new Error("enough");
      const calls = ["1", "2", "3"].map((character) => call(object, { signal }, character));
      const failing = calls.map((each) => assertRejects(() => eventually(each)));
      assert(await isPending(Promise.race(calls)));
      controller.abort(reason);
      for (const each of await Promise.all(failing)) assertStrictEquals(each, reason);
      if (purpose === "send") assertEquals(take!(), "");
      else give!("k");
      // It could be served now, and is not.
      const late = await assertRejects(() => call(object, { signal }, "?"));
      assertStrictEquals(late, reason);
      const served = await eventually(call(object, {}, "k"));
      if (purpose === "take") assertEquals(served, "k");
      if (purpose === "send") assertEquals(take!(), "k");
    }));

  test(`${syncName(wait)} throws ETIMEDOUT when its time is over, and leaves those that wait, and all else`, () =>
    withPlace(wait, async ({ object, give, take }) => {
      for (const timeout of [0, 0.5, 5]) {
        const start = performance.now();
        const error = await assertFails(
          () => callSync(object, { timeout }, "?"),
          "ETIMEDOUT",
          syscall,
        );
        assert(performance.now() - start >= timeout - 0.01);
        assertMatch(error.message, /^Cannot [^:]+: ETIMEDOUT( \(after 0 bytes\))?$/);
        const counts = /writeAll|UnixStream.sendMessage/.test(name);
        assertEquals([error.errno, error.bytesTransferred], [110, counts ? 0 : undefined]);
      }
      const waiting = call(object, {}, "1");
      await assertFails(() => callSync(object, { timeout: 0 }, "?"), "ETIMEDOUT", syscall);
      assert(await isPending(waiting));
      if (purpose === "send") {
        assertEquals(take!(), "");
        await eventually(waiting);
        assertEquals(take!(), "1");
        callSync(object, { timeout: 0 }, "2");
        assertEquals(take!(), "2");
      } else {
        give!("1");
        const taken = await eventually(waiting);
        give!("2");
        const now = callSync(object, { timeout: 0 });
        if (purpose === "take") assertEquals([taken, now], ["1", "2"]);
      }
    }));
}
