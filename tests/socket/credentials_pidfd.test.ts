import { release } from "node:os";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import {
  type Fd,
  peerPidfd,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { addressBytes, python } from "../support/interop.ts";
import { programCommand, underDescriptorLimit } from "../support/listening.ts";
import { bytes, run, unlessProgram } from "../support/mod.ts";
import { polls } from "../support/recvmsg.ts";
import { O_CLOEXEC, openFlags } from "../support/streams.ts";
import { assertLeavesNone, pidOf, Visitor } from "../support/visitor.ts";

const UNNAMED = { kind: "unnamed" } as const;
const python3 = { skip: unlessProgram("python3") };
const POLLIN = 1;

/** Whether this kernel keeps a pidfd for a peer that has ended and been waited for. */
const [major = 0, minor = 0] = release().split(".").map(Number);
const keepsTheDead = major > 6 || major === 6 && minor >= 16;

for (
  const [name, type, listeners] of [
    ["UnixStream", "SOCK_STREAM", UnixListener],
    ["UnixSeqpacket", "SOCK_SEQPACKET", UnixSeqpacketListener],
  ] as const
) {
  test(
    `H179 ${name}.peerPidfd() is the peer's of peerCredentials(), close-on-exec, another at each call`,
    python3,
    async () => {
      using listener = listeners.listen(UNNAMED);
      await using visitor = new Visitor(type);
      await visitor.visit(listener.addr);
      using socket = await listener.accept();
      using first = socket.peerPidfd()!;
      using second = peerPidfd(socket.fd)!;
      assertNotEquals(first.fd, second.fd);
      for (const pidfd of [first, second]) {
        assertEquals(pidOf(pidfd), visitor.pid);
        assertEquals(pidOf(pidfd), socket.peerCredentials()!.pid);
        assert((openFlags(pidfd.fd) & O_CLOEXEC) !== 0);
      }
      first.close();
      assertEquals(pidOf(second), visitor.pid);
    },
  );

  test(
    `H179 ${name}.peerPidfd() becomes readable when the peer ends, and then is nobody's`,
    python3,
    async () => {
      using listener = listeners.listen(UNNAMED);
      await using visitor = new Visitor(type);
      await visitor.visit(listener.addr);
      using socket = await listener.accept();
      using pidfd = socket.peerPidfd()!;
      assert(!polls(pidfd.fd, POLLIN));
      await visitor.peer.succeeded();
      assert(polls(pidfd.fd, POLLIN));
      assertEquals(pidOf(pidfd), -1);
    },
  );

  test(
    `H179 ${name}.peerPidfd() of a peer that has ended is one, or the error of older kernels`,
    python3,
    async () => {
      using listener = listeners.listen(UNNAMED);
      await using visitor = new Visitor(type);
      await visitor.visit(listener.addr);
      await visitor.peer.succeeded();
      using socket = await listener.accept();
      let pidfd: Fd | null = null;
      try {
        pidfd = socket.peerPidfd();
      } catch (error) {
        assert(error instanceof UnixSocketError && !keepsTheDead, String(error));
        assert(["EINVAL", "ESRCH"].includes(error.code), error.code);
        return;
      }
      assert(pidfd !== null);
      assertEquals(pidOf(pidfd), -1);
      assert(polls(pidfd.fd, POLLIN));
      pidfd.close();
    },
  );

  test(
    `H179 ${name}.peerPidfd() leaves no descriptor behind once it is closed`,
    python3,
    async () => {
      using listener = listeners.listen(UNNAMED);
      await using visitor = new Visitor(type);
      await visitor.visit(listener.addr);
      using socket = await listener.accept();
      await assertLeavesNone(() => {
        for (let i = 0; i < 100; i++) socket.peerPidfd()!.close();
      });
    },
  );
}

test("H179 peerPidfd() of a pair's end is this process's", () => {
  for (const pair of [UnixStream.pair(), UnixSeqpacket.pair()]) {
    using a = pair[0];
    using b = pair[1];
    using first = a.peerPidfd()!;
    using second = b.peerPidfd()!;
    assertEquals([first, second].map(pidOf), [process.pid, process.pid]);
  }
});

test(
  "H179 UnixStream.peerPidfd() is what pidfd_send_signal takes, also in another process",
  python3,
  async () => {
    using listener = UnixListener.listen(UNNAMED);
    await using visitor = new Visitor();
    await visitor.visit(listener.addr);
    using socket = await listener.accept();
    using pidfd = socket.peerPidfd()!;
    await using killer = python(
      `
    server = connected(bytes.fromhex(args[0]))
    _, (pidfd,), _, _ = socket.recv_fds(server, 8, 1)
    signal.pidfd_send_signal(pidfd, signal.SIGUSR1)
    `,
      [addressBytes(listener.addr)],
    );
    using stream = await listener.accept();
    await stream.sendMessage(bytes("pidfd"), { fds: [pidfd] });
    await killer.succeeded();
    const { signal } = await visitor.peer.finished;
    assertEquals(signal, "SIGUSR1");
  },
);

test("peerPidfd() fails with EMFILE where no descriptor is free, and a message comes without its pidfd and says so", async () => {
  const command = underDescriptorLimit(100, programCommand("credentials_at_limit"));
  const { code, stdout, stderr } = await run(command);
  assertEquals(code, 0, stderr);
  const { before, peer, messages } = JSON.parse(stdout);
  assertEquals(before, [true, true]);
  assertEquals(peer, ["EMFILE", "getsockopt"]);
  const message = { pidfd: null, credentials: true, controlTruncated: true };
  assertEquals(messages, [{ data: [3], ...message }, { data: [4], ...message }]);
});
