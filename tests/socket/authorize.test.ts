import { existsSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type AuthorizePeer,
  type Credentials,
  type ListenOptions,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { assertFails, openDescriptors, withTempSocketPath } from "../support/mod.ts";
import { callsMade } from "../support/raw.ts";
import { assertRefuses } from "../support/refusals.ts";
import { groupsOf, OWN, STRANGER, unlessOthers, Visitor } from "../support/visitor.ts";

const UNNAMED = { kind: "unnamed" } as const;
const others = { skip: unlessOthers };

type Authorize = ListenOptions["authorize"];

const LISTENERS = [
  ["UnixListener", "SOCK_STREAM", UnixListener, UnixStream],
  ["UnixSeqpacketListener", "SOCK_SEQPACKET", UnixSeqpacketListener, UnixSeqpacket],
] as const;

for (const [name, type, listeners, sockets] of LISTENERS) {
  /** The uids of those who are let in, of peers that come with these identities, and how many are not. */
  const letIn = async (authorize: Authorize, identities: [number, number, number[]][]) => {
    using listener = listeners.listen(UNNAMED, { authorize });
    await using visitor = new Visitor(type);
    for (const [uid, gid, groups] of identities) {
      await visitor.visit(listener.addr, { uid, gid, groups });
    }
    const allowed: string[] = [];
    for (;;) {
      try {
        using socket = listener.acceptSync({ timeout: 0 });
        const { uid, gid } = socket.peerCredentials()!;
        allowed.push(`${uid}:${gid}`);
      } catch (error) {
        if ((error as { code?: string }).code !== "ETIMEDOUT") throw error;
        return { allowed, refused: listener.refused };
      }
    }
  };

  test(
    `${name} with a list of uids lets in the users that it names, whatever their groups`,
    others,
    async () => {
      assertEquals(
        await letIn({ uid: [5, STRANGER] }, [
          [5, 1, []],
          [6, 5, [5]],
          [STRANGER, 6, []],
          [0, 0, [0]],
          [5, 2, [1]],
        ]),
        { allowed: ["5:1", `${STRANGER}:6`, "5:2"], refused: 2 },
      );
    },
  );

  test(
    `${name} with a list of gids lets in those whose group, or one of whose supplementary groups, it names`,
    others,
    async () => {
      const many = Array.from({ length: 300 }, (_, i) => 10_000 + i);
      assertEquals(
        await letIn({ gid: [7, 10_299] }, [
          [1, 7, []],
          [2, 8, [6, 7, 9]],
          [7, 8, [6, 9]],
          [3, 8, many],
          [4, 8, many.slice(0, -1)],
          [0, 0, [0]],
          [5, 10_299, []],
        ]),
        { allowed: ["1:7", "2:8", "3:8", "5:10299"], refused: 3 },
      );
    },
  );

  test(`${name} with both lists lets in those whom each of them names`, others, async () => {
    assertEquals(
      await letIn({ uid: [1, 2], gid: [7] }, [
        [1, 7, []],
        [1, 8, []],
        [3, 7, []],
        [2, 8, [7]],
        [2, 8, [1]],
        [7, 1, [2]],
      ]),
      { allowed: ["1:7", "2:8"], refused: 4 },
    );
  });

  test(`${name} with an empty list lets nobody in, root neither`, others, async () => {
    const root: [number, number, number[]] = [0, 0, [0]];
    for (
      const authorize of [{ uid: [] }, { gid: [] }, { uid: [], gid: [0] }, { uid: [0], gid: [] }]
    ) {
      assertEquals(await letIn(authorize, [root]), { allowed: [], refused: 1 });
    }
  });

  test(
    `${name} judges by the effective ids of when the peer connected, also one that has left`,
    others,
    async () => {
      using listener = listeners.listen(UNNAMED, { authorize: { uid: [STRANGER] } });
      await using visitor = new Visitor(type);
      await visitor.visit(listener.addr, { leave: true });
      await visitor.visit(listener.addr, { uid: STRANGER, leave: true });
      await visitor.peer.succeeded();
      using socket = await listener.accept();
      assertEquals(socket.peerCredentials()!.uid, STRANGER);
      assertEquals(listener.refused, 1);
    },
  );

  test(
    `${name} shows a function the peer's credentials, once a connection, and lets in whom it says`,
    others,
    async () => {
      const seen: Credentials[] = [];
      using listener = listeners.listen(UNNAMED, {
        authorize(peer) {
          seen.push(peer);
          return peer.uid === STRANGER && peer.gid === 12;
        },
      });
      await using visitor = new Visitor(type);
      const { pid } = visitor;
      const identities = [{ uid: 5, gid: 12 }, { uid: STRANGER, gid: 13 }, {
        uid: STRANGER,
        gid: 12,
      }];
      for (const identity of identities) await visitor.visit(listener.addr, identity);
      using socket = await listener.accept();
      assertEquals(socket.peerCredentials(), { pid, uid: STRANGER, gid: 12 });
      assertEquals(seen, identities.map((identity) => ({ pid, ...identity })));
      assertEquals(listener.refused, 2);
    },
  );

  test(
    `${name}.fromFd() with authorize judges those who wait already, and those who come`,
    others,
    async () => {
      using before = listeners.listen(UNNAMED);
      const { addr } = before;
      await using visitor = new Visitor(type);
      await visitor.visit(addr);
      await visitor.visit(addr, { uid: STRANGER });
      using listener = listeners.fromFd(before.intoFd(), { authorize: { uid: [STRANGER] } });
      await visitor.visit(addr);
      await visitor.visit(addr, { uid: STRANGER });
      using _first = await listener.accept();
      assertEquals(listener.refused, 1);
      using _second = await listener.accept();
      assertEquals(listener.refused, 2);
    },
  );

  test(`${name} without authorize lets everybody in and refuses nobody`, others, async () => {
    assertEquals(await letIn(undefined, [[5, 1, []], [0, 0, [0]]]), {
      allowed: ["5:1", "0:0"],
      refused: 0,
    });
  });

  test(`${name} lets this process in where it names its user, its group or one of its groups`, async () => {
    const { uid, gid } = OWN;
    const [group = gid] = groupsOf("self");
    for (
      const authorize of [{ uid: [uid] }, { gid: [gid] }, { gid: [group] }, {
        uid: [uid],
        gid: [gid],
      }]
    ) {
      using listener = listeners.listen(UNNAMED, { authorize });
      using client = await sockets.connect(listener.addr);
      using _socket = await listener.accept();
      assertEquals([listener.refused, client.peerCredentials()], [0, OWN]);
    }
  });

  test(`${name} keeps the lists as they were when it was made`, async () => {
    const uid = [OWN.uid + 1];
    const authorize = { uid };
    using listener = listeners.listen(UNNAMED, { authorize });
    uid.push(OWN.uid);
    authorize.uid = [OWN.uid];
    using _client = await sockets.connect(listener.addr);
    await assertFails(() => listener.acceptSync({ timeout: 0 }), "ETIMEDOUT");
    assertEquals(listener.refused, 1);
  });

  test(`${name}: a function that throws refuses the peer, and accept() throws the same`, async () => {
    const thrown = new Error("This peer is odd");
    let answer: () => boolean = () => {
      throw thrown;
    };
    using listener = listeners.listen(UNNAMED, { authorize: () => answer() });
    using _first = await sockets.connect(listener.addr);
    const error = await assertRejects(() => listener.accept());
    assert(error === thrown);
    using _second = await sockets.connect(listener.addr);
    assert(assertThrows(() => listener.acceptSync()) === thrown);
    // Also of one that comes while accept() waits.
    const waiting = assertRejects(() => listener.accept());
    using _third = await sockets.connect(listener.addr);
    assert(await waiting === thrown);
    assertEquals(listener.refused, 3);
    answer = () => true;
    using _fourth = await sockets.connect(listener.addr);
    using _socket = await listener.accept();
    assertEquals(listener.refused, 3);
  });

  test(`${name}: a function that returns neither true nor false refuses the peer, and accept() throws a TypeError`, async () => {
    const answers = [Promise.resolve(true), 1, 0, "yes", "", null, undefined, {}, [true]];
    let answer: unknown;
    const authorize = (() => answer) as AuthorizePeer;
    using listener = listeners.listen(UNNAMED, { authorize });
    for (answer of answers) {
      using client = await sockets.connect(listener.addr);
      await assertRejects(() => listener.accept(), TypeError, "has to return true or false");
      client.close();
      using _second = await sockets.connect(listener.addr);
      assertThrows(() => listener.acceptSync(), TypeError, "has to return true or false");
    }
    assertEquals(listener.refused, 2 * answers.length);
    answer = true;
    using _client = await sockets.connect(listener.addr);
    using _socket = await listener.accept();
  });

  test(`${name} refuses an authorize that makes no sense, and makes nothing`, async () => {
    await withTempSocketPath(async (path) => {
      const listen = (authorize: never) => listeners.listen(path, { authorize });
      using base = listeners.listen(UNNAMED);
      const adopt = (authorize: never) => listeners.fromFd(base.fd, { authorize });
      const before = openDescriptors();
      const types = [
        ...[null, 0, 5n, "root", true, false, [], [0], {}, { uids: [0] }, { users: [0] }],
        ...[0, "0", null, true, {}, new Set([0]), Uint32Array.of(0), "root"].map((uid) => ({
          uid,
        })),
        ...[0, "0", null, true, {}, new Set([0])].map((gid) => ({ uid: [0], gid })),
        ...["0", null, true, {}, 5n, [0]].flatMap((id) => [{ uid: [id] }, { gid: [0, id] }]),
        { uid: undefined, gid: undefined },
      ];
      const ranges = [-1, 0xffff_ffff, 2 ** 32, 1.5, NaN, Infinity]
        .flatMap((id) => [{ uid: [id] }, { gid: [0, id] }]);
      for (const call of [listen, adopt]) {
        await assertRefuses(TypeError, types, call);
        await assertRefuses(RangeError, ranges, call);
      }
      assert(!existsSync(path));
      assert(!base.closed);
      // What the tests before this one left to the garbage collector may go meanwhile.
      const made = [...openDescriptors()].filter(([fd, target]) => before.get(fd) !== target);
      assertEquals(made.filter(([, target]) => target.startsWith("socket:")), []);
      const options = { authorize: undefined };
      listeners.listen(path, options).close();
      listeners.listen(path, { authorize: { uid: [0xffff_fffe], gid: undefined } }).close();
    });
  });
}

test("authorize costs a listener without it no system call", async () => {
  using plain = UnixListener.listen(UNNAMED);
  using _client = await UnixStream.connect(plain.addr);
  const calls = await callsMade(() => plain.acceptSync().close());
  assertEquals(calls.filter((call) => call === "getsockopt"), []);
});
