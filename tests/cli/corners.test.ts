import { existsSync, symlinkSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { abstract, Fd, UnixDatagram, UnixListener, UnixStream } from "../../mod.ts";
import { Arguments } from "../../cli/arguments.ts";
import { Progress } from "../../cli/terminal/progress.ts";
import { Session } from "../../cli/session.ts";
import { assertEnds, cliCommand, records, runCli, startCli, startServing } from "../support/cli.ts";
import { digest, pattern, readExactly } from "../support/data.ts";
import { CTRL_C, onTerminal } from "../support/examples.ts";
import { freshName, Peer } from "../support/interop.ts";
import {
  bytes,
  ROOT,
  run,
  RUNTIME,
  text,
  unlessProgram,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";

const DATAGRAMS = ["--type", "datagram"];

/** A shell line in which "$@" is the command line with these arguments. */
function shell(script: string, args: string[], directory: string) {
  return run(["bash", "-c", script, "bash", ...cliCommand(args)], { cwd: directory });
}

/** `afunix receive` that waits for a reader of its output: it has the other end of the pipe itself. */
async function withBlocked(
  args: string[],
  body: (blocked: Peer, path: string) => Promise<void>,
): Promise<void> {
  await withTempDir(async (directory) => {
    const path = join(directory, "s");
    const script = 'mkfifo pipe && exec 8<> pipe && exec "$@" > pipe';
    const command = cliCommand(["receive", "--verbose", ...DATAGRAMS, ...args, path]);
    await using blocked = new Peer(["bash", "-c", script, "bash", ...command], { cwd: directory });
    await blocked.waitFor("Receiving on", "stderr");
    using socket = UnixDatagram.unbound().connect(path);
    // There is room for one of them: when the second is sent, the first was read. No pipe holds it.
    const message = new Uint8Array(Math.floor(socket.sendBufferSize * 0.7));
    await socket.send(message);
    await socket.send(message);
    await body(blocked, path);
  });
}

test("afunix receive ends at SIGTERM while nobody reads its output, and removes its path", async () => {
  await withBlocked([], async (blocked, path) => {
    blocked.kill("SIGTERM");
    assertEquals((await blocked.finished).code, 143);
    assertEquals(existsSync(path), false);
  });
});

test("afunix receive --timeout counts the time in which nobody reads its output", async () => {
  await withBlocked(["--timeout", "1000"], async (blocked, path) => {
    const { code, stderr } = await blocked.finished;
    assertEquals(code, 1);
    assert(stderr.endsWith("Timed out: nothing happened for 1000 ms\n"), stderr);
    assertEquals(existsSync(path), false);
  });
});

test("afunix listen --timeout ends though nobody reads why", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "s");
    const [words, writer] = Fd.pipe();
    using _words = words;
    // No room for another byte.
    for (let size = 65536; size > 0; size >>= 1) {
      for (;;) {
        try {
          writer.writeSync(new Uint8Array(size), { timeout: 0 });
        } catch {
          break;
        }
      }
    }
    await using server = startCli(["listen", "--timeout", "500", path], {
      stdio: ["pipe", "ignore", writer.fd],
    });
    writer.close();
    assertEquals((await server.finished).code, 1);
    assertEquals(existsSync(path), false);
  });
});

test("afunix echo serves and ends while nobody reads its words, and counts what it leaves out", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "s");
    const [words, writer] = Fd.pipe();
    using _words = words;
    await using server = startCli(["echo", "--verbose", ...DATAGRAMS, path], {
      stdio: ["ignore", "ignore", writer.fd],
    });
    writer.close();
    let heard = "";
    const hear = async () => {
      const buffer = new Uint8Array(65536);
      const length = await words.read(buffer);
      assert(length !== null, heard);
      heard += text(buffer.subarray(0, length));
    };
    while (!heard.endsWith("\n")) await hear();
    const name = freshName();
    using socket = UnixDatagram.bind(abstract(name)).connect(path);
    let talks = 0;
    const talk = async () => {
      await socket.send(bytes("x"));
      await socket.receive({ signal: AbortSignal.timeout(60_000) });
      talks++;
    };
    const notice = `1 byte from @${name}\n`;
    // More than a pipe and the process itself hold.
    const many = Math.ceil(4 * 65536 / notice.length);
    while (talks < many) await talk();
    heard = "";
    const leftOut = /^Nobody read the standard error: (\d+) lines left out\n/m;
    while (!leftOut.test(heard)) {
      await talk();
      await hear();
    }
    const [before, lost] = heard.split(leftOut) as [string, string];
    const shown = before.length / notice.length;
    assertEquals(before, notice.repeat(shown));
    assert(
      shown + Number(lost) >= many && shown + Number(lost) < talks,
      `${shown} ${lost} ${talks}`,
    );
    for (let i = 0; i < many; i++) await talk();
    server.kill("SIGTERM");
    assertEquals((await server.finished).code, 143);
    assertEquals(existsSync(path), false);
  });
});

