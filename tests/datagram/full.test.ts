import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { test } from "node:test";
import { configure, UnixDatagram } from "../../mod.ts";
import { fillQueue, receiveTexts, takeQueued } from "../support/datagrams.ts";
import { programCommand } from "../support/listening.ts";
import {
  assertFails,
  bytes,
  run,
  settled,
  TestProcess,
  text,
  withTempSocketPath,
} from "../support/mod.ts";
import { ample, QUEUE } from "../support/queue.ts";
import { uniqueName } from "../support/raw.ts";
import { eventually } from "../support/streams.ts";
import { countCalls, isPending, outcome, until } from "../support/waiting.ts";

/** A sender to a receiver; `send` waits for room, `sendSync` blocks for it. */
interface Route {
  send(message: string, options?: { signal?: AbortSignal; dontWait?: boolean }): Promise<void>;
  sendSync(message: string, timeout?: number): void;
  /** Sends until nothing fits any more. */
  fill(): Promise<string[]>;
  sender: UnixDatagram;
  receiver: UnixDatagram;
}

/** The two ways to a receiver: only the first has an event that tells of room. */
const ROUTES: Record<string, (body: (route: Route) => Promise<void>) => Promise<void>> = {
  async "send() to a peer"(body) {
    using receiver = UnixDatagram.bind(`\0${uniqueName()}`);
    using sender = UnixDatagram.unbound().connect(receiver.localAddr);
    await body({
      send: (message, options) => sender.send(bytes(message), options),
      sendSync: (message, timeout) => sender.sendSync(bytes(message), { timeout }),
      fill: () => fillQueue(sender),
      sender,
      receiver,
    });
  },
  async "sendTo() an address"(body) {
    using receiver = UnixDatagram.bind(`\0${uniqueName()}`);
    using sender = UnixDatagram.unbound();
    const to = receiver.localAddr;
    await body({
      send: (message, options) => sender.sendTo(bytes(message), to, options),
      sendSync: (message, timeout) => sender.sendToSync(bytes(message), to, { timeout }),
      fill: () => fillQueue(sender, to),
      sender,
      receiver,
    });
  },
};

test("D94 a receiver takes net.unix.max_dgram_qlen + 1 messages of an unconnected sender, then EAGAIN", async () => {
  using receiver = UnixDatagram.bind(`\0${uniqueName()}`);
  using sender = UnixDatagram.unbound();
  const filled = await fillQueue(sender, receiver.localAddr);
  assertEquals(filled.length, QUEUE);
  const error = await assertFails(
    () => sender.sendTo(bytes("?"), receiver.localAddr, { dontWait: true }),
    "EAGAIN",
    "sendto",
  );
  assertEquals(error.errno, 11);
  assertEquals(takeQueued(receiver), filled);
});

test("D94 a pair has no limit of messages but the sender's buffer", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = ample(a), _b = b;
  const filled = await fillQueue(a);
  assertGreater(filled.length, QUEUE);
  assertEquals(takeQueued(b), filled);
});

