import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { abstract, UnixDatagram } from "../../mod.ts";
import { fillQueue, receiveTexts } from "../support/datagrams.ts";
import { assertOneLineError } from "../support/examples.ts";
import { freshName, Peer, python } from "../support/interop.ts";
import {
  commandFor,
  ROOT,
  run,
  RUNTIME,
  type RuntimeName,
  RUNTIMES,
  TestProcess,
  text,
  unlessProgram,
  withTempSocketPath,
} from "../support/mod.ts";

/** The command of the example, which on Deno may read the environment besides. */
function command(runtime: RuntimeName, ...args: string[]): string[] {
  const flags = runtime === "deno" ? ["--allow-env"] : [];
  const script = join(ROOT, "examples", "sd_notify.ts");
  return [...commandFor(runtime, script, { allowAll: false, flags }), ...args];
}

/** A manager that says each message and the process that the kernel says it is from. */
const MANAGER = `
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
manager.bind(args[0].replace("@", "\\0", 1) if args[0].startswith("@") else args[0])
say("ready")
data, control, flags, _ = manager.recvmsg(4096, 1000)
say(json.dumps([data.decode(), struct.unpack("=iII", control[0][2])[0], flags]))
`;

for (const runtime of RUNTIMES) {
  for (const kind of ["a pathname", "an abstract name"]) {
    test(
      `examples/sd_notify.ts under ${runtime} sends its arguments in one message to ${kind}`,
      { skip: unlessProgram("python3") },
      async () => {
        await withTempSocketPath(async (path) => {
          const name = kind === "a pathname" ? path : `@${freshName()}`;
          await using manager = python(MANAGER, [name]);
          await manager.line();
          const started = new TestProcess(command(runtime, "READY=1", "STATUS=Up, and running"), {
            env: { NOTIFY_SOCKET: name },
          });
          await using notifier = started;
          const { code, stdout, stderr } = await notifier.finished;
          assertEquals({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" });
          assertEquals(await manager.json(), ["READY=1\nSTATUS=Up, and running", notifier.pid, 0]);
          await manager.succeeded();
        });
      },
    );
  }

  test(`examples/sd_notify.ts under ${runtime} reports a service's life, watchdog and all`, async () => {
    await withTempSocketPath(async (path) => {
      using manager = UnixDatagram.bind(path);
      const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: "20000" };
      await using service = new TestProcess(command(runtime), { env });
      assertEquals(await receiveTexts(manager, 4), [
        "READY=1\nSTATUS=Serving",
        "WATCHDOG=1",
        "WATCHDOG=1",
        "WATCHDOG=1",
      ]);
      service.kill("SIGTERM");
      let last;
      do [last] = await receiveTexts(manager, 1); while (last === "WATCHDOG=1");
      assertEquals(last, "STOPPING=1\nSTATUS=Stopping");
      const { code, stdout, stderr } = await service.finished;
      assertEquals({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" });
    });
  });

  test(`examples/sd_notify.ts under ${runtime} ends silently without a manager`, async () => {
    for (const args of [[], ["READY=1"]]) {
      for (const unset of [["env", "-u", "NOTIFY_SOCKET"], ["env", "NOTIFY_SOCKET="]]) {
        assertEquals(await run([...unset, ...command(runtime, ...args)]), {
          code: 0,
          signal: null,
          stdout: "",
          stderr: "",
        });
      }
    }
  });
}

test("examples/sd_notify.ts says nothing of a watchdog where there is none", async () => {
  await withTempSocketPath(async (path) => {
    using manager = UnixDatagram.bind(path);
    const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: "" };
    await using service = new TestProcess(command(RUNTIME), { env });
    await receiveTexts(manager, 1);
    service.kill("SIGINT");
    assertEquals(await receiveTexts(manager, 1), ["STOPPING=1\nSTATUS=Stopping"]);
    assertEquals((await service.finished).code, 0);
  });
});

test("examples/sd_notify.ts waits while the manager's queue is full", async () => {
  await withTempSocketPath(async (path) => {
    using manager = UnixDatagram.bind(path);
    using other = UnixDatagram.unbound().connect(path);
    const before = await fillQueue(other);
    await using notifier = new TestProcess(command(RUNTIME, "READY=1"), {
      env: { NOTIFY_SOCKET: path },
    });
    assertEquals(await receiveTexts(manager, before.length + 1), [...before, "READY=1"]);
    assertEquals((await notifier.finished).code, 0);
  });
});

test("examples/sd_notify.ts says in one line what is wrong with NOTIFY_SOCKET", async () => {
  await withTempSocketPath(async (path) => {
    const notify = (name: string) =>
      run(command(RUNTIME, "READY=1"), { env: { NOTIFY_SOCKET: name } });
    assertOneLineError(await notify(path), `Cannot connect to "${path}": ENOENT`);
    assertOneLineError(
      await notify("relative.sock"),
      "Cannot use NOTIFY_SOCKET=relative.sock: neither a path nor an abstract name",
    );
  });
});

const withSystemd = { skip: unlessProgram("systemd-notify") };

for (const kind of ["a pathname", "an abstract name"]) {
  test(
    `O248 UnixDatagram.receive() takes what systemd-notify sends to ${kind}`,
    withSystemd,
    async () => {
      await withTempSocketPath(async (path) => {
        const name = freshName();
        using manager = UnixDatagram.bind(kind === "a pathname" ? path : abstract(name));
        const env = { NOTIFY_SOCKET: kind === "a pathname" ? path : `@${name}` };
        await using notifier = new Peer(
          ["systemd-notify", "--no-block", "--ready", "--status=Up, and running", "X_OWN=1"],
          { env },
        );
        await notifier.succeeded();
        const { data } = await manager.receive();
        const lines = text(data).split("\n").filter((line) => !line.startsWith("MAINPID="));
        assertEquals(lines.sort(), ["READY=1", "STATUS=Up, and running", "X_OWN=1"]);
      });
    },
  );
}

test(
  "O248 UnixDatagram.receive() releases the descriptor on which systemd-notify waits",
  withSystemd,
  async () => {
    await withTempSocketPath(async (path) => {
      using manager = UnixDatagram.bind(path);
      await using notifier = new Peer(["systemd-notify", "--ready"], {
        env: { NOTIFY_SOCKET: path },
      });
      const [first, barrier] = await receiveTexts(manager, 2);
      assertEquals([first!.split("\n").includes("READY=1"), barrier], [true, "BARRIER=1"]);
      await notifier.succeeded();
    });
  },
);
