import { test } from "node:test";
import { assertEquals, assertStrictEquals } from "@std/assert";
import { UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream } from "../../mod.ts";
import { settled } from "../support/mod.ts";
import { eventually } from "../support/streams.ts";
import { assertLeavesNone } from "../support/visitor.ts";
import { outcome } from "../support/waiting.ts";

// What the function of `authorize` itself does to the listener that asks it

const UNNAMED = { kind: "unnamed" } as const;
const LISTENERS = [
  ["UnixListener", "SOCK_STREAM", UnixListener, UnixStream],
  ["UnixSeqpacketListener", "SOCK_SEQPACKET", UnixSeqpacketListener, UnixSeqpacket],
] as const;

/** The next that arrives at a client; null at the end. */
async function next(client: UnixStream | UnixSeqpacket): Promise<number | null> {
  if (client instanceof UnixStream) return await client.read(new Uint8Array(8));
  return (await client.receive())?.length ?? null;
}

/** Asserts that what waits from now on is served. */
async function assertWaitingWorks(): Promise<void> {
  const [a, b] = UnixStream.pair();
  const reading = b.read(new Uint8Array(1));
  await settled();
  a.writeSync(new Uint8Array(1));
  assertEquals(await eventually(reading), 1);
  a.close();
  b.close();
}

for (const [name, , listeners, sockets] of LISTENERS) {
  /** A listener whose door is opened and closed by hand. */
  const withDoor = () => {
    const door = { open: false, asked: 0, beforeAnswer: () => {} };
    const listener = listeners.listen(UNNAMED, {
      authorize() {
        door.asked++;
        door.beforeAnswer();
        return door.open;
      },
    });
    return { listener, door, connect: () => sockets.connect(listener.addr) };
  };

  for (const answer of [false, true]) {
    for (const when of ["at once", "after waiting"] as const) {
      test(`${name}: a function that closes the listener and returns ${answer} ends accept() ${when}, and leaves nothing open`, async () => {
        await assertLeavesNone(async () => {
          const { listener, door, connect } = withDoor();
          door.open = answer;
          door.beforeAnswer = () => listener.close();
          let accepting: Promise<{ close(): void }>;
          let client;
          if (when === "at once") {
            client = await connect();
            accepting = listener.accept();
          } else {
            accepting = listener.accept();
            const waiting = outcome(accepting);
            client = await connect();
            await Promise.race([waiting, next(client).catch(() => {})]);
          }
          const result = await eventually(outcome(accepting));
          // It may give the connection or refuse it, but has to own up to one of both.
          if (typeof result === "string") assertEquals(result, "EBADF");
          else result.close();
          await settled();
          assertEquals(await eventually(next(client)), null);
          client.close();
          await assertWaitingWorks();
        });
      });

      test(`${name}: a function that aborts accept() and returns ${answer} ends it ${when}, and loses no connection`, async () => {
        await assertLeavesNone(async () => {
          const { listener, door, connect } = withDoor();
          const controller = new AbortController();
          const reason = new Error("enough");
          door.open = answer;
          door.beforeAnswer = () => controller.abort(reason);
          const { signal } = controller;
          let accepting;
          let client;
          if (when === "at once") {
            client = await connect();
            accepting = listener.accept({ signal });
          } else {
            accepting = listener.accept({ signal });
            client = await connect();
          }
          const settledTo = accepting.then((socket) => socket, (error) => error);
          const result = await eventually(settledTo);
          if (result instanceof Error) assertStrictEquals(result, reason);
          else result.close();
          await settled();
          // An abort loses no connection: it was refused, or the next call has it.
          if (result === reason && answer) {
            door.beforeAnswer = () => {};
            const again: Promise<{ close(): void }> = listener.accept();
            (await eventually(again)).close();
          }
          assertEquals(await eventually(next(client)), null);
          client.close();
          await assertWaitingWorks();
          listener.close();
        });
      });
    }
  }
}
