import { readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import type { Fd, Socket } from "../../mod.ts";
import { assertFails, bytes, text, unlessProgram } from "../support/mod.ts";
import {
  contentsOf,
  filesOf,
  KINDS,
  numbers,
  receiveFrom,
  unlessSocketsHave,
  withPython,
} from "../support/python_messages.ts";

const options = { skip: unlessProgram("python3") };

/** The kernel lets only root send the ids of others. */
const isRoot = process.geteuid!() === 0;
const asRoot = { skip: options.skip || (!isRoot && "needs root") };
const asUser = { skip: options.skip || (isRoot && "needs a user who is not root") };

/** This process, as the kernel says without being told: by its real ids. */
const here = [process.pid, process.getuid!(), process.getgid!()] as const;

type Ids = [pid: number, uid: number, gid: number];

function record([pid, uid, gid]: readonly [number, number, number]) {
  return { pid, uid, gid };
}

/** The process that a pidfd is of. */
function pidOf(pidfd: Fd): number {
  const info = readFileSync(`/proc/self/fdinfo/${pidfd.fd}`, "utf8");
  return Number(/^Pid:\s*(-?\d+)$/m.exec(info)![1]);
}

const passCredentials = {
  before(owner: Socket) {
    owner.passCredentials = true;
  },
};

for (const kind of KINDS) {
  test(
    `H169 ${kind}.sendMessage() tells Python with SO_PASSCRED who sends it, asked or not`,
    options,
    async () => {
      const script = `
      peer.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
      connect()
      for _ in range(3):
          data, flags, controls = receive()
          tell([data.decode(), bool(flags & socket.MSG_CTRUNC), credentials(controls)])
    `;
      await withPython(kind, script, async ({ socket, peer }) => {
        await socket.sendMessage(bytes("explicit"), { credentials: true });
        assertEquals(await peer.json(), ["explicit", false, [[...here]]]);
        await socket.sendMessage(bytes("implicit"));
        assertEquals(await peer.json(), ["implicit", false, [[...here]]]);
        const [pid, uid, gid] = here;
        await socket.sendMessage(bytes("ids"), { credentials: { pid, uid, gid } });
        assertEquals(await peer.json(), ["ids", false, [[...here]]]);
      });
    },
  );

  test(
    `H169 ${kind}.sendMessage() with credentials gives Python no control message without SO_PASSCRED`,
    options,
    async () => {
      const script = `
      connect()
      data, flags, controls = receive()
      tell([data.decode(), flags & socket.MSG_CTRUNC, controls])
    `;
      await withPython(kind, script, async ({ socket, peer }) => {
        await socket.sendMessage(bytes("explicit"), { credentials: true });
        assertEquals(await peer.json(), ["explicit", 0, []]);
      });
    },
  );

  test(
    `H169 ${kind}.receiveMessage() with passCredentials knows Python, whether it tells or not`,
    options,
    async () => {
      const script = `
      connect()
      tell([os.getpid(), os.getuid(), os.getgid()])
      for message, controls in [(b"implicit", []), (b"explicit", [(CREDENTIALS, own_credentials())])]:
          hear()
          send(message, *controls)
    `;
      await withPython(kind, script, async ({ socket, peer }) => {
        const theirs = await peer.json<Ids>();
        assertEquals(theirs[0], peer.pid);
        socket.passCredentials = true;
        for (const expected of ["implicit", "explicit"]) {
          peer.tell();
          using message = await receiveFrom(socket);
          assertEquals([text(message.data), message.controlTruncated], [expected, false]);
          assertEquals(message.credentials, record(theirs));
        }
      });
    },
  );

  test(
    `H169 ${kind}.receiveMessage() has no credentials of Python's without passCredentials`,
    options,
    async () => {
      const script = `
      connect()
      send(b"explicit", (CREDENTIALS, own_credentials()))
    `;
      await withPython(kind, script, async ({ socket }) => {
        using message = await receiveFrom(socket);
        assertEquals([text(message.data), message.credentials], ["explicit", null]);
        assertEquals(message.controlTruncated, false);
      });
    },
  );

  test(
    `H176 ${kind}.receiveMessage() knows the Python that sent before it was accepted`,
    options,
    async () => {
      const script = `
      connect(first=b"first")
      tell([os.getpid(), os.getuid(), os.getgid()])
    `;
      await withPython(kind, script, async ({ socket, peer }) => {
        assertEquals(socket.passCredentials, true);
        using message = await receiveFrom(socket);
        assertEquals(message.credentials, record(await peer.json<Ids>()));
      }, passCredentials);
    },
  );

  test(
    `H169 ${kind} passes descriptors and credentials together, there and back`,
    options,
    async () => {
      const script = `
      connect()
      peer.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
      tell([os.getpid(), os.getuid(), os.getgid()])
      data, flags, controls = receive()
      fds = descriptors(controls)
      tell([data.decode(), credentials(controls), [contents(fd) for fd in fds]])
      send(b"back", (RIGHTS, ints(*reversed(fds))), (CREDENTIALS, own_credentials()))
    `;
      await withPython(kind, script, async ({ socket, peer, prefix }) => {
        socket.passCredentials = true;
        const theirs = await peer.json<Ids>();
        const names = numbers(253);
        const fds = filesOf(prefix, names);
        await socket.sendMessage(bytes("there"), { fds, credentials: true, transfer: true });
        assertEquals(await peer.json(), ["there", [[...here]], names]);
        using message = await receiveFrom(socket);
        assertEquals(message.credentials, record(theirs));
        assertEquals(contentsOf(message.fds), names.reverse());
        assertEquals(message.controlTruncated, false);
      });
    },
  );

  test(
    `H170 ${kind}.receiveMessage() gets the ids that Python claims as root`,
    asRoot,
    async () => {
      const script = `
      connect()
      send(b"x", (CREDENTIALS, own_credentials(pid=1, uid=4711, gid=0xfffffffe)))
    `;
      await withPython(kind, script, async ({ socket }) => {
        using message = await receiveFrom(socket);
        assertEquals(message.credentials, { pid: 1, uid: 4711, gid: 0xffff_fffe });
      }, passCredentials);
    },
  );

  test(`H170 ${kind}.sendMessage() claims ids as root, and Python sees them`, asRoot, async () => {
    const script = `
      peer.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
      connect()
      for _ in range(2): tell(credentials(receive()[2]))
    `;
    await withPython(kind, script, async ({ socket, peer }) => {
      const claimed = { pid: peer.pid, uid: 4711, gid: 0xffff_fffe };
      await socket.sendMessage(bytes("x"), { credentials: claimed });
      assertEquals(await peer.json(), [[peer.pid, 4711, 0xffff_fffe]]);
      await socket.sendMessage(bytes("x"), { credentials: { uid: 4711 } });
      assertEquals(await peer.json(), [[process.pid, 4711, here[2]]]);
    });
  });

  test(
    `H170 ${kind}.sendMessage() of another's ids rejects with EPERM and tells Python nothing`,
    asUser,
    async () => {
      const script = `
      peer.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
      connect()
      data, _, controls = receive()
      tell([data.decode(), credentials(controls)])
    `;
      await withPython(kind, script, async ({ socket, peer }) => {
        for (const credentials of [{ pid: peer.pid }, { uid: 0 }, { gid: 0 }]) {
          await assertFails(
            () => socket.sendMessage(bytes("bad"), { credentials }),
            "EPERM",
            "sendmsg",
          );
        }
        await socket.sendMessage(bytes("good"), { credentials: true });
        assertEquals(await peer.json(), ["good", [[...here]]]);
      });
    },
  );

  test(
    `H170 Python as another user cannot claim to be root to ${kind}.receiveMessage()`,
    asRoot,
    async () => {
      const script = `
      connect()
      claim = own_credentials()
      os.setresgid(65533, 65533, 65533)
      os.setresuid(65533, 65533, 65533)
      try:
          send(b"bad", (CREDENTIALS, claim))
      except PermissionError as error:
          tell(error.errno)
      send(b"good")
    `;
      await withPython(kind, script, async ({ socket, peer }) => {
        assertEquals(await peer.json(), 1);
        using message = await receiveFrom(socket);
        assertEquals(text(message.data), "good");
        assertEquals(message.credentials, { pid: peer.pid, uid: 65533, gid: 65533 });
      }, passCredentials);
    },
  );

  test(
    `H175 ${kind}.sendMessage() with credentials is cut where Python has little room`,
    options,
    async () => {
      const script = `
      peer.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
      connect()
      for room in [0, socket.CMSG_LEN(4), socket.CMSG_LEN(12)]:
          data, flags, controls = receive(room)
          tell([bool(flags & socket.MSG_CTRUNC), [len(held) for _, held in controls]])
    `;
      await withPython(kind, script, async ({ socket, peer }) => {
        for (const expected of [[true, []], [true, [4]], [false, [12]]]) {
          await socket.sendMessage(bytes("x"), { credentials: true });
          assertEquals(await peer.json(), expected);
        }
      });
    },
  );
}

for (const [how, passing] of [["with", true], ["without", false]] as const) {
  test(
    `H172 UnixStream.receiveMessage() ${how} passCredentials ${
      passing ? "keeps apart" : "joins"
    } what two Pythons write`,
    options,
    async () => {
      const script = `
      connect()
      child = os.fork()
      if child == 0:
          peer.send(b"child ")
          os._exit(0)
      os.waitpid(child, 0)
      peer.send(b"and ")
      peer.send(b"parent")
      tell(child)
    `;
      await withPython("UnixStream", script, async ({ socket, peer }) => {
        const child = await peer.json<number>();
        const expected = passing
          ? [["child ", child], ["and parent", peer.pid]]
          : [["child and parent", undefined]];
        for (const [data, pid] of expected) {
          using message = await receiveFrom(socket);
          assertEquals([text(message.data), message.credentials?.pid], [data, pid]);
        }
      }, passing ? passCredentials : undefined);
    },
  );
}

test(
  "H173 UnixStream.receiveMessage() keeps apart what Python writes as two real users, and joins the effective ones'",
  asRoot,
  async () => {
    const script = `
    connect()
    for user, message in [((0, 0, 0), b"a"), ((0, 65533, 0), b"b"), ((65533, 0, 0), b"c")]:
        os.setresuid(0, 0, 0)
        os.setresuid(*user)
        peer.send(message)
    tell("sent")
  `;
    await withPython("UnixStream", script, async ({ socket, peer }) => {
      await peer.line();
      for (const [data, uid] of [["ab", 0], ["c", 65533]]) {
        using message = await receiveFrom(socket);
        assertEquals([text(message.data), message.credentials?.uid], [data, uid]);
      }
    }, passCredentials);
  },
);

// Pidfds (Linux 6.5).

const withPidfds = { skip: options.skip || unlessSocketsHave("passPidfd") };

for (const kind of KINDS) {
  test(
    `H181 ${kind}.receiveMessage() with passPidfd gets a pidfd of Python, readable when it ends`,
    withPidfds,
    async () => {
      const script = `
      connect()
      hear()
      peer.send(b"who am I")
      hear()
    `;
      await withPython(kind, script, async ({ socket, peer }) => {
        socket.passPidfd = true;
        peer.tell();
        using message = await receiveFrom(socket);
        assertEquals([message.fds, message.credentials], [[], null]);
        using pidfd = message.takePidfd()!;
        assertEquals([pidOf(pidfd), pidfd.kind], [peer.pid, "anonymous"]);
        peer.tell();
        await peer.finished;
        assertEquals(pidOf(pidfd), -1);
      });
    },
  );

  test(
    `H181 ${kind}.sendMessage() gives Python with SO_PASSPIDFD a pidfd of this process`,
    withPidfds,
    async () => {
      const script = `
      peer.setsockopt(socket.SOL_SOCKET, SO_PASSPIDFD, 1)
      connect()
      for room in [ROOM, ROOM, 0]:
          before = len(os.listdir("/proc/self/fd"))
          data, flags, controls = receive(room)
          pidfds = [fd for kind, held in controls if kind == PIDFD for fd in as_ints(held)]
          opened = len(os.listdir("/proc/self/fd")) - before
          tell([bool(flags & socket.MSG_CTRUNC), len(descriptors(controls)), [pid_of(fd) for fd in pidfds], opened])
    `;
      await withPython(kind, script, async ({ socket, peer, prefix }) => {
        await socket.sendMessage(bytes("x"));
        assertEquals(await peer.json(), [false, 0, [process.pid], 1]);
        const fds = filesOf(prefix, ["a", "b"]);
        await socket.sendMessage(bytes("x"), { fds, transfer: true });
        assertEquals(await peer.json(), [false, 2, [process.pid], 3]);
        await socket.sendMessage(bytes("x"));
        assertEquals(await peer.json(), [true, 0, [], 0]);
      });
    },
  );
}
