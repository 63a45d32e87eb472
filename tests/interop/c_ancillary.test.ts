import { execFileSync } from "node:child_process";
import { constants } from "node:os";
import { join } from "@std/path";
import { readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import type { Fd, ReceivedMessage } from "../../mod.ts";
import { native } from "../../ffi/mod.ts";
import {
  type AnySocket,
  connectionOf,
  contentsOf,
  filesOf,
  type Kind,
  KINDS,
  numbers,
  type Owner,
  ownerOf,
  receiveFrom,
  unlessSocketsHave,
} from "../support/message_peers.ts";
import {
  assertFails,
  bytes,
  openDescriptors,
  ROOT,
  text,
  unlessProgram,
  withTempDir,
} from "../support/mod.ts";
import { Peer } from "../support/interop.ts";

/** The program, which does as it is told, one command after another. */
class CPeer extends Peer {
  /** Its answer to a command, which has to succeed. */
  async does(command: string): Promise<string> {
    const answer = await this.ask(command);
    if (!/^ok\b/.test(answer)) throw new Error(`${command}: ${answer}`);
    return answer.slice("ok ".length);
  }

  /** The name of the error that a command ends with. */
  async failsTo(command: string): Promise<string | undefined> {
    const answer = await this.ask(command);
    const number = Number(/^error (\d+)$/.exec(answer)?.[1]);
    return Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? answer;
  }

  async ask(command: string): Promise<string> {
    this.tell(command);
    return await this.line();
  }
}

function typeOf(kind: Kind): number {
  const { constants, linux } = native().abi;
  return {
    UnixStream: constants.SOCK_STREAM,
    UnixDatagram: constants.SOCK_DGRAM,
    UnixSeqpacket: linux!.SOCK_SEQPACKET,
  }[kind];
}

/**
 * Compiles the program and connects it with a socket of ours for the time of a body. Then waits until it
 * has ended well.
 *
 * @param before is called with the socket that the program connects to, before it does
 */
async function withC(
  kind: Kind,
  body: (socket: AnySocket, peer: CPeer) => Promise<void>,
  before?: (owner: Owner) => void,
): Promise<void> {
  await withTempDir(async (directory) => {
    const [path, program] = [join(directory, "test.sock"), join(directory, "program")];
    const source = join(ROOT, "tests", "programs", "ancillary_peer.c");
    execFileSync("cc", ["-Wall", "-o", program, source], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    using owner = ownerOf(kind, path);
    before?.(owner);
    await using peer = new CPeer([program, String(typeOf(kind)), path]);
    assertEquals(await peer.line(), "connected");
    using socket = connectionOf(owner, `${path}.peer`);
    await body(socket, peer);
    await peer.succeeded();
  });
}

const options = { skip: unlessProgram("cc") };
const withPidfds = { skip: options.skip || unlessSocketsHave("passPidfd") };

/** More room for control messages than there can be. */
const ROOM = 4096;

/** The ids that the kernel has of a process that does not tell any: the real ones. */
const [uid, gid] = [process.getuid!(), process.getgid!()];

/** The process that a pidfd is of. */
function pidOf(pidfd: Fd): number {
  const info = readFileSync(`/proc/self/fdinfo/${pidfd.fd}`, "utf8");
  return Number(/^Pid:\s*(-?\d+)$/m.exec(info)![1]);
}

/** Lets the program send, and receives that. */
async function exchange(socket: AnySocket, peer: CPeer, command: string): Promise<ReceivedMessage> {
  await peer.does(command);
  return await receiveFrom(socket);
}

function files(all: readonly string[], how: "cloexec" | "kept"): string {
  return `rights:${all.map((each) => `${how}=${each}`).join(",")}`;
}

for (const kind of KINDS) {
  for (const [flag, how] of [["cloexec", "cloexec"], ["", "kept"]] as const) {
    test(
      `G148 ${kind}.sendMessage() gives a C program descriptors that are ${
        how === "kept" ? "not " : ""
      }close-on-exec, as it asks`,
      options,
      async () => {
        await withC(kind, async (socket, peer) => {
          const fds = filesOf("test", numbers(3));
          await socket.sendMessage(bytes("x"), { fds, transfer: true });
          assertEquals(await peer.does(`receive ${ROOM} ${flag}`), `x ${files(numbers(3), how)}`);
        });
      },
    );
  }

  test(
    `G148 ${kind}.receiveMessage() makes a C program's descriptors close-on-exec`,
    options,
    async () => {
      await withC(kind, async (socket, peer) => {
        await peer.does("make 253");
        for (const count of [1, 2, 3, 252, 253]) {
          using message = await exchange(socket, peer, `send x rights:0:${count}`);
          assertEquals(contentsOf(message.fds), numbers(count));
          const flags = message.fds.map(({ fd }) =>
            native().libc.fcntl(fd, native().abi.constants.F_GETFD, 0)
          );
          assertEquals(new Set(flags), new Set([native().abi.constants.FD_CLOEXEC]));
          assertEquals(message.controlTruncated, false);
        }
      });
    },
  );

  test(
    `G134 ${kind}.receiveMessage() takes what the kernel lets through of a C program's odd SCM_RIGHTS`,
    options,
    async () => {
      await withC(kind, async (socket, peer) => {
        await peer.does("make 6");
        const cases: [control: string, expected: string[]][] = [
          ["rights:0:0 rights:3:1", ["3"]],
          ["rights:0:0:3 rights:3:1", ["3"]],
          ["rights:0:1:1", ["0"]],
          ["rights:1:2:2", ["1", "2"]],
          ["rights:1:3:3 rights:5:1:1", ["1", "2", "3", "5"]],
          ["rights:5:1 rights:0:0 rights:5:1 rights:0:0", ["5", "5"]],
          ["other rights:4:1 other", ["4"]],
        ];
        for (const [control, expected] of cases) {
          using message = await exchange(socket, peer, `send x ${control}`);
          assertEquals(contentsOf(message.fds), expected, control);
          assertEquals([text(message.data), message.controlTruncated], ["x", false], control);
        }
        for (const control of ["rights:0:0", "rights:0:0:3", "other", "rights:0:0 rights:0:0"]) {
          using message = await exchange(socket, peer, `send x ${control}`);
          assertEquals([text(message.data), message.fds.length], ["x", 0], control);
          assertEquals(message.controlTruncated, false);
        }
      });
    },
  );

  test(
    `G131 ${kind}.receiveMessage() gets nothing of a C message that the kernel refuses`,
    options,
    async () => {
      await withC(kind, async (socket, peer) => {
        await peer.does("make 254");
        assertEquals(await peer.failsTo("send bad rights:0:254"), "EINVAL");
        assertEquals(await peer.failsTo("send bad rights:0:200 rights:0:54"), "EINVAL");
        assertEquals(await peer.failsTo("send bad short"), "EINVAL");
        assertEquals(await peer.failsTo("send bad rights:0:9 short"), "EINVAL");
        assertEquals(await peer.failsTo(`send bad ids:${process.pid}:4294967295:0`), "EINVAL");
        using message = await exchange(socket, peer, "send good rights:0:200 rights:200:53");
        assertEquals(text(message.data), "good");
        assertEquals(contentsOf(message.fds), numbers(253));
      });
    },
  );

  test(
    `H169 ${kind}.receiveMessage() knows a C program with its descriptors, in either order of control messages`,
    options,
    async () => {
      await withC(kind, async (socket, peer) => {
        await peer.does("make 2");
        for (const control of ["credentials rights:0:2", "rights:0:2 credentials", "rights:0:2"]) {
          using message = await exchange(socket, peer, `send x ${control}`);
          assertEquals(message.credentials, { pid: peer.pid, uid, gid }, control);
          assertEquals(contentsOf(message.fds), numbers(2), control);
          assertEquals(message.controlTruncated, false);
        }
      }, (owner) => {
        owner.passCredentials = true;
      });
    },
  );

  test(
    `H169 ${kind}.sendMessage() tells a C program the ids and then the descriptors`,
    options,
    async () => {
      await withC(kind, async (socket, peer) => {
        await peer.does(`option ${native().abi.linux!.SO_PASSCRED} 1`);
        const told = `credentials:${process.pid}:${uid}:${gid}`;
        const fds = filesOf("test", numbers(2));
        for (const credentials of [true, false]) {
          await socket.sendMessage(bytes("x"), { fds, credentials });
          const answer = await peer.does(`receive ${ROOM}`);
          assertEquals(answer, `x ${told} ${files(numbers(2), "kept")}`);
        }
        for (const fd of fds) fd.close();
      });
    },
  );

  test(
    `G137 ${kind}.sendMessage() of two descriptors and credentials is cut where a C program has less room`,
    options,
    async () => {
      await withC(kind, async (socket, peer) => {
        await peer.does(`option ${native().abi.linux!.SO_PASSCRED} 1`);
        const told = `credentials:${process.pid}:${uid}:${gid}`;
        const cases: [room: number, expected: string][] = [
          [0, "x ctrunc"],
          [16 + 8, "x ctrunc type:2:8"],
          [16 + 12, `x ctrunc ${told}`],
          [32, `x ctrunc ${told}`],
          [32 + 16 + 4, `x ctrunc ${told} ${files(["0"], "kept")}`],
          [32 + 16 + 8, `x ${told} ${files(["0", "1"], "kept")}`],
        ];
        for (const [room, expected] of cases) {
          const fds = filesOf("test", numbers(2));
          await socket.sendMessage(bytes("x"), { fds, credentials: true, transfer: true });
          assertEquals(await peer.does(`receive ${room}`), expected);
        }
      });
    },
  );

  test(
    `G149 ${kind}.sendMessage() gives a C program the same descriptors when it peeks and when it receives`,
    options,
    async () => {
      await withC(kind, async (socket, peer) => {
        const fds = filesOf("test", numbers(2));
        await socket.sendMessage(bytes("x"), { fds, transfer: true });
        const expected = files(numbers(2), "cloexec");
        for (const how of ["peek cloexec", "peek cloexec", "cloexec"]) {
          assertEquals(await peer.does(`receive ${ROOM} ${how}`), `x ${expected}`);
        }
      });
    },
  );

  test(
    `G152 ${kind}.receiveMessage() takes a pidfd that a C program sends as a descriptor`,
    options,
    async () => {
      await withC(kind, async (socket, peer) => {
        await peer.does("make 1");
        using message = await exchange(socket, peer, "send x pidfd rights:0:1");
        assertEquals([message.pidfd, message.fds.length], [null, 2]);
        assertEquals([pidOf(message.fds[0]!), contentsOf(message.fds.slice(1))], [peer.pid, ["0"]]);
      });
    },
  );

  test(
    `H181 ${kind} with passPidfd and passCredentials gets all that a C program can send at once`,
    withPidfds,
    async () => {
      await withC(kind, async (socket, peer) => {
        await peer.does("make 253");
        const before = openDescriptors();
        {
          using message = await exchange(socket, peer, "send x credentials rights:0:253");
          assertEquals(contentsOf(message.fds), numbers(253));
          assertEquals(message.credentials, { pid: peer.pid, uid, gid });
          assertEquals(pidOf(message.pidfd!), peer.pid);
          assertEquals(message.controlTruncated, false);
        }
        const left = [...openDescriptors()].filter(([number, what]) => before.get(number) !== what);
        assertEquals(left.filter(([, what]) => /memfd|pidfd/.test(what)), []);
      }, (owner) => {
        owner.passCredentials = true;
        owner.passPidfd = true;
      });
    },
  );

  test(
    `H181 ${kind}.sendMessage() gives a C program with SO_PASSPIDFD a pidfd of this process, last`,
    withPidfds,
    async () => {
      await withC(kind, async (socket, peer) => {
        const { SO_PASSCRED, SO_PASSPIDFD } = native().abi.linux!;
        await peer.does(`option ${SO_PASSCRED} 1`);
        await peer.does(`option ${SO_PASSPIDFD} 1`);
        const fds = filesOf("test", ["0"]);
        await socket.sendMessage(bytes("x"), { fds, transfer: true });
        const { pid } = process;
        const expected = `credentials:${pid}:${uid}:${gid} ${files(["0"], "cloexec")} pidfd:${pid}`;
        assertEquals(await peer.does(`receive ${ROOM} cloexec`), `x ${expected}`);
      });
    },
  );

  test(
    `H170 ${kind} and a C program cannot claim to be a process that is not there`,
    options,
    async () => {
      await withC(kind, async (socket, peer) => {
        // No process can have the number: the kernel's limit is 2²².
        const pid = 0x7fff_ffff;
        const code = process.geteuid!() === 0 ? "ESRCH" : "EPERM";
        assertEquals(await peer.failsTo(`send bad ids:${pid}:${uid}:${gid}`), code);
        const sending = () => socket.sendMessage(bytes("bad"), { credentials: { pid } });
        await assertFails(sending, code, "sendmsg");
        await peer.does("send good");
        using message = await receiveFrom(socket);
        assertEquals(text(message.data), "good");
      });
    },
  );
}