test("afunix receive waits for room where stdout, shared with others, does not block", {
  skip: unlessProgram("python3"),
}, async () => {
  await withTempSocketPath(async (path) => {
    const [output, writer] = Fd.pipe();
    using _output = output;
    const script = "import fcntl, os, sys\nfcntl.fcntl(1, 1031, 4096)  # F_SETPIPE_SZ\n" +
      "os.set_blocking(1, False)\nos.execvp(sys.argv[1], sys.argv[1:])";
    const command = cliCommand(["receive", "--verbose", path]);
    await using receiver = new Peer(["python3", "-c", script, ...command], {
      stdio: ["ignore", writer.fd, "pipe"],
    });
    writer.close();
    await receiver.waitFor("Listening on", "stderr");
    const data = pattern(1 << 20);
    using stream = await UnixStream.connect(path);
    // What the receiver reads at once is much more than its pipe holds.
    const sending = stream.writeAll(data).then(() => stream.closeWrite(), () => {});
    await output.waitReadable();
    const copy = await readExactly(output, data.length);
    assertEquals(digest(copy), digest(data));
    await sending;
    assertEquals((await receiver.finished).code, 0);
  });
});

test("afunix send tells in one line that stdin is a directory, and takes a closed one as empty", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const failing = shell('"$@" < .', ["send", path], ROOT);
    using _one = await listener.accept();
    assertEnds(await failing, 1, "Cannot read the standard input: EISDIR\n");
    const closed = shell('"$@" <&-', ["send", "--json", path], ROOT);
    using _other = await listener.accept();
    const finished = await closed;
    assertEnds(finished, 0);
    assertEquals(records(finished.stdout)[0]!.bytes, 0);
  });
});

test("afunix refuses an argument that is not UTF-8, and takes U+FFFD for itself", {
  skip: RUNTIME === "deno" ? "Deno itself ends at such arguments" : false,
}, async () => {
  await withTempDir(async (directory) => {
    for (const args of ["$'bad\\xff' x", "s $'bad\\xff'"]) {
      const { code, stderr } = await shell(`"$@" ${args}`, ["send"], directory);
      assertEquals(code, 2);
      assertMatch(stderr, /^An argument is not UTF-8: [^\n]*\n$/);
    }
    const missing = await shell('"$@"', ["send", "\ufffd", "x"], directory);
    assertEnds(missing, 1, 'Cannot connect to "\ufffd": ENOENT\n');
  });
});

test("afunix who finds the owners of a path with any bytes, absolute or not", async () => {
  await withTempDir(async (directory) => {
    const name = Uint8Array.from([...bytes(`${directory}/a\n`), 0xff]);
    using listener = UnixListener.listen(name);
    const escaped = `file://${directory}/a%0a%ff`;
    const finished = await runCli(["who", "--json", escaped]);
    assertEnds(finished, 0);
    const [{ address, pid, owners }] = records(finished.stdout) as [Record<string, unknown>];
    assertEquals([address, pid], [`${directory}/a\\x0a\\xff`, process.pid]);
    assertEquals((owners as { pid: number; fds: number[] }[]).map((owner) => owner.fds), [
      [listener.fd],
    ]);
    const link = `${directory}/link`;
    symlinkSync(directory, link);
    const linked = await runCli(["who", "--json", `file://${link}/a%0a%ff`]);
    assertEquals(records(linked.stdout).map((record) => record.owners), [owners]);
    symlinkSync("new\nline", `${directory}/plain`);
    await using server = new Peer(
      ["bash", "-c", "exec \"$@\" $'new\\nline'", "bash", ...cliCommand(["echo", "--verbose"])],
      { cwd: directory },
    );
    await server.waitFor("Listening on", "stderr");
    const other = await runCli(["who", "--json", `${directory}/new\nline`]);
    assertEnds(other, 0);
    assertEquals(
      (records(other.stdout)[0]!.owners as { pid: number }[]).map((owner) => owner.pid),
      [server.pid],
    );
    const plain = await runCli(["who", "--json", "plain"], { cwd: directory });
    assertEquals(records(plain.stdout)[0]!.owners, records(other.stdout)[0]!.owners);
  });
});

