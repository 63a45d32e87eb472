import process from "node:process";
import { join } from "node:path";
import { test } from "node:test";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { UnixListener } from "../../mod.ts";
import { hostile, NOBODY, unlessHostile, withPublicDir } from "../support/hostile.ts";
import { python } from "../support/interop.ts";
import { programCommand } from "../support/listening.ts";
import { text, unlessProgram } from "../support/mod.ts";
import { works } from "../support/raw.ts";

const options = { skip: unlessHostile };

test(
  "another user cannot claim to be root, another process or another group in any message",
  options,
  async () => {
    await withPublicDir(0o755, async (directory) => {
      const path = join(directory, "s");
      using listener = UnixListener.listen(path, { mode: 0o666 });
      listener.passCredentials = true;
      await using attacker = hostile(
        `
        path, victim = args
        peer = connected(path)
        own = os.getpid(), os.getuid(), os.getgid()
        claims = [
            (own[0], 0, own[2]), (own[0], own[1], 0), (1, *own[1:]), (int(victim), *own[1:]), (1, 0, 0),
        ]
        for claim in claims:
            try:
                held = struct.pack("=iII", *claim)
                peer.sendmsg([b"lie"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, held)])
                say("sent", *claim)
            except PermissionError:
                pass
        peer.send(b"the truth")
        hear()
        `,
        [path, process.pid],
      );
      using stream = await listener.accept();
      using message = (await stream.receiveMessage())!;
      assertEquals(text(message.data), "the truth");
      assertEquals(message.credentials, { pid: attacker.pid, uid: NOBODY, gid: NOBODY });
      attacker.tell();
      assertEquals(await attacker.succeeded(), "");
    });
  },
);

test(
  "a connection that root has given away still says root, and its messages say who sends them",
  options,
  async () => {
    await withPublicDir(0o755, async (directory) => {
      const path = join(directory, "s");
      using listener = UnixListener.listen(path, { mode: 0o600, authorize: { uid: [0] } });
      listener.passCredentials = true;
      listener.passPidfd = true;
      // Root connects, and a process without rights has the connection from then on.
      await using giver = python(
        `
        peer = connected(args[0])
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setresgid(${NOBODY}, ${NOBODY}, ${NOBODY})
            os.setresuid(${NOBODY}, ${NOBODY}, ${NOBODY})
            peer.send(b"let me in")
            os._exit(0)
        os.waitpid(child, 0)
        say(child)
        hear()
        `,
        [path],
      );
      using stream = await listener.accept();
      using message = (await stream.receiveMessage())!;
      assertEquals(stream.peerCredentials(), { pid: giver.pid, uid: 0, gid: 0 });
      assertEquals(listener.refused, 0);
      assertEquals(message.credentials, {
        pid: Number(await giver.line()),
        uid: NOBODY,
        gid: NOBODY,
      });
      assert(message.pidfd !== null);
      giver.tell();
      await giver.succeeded();
    });
  },
);

/** A reason to skip what gives a process a number of its choice, or false. */
const unlessNumbers = unlessHostile || unlessProgram("unshare") ||
  (works([
      "unshare",
      "--pid",
      "--fork",
      "--mount-proc",
      "sh",
      "-c",
      "test -w /proc/sys/kernel/ns_last_pid",
    ])
    ? false
    : "needs to be allowed namespaces of processes, and to choose their numbers");

test(
  "a pid that was given to another process is no pid of the peer: the pidfd says so",
  { skip: unlessNumbers },
  async () => {
    await withPublicDir(0o755, async (directory) => {
      // Within a namespace of processes of its own: a server, a peer that connects and ends, and an
      // innocent process that gets its number.
      await using world = python(
        `
        import subprocess
        path, command = args[0], args[1:]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert server.stdout.readline() == b"listening\\n"
        peer = os.fork()
        if peer == 0:
            connected(path)
            os._exit(0)
        os.waitpid(peer, 0)
        innocent = 0
        while innocent != peer:
            if innocent:
                os.kill(innocent, signal.SIGKILL)
                os.waitpid(innocent, 0)
            with open("/proc/sys/kernel/ns_last_pid", "w") as last:
                last.write(str(peer - 1))
            innocent = os.fork()
            if innocent == 0:
                signal.pause()
        server.stdin.write(b"look\\n")
        server.stdin.flush()
        say(innocent)
        say(server.stdout.readline().decode().rstrip())
        server.stdin.close()
        server.wait()
        os.kill(innocent, signal.SIGKILL)
        `,
        [
          join(directory, "s"),
          ...programCommand("peer_of_last_connection", [join(directory, "s")]),
        ],
        {},
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"],
      );
      const innocent = Number(await world.line());
      const { pid, living } = JSON.parse(await world.line());
      assertEquals(pid, innocent);
      assertNotEquals(living, innocent);
      await world.succeeded();
    });
  },
);
