import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { UnixDatagram, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { bytes, fill, text } from "../support/mod.ts";
import {
  assertNothingArrived,
  contentOf,
  fileOf,
  fillCarrier,
  leavesNothing,
} from "../support/passing.ts";
import { isPending, takeSync } from "../support/waiting.ts";

/** Ten bytes in memory that can grow, seen by a view that grows with it. */
function growing(): { view: Uint8Array<ArrayBuffer>; grow(): void } {
  const buffer = new ArrayBuffer(10, { maxByteLength: 500 });
  const view = new Uint8Array(buffer);
  view.set(bytes("0123456789"));
  return {
    view,
    grow() {
      buffer.resize(500);
      assertEquals(view.length, 500);
      view.fill(0x78, 10);
    },
  };
}

for (const withFile of [false, true]) {
  const what = withFile ? "with a descriptor" : "without descriptors";

  test(`UnixStream.sendMessage() ${what} of memory that grows while it waits sends what it was`, () =>
    leavesNothing(async () => {
      const [a, b] = UnixStream.pair();
      const filled = fill(a);
      const { view, grow } = growing();
      using file = fileOf("along");
      const sending = a.sendMessage(view, withFile ? { fds: [file] } : {});
      assert(await isPending(sending));
      grow();
      takeSync(b, filled);
      assertEquals(await sending, 10);
      assertEquals(a.bytesWritten, filled + 10);
      await a.writeAll(bytes("!"));
      let received = "";
      const contents = [];
      while (received.length < 11) {
        using message = b.receiveMessageSync({ timeout: 10_000 });
        received += text(message!.data);
        contents.push(...message!.fds.map(contentOf));
      }
      assertEquals(received, "0123456789!");
      assertEquals(contents, withFile ? ["along"] : []);
      a.close();
      b.close();
    }));

  for (const [name, Kind] of Object.entries({ UnixDatagram, UnixSeqpacket })) {
    test(`${name}.sendMessage() ${what} of memory that grows while it waits refuses, and sends nothing`, () =>
      leavesNothing(async () => {
        const [a, b] = Kind.pair();
        const filled = fillCarrier(a);
        const { view, grow } = growing();
        using file = fileOf("along");
        const sending = a.sendMessage(view, withFile ? { fds: [file] } : {});
        assert(await isPending(sending));
        grow();
        const refused = assertRejects(() => sending, TypeError);
        for (let i = 0; i < filled; i++) b.receiveSync();
        await refused;
        assertNothingArrived(b);
        a.close();
        b.close();
      }));
  }
}

test("UnixStream.writeAll() and write() of memory that grows while they wait send what it was", async () => {
  const [a, b] = UnixStream.pair();
  const filled = fill(a);
  const [first, second] = [growing(), growing()];
  const writing = a.writeAll(first.view);
  const count = a.write(second.view);
  assert(await isPending(writing));
  first.grow();
  second.grow();
  takeSync(b, filled);
  await writing;
  assertEquals(await count, 10);
  assertEquals(text(takeSync(b, 20)), "01234567890123456789");
  assertEquals(b.bytesReadable, 0);
  a.close();
  b.close();
});
