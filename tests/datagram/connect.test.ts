import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { ReceiveBatch, UnixDatagram } from "../../mod.ts";
import { fillQueue, receiveTexts, takeQueued } from "../support/datagrams.ts";
import { assertFails, bytes, text, withTempDir, withTempSocketPath } from "../support/mod.ts";
import { uniqueName } from "../support/raw.ts";
import { eventually } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";

/** Runs a body with paths in a directory of its own. */
function withPaths<T>(body: (at: (name: string) => string) => T | Promise<T>): Promise<T> {
  return withTempDir((directory) => body((name) => `${directory}/${name}`));
}

test("UnixDatagram.connect() names the peer of send(), and returns the socket", async () => {
  await withPaths(async (at) => {
    using server = UnixDatagram.bind(at("server"));
    using client = UnixDatagram.unbound();
    assertStrictEquals(client.connect(at("server")), client);
    await client.send(bytes("1"));
    client.sendSync(bytes("2"));
    assertEquals(takeQueued(server), ["1", "2"]);
  });
});

test("UnixDatagram.send() without a peer fails with ENOTCONN", async () => {
  using socket = UnixDatagram.unbound();
  const error = await assertFails(() => socket.send(bytes("?")), "ENOTCONN", "send");
  assertEquals(error.message, "Cannot send: ENOTCONN");
  await assertFails(() => socket.sendSync(bytes("?")), "ENOTCONN", "send");
  await assertFails(() => socket.sendMany([bytes("?")]), "ENOTCONN", "sendmmsg");
});

test("UnixDatagram.remoteAddr is the peer's address, exactly, and null without a peer", async () => {
  await withPaths((at) => {
    using socket = UnixDatagram.unbound();
    assertEquals(socket.remoteAddr, null);
    using path = UnixDatagram.bind(at("server"));
    socket.connect(path.localAddr);
    assertEquals(socket.remoteAddr, path.localAddr);
    using name = UnixDatagram.bind(`\0${uniqueName("\0\0")}`);
    socket.connect(name.localAddr);
    assertEquals(socket.remoteAddr, name.localAddr);
    socket.disconnect();
    assertEquals(socket.remoteAddr, null);
  });
});

test("UnixDatagram.remoteAddr of a pair is unnamed at both ends", () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a, _b = b;
  assertEquals([a.remoteAddr, b.remoteAddr], [{ kind: "unnamed" }, { kind: "unnamed" }]);
});

test("A14 UnixDatagram.connect() to the unnamed address fails with EINVAL and keeps the peer", async () => {
  await withPaths(async (at) => {
    using server = UnixDatagram.bind(at("server"));
    using client = UnixDatagram.unbound().connect(at("server"));
    await assertFails(() => client.connect({ kind: "unnamed" }), "EINVAL", "connect");
    assertEquals(client.remoteAddr, server.localAddr);
    assertEquals(client.localAddr, { kind: "unnamed" });
  });
});

test("UnixDatagram.connect() that fails keeps the peer", async () => {
  await withPaths(async (at) => {
    using server = UnixDatagram.bind(at("server"));
    using client = UnixDatagram.unbound().connect(at("server"));
    await assertFails(() => client.connect(at("missing")), "ENOENT", "connect");
    await client.send(bytes("same peer"));
    assertEquals(takeQueued(server), ["same peer"]);
  });
});

test("UnixDatagram.sendTo() goes past the peer of a connected socket", async () => {
  await withPaths(async (at) => {
    using peer = UnixDatagram.bind(at("peer"));
    using other = UnixDatagram.bind(at("other"));
    using client = UnixDatagram.unbound().connect(at("peer"));
    await client.sendTo(bytes("to the other"), at("other"));
    await client.send(bytes("to the peer"));
    assertEquals([takeQueued(peer), takeQueued(other)], [["to the peer"], ["to the other"]]);
  });
});

test("UnixDatagram that is connected receives from its peer alone: others fail with EPERM", async () => {
  await withPaths(async (at) => {
    using server = UnixDatagram.bind(at("server"));
    using peer = UnixDatagram.bind(at("peer"));
    using other = UnixDatagram.unbound();
    server.connect(at("peer"));
    await assertFails(() => other.sendTo(bytes("?"), at("server")), "EPERM", "sendto");
    await assertFails(() => other.sendToSync(bytes("?"), at("server")), "EPERM", "sendto");
    await assertFails(() => other.connect(at("server")), "EPERM", "connect");
    await peer.sendTo(bytes("!"), at("server"));
    assertEquals(takeQueued(server), ["!"]);
    server.disconnect();
    await other.sendTo(bytes("now"), at("server"));
    assertEquals(takeQueued(server), ["now"]);
  });
});

