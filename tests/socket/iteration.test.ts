import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { type Message, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { text } from "../support/mod.ts";
import { eventually } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";
import { type Handle, WAITS, withPlace } from "../support/waits.ts";

/** What an iteration has yielded: bytes, a message, or a connection, which is closed then. */
function textOf(value: unknown): string {
  if (value instanceof Uint8Array) return text(value);
  if (!(value instanceof UnixStream || value instanceof UnixSeqpacket)) {
    return text((value as Message).data);
  }
  using connection = value;
  return text(connection.receiveMessageSync({ timeout: 10_000 })!.data);
}

function iterable(object: Handle): AsyncIterable<unknown, undefined> {
  return object as unknown as AsyncIterable<unknown, undefined>;
}

/** Goes through an object until its iteration ends. */
async function allOf(object: Handle, seen: string[] = []): Promise<string[]> {
  for await (const each of iterable(object)) seen.push(textOf(each));
  return seen;
}

/** The class, and the call of it whose place an iteration can wait at. */
const ITERATED: Record<string, string> = {
  UnixStream: "read()",
  UnixDatagram: "receive()",
  UnixSeqpacket: "receive()",
  UnixListener: "accept()",
  UnixSeqpacketListener: "accept()",
};

for (const [name, call] of Object.entries(ITERATED)) {
  const wait = WAITS.find((each) => each.name === `${name}.${call}`)!;
  const prefix = name.endsWith("Listener") ? "C83 " : "";

  test(`${prefix}${name}'s iteration yields what comes and ends, without an error, when it is closed while it waits`, () =>
    withPlace(wait, async ({ object, give }) => {
      const seen: string[] = [];
      const loop = allOf(object, seen);
      for (const character of ["1", "2"]) {
        give!(character);
        assert(await isPending(loop));
        assertEquals(seen.at(-1), character);
      }
      object.close();
      assertEquals(await eventually(loop), ["1", "2"]);
    }));

  test(`${prefix}${name}'s iteration ends when its body closes it, and yields no more`, () =>
    withPlace(wait, async ({ object, give }) => {
      give!("1");
      const seen: string[] = [];
      for await (const each of iterable(object)) {
        seen.push(textOf(each));
        give!("2");
        object.close();
      }
      assertEquals(seen, ["1"]);
      assertEquals(await allOf(object), []);
    }));

  test(`${prefix}${name}'s iteration ends when the descriptor is given away while it waits, and loses nothing`, () =>
    withPlace(wait, async ({ object, adopt, give }) => {
      const loop = allOf(object);
      assert(await isPending(loop));
      const next = adopt(object.intoFd());
      try {
        give!("n");
        assertEquals(await eventually(loop), []);
        assertEquals(await eventually(wait.call(next)), "n");
      } finally {
        next.close();
      }
    }));

  test(`${prefix}leaving ${name}'s iteration, also by an error, leaves it open, and another goes on`, () =>
    withPlace(wait, async ({ object, give }) => {
      const seen: string[] = [];
      for (const character of ["1", "2"]) {
        give!(character);
        for await (const each of iterable(object)) {
          seen.push(textOf(each));
          break;
        }
      }
      give!("3");
      const mishap = new Error("in the body");
      const loop = async () => {
        for await (const each of iterable(object)) {
          seen.push(textOf(each));
          throw mishap;
        }
      };
      assertStrictEquals(await assertRejects(loop), mishap);
      give!("4");
      assertEquals(await eventually(wait.call(object)), "4");
      assertEquals([seen, object.closed], [["1", "2", "3"], false]);
    }));

  test(`${name}'s iterator is its own iterator, and two of them share what comes`, () =>
    withPlace(wait, async ({ object, give }) => {
      const [first, second] = [1, 2].map(() => iterable(object)[Symbol.asyncIterator]());
      assertStrictEquals((first as AsyncIterableIterator<unknown>)[Symbol.asyncIterator](), first);
      const waiting = [first!.next(), second!.next()];
      give!("1");
      assertEquals(textOf((await eventually(waiting[0]!)).value), "1");
      give!("2");
      assertEquals(textOf((await eventually(waiting[1]!)).value), "2");
    }));
}
