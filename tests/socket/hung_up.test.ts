import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { type Socket, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { bytes, readText, withSocketPair } from "../support/mod.ts";

for (const type of [UnixStream, UnixSeqpacket]) {
  test(`${type.name}.hungUp is true once both directions have ended`, () => {
    const ends: [(a: Socket, b: Socket) => void, boolean][] = [
      [() => {}, false],
      [(_, b) => b.shutdown("write"), false],
      [(_, b) => b.shutdown("read"), false],
      [(_, b) => b.close(), true],
      [(_, b) => b.shutdown("both"), true],
      [(a, b) => [a, b].forEach((end) => end.shutdown("write")), true],
      [(a) => a.close(), true],
    ];
    for (const [end, expected] of ends) {
      const [a, b] = type.pair();
      using _a = a;
      using _b = b;
      end(a, b);
      assertEquals(a.hungUp, expected, `${end}`);
    }
  });
}

test("UnixStream.hungUp is true while the peer's last bytes can still be read", async () => {
  await withSocketPair(async (a, b) => {
    await b.writeAll(bytes("last words"));
    b.close();
    assert(a.hungUp);
    assertEquals(await readText(a), "last words");
  });
});
