import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Credentials,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { assertFails, bytes } from "../support/mod.ts";
import { assertLeavesNone, STRANGER, unlessOthers, Visitor } from "../support/visitor.ts";
import { isPending } from "../support/waiting.ts";

const UNNAMED = { kind: "unnamed" } as const;
const others = { skip: unlessOthers };

const LISTENERS = [
  ["UnixListener", "SOCK_STREAM", UnixListener, UnixStream],
  ["UnixSeqpacketListener", "SOCK_SEQPACKET", UnixSeqpacketListener, UnixSeqpacket],
] as const;

/** The next that arrives at a client; null at the end. */
async function next(client: UnixStream | UnixSeqpacket): Promise<number | null> {
  if (client instanceof UnixStream) return await client.read(new Uint8Array(8));
  return (await client.receive())?.length ?? null;
}

async function send(client: UnixStream | UnixSeqpacket, data: string): Promise<void> {
  await client.sendMessage(bytes(data));
}

for (const [name, type, listeners, sockets] of LISTENERS) {
  /** A listener whose door is opened and closed by hand. */
  const withDoor = () => {
    const door = { open: false, asked: 0, beforeAnswer: (_peer: Credentials) => {} };
    const listener = listeners.listen(UNNAMED, {
      authorize(peer) {
        door.asked++;
        door.beforeAnswer(peer);
        return door.open;
      },
    });
    return { listener, door, connect: () => sockets.connect(listener.addr) };
  };

  test(`${name}: a peer that is refused sees the end, or ECONNRESET where it had sent something, and sends in vain`, async () => {
    const { listener, connect } = withDoor();
    using silent = await connect();
    using talking = await connect();
    await send(talking, "hello");
    const reading = next(silent);
    assert(await isPending(reading));
    await assertFails(() => listener.acceptSync({ timeout: 0 }), "ETIMEDOUT", "accept4");
    assertEquals(listener.refused, 2);
    assertEquals(await reading, null);
    await assertFails(() => next(talking), "ECONNRESET");
    assertEquals(await next(talking), null);
    for (const client of [silent, talking]) await assertFails(() => send(client, "x"), "EPIPE");
    listener.close();
    assertEquals(listener.refused, 2);
  });

  test(`${name}: another process that is refused sees the same`, others, async () => {
    using listener = listeners.listen(UNNAMED, { authorize: { uid: [STRANGER] } });
    await using visitor = new Visitor(type);
    await visitor.visit(listener.addr);
    await visitor.visit(listener.addr, { send: "hello" });
    await visitor.visit(listener.addr, { uid: STRANGER, send: "hello" });
    using socket = await listener.accept();
    await send(socket, "welcome");
    assertEquals(await visitor.sees(), "the end");
    assertEquals(await visitor.sees(), "ECONNRESET");
    assertEquals(await visitor.sees(), "welcome");
    assertEquals(await next(socket), 5);
  });

  test(`${name}.accept() goes on waiting over refused peers, and still serves the allowed one`, async () => {
    const { listener, door, connect } = withDoor();
    const accepting = listener.accept();
    for (let i = 1; i <= 3; i++) {
      using client = await connect();
      // Its end is the event that tells that it was judged.
      assertEquals(await next(client), null);
      assertEquals(listener.refused, i);
    }
    assert(await isPending(accepting));
    door.open = true;
    using client = await connect();
    using socket = await accepting;
    await send(socket, "welcome");
    assertEquals(await next(client), 7);
    assertEquals([listener.refused, door.asked], [3, 4]);
    listener.close();
  });

  test(
    `${name}.accept(), called twice, gives the allowed peers in the order of the calls`,
    others,
    async () => {
      using listener = listeners.listen(UNNAMED, { authorize: { uid: [1, 2] } });
      const accepting = [listener.accept(), listener.accept()];
      await using visitor = new Visitor(type);
      for (const uid of [3, 1, 3, 3, 2, 3]) await visitor.visit(listener.addr, { uid });
      using first = await accepting[0]!;
      using second = await accepting[1]!;
      assertEquals([first, second].map((each) => each.peerCredentials()!.uid), [1, 2]);
      await assertFails(() => listener.acceptSync({ timeout: 0 }), "ETIMEDOUT");
      assertEquals(listener.refused, 4);
    },
  );

  test(`${name}.acceptSync() passes over more refused peers than one turn takes, to the allowed one behind them`, async () => {
    const { listener, door, connect } = withDoor();
    const clients = [];
    for (let i = 0; i < 100; i++) clients.push(await connect());
    door.beforeAnswer = () => door.open = door.asked === 100;
    using socket = listener.acceptSync({ timeout: 60_000 });
    await send(socket, "welcome");
    assertEquals(await next(clients.at(-1)!), 7);
    assertEquals(listener.refused, 99);
    for (const client of clients) client.close();
    listener.close();
  });

  test(`${name}.acceptSync() gives up at its timeout also while refused peers keep coming`, async () => {
    const { listener, door, connect } = withDoor();
    const most = 2000;
    // Each that is refused is followed by the next, and the first takes all of the time.
    door.beforeAnswer = () => {
      const end = performance.now() + 10;
      while (door.asked === 1 && performance.now() < end);
      if (door.asked < most) sockets.connectSync(listener.addr).close();
    };
    (await connect()).close();
    await assertFails(() => listener.acceptSync({ timeout: 5 }), "ETIMEDOUT", "accept4");
    assert(listener.refused < most, `all ${most} peers came first`);
    listener.close();
  });

  test(`${name}.accept() lets timers run while refused peers keep coming without end`, async () => {
    const { listener, door, connect } = withDoor();
    const most = 20_000;
    const timer = setTimeout(() => door.open = true, 0);
    door.beforeAnswer = () => {
      if (door.asked < most) sockets.connectSync(listener.addr).close();
    };
    (await connect()).close();
    using _socket = await listener.accept();
    assert(listener.refused < most, "the timer did not run");
    clearTimeout(timer);
    listener.close();
  });

  test(`${name}: 100 refused peers in a row do not hold up what is due`, async () => {
    const { listener, door, connect } = withDoor();
    for (let i = 0; i < 100; i++) (await connect()).close();
    using _allowed = await connect();
    door.beforeAnswer = () => door.open = door.asked > 100;
    let seen = -1;
    const accepting = listener.accept();
    setImmediate(() => seen = listener.refused);
    using _socket = await accepting;
    assertEquals(listener.refused, 100);
    assert(seen >= 0 && seen < 100, `${seen} were refused before the event loop went on`);
    listener.close();
  });

  test(`${name}: a loop over the connections sees the allowed ones alone`, others, async () => {
    using listener = listeners.listen(UNNAMED, { authorize: ({ uid }) => uid % 2 === 1 });
    await using visitor = new Visitor(type);
    const visiting = (async () => {
      for (let uid = 1; uid <= 8; uid++) await visitor.visit(listener.addr, { uid });
    })();
    const seen: number[] = [];
    for await (const socket of listener) {
      seen.push(socket.peerCredentials()!.uid);
      socket.close();
      if (seen.length === 4) break;
    }
    await visiting;
    assertEquals([seen, listener.closed], [[1, 3, 5, 7], false]);
    await assertFails(() => listener.acceptSync({ timeout: 0 }), "ETIMEDOUT");
    assertEquals(listener.refused, 4);
  });

  test(`${name}: a loop ends with what the function throws, and another goes on`, async () => {
    const { listener, door, connect } = withDoor();
    door.open = true;
    door.beforeAnswer = () => {
      if (door.asked === 2) throw new Error("This peer is odd");
    };
    using _first = await connect();
    using _second = await connect();
    using _third = await connect();
    let count = 0;
    const loop = async () => {
      for await (const socket of listener) {
        count++;
        socket.close();
        if (count === 2) return "returned";
      }
      return "ended";
    };
    await assertRejects(loop, Error, "This peer is odd");
    assertEquals([count, listener.refused, listener.closed], [1, 1, false]);
    assertEquals(await loop(), "returned");
    listener.close();
  });

  test(`${name}.accept() that is aborted while it refuses loses nobody that is allowed`, async () => {
    const { listener, door, connect } = withDoor();
    const controller = new AbortController();
    const accepting = listener.accept({ signal: controller.signal }).then(() => "accepted", String);
    using refused = await connect();
    assertEquals(await next(refused), null);
    controller.abort(new Error("enough"));
    assertEquals(await accepting, "Error: enough");
    door.open = true;
    using client = await connect();
    using socket = await listener.accept();
    await send(socket, "welcome");
    assertEquals(await next(client), 7);
    assertEquals(listener.refused, 1);
    listener.close();
  });

  test(`${name}: refusing leaves no descriptor behind, whatever the function does`, async () => {
    const { listener, door, connect } = withDoor();
    door.beforeAnswer = () => {
      if (door.asked % 3 === 0) throw new Error("This peer is odd");
    };
    await assertLeavesNone(async () => {
      for (let i = 0; i < 99; i++) (await connect()).close();
      let thrown = 0;
      for (let timedOut = false; !timedOut;) {
        try {
          listener.acceptSync({ timeout: 0 });
        } catch (error) {
          timedOut = (error as { code?: string }).code === "ETIMEDOUT";
          if (!timedOut) thrown++;
        }
      }
      assertEquals([thrown, listener.refused], [33, 99]);
    });
    listener.close();
  });
}
