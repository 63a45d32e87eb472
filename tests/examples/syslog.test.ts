import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { UnixDatagram, UnixListener } from "../../mod.ts";
import { sockets } from "../../ffi/mod.ts";
import { receiveTexts } from "../support/datagrams.ts";
import { assertOneLineError, exampleCommand, runExample } from "../support/examples.ts";
import { python } from "../support/interop.ts";
import { ample, QUEUE } from "../support/queue.ts";
import { until } from "../support/waiting.ts";
import {
  bytes,
  readText,
  RUNTIME,
  RUNTIMES,
  TestProcess,
  unlessProgram,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";

/** Takes RFC 5424's fields apart; fails where a record is none. */
function parse(record: string) {
  const match = /^<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) - (\S+) (\d+) - - (.*)$/s
    .exec(record);
  assert(match !== null, record);
  const [, priority, time, tag, pid, message] = match;
  return { priority: Number(priority), time: time!, tag, pid: Number(pid), message };
}

function syslog(path: string, ...args: string[]): TestProcess {
  return new TestProcess(exampleCommand(RUNTIME, "syslog", ["--socket", path, ...args]));
}

async function assertSucceeds(sender: TestProcess): Promise<void> {
  const { code, stdout, stderr } = await sender.finished;
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" });
}

for (const runtime of RUNTIMES) {
  test(
    `examples/syslog.ts under ${runtime} sends each argument as a record of RFC 5424`,
    { skip: unlessProgram("python3") },
    async () => {
      await withTempSocketPath(async (path) => {
        await using receiver = python(
          `
          log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
          log.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
          log.bind(args[0])
          say("ready")
          for _ in range(2):
              data, control, _, _ = log.recvmsg(65536, 1000)
              pid, uid, gid = struct.unpack("=iII", control[0][2])
              say(json.dumps([data.decode(), pid]))
          `,
          [path],
        );
        await receiver.line();
        const messages = ["It is done", "ünïcödé\nwith two lines"];
        const start = Date.now();
        const args = ["--socket", path, "--tag", "backup", "--severity", "warning", ...messages];
        await using sender = new TestProcess(exampleCommand(runtime, "syslog", args));
        await assertSucceeds(sender);
        for (const message of messages) {
          const [record, pid] = await receiver.json<[string, number]>();
          const { time, ...rest } = parse(record);
          assertEquals(rest, { priority: 1 * 8 + 4, tag: "backup", pid: sender.pid, message });
          assertEquals(pid, sender.pid);
          assert(Date.parse(time) >= start && Date.parse(time) <= Date.now());
        }
        await receiver.succeeded();
      });
    },
  );
}

test("examples/syslog.ts frames records by their length on a stream socket", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using sender = syslog(path, "one", "twö");
    using stream = await listener.accept();
    let text = "";
    for (let part; (part = await readText(stream)) !== null;) text += part;
    await assertSucceeds(sender);
    const records: string[] = [];
    const data = new TextEncoder().encode(text);
    for (let at = 0; at < data.length;) {
      const space = data.indexOf(0x20, at);
      const length = Number(new TextDecoder().decode(data.subarray(at, space)));
      records.push(new TextDecoder().decode(data.subarray(space + 1, space + 1 + length)));
      at = space + 1 + length;
    }
    assertEquals(records.map((record) => parse(record).message), ["one", "twö"]);
  });
});

test("examples/syslog.ts waits while the queue is full and sends each line once, in order", async () => {
  await withTempSocketPath(async (path) => {
    using log = UnixDatagram.bind(path);
    await using sender = syslog(path);
    const lines = Array.from({ length: QUEUE + 189 }, (_, i) => `line ${i}`);
    sender.write(lines.join("\n") + "\n");
    sender.closeStdin();
    // The first is here, so the sender runs; it fills the queue while nobody takes more.
    const first = await receiveTexts(log, 1);
    const rest = await receiveTexts(log, lines.length - 1);
    assertEquals([...first, ...rest].map((record) => parse(record).message), lines);
    await assertSucceeds(sender);
  });
});

test("examples/syslog.ts connects again when the daemon comes back at the path", async () => {
  await withTempSocketPath(async (path) => {
    const first = UnixDatagram.bind(path);
    await using sender = syslog(path);
    sender.write("before\n");
    assertEquals(parse((await receiveTexts(first, 1))[0]!).message, "before");
    first.close();
    assertEquals(existsSync(path), false);
    sender.write("while it was away\nand another\n");
    using second = UnixDatagram.bind(path);
    const records = await receiveTexts(second, 2);
    assertEquals(records.map((record) => parse(record).message), [
      "while it was away",
      "and another",
    ]);
    sender.closeStdin();
    await assertSucceeds(sender);
  });
});

test("examples/syslog.ts connects again after ECONNREFUSED, and when the queue was full", async () => {
  await withTempSocketPath(async (path) => {
    const first = UnixDatagram.bind(path, { unlinkOnClose: false });
    await using sender = syslog(path);
    const lines = Array.from({ length: QUEUE + 39 }, (_, i) => `line ${i}`);
    sender.write(lines.join("\n") + "\n");
    const taken = (await receiveTexts(first, 1)).map((record) => parse(record).message);
    assertEquals(taken, ["line 0"]);
    first.close();
    assertEquals(existsSync(path), true);
    // Some lines stood in the queue that is gone; after them, each comes once and in order.
    using second = UnixDatagram.bind(path);
    sender.write("last\n");
    const received: string[] = [];
    while (received.at(-1) !== "last") {
      received.push(parse((await receiveTexts(second, 1))[0]!).message!);
    }
    assertEquals(received, [...lines, "last"].slice(-received.length));
    sender.closeStdin();
    await assertSucceeds(sender);
  });
});