test("afunix listen --once ends though the sender cannot be answered", async () => {
  const name = freshName();
  await using server = await startServing(["listen", ...DATAGRAMS, "--once", `@${name}`]);
  using socket = UnixDatagram.unbound().connect(abstract(name));
  await socket.send(bytes("from nobody"));
  const { code, stdout, stderr } = await server.finished;
  assertEquals({ code, stdout }, { code: 0, stdout: "from nobody" });
  assert(stderr.endsWith("The sender has no address, and gets no answer\n"), stderr);
});

test("afunix listen goes on with datagrams when one who wrote is gone", async () => {
  const name = freshName();
  await using server = await startServing(["listen", ...DATAGRAMS, "--lines", `@${name}`]);
  const gone = UnixDatagram.bind({ kind: "unnamed" }).connect(abstract(name));
  await gone.send(bytes("bye"));
  gone.close();
  await server.waitFor("bye\n");
  server.write("lost\n");
  await server.waitFor(/Cannot send to @[0-9a-f]{5}: ECONNREFUSED\n/, "stderr");
  using socket = UnixDatagram.bind({ kind: "unnamed" }).connect(abstract(name));
  await socket.send(bytes("hello"));
  await server.waitFor("hello\n");
  server.write("found\n");
  assertEquals(text((await socket.receive()).data), "found");
});

test("afunix take fails where it may not have all descriptors that come", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "s");
    const command = cliCommand(["take", "--verbose", path, "--", "echo", "taken"]);
    await using taker = new Peer(["bash", "-c", 'ulimit -n 64; exec "$@"', "bash", ...command]);
    await taker.waitFor("Listening on", "stderr");
    const files = new Array<string>(100).fill("/dev/null");
    assertEnds(await runCli(["pass", path, ...files]), 0);
    const { code, stdout, stderr } = await taker.finished;
    assertEquals({ code, stdout }, { code: 1, stdout: "" });
    assert(stderr.endsWith("Descriptors were lost: too few were free\n"), stderr);
  });
});

test("Session.alive() begins the time of --timeout anew, and only while it is wanted", async () => {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const before = signals.map((signal) => process.listeners(signal));
  const { setTimeout: real, clearTimeout: realClear } = globalThis;
  const calls: string[] = [];
  const fake = {
    setTimeout: (_end: () => void, time: number) => {
      calls.push(`set ${time}`);
      return { refresh: () => void calls.push("refresh") };
    },
    clearTimeout: () => void calls.push("clear"),
  };
  Object.assign(globalThis, fake);
  try {
    const specs = { timeout: { value: "MS", help: "" } };
    const silent = new Session(new Arguments([], specs));
    silent.alive();
    await silent.finish();
    assertEquals(calls, []);
    const session = new Session(new Arguments(["--timeout", "70"], specs));
    session.alive();
    session.alive();
    session.handOver(() => {});
    session.takeBack();
    await session.finish();
    assertEquals(calls, ["set 70", "refresh", "clear", "set 70", "clear"]);
  } finally {
    Object.assign(globalThis, { setTimeout: real, clearTimeout: realClear });
    for (const [index, signal] of signals.entries()) {
      for (const listener of process.listeners(signal)) {
        if (!before[index]!.includes(listener)) process.off(signal, listener);
      }
    }
  }
});

