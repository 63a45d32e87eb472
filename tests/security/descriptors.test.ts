import { release } from "node:os";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path";
import {
  type Fd,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSocketError,
  type UnixStream,
} from "../../mod.ts";
import { hostile, unlessHostile, withPublicDir } from "../support/hostile.ts";
import type { Peer } from "../support/interop.ts";
import { programCommand } from "../support/listening.ts";
import { readToEnd, TestProcess } from "../support/mod.ts";
import { held, heldSince } from "../support/passing.ts";

const options = { skip: unlessHostile };

const [major = 0, minor = 0] = release().split(".").map(Number);
const refuses = {
  skip: unlessHostile || (major > 6 || major === 6 && minor >= 16 ? false : "needs Linux 6.16"),
};

/** Lets another user connect and run a script, which finds `peer`. */
async function withAttacker(
  script: string,
  body: (stream: UnixStream, attacker: Peer) => Promise<void>,
  before: (listener: UnixListener) => void = () => {},
): Promise<void> {
  await withPublicDir(0o755, async (directory) => {
    using listener = UnixListener.listen(join(directory, "s"), { mode: 0o666 });
    before(listener);
    await using attacker = hostile(`peer = connected(args[0])\n${dedented(script)}`, [
      join(directory, "s"),
    ]);
    using stream = await listener.accept();
    await body(stream, attacker);
    await attacker.succeeded();
  });
}

function dedented(script: string): string {
  const lines = script.split("\n").filter((line) => line.trim() !== "");
  const indent = Math.min(...lines.map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(indent)).join("\n");
}

/** Sends 253 descriptors with every byte, more often than any queue has room for. */
const FLOOD = `
  fds = array.array("i", [0] * 253)
  for _ in range(400):
      try:
          peer.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
      except OSError as error:
          if error.errno != 109: # ETOOMANYREFS: its own limit
              raise
          peer.send(b"x")
  peer.shutdown(socket.SHUT_WR)
  hear()
`;

const READERS: Record<string, (stream: UnixStream) => Promise<unknown>> = {
  "the iteration": (stream) => readToEnd(stream),
  "read()": async (stream) => {
    while (await stream.read(new Uint8Array(16)) !== null);
  },
  "readable": async (stream) => {
    for await (const _ of stream.readable);
  },
  "receiveMessage({ maxFds: 0 })": async (stream) => {
    for (let message; (message = await stream.receiveMessage({ maxFds: 0 })) !== null;) {
      assertEquals(message.fds.length, 0);
      message.close();
    }
  },
};

for (const [name, read] of Object.entries(READERS)) {
  test(
    `another user who sends descriptors with every byte leaves none of them open at ${name}`,
    options,
    async () => {
      await withAttacker(FLOOD, async (stream, attacker) => {
        const before = held();
        await read(stream);
        assertEquals(heldSince(before), []);
        attacker.tell();
      });
    },
  );
}

test(
  "another user cannot send a descriptor whose closing takes as long as he likes where passDescriptors is false",
  refuses,
  async () => {
    // A TCP socket that lingers: who closes it last waits, be it the kernel for a reader that took no
    // descriptor.
    const script = `
      server = socket.socket()
      server.bind(("127.0.0.1", 0))
      server.listen()
      lingering = socket.socket()
      lingering.connect(server.getsockname())
      taken, _ = server.accept()
      lingering.setblocking(False)
      try:
          while True:
              lingering.send(bytes(65536))
      except BlockingIOError:
          pass
      lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
      try:
          socket.send_fds(peer, [b"x"], [lingering.fileno()])
          say("sent")
      except PermissionError:
          say("refused")
      # Back to where closing it does not hold up this process either.
      lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
      hear()
    `;
    await withAttacker(script, async (_, attacker) => {
      assertEquals(await attacker.line(), "refused");
      attacker.tell();
    }, (listener) => listener.passDescriptors = false);
  },
);

test("a sender who sets what he has passed back to blocking does not stop the thread", async () => {
  await using child = new TestProcess(programCommand("set_to_blocking"));
  // The time limit only keeps a failure from waiting forever.
  const limit = setTimeout(() => child.kill("SIGKILL"), 60_000);
  const { code, stdout, stderr } = await child.finished;
  clearTimeout(limit);
  const lines = stdout.trim().split("\n");
  assertEquals({ code, stderr, last: lines.at(-1) }, {
    code: 0,
    stderr: "",
    last: "a seqpacket listener: waits",
  });
  assertEquals(lines.filter((line) => !line.endsWith(": waits")), []);
});

const MAKERS: ((fd: Fd) => Disposable)[] = [
  (fd) => UnixDatagram.fromFd(fd),
  (fd) => UnixSeqpacket.fromFd(fd),
  (fd) => UnixListener.fromFd(fd),
];

test(
  "what another user sends instead of a file is told apart before it is read, and closed with its message",
  options,
  async () => {
    const script = `
      reader, writer = os.pipe()
      poll = select.epoll()
      things = [
          os.open("/dev/zero", os.O_RDONLY),
          os.open("/", os.O_RDONLY),
          os.open("/etc/passwd", os.O_PATH),
          reader,
          os.open("/etc/passwd", os.O_RDONLY),
          poll.fileno(),
          peer.fileno(),
      ]
      socket.send_fds(peer, [b"x"], things)
      hear()
    `;
    await withAttacker(script, async (stream, attacker) => {
      const before = held();
      const message = (await stream.receiveMessage())!;
      const shown = (fd: Fd) => `${fd.kind} ${fd.stat().uid === 0 ? "of root" : "of others"}`;
      assertEquals(message.fds.map(shown), [
        "character-device of root",
        "directory of root",
        "file of root",
        "pipe of others",
        "file of root",
        "anonymous of root",
        "socket of others",
      ]);
      for (const fd of message.fds) {
        for (const make of MAKERS) {
          assertThrows(() => make(fd), UnixSocketError);
          assert(!fd.closed);
        }
      }
      message.close();
      assertEquals(heldSince(before), []);
      attacker.tell();
    });
  },
);