test("the first UnixDatagram.connect() keeps what has arrived", async () => {
  await withPaths(async (at) => {
    using server = UnixDatagram.bind(at("server"));
    using client = UnixDatagram.bind(at("client"));
    await client.sendTo(bytes("early"), at("server"));
    server.connect(at("client"));
    assertEquals(takeQueued(server), ["early"]);
  });
});

test("D104 UnixDatagram.disconnect() forgets the peer: send() then fails with ENOTCONN", async () => {
  await withPaths(async (at) => {
    using server = UnixDatagram.bind(at("server"));
    using client = UnixDatagram.unbound().connect(at("server"));
    assertStrictEquals(client.disconnect(), client);
    await assertFails(() => client.send(bytes("?")), "ENOTCONN", "send");
    client.disconnect();
    await client.sendTo(bytes("still able"), at("server"));
    assertEquals(takeQueued(server), ["still able"]);
    await client.connect(at("server")).send(bytes("again"));
    assertEquals(takeQueued(server), ["again"]);
  });
});

test("D104 UnixDatagram.disconnect() fails a send() that waits with ENOTCONN", async () => {
  await withPaths(async (at) => {
    using server = UnixDatagram.bind(at("server"));
    using client = UnixDatagram.unbound().connect(at("server"));
    const filled = await fillQueue(client);
    const waiting = client.send(bytes("?"));
    const failed = assertFails(() => eventually(waiting), "ENOTCONN", "send");
    assert(await isPending(waiting));
    client.disconnect();
    await failed;
    assertEquals(takeQueued(server), filled);
  });
});

test("D103 UnixDatagram.connect() to another peer discards what has arrived", async () => {
  await withPaths(async (at) => {
    using server = UnixDatagram.bind(at("server"));
    using one = UnixDatagram.bind(at("one"));
    using two = UnixDatagram.bind(at("two"));
    server.connect(at("one"));
    await one.sendTo(bytes("lost"), at("server"));
    server.connect(at("two"));
    assertEquals(takeQueued(server), []);
    await two.sendTo(bytes("kept"), at("server"));
    assertEquals(takeQueued(server), ["kept"]);
  });
});

for (const how of ["connect", "disconnect"] as const) {
  test(`D103 after UnixDatagram.${how}() the old peer of both gets ECONNRESET once`, async () => {
    await withPaths(async (at) => {
      using a = UnixDatagram.bind(at("a"));
      using b = UnixDatagram.bind(at("b"));
      using _c = UnixDatagram.bind(at("c"));
      a.connect(at("b"));
      b.connect(at("a"));
      b.sendSync(bytes("discarded"));
      if (how === "connect") a.connect(at("c"));
      else a.disconnect();
      await assertFails(() => b.receiveSync({ timeout: 0 }), "ECONNRESET", "recvmsg");
      await assertFails(() => b.receiveSync({ timeout: 0 }), "ETIMEDOUT", "recvmsg");
    });
  });
}

test("D103 a receive() that waits rejects with ECONNRESET when the peer connects elsewhere and discards what it had", async () => {
  await withPaths(async (at) => {
    using a = UnixDatagram.bind(at("a"));
    using b = UnixDatagram.bind(at("b"));
    using c = UnixDatagram.bind(at("c"));
    a.connect(at("b"));
    b.connect(at("a"));
    a.sendSync(bytes("before"));
    b.sendSync(bytes("never read"));
    const messages: string[] = [];
    const loop = (async () => {
      for await (const { data } of b) messages.push(text(data));
    })();
    const failed = assertFails(() => eventually(loop), "ECONNRESET", "recvmsg");
    assert(await isPending(loop));
    a.connect(at("c"));
    await failed;
    assertEquals(messages, ["before"]);
    const next = b.receive();
    assert(await isPending(next));
    // Connected to nobody's peer any more, b hears those it is connected to: a.
    await a.sendTo(bytes("after"), at("b"));
    assertEquals(text((await next).data), "after");
    assertEquals(takeQueued(c), []);
  });
});

test("D100 UnixDatagram whose server has gone gets ECONNREFUSED once, then ENOTCONN until it connects again", async () => {
  await withPaths(async (at) => {
    const server = UnixDatagram.bind(at("server"));
    using client = UnixDatagram.unbound().connect(at("server"));
    await client.send(bytes("1"));
    server.close();
    await assertFails(() => client.send(bytes("2")), "ECONNREFUSED", "send");
    assertEquals(client.remoteAddr, null);
    await assertFails(() => client.send(bytes("3")), "ENOTCONN", "send");
    using restarted = UnixDatagram.bind(at("server"));
    await assertFails(() => client.send(bytes("4")), "ENOTCONN", "send");
    await client.connect(at("server")).send(bytes("5"));
    assertEquals(takeQueued(restarted), ["5"]);
  });
});