test("examples/syslog.ts connects again when a stream socket's daemon comes back", async () => {
  await withTempSocketPath(async (path) => {
    const first = UnixListener.listen(path);
    await using sender = syslog(path);
    sender.write("before\n");
    {
      using stream = await first.accept();
      assertMatch((await readText(stream))!, /^\d+ <14>1 .* before$/);
      first.close();
    }
    sender.write("while it was away\n");
    using second = UnixListener.listen(path);
    using stream = await second.accept();
    assertMatch((await readText(stream))!, /^\d+ <14>1 .* while it was away$/);
    sender.closeStdin();
    await assertSucceeds(sender);
  });
});

test("examples/syslog.ts says in one line that no daemon is there", async () => {
  await withTempSocketPath(async (path) => {
    const finished = await runExample(RUNTIME, "syslog", ["--socket", path, "hello"]);
    assertOneLineError(finished, `Cannot connect to "${path}": ENOENT`);
  });
});

/** rsyslogd, which takes messages at `log` and writes them to `messages`, both in a directory. */
class Rsyslog extends TestProcess {
  readonly path: string;
  readonly #output: string;

  private constructor(directory: string) {
    super(["rsyslogd", "-n", "-f", join(directory, "rs.conf"), "-i", join(directory, "pid")]);
    this.path = join(directory, "log");
    this.#output = join(directory, "messages");
  }

  static async start(directory: string): Promise<Rsyslog> {
    writeFileSync(
      join(directory, "rs.conf"),
      `global(workDirectory="${directory}")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="${directory}/log" CreatePath="on" UsePidFromSystem="on"
  UseSpecialParser="off" ParseHostname="on" RateLimit.Interval="0")
template(name="fields" type="string" string="%pri% %app-name% %procid% %msg%\\n")
action(type="omfile" file="${directory}/messages" template="fields")
`,
    );
    const daemon = new Rsyslog(directory);
    await until(() => existsSync(daemon.path), "rsyslogd binds");
    return daemon;
  }

  lines(): string[] {
    if (!existsSync(this.#output)) return [];
    return readFileSync(this.#output, "utf8").split("\n").slice(0, -1);
  }

  async logged(text: string): Promise<void> {
    await until(() => this.lines().some((line) => line.endsWith(text)), `rsyslogd logs ${text}`);
  }

  async stop(): Promise<void> {
    this.kill("SIGTERM");
    await this.finished;
  }
}

const withRsyslog = { skip: unlessProgram("rsyslogd") };

for (const runtime of RUNTIMES) {
  test(
    `O248 examples/syslog.ts under ${runtime} is understood by rsyslogd`,
    withRsyslog,
    async () => {
      await withTempDir(async (directory) => {
        await using daemon = await Rsyslog.start(directory);
        const args = ["--socket", daemon.path, "--tag", "backup", "--severity", "err", "It failed"];
        await using sender = new TestProcess(exampleCommand(runtime, "syslog", args));
        await assertSucceeds(sender);
        await daemon.logged("It failed");
        assertEquals(daemon.lines(), [`11 backup ${sender.pid} It failed`]);
      });
    },
  );
}

test("O248 examples/syslog.ts outlives a restart of rsyslogd", withRsyslog, async () => {
  await withTempDir(async (directory) => {
    let path: string;
    let sender: TestProcess;
    {
      await using first = await Rsyslog.start(directory);
      path = first.path;
      sender = syslog(path);
      sender.write("before\n");
      await first.logged("before");
      await first.stop();
    }
    await using started = sender;
    started.write("between\n");
    await using second = await Rsyslog.start(directory);
    started.write("after\n");
    started.closeStdin();
    await assertSucceeds(started);
    await second.logged("after");
    const messages = second.lines().map((line) => line.split(" ").at(-1));
    assertEquals(messages, ["before", "between", "after"]);
  });
});

test(
  "O248 examples/syslog.ts waits for rsyslogd while that is stopped, and loses nothing",
  withRsyslog,
  async () => {
    await withTempDir(async (directory) => {
      await using daemon = await Rsyslog.start(directory);
      await using sender = syslog(daemon.path);
      sender.write("running\n");
      await daemon.logged("running");
      daemon.kill("SIGSTOP");
      // What is connected to it is writable while there is room: at first for as few as make it full.
      using probe = UnixDatagram.unbound().connect(daemon.path);
      using filler = ample(UnixDatagram.unbound()).connect(daemon.path);
      for (let i = 0; i < QUEUE - 11; i++) filler.sendSync(bytes(`<14>1 - - before - - - ${i}`));
      assertEquals(sockets.pollOne(probe.fd, "writable", 0), 1);
      const lines = Array.from({ length: 300 }, (_, i) => `number-${i}`);
      sender.write(lines.join("\n") + "\n");
      sender.closeStdin();
      await until(() => sockets.pollOne(probe.fd, "writable", 0) === 0, "the queue is full");
      assertEquals(sender.child.exitCode, null);
      daemon.kill("SIGCONT");
      await assertSucceeds(sender);
      await daemon.logged("number-299");
      const messages = daemon.lines().map((line) => line.split(" ").at(-1));
      const before = Array.from({ length: QUEUE - 11 }, (_, i) => `${i}`);
      assertEquals(messages, ["running", ...before, ...lines]);
    });
  },
);