test("Progress.line() fits the width: without the bar where it is narrow, cut where it is tiny", () => {
  const progress = new Progress();
  const plain = (text: string) => text;
  assertEquals(progress.line(1, 80, plain), "nothing yet, 0 B/s, 1.0 s");
  progress.sent = 1 << 20;
  progress.received = 512;
  assertEquals(
    progress.line(2, 80, plain),
    "sent 1.0 MiB received 512 B, 512.3 KiB/s, 2.0 s",
  );
  progress.total = 2 << 20;
  const bar = `${"█".repeat(12)}${"░".repeat(12)}`;
  const whole = `sent 1.0 MiB of 2.0 MiB ${bar} 50 % received 512 B, 512.3 KiB/s, 2.0 s`;
  assertEquals(progress.line(2, whole.length, plain), whole);
  assertEquals(progress.line(2, whole.length - 1, plain), whole.replace(`${bar} `, ""));
  assertEquals(progress.line(2, 10, plain), "sent 1.0 …");
  progress.total = 0;
  assertMatch(progress.line(2, 200, plain), /█{24} 100 %/);
});

test(
  "afunix ls --watch draws on no terminal that cannot",
  { skip: unlessProgram("python3") },
  async () => {
    const env = { TERM: "dumb", NO_COLOR: "" };
    await using watch = onTerminal(cliCommand(["ls", "--watch"]), { env });
    const wrong = watch.waitFor("--watch needs a terminal that can draw, or --json");
    const { code } = await watch.finished;
    await wrong;
    assertEquals(code, 2);
    assertEquals(watch.stdout.includes("\x1b"), false);
  },
);

test("afunix ls --watch keeps to the size of its terminal", {
  skip: unlessProgram("python3"),
}, async () => {
  await withTempDir(async (directory) => {
    using _one = UnixDatagram.bind(`${directory}/1`);
    using _two = UnixDatagram.bind(`${directory}/2`);
    using _three = UnixDatagram.bind(`${directory}/3`);
    const script = 'stty cols 30 rows 4; exec "$@"';
    const command = cliCommand(["ls", "--watch", directory]);
    await using watch = onTerminal(["bash", "-c", script, "bash", ...command], {
      env: { TERM: "xterm", NO_COLOR: "1" },
    });
    await watch.waitFor("\x1b[J");
    watch.write(CTRL_C);
    assertEquals((await watch.finished).code, 130);
    const picture = watch.stdout.slice(watch.stdout.indexOf("\x1b[H") + 3).split("\x1b[J")[0]!;
    const lines = picture.replaceAll("\x1b[K", "").split(/\r+\n/);
    assertEquals(lines.length, 4);
    for (const line of lines) assert([...line].length <= 30, line);
    assertMatch(lines[3]!, /^3 sockets, the first 2 shown/);
  });
});

test("afunix on Deno needs no permission but FFI's, and says which others it would", {
  skip: RUNTIME === "deno" ? false : "of Deno",
}, async () => {
  const deno = join(ROOT, "node_modules", ".bin", "deno");
  const start = [deno, "run", "--no-check", "--quiet", "--no-prompt"];
  const [program] = cliCommand([]).slice(-1);
  const under = (flags: string[], ...args: string[]) =>
    run([...start, ...flags, program!, ...args]);
  const missing = await under(["--allow-ffi"], "send", "/missing", "x");
  assertEnds(missing, 1, 'Cannot connect to "/missing": ENOENT\n');
  const nothing = await under([], "send", "/missing", "x");
  assertEnds(
    nothing,
    1,
    'Requires ffi access to "libc.so.6", run again with the --allow-ffi flag\n',
  );
  await withTempSocketPath(async (path) => {
    using _listener = UnixListener.listen(path);
    const who = await under(["--allow-ffi"], "who", "--json", path);
    assertEnds(who, 0);
    assertEquals(records(who.stdout).map(({ pid, owners }) => [pid, owners]), [[process.pid, []]]);
  });
  const { code, stderr } = await under(["--allow-ffi"], "ls");
  assertEquals(code, 1);
  assertMatch(stderr, /^Cannot read \/proc\/net\/unix: [^\n]*--allow-[^\n]*\n$/);
});
