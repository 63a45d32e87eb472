import { test } from "node:test";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import {
  Fd,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { programCommand } from "../support/listening.ts";
import { assertFails, fill, run, settled } from "../support/mod.ts";
import { leavesNothing } from "../support/passing.ts";
import { eventually } from "../support/streams.ts";
import { outcome } from "../support/waiting.ts";

// A function of `authorize` that accepts on the very listener that asks it

const UNNAMED = { kind: "unnamed" } as const;
const LISTENERS = [
  ["UnixListener", UnixListener, UnixStream],
  ["UnixSeqpacketListener", UnixSeqpacketListener, UnixSeqpacket],
] as const;

/** Asserts that a read that waits is served, and no sooner than there is something. */
async function assertWaitingWorks(): Promise<void> {
  const [a, b] = UnixStream.pair();
  const reading = b.read(new Uint8Array(1));
  await settled();
  a.writeSync(new Uint8Array(1));
  assertEquals(await eventually(reading), 1);
  a.close();
  b.close();
}

for (const [name, listeners, sockets] of LISTENERS) {
  /** A listener whose function does this first for each connection that it is asked about. */
  const listening = (first: (listener: { acceptSync(options: object): unknown }) => void) => {
    const listener: UnixListener | UnixSeqpacketListener = listeners.listen(UNNAMED, {
      authorize() {
        first(listener);
        return true;
      },
    });
    return listener;
  };

  test(`${name}: acceptSync() from within authorize is EBUSY while accept() waits, and each connection comes once`, async () => {
    await leavesNothing(async () => {
      const seen: unknown[] = [];
      const listener = listening((own) => {
        try {
          seen.push(own.acceptSync({ timeout: 0 }));
        } catch (error) {
          seen.push(error);
        }
      });
      const waiting = Array.from({ length: 3 }, () => listener.accept());
      const clients = [];
      for (let i = 0; i < 3; i++) clients.push(await sockets.connect(listener.addr));
      const servers = await eventually(Promise.all(waiting));
      assertEquals(seen.length, 3);
      for (const error of seen) {
        assertInstanceOf(error, UnixSocketError);
        assertEquals(error.code, "EBUSY");
      }
      assertEquals(listener.refused, 0);
      await assertFails(() => listener.acceptSync({ timeout: 0 }), "ETIMEDOUT");
      await assertWaitingWorks();
      for (const each of [...servers, ...clients, listener]) each.close();
    });
  });

  test(`${name}: accept() rejects with the EBUSY that authorize did not catch, and the next one works`, async () => {
    await leavesNothing(async () => {
      let nested = true;
      const listener = listening((own) => {
        if (nested) own.acceptSync({ timeout: 0 });
      });
      const waiting = outcome<{ close(): void }>(listener.accept());
      const client = await sockets.connect(listener.addr);
      assertEquals(await eventually(waiting), "EBUSY");
      assertEquals(listener.refused, 1);
      nested = false;
      const accepting: Promise<{ close(): void }> = listener.accept();
      await settled();
      const other = await sockets.connect(listener.addr);
      const server = await eventually(accepting);
      assert(!listener.closed);
      await assertWaitingWorks();
      for (const each of [server, client, other, listener]) each.close();
    });
  });

  test(`${name}: those that wait behind an accept() that was rejected with EBUSY are served`, async () => {
    await leavesNothing(async () => {
      let asked = 0;
      const listener = listening((own) => {
        if (asked++ === 0) own.acceptSync({ timeout: 0 });
      });
      const first = outcome<{ close(): void }>(listener.accept());
      const second: Promise<{ close(): void }> = listener.accept();
      const client = await sockets.connect(listener.addr);
      const other = await sockets.connect(listener.addr);
      assertEquals(await eventually(first), "EBUSY");
      const server = await eventually(second);
      assertEquals(asked, 2);
      await assertWaitingWorks();
      for (const each of [server, client, other, listener]) each.close();
    });
  });

  for (const what of ["caught", "not caught"] as const) {
    test(`${name}: a process whose authorize accepts, ${what}, waits for its reads and then ends`, async () => {
      const { code, stdout, stderr } = await run(
        programCommand("accept_from_within", [name, what]),
      );
      const came = what === "caught" ? "accepted" : "EBUSY";
      assertEquals({ code, stdout, stderr }, { code: 0, stdout: `${came}\nread 1\n`, stderr: "" });
    });
  }
}

/** A full stream, and the sending of a descriptor whose number is asked for by code of the caller's. */
async function sendingWhile(
  what: (stream: UnixStream, controller: AbortController) => void,
): Promise<unknown> {
  const [a, b] = UnixStream.pair();
  using _b = b;
  using _a = a;
  using file = Fd.memfd("file");
  fill(a);
  const controller = new AbortController();
  let asked = 0;
  const descriptor = {
    get fd(): number {
      // Checked, packed, and then duplicated for the wait.
      if (++asked === 3) what(a, controller);
      return file.fd;
    },
  };
  const { signal } = controller;
  return await a.sendMessage(new Uint8Array(1), { fds: [descriptor], signal }).then(
    () => "sent",
    (error) => error,
  );
}

test("UnixStream.sendMessage() whose descriptor closes the stream when asked for its number rejects with EBADF", async () => {
  const error = await sendingWhile((stream) => stream.close());
  assertEquals((error as { code?: string }).code, "EBADF");
});

test("UnixStream.sendMessage() whose descriptor aborts it when asked for its number rejects with the reason", async () => {
  const reason = new Error("aborted within");
  assertEquals(await sendingWhile((_, controller) => controller.abort(reason)), reason);
});
