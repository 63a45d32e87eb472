import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  Fd,
  type ReceivedMessage,
  UnixDatagram,
  UnixListener,
  UnixSeqpacketListener,
} from "../../mod.ts";
import { python } from "../support/interop.ts";
import { programCommand } from "../support/listening.ts";
import { bytes, run, text, unlessProgram, withTempSocketPath } from "../support/mod.ts";
import {
  assertEnded,
  type Carrier,
  CARRIER_NAMES,
  type CarrierName,
  CARRIERS,
  closeEach,
  contentOf,
  copiesOf,
  fileOf,
  filesOf,
  GC_FLAGS,
  targetOf,
  withCarriers,
} from "../support/passing.ts";

for (const name of CARRIER_NAMES) {
  test(`G163 ${name}: a message that leaves its scope closes what was not taken, and nothing else`, async () => {
    await withCarriers(name, async (a, b) => {
      const files = filesOf(3);
      const targets = files.map(({ fd }) => targetOf(fd));
      await a.sendMessage(bytes("x"), { fds: files });
      closeEach(files);
      let kept: ReceivedMessage;
      let taken: Fd;
      {
        using message = (await b.receiveMessage())!;
        kept = message;
        taken = message.fds.splice(1, 1)[0]!;
        assertEquals(targets.map(copiesOf), [1, 1, 1]);
      }
      assertEquals(targets.map(copiesOf), [0, 1, 0]);
      assertEquals(kept.fds.map((fd) => fd.closed), [true, true]);
      assertEquals([taken.closed, contentOf(taken)], [false, "1"]);
      // A second time does nothing, whoever has the numbers now.
      const others = filesOf(2);
      kept.close();
      kept[Symbol.dispose]();
      assertEquals(others.map(contentOf), ["0", "1"]);
      assertEquals(text(kept.data), "x");
      closeEach([taken, ...others]);
    });
  });

  test(`G163 ${name}: a message whose scope is left by an exception closes what was not taken`, async () => {
    await withCarriers(name, async (a, b) => {
      b.passPidfd = true;
      const [reader, writer] = Fd.pipe();
      await a.sendMessage(bytes("x"), { fds: [writer, writer], transfer: true });
      await assertRejects(
        async () => {
          using message = (await b.receiveMessage())!;
          assert(message.pidfd !== null);
          message.fds[0]!.close();
          throw new Error("in between");
        },
        Error,
        "in between",
      );
      await assertEnded(reader);
      reader.close();
    });
  });

  test(`G163 ${name}: all descriptors can be taken at once, and outlive message and socket`, async () => {
    await withCarriers(name, async (a, b) => {
      b.passPidfd = true;
      const files = filesOf(3);
      await a.sendMessage(bytes("x"), { fds: files });
      closeEach(files);
      const message = (await b.receiveMessage())!;
      const taken = message.fds.splice(0);
      const pidfd = message.takePidfd()!;
      assertEquals([message.pidfd, message.takePidfd()], [null, null]);
      message.close();
      closeEach([a, b]);
      assertEquals(taken.map(contentOf), ["0", "1", "2"]);
      assertEquals(pidfd.closed, false);
      closeEach([...taken, pidfd]);
    });
  });

  test(`G163 ${name}.receiveMessage() that was aborted leaves the descriptors to the next`, async () => {
    await withCarriers(name, async (a, b) => {
      using file = fileOf("file");
      const controller = new AbortController();
      const receiving = b.receiveMessage({ signal: controller.signal });
      const aborted = assertRejects(() => receiving, Error, "enough");
      controller.abort(new Error("enough"));
      await a.sendMessage(bytes("x"), { fds: [file] });
      await aborted;
      assertEquals(copiesOf(targetOf(file.fd)), 1);
      using message = (await b.receiveMessage())!;
      assertEquals(message.fds.map(contentOf), ["file"]);
    });
  });

  test(`G163 ${name} that closes while receiveMessage() waits takes no descriptor in`, async () => {
    await withCarriers(name, async (a, b) => {
      const [reader, writer] = Fd.pipe();
      const receiving = b.receiveMessage().catch((error) => error.code);
      // It has arrived, and nobody was told yet.
      a.sendMessageSync(bytes("x"), { fds: [writer], transfer: true });
      b.close();
      assertEquals(await receiving, "EBADF");
      await assertEnded(reader);
      reader.close();
    });
  });
}

for (
  const [what, happens] of [
    ["messages", "close their descriptors"],
    ["messages nobody waits for", "close their descriptors"],
    ["messages of which one descriptor was taken", "close the other one only"],
    ["pidfds", "are closed"],
  ]
) {
  test(`G163 what a program has lost: ${what} ${happens}`, async () => {
    const { code, stdout, stderr } = await run(programCommand("passing_lost", [what!], GC_FLAGS));
    assertEquals([stdout, stderr, code], ["ok\n", "", 0]);
  });
}

// Records without a byte

