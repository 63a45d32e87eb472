import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { UnixStream } from "../../mod.ts";
import { bytes, settled, text } from "../support/mod.ts";
import {
  type Carrier,
  CARRIER_NAMES,
  CARRIERS,
  closeEach,
  fillCarrier,
  leavesNothing,
} from "../support/passing.ts";
import { isPending, outcome } from "../support/waiting.ts";

/** Takes so many bytes away, which came one in each message where there are messages. */
function drain(socket: Carrier, count: number): void {
  for (let left = count; left > 0;) {
    const message = socket.receiveMessageSync({ timeout: 10_000, size: left })!;
    assertEquals(message.fds, []);
    left -= message.data.length;
  }
}

for (const name of CARRIER_NAMES) {
  test(`${name}.sendMessage() that waits transfers its own socket and succeeds, and other waits go on`, async () => {
    await leavesNothing(async () => {
      const [a, b] = CARRIERS[name]() as [Carrier, Carrier];
      try {
        const queued = fillCarrier(a);
        const sending = outcome(a.sendMessage(bytes("myself"), { fds: [a], transfer: true }));
        const behind = outcome(a.sendMessage(bytes("never")));
        assertEquals(await isPending(sending), true);
        drain(b, queued);
        assertEquals([await sending, await behind], [6, "EBADF"]);
        assert(a.closed);
        using message = (await b.receiveMessage())!;
        assertEquals([text(message.data), message.fds[0]!.kind], ["myself", "socket"]);
      } finally {
        closeEach([a, b]);
      }

      // The event loop still knows that something waits.
      const [c, d] = UnixStream.pair();
      try {
        const reading = c.read(new Uint8Array(1), { signal: AbortSignal.timeout(10_000) });
        await settled();
        d.writeSync(new Uint8Array(1));
        assertEquals(await reading, 1);
      } finally {
        closeEach([c, d]);
      }
    });
  });
}