for (const [name, withRoute] of Object.entries(ROUTES)) {
  test(`${name} waits while the receiver is full, and goes on when there is room`, async () => {
    await withRoute(async ({ send, fill, receiver }) => {
      const filled = await fill();
      const waiting = send("waited");
      assert(await isPending(waiting));
      assertEquals(text((await receiver.receive()).data), filled[0]);
      await eventually(waiting);
      assertEquals(takeQueued(receiver), [...filled.slice(1), "waited"]);
    });
  });

  test(`${name} with \`dontWait\` fails with EAGAIN where it would wait, and sends nothing`, async () => {
    await withRoute(async ({ send, fill, receiver }) => {
      const filled = await fill();
      await assertFails(() => send("?", { dontWait: true }), "EAGAIN");
      assertEquals(takeQueued(receiver), filled);
      await send("fits", { dontWait: true });
      assertEquals(takeQueued(receiver), ["fits"]);
    });
  });

  test(`${name} with \`dontWait\` does not overtake those that wait`, async () => {
    await withRoute(async ({ send, fill, receiver }) => {
      const filled = await fill();
      const waiting = send("waiting");
      // There is room now, but it is spoken for.
      assertEquals(takeQueued(receiver), filled);
      await assertFails(() => send("?", { dontWait: true }), "EAGAIN");
      await eventually(waiting);
      await send("!", { dontWait: true });
      assertEquals(takeQueued(receiver), ["waiting", "!"]);
    });
  });

  test(`${name} with \`dontWait\` has room again once the one that waited was aborted`, async () => {
    await withRoute(async ({ send, fill, receiver }) => {
      const filled = await fill();
      const { signal, abort } = controllerOf();
      const waiting = outcome(send("?", { signal }));
      await settled();
      abort();
      assertEquals(takeQueued(receiver), filled);
      assertEquals(await waiting, "enough");
      await send("fits", { dontWait: true });
      assertEquals(takeQueued(receiver), ["fits"]);
    });
  });

  test(`${name} that is aborted at once after it began to wait sends nothing, also where there is room by then`, async () => {
    await withRoute(async ({ send, fill, receiver }) => {
      const filled = await fill();
      const { signal, abort } = controllerOf();
      const waiting = outcome(send("?", { signal }));
      assertEquals(takeQueued(receiver), filled);
      abort();
      assertEquals(await waiting, "enough");
      assertEquals(takeQueued(receiver), []);
    });
  });

  test(`${name} aborted at any moment has sent its message once or never`, async () => {
    await withRoute(async ({ send, fill, receiver }) => {
      const outcomes = new Set<boolean>();
      for (let round = 0; round < 60; round++) {
        let left = (await fill()).length;
        const { signal, abort } = controllerOf();
        const sending = send(`round ${round}`, { signal }).then(() => true, () => false);
        const received: string[] = [];
        for (let turn = 0; turn < 4; turn++) {
          if (turn === round % 4) receiver.receiveSync(), left--;
          if (turn === (round >> 2) % 4) abort();
          await settled(1 + round % 3);
        }
        const sent = await eventually(sending);
        received.push(...takeQueued(receiver).slice(left));
        assertEquals(received, sent ? [`round ${round}`] : []);
        outcomes.add(sent);
      }
      assert(outcomes.has(false), "no sending was ever aborted");
    });
  });

  test(`D98 ${name} delivers 5,000 numbered messages in order to a receiver that keeps up`, async () => {
    await withRoute(async ({ send, receiver }) => {
      const receiving = receiveTexts(receiver, 5000);
      for (let i = 0; i < 5000; i++) await send(`${i}`);
      const received = await receiving;
      assertEquals(received.findIndex((message, i) => message !== `${i}`), -1);
    });
  });
}

for (const connected of [true, false]) {
  const name = connected ? "sendSync()" : "sendToSync()";
  test(`D98 UnixDatagram.${name} blocks until another process has room: 5,000 messages in order`, async () => {
    await withTempSocketPath(async (path) => {
      await using counter = new TestProcess(programCommand("datagram_counter", [path, "5000"]));
      await counter.waitFor("ready");
      using sender = UnixDatagram.unbound();
      if (connected) sender.connect(path);
      for (let i = 0; i < 5000; i++) {
        const message = bytes(`${i}`);
        if (connected) sender.sendSync(message, { timeout: 60_000 });
        else sender.sendToSync(message, path, { timeout: 60_000 });
      }
      const { stdout, stderr } = await counter.finished;
      assertEquals(stdout, "ready\nall in order\n", stderr);
    });
  });
}

test("D95 a sendTo() that waits tries again only now and then", async () => {
  using receiver = UnixDatagram.bind(`\0${uniqueName()}`);
  using sender = UnixDatagram.unbound();
  const filled = await fillQueue(sender, receiver.localAddr);
  using sendings = countCalls("sendto");
  const waiting = sender.sendTo(bytes("waited"), receiver.localAddr);
  assertEquals(sendings.counts.sendto, 1);
  // Epoll calls the unconnected sender writable, whatever happens at the receiver.
  await settled(50);
  const early = sendings.counts.sendto;
  assertLess(early, 50);
  await until(() => sendings.counts.sendto >= early + 3, "three more tries");
  await receiver.receive();
  await eventually(waiting);
  assertEquals(takeQueued(receiver), [...filled.slice(1), "waited"]);
});

test("D95 of many sendTo() that wait for one receiver only the first tries", async () => {
  using receiver = UnixDatagram.bind(`\0${uniqueName()}`);
  using sender = UnixDatagram.unbound();
  const filled = await fillQueue(sender, receiver.localAddr);
  const first = sender.sendTo(bytes("first"), receiver.localAddr);
  using sendings = countCalls("sendto");
  const others = Array.from(
    { length: 20 },
    (_, i) => sender.sendTo(bytes(`${i}`), receiver.localAddr),
  );
  assertEquals(sendings.counts.sendto, 0);
  await eventually(receiveTexts(receiver, filled.length + 21));
  await Promise.all([first, ...others]);
});