for (const name of ["UnixDatagram", "UnixSeqpacket"] as const) {
  test(`${name}: an empty message carries descriptors`, async () => {
    await withCarriers(name, async (a, b) => {
      using file = fileOf("file");
      for (const maxFds of [253, 0]) {
        await a.sendMessage(new Uint8Array(0), { fds: [file] });
        a.sendMessageSync(new Uint8Array(0), { fds: [file] });
        for (let i = 0; i < 2; i++) {
          using message = i === 0
            ? (await b.receiveMessage({ maxFds }))!
            : b.receiveMessageSync({ maxFds })!;
          assertEquals([message.data.length, message.length, message.truncated], [0, 0, false]);
          assertEquals(message.fds.map(contentOf), maxFds === 0 ? [] : ["file"]);
          assertEquals(message.controlTruncated, maxFds === 0);
        }
      }
    });
  });

  test(`${name}.receiveMessage({ size }) cuts the data and keeps the descriptors`, async () => {
    await withCarriers(name, async (a, b) => {
      using file = fileOf("file");
      for (const size of [0, 3]) {
        await a.sendMessage(bytes("too long"), { fds: [file] });
        using message = (await b.receiveMessage({ size }))!;
        assertEquals(text(message.data), "too long".slice(0, size));
        assertEquals([message.length, message.truncated, message.endOfRecord], [8, true, false]);
        assertEquals([message.fds.map(contentOf), message.controlTruncated], [["file"], false]);
      }
    });
  });
}

test("UnixSeqpacket.receiveMessage() tells the end from an empty record, with descriptors and without", async () => {
  const [a, b] = CARRIERS.UnixSeqpacket();
  using file = fileOf("file");
  for (const fds of [[file], [], [file, file]]) await a.sendMessage(new Uint8Array(0), { fds });
  await a.send(new Uint8Array(0));
  a.closeWrite();
  for (const count of [1, 0, 2, 0]) {
    using message = await b.receiveMessage();
    assertEquals(message!.data.length, 0);
    assertEquals(message!.fds.length, count);
  }
  for (let i = 0; i < 2; i++) {
    assertEquals(await b.receiveMessage(), null);
    assertEquals(b.receiveMessageSync(), null);
  }
  closeEach([a, b]);
});

// From other processes

/** A bound socket that others connect to, and what receives from them. */
async function withServer(
  name: CarrierName,
  body: (path: string, accepted: () => Promise<Carrier>) => Promise<void>,
): Promise<void> {
  await withTempSocketPath(async (path) => {
    if (name === "UnixDatagram") {
      using socket = UnixDatagram.bind(path);
      socket.passCredentials = true;
      return await body(path, () => Promise.resolve(socket));
    }
    using listener = name === "UnixStream"
      ? UnixListener.listen(path)
      : UnixSeqpacketListener.listen(path);
    listener.passCredentials = true;
    await body(path, () => listener.accept());
  });
}

for (const name of CARRIER_NAMES) {
  test(`G155 ${name} gets the descriptors of a process that was killed right after it sent them`, async () => {
    await withServer(name, async (path, accepted) => {
      const { signal } = await run(programCommand("passing_sender", ["exit", name, path]));
      assertEquals(signal, "SIGKILL");
      using socket = await accepted();
      using message = (await socket.receiveMessage())!;
      assertEquals(text(message.data), "last words");
      const [file, reader] = message.fds as [Fd, Fd];
      assertEquals(contentOf(file), `file of ${message.credentials!.pid}`);
      const buffer = new Uint8Array(64);
      assertEquals(text(buffer.subarray(0, (await reader.read(buffer))!)), "in the pipe");
      await assertEnded(reader);
    });
  });

  test(
    `G133 ${name}.receiveMessage() gets the descriptors of several control messages in order`,
    { skip: unlessProgram("python3") },
    async () => {
      await withServer(name, async (path, accepted) => {
        await using peer = python(
          `
          client = socket.socket(socket.AF_UNIX, getattr(socket, args[1]))
          client.connect(args[0])
          def file(content):
              fd = os.memfd_create(content)
              os.write(fd, content.encode())
              return fd
          def rights(*fds):
              return (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
          client.sendmsg([b"three"], [rights(file("0"), file("1")), rights(), rights(file("2"))])
          say("sent")
          hear()
          `,
          [path, `SOCK_${name === "UnixDatagram" ? "DGRAM" : name.slice(4).toUpperCase()}`],
        );
        assertEquals(await peer.line(), "sent");
        using socket = await accepted();
        using message = (await socket.receiveMessage())!;
        assertEquals(text(message.data), "three");
        assertEquals(message.fds.map(contentOf), ["0", "1", "2"]);
        assertEquals(message.controlTruncated, false);
        peer.tell();
        await peer.succeeded();
      });
    },
  );
}

/** Runs a command with an io_uring at the number that takes the place of "FD"; 77 where there is none. */
const WITH_URING = `
import ctypes, os, sys
fd = ctypes.CDLL(None).syscall(425, 8, ctypes.create_string_buffer(120))
if fd < 0: sys.exit(77)
os.set_inheritable(fd, True)
if len(sys.argv) > 1: os.execvp(sys.argv[1], [str(fd) if word == "FD" else word for word in sys.argv[1:]])
`;

function withUring(...command: string[]): string[] {
  return ["python3", "-I", "-S", "-c", WITH_URING, ...command];
}

const noUring = unlessProgram("python3") || (() => {
  try {
    execFileSync("python3", withUring().slice(1), { stdio: "ignore" });
    return false;
  } catch {
    return "needs io_uring";
  }
})();

test(
  "G152 an io_uring cannot be passed: EINVAL",
  { skip: noUring },
  async () => {
    const command = programCommand("passing_sender", ["number", "UnixStream", "FD"]);
    const { stdout, stderr, code } = await run(withUring(...command));
    assertEquals([stdout, stderr, code], ["EINVAL sendmsg\n", "", 0]);
  },
);