test("D100 UnixDatagram.connect() again before anything was sent reaches the server that was restarted", async () => {
  await withPaths(async (at) => {
    const server = UnixDatagram.bind(at("server"));
    using client = UnixDatagram.unbound().connect(at("server"));
    server.close();
    using restarted = UnixDatagram.bind(at("server"));
    await assertFails(() => client.send(bytes("to the dead")), "ECONNREFUSED", "send");
    await client.connect(at("server")).send(bytes("to the living"));
    assertEquals(takeQueued(restarted), ["to the living"]);
  });
});

test("D100 UnixDatagram.sendTo() needs no connecting to reach the server that was restarted", async () => {
  await withPaths(async (at) => {
    const server = UnixDatagram.bind(at("server"));
    using client = UnixDatagram.unbound();
    await client.sendTo(bytes("1"), at("server"));
    server.close();
    await assertFails(() => client.sendTo(bytes("2"), at("server")), "ENOENT", "sendto");
    using restarted = UnixDatagram.bind(at("server"));
    await client.sendTo(bytes("3"), at("server"));
    assertEquals(takeQueued(restarted), ["3"]);
  });
});

test("D101 UnixDatagram whose peer closed with unread messages waits on, and hears of it when it sends", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a;
  a.sendSync(bytes("never read"));
  b.sendSync(bytes("to be read"));
  b.close();
  assertEquals(takeQueued(a), ["to be read"]);
  const receiving = a.receive();
  assert(await isPending(receiving));
  await assertFails(() => a.send(bytes("?")), "ECONNREFUSED", "send");
  assert(await isPending(receiving));
  a.close();
  await assertFails(() => receiving, "EBADF", "recvmsg");
});

test("D101 UnixDatagram.receiveSync() and receiveManySync() wait on after the peer closed", async () => {
  const [a, b] = UnixDatagram.pair();
  using _a = a;
  b.close();
  await assertFails(() => a.receiveSync({ timeout: 1 }), "ETIMEDOUT", "recvmsg");
  const batch = new ReceiveBatch();
  await assertFails(() => a.receiveManySync(batch, { timeout: 1 }), "ETIMEDOUT", "recvmmsg");
});

test("D97 a send() that waits rejects with ECONNREFUSED when the receiver closes", async () => {
  await withPaths(async (at) => {
    const server = UnixDatagram.bind(at("server"));
    using client = UnixDatagram.unbound().connect(at("server"));
    await fillQueue(client);
    const first = client.send(bytes("first"));
    const second = client.send(bytes("second"));
    const failures = [
      assertFails(() => eventually(first), "ECONNREFUSED", "send"),
      // The first refusal disconnects the socket.
      assertFails(() => eventually(second), "ENOTCONN", "send"),
    ];
    assert(await isPending(first));
    server.close();
    await Promise.all(failures);
  });
});

test("D97 a sendTo() that waits rejects with the receiver's absence when it closes", async () => {
  await withPaths(async (at) => {
    for (
      const [address, code] of [[at("server"), "ENOENT"], [`\0${uniqueName()}`, "ECONNREFUSED"]]
    ) {
      const server = UnixDatagram.bind(address!);
      using client = UnixDatagram.unbound();
      await fillQueue(client, address);
      const waiting = client.sendTo(bytes("?"), address!);
      const failed = assertFails(() => eventually(waiting), code!, "sendto");
      assert(await isPending(waiting));
      server.close();
      await failed;
    }
  });
});

test("UnixDatagram.connect() to another peer lets a send() that waits go there", async () => {
  await withPaths(async (at) => {
    using one = UnixDatagram.bind(at("one"));
    using two = UnixDatagram.bind(at("two"));
    using client = UnixDatagram.unbound().connect(at("one"));
    const filled = await fillQueue(client);
    const waiting = client.send(bytes("moved"));
    assert(await isPending(waiting));
    client.connect(at("two"));
    await eventually(waiting);
    assertEquals([takeQueued(one), takeQueued(two)], [filled, ["moved"]]);
  });
});

test("UnixDatagram may be connected to itself", async () => {
  await withTempSocketPath(async (path) => {
    using socket = UnixDatagram.bind(path);
    socket.connect(path);
    await socket.send(bytes("echo"));
    const { data, from } = await socket.receive();
    assertEquals([text(data), from], ["echo", { kind: "pathname", path }]);
  });
});

test("two UnixDatagrams that are connected to each other exchange messages without an address", async () => {
  await withPaths(async (at) => {
    using a = UnixDatagram.bind(at("a"));
    using b = UnixDatagram.bind(at("b"));
    a.connect(at("b"));
    b.connect(at("a"));
    await a.send(bytes("ping"));
    const { from } = await b.peek();
    assertEquals(from, a.localAddr);
    await b.send((await b.receive()).data);
    assertEquals(await receiveTexts(a, 1), ["ping"]);
  });
});