test("D95 a sendTo() that waits for one receiver holds up no other", async () => {
  using full = UnixDatagram.bind(`\0${uniqueName()}`);
  using free = UnixDatagram.bind(`\0${uniqueName()}`);
  using sender = UnixDatagram.unbound();
  const filled = await fillQueue(sender, full.localAddr);
  const waiting = [
    sender.sendTo(bytes("1"), full.localAddr),
    sender.sendTo(bytes("2"), full.localAddr),
  ];
  for (let i = 0; i < 5; i++) await sender.sendTo(bytes(`${i}`), free.localAddr);
  assertEquals(takeQueued(free), ["0", "1", "2", "3", "4"]);
  assert(await isPending(waiting[0]!));
  assertEquals(takeQueued(full), filled);
  await eventually(Promise.all(waiting));
  assertEquals(takeQueued(full), ["1", "2"]);
});

test("D95 sendTo() by different spellings of one address waits in one line", async () => {
  await withTempSocketPath(async (path) => {
    using receiver = UnixDatagram.bind(path);
    using sender = UnixDatagram.unbound();
    const filled = await fillQueue(sender, path);
    const spellings = [path, bytes(path), new URL(`file://${path}`), receiver.localAddr];
    const waiting = spellings.map((spelling, i) => sender.sendTo(bytes(`${i}`), spelling));
    assertEquals(takeQueued(receiver), filled);
    await eventually(Promise.all(waiting));
    assertEquals(takeQueued(receiver), ["0", "1", "2", "3"]);
  });
});

test("UnixDatagram.sendTo() waits for its own send buffer too, and goes on when others have read", async () => {
  const receivers = Array.from({ length: 8 }, () => UnixDatagram.bind(`\0${uniqueName()}`));
  try {
    using sender = UnixDatagram.unbound();
    sender.sendBufferSize = 1;
    // 4,608 bytes: six small messages, to whomever.
    const sendings = receivers.map(({ localAddr }) => sender.sendTo(bytes("x"), localAddr));
    assertEquals(await isPending(sendings[7]!), true);
    for (const receiver of receivers) assertEquals(await receiveTexts(receiver, 1), ["x"]);
    await eventually(Promise.all(sendings));
  } finally {
    for (const receiver of receivers) receiver.close();
  }
});

test("D94 UnixDatagram.send() that waits for its own send buffer is woken when three quarters of it are free", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  // Nor does it look by itself, before it is woken.
  configure({ busyPoll: false });
  try {
    a.sendBufferSize = 1;
    const filled = await fillQueue(a);
    const message = a.bytesUnsent / filled.length;
    const waiting = a.send(bytes("waited"));
    let taken = 0;
    while (a.bytesUnsent - message > a.sendBufferSize / 4) {
      assertEquals(text((await b.receive()).data), filled[taken++]);
      assert(await isPending(waiting), `after ${taken} of ${filled.length}`);
    }
    assertEquals(text((await b.receive()).data), filled[taken++]);
    await eventually(waiting);
    assertEquals(takeQueued(b), [...filled.slice(taken), "waited"]);
  } finally {
    configure({ busyPoll: { max: 100 } });
  }
});

test("UnixDatagram.send() may change its data as soon as it has been sent", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  const data = bytes("first");
  await a.send(data);
  data.set(bytes("other"));
  await a.send(data);
  assertEquals(takeQueued(b), ["first", "other"]);
});

for (const how of ["send", "many sendTo", "sendMany to addresses"]) {
  test(`D95 a process whose ${how} waits for room uses next to no processor time`, async () => {
    const { code, stdout, stderr } = await run(programCommand("datagram_waiting", ["cpu", how]));
    assertEquals(code, 0, stderr);
    const { percent, calls } = JSON.parse(stdout);
    assertLess(percent, 30);
    // In two seconds, one try every 64 milliseconds.
    assertLess(calls, 100);
  });
}

for (const how of ["send", "sendTo", "sendMany to addresses"]) {
  test(`a ${how} that waits for room keeps the process alive until it is done`, async () => {
    const { code, stdout, stderr } = await run(programCommand("datagram_waiting", ["ref", how]));
    assertEquals([code, stdout], [0, "still alive\nsent\n"], stderr);
  });

  test(`a ${how} that waits for room does not keep the process alive after unref()`, async () => {
    const { code, stdout, stderr } = await run(programCommand("datagram_waiting", ["unref", how]));
    assertEquals([code, stdout], [0, ""], stderr);
  });
}

/** A signal, and what aborts it with a reason that reads "enough". */
function controllerOf(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort("enough") };
}
