import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { ReceivedMessage } from "../../mod.ts";
import { bytes, text } from "../support/mod.ts";
import {
  CARRIER_NAMES,
  closeEach,
  contentOf,
  fileOf,
  filesOf,
  leavesNothing,
  WAYS,
  withCarriers,
} from "../support/passing.ts";
import { isPending } from "../support/waiting.ts";

const ROOM = { size: 1_000_000 };

/** Text of a length, different everywhere. */
function longText(length: number): string {
  let all = "";
  for (let i = 0; all.length < length; i++) all += `${i},`;
  return all.slice(0, length);
}

const textOf = ({ data }: ReceivedMessage) => text(data);

for (const name of CARRIER_NAMES) {
  for (const way of WAYS) {
    test(`${name}: ${way.name} with room for 1,000,000 bytes bring each message`, () =>
      withCarriers(name, async (a, b) => {
        const sent = ["short", longText(100_000), longText(9), longText(30_000)];
        const received = [];
        for (const each of sent) {
          await way.send(a, each);
          received.push(await way.receive(b, ROOM));
        }
        // Those that came before are not overwritten.
        assertEquals(received.map(textOf), sent);
        for (const [i, message] of received.entries()) {
          assertEquals([message.length, message.truncated], [sent[i]!.length, false]);
        }
      }));

    test(`${name}: ${way.name} with room for 1,000,000 bytes bring the descriptors`, () =>
      withCarriers(name, async (a, b) => {
        const files = filesOf(3);
        await way.send(a, "three", { fds: files });
        closeEach(files);
        using message = await way.receive(b, ROOM);
        assertEquals(textOf(message), "three");
        assertEquals(message.fds.map(contentOf), ["0", "1", "2"]);
      }));
  }

  test(`${name}: receipts with much and with little room that wait get their messages in order`, () =>
    withCarriers(name, async (a, b) => {
      const sizes = [1_000_000, 10, 2_000_000, 600_000, 1_000_000];
      const receipts = sizes.map((size) => b.receiveMessage({ size }));
      assert(await isPending(Promise.race(receipts)));
      const received: string[] = [];
      for (const [i, receipt] of receipts.entries()) {
        await a.sendMessage(bytes(`message ${i}`));
        received.push(textOf((await receipt)!));
      }
      assertEquals(received, sizes.map((_, i) => `message ${i}`));
    }));

  if (name !== "UnixStream") {
    test(`${name}: receive() with room for 1,000,000 bytes brings each message`, () =>
      withCarriers(name, async (a, b) => {
        const sent = ["short", longText(100_000), "", longText(9)];
        const received = [];
        for (const each of sent) {
          await a.send(bytes(each));
          received.push(await b.receive(ROOM));
          await a.send(bytes(each));
          received.push(b.receiveSync(ROOM));
        }
        assertEquals(
          received.map((message) => text(message!.data)),
          sent.flatMap((each) => [each, each]),
        );
      }));
  }

  test(`${name}: takeFds() takes all descriptors and leaves none to close`, () =>
    withCarriers(name, async (a, b) => {
      const files = filesOf(3);
      await a.sendMessage(bytes("three"), { fds: files });
      closeEach(files);
      const receive = async () => {
        using message = await b.receiveMessage();
        const taken = message!.takeFds();
        assertEquals([message!.fds, message!.takeFds()], [[], []]);
        return taken;
      };
      const taken = await receive();
      assertEquals(taken.map((fd) => fd.closed), [false, false, false]);
      assertEquals(taken.map(contentOf), ["0", "1", "2"]);
      closeEach(taken);
    }));
}

test("takeFds() takes those that are left, and none where none came", () =>
  leavesNothing(() =>
    withCarriers("UnixStream", async (a, b) => {
      const files = filesOf(3);
      await a.sendMessage(bytes("three"), { fds: files });
      closeEach(files);
      using message = await b.receiveMessage();
      using first = message!.fds.shift()!;
      const rest = message!.takeFds();
      assertEquals([first, ...rest].map(contentOf), ["0", "1", "2"]);
      closeEach(rest);
      await a.sendMessage(bytes("none"));
      using without = await b.receiveMessage();
      assertEquals(without!.takeFds(), []);
      using file = fileOf("again");
      await a.sendMessage(bytes("one"), { fds: [file] });
      const again = await b.receiveMessage();
      again!.close();
      assertEquals(again!.takeFds().map((fd) => fd.closed), [true]);
    })
  ));
