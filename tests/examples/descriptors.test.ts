import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { Fd, UnixSeqpacket, UnixStream } from "../../mod.ts";
import {
  assertEndsClean,
  assertOneLineError,
  exampleCommand,
  runExample,
  startServer,
} from "../support/examples.ts";
import {
  bytes,
  readToEnd,
  RUNTIME,
  type RuntimeName,
  RUNTIMES,
  TestProcess,
  text,
  unlessProgram,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";

/** This runtime with each of the others, in both orders. */
const PAIRS: [RuntimeName, RuntimeName][] = RUNTIMES.filter((other) => other !== RUNTIME)
  .flatMap((other) => [[RUNTIME, other], [other, RUNTIME]]);

for (const name of ["fd_sender", "fd_receiver", "cred_server", "cred_client"]) {
  test(`examples/${name}.ts without arguments prints its usage and exits with 2`, async () => {
    const { code, stdout, stderr } = await runExample(RUNTIME, name);
    assertEquals({ code, stdout }, { code: 2, stdout: "" });
    assertMatch(stderr, new RegExp(`^Usage: ${name}\\.ts PATH[^\\n]*\\n$`));
  });
}

for (const name of ["fd_receiver", "cred_server"]) {
  test(`examples/${name}.ts reports in one line that it cannot listen`, async () => {
    await withTempSocketPath(async (path) => {
      writeFileSync(path, "a file");
      const finished = await runExample(RUNTIME, name, [path]);
      const expected = `Cannot bind to "${path}": EADDRINUSE (what is there is not a socket)`;
      assertOneLineError(finished, expected);
    });
  });

  test(`examples/${name}.ts ends at a signal while a client is connected, and removes its path`, async () => {
    await withTempSocketPath(async (path) => {
      for (const signal of ["SIGINT", "SIGTERM"] as const) {
        await using server = await startServer(name, path);
        using _client = name === "cred_server"
          ? await UnixSeqpacket.connect(path)
          : await UnixStream.connect(path);
        server.kill(signal);
        await assertEndsClean(server, path);
      }
    });
  });
}

for (const [name, args] of [["fd_sender", ["/dev/null"]], ["cred_client", ["hello"]]] as const) {
  test(`examples/${name}.ts reports in one line that it cannot connect`, async () => {
    await withTempSocketPath(async (path) => {
      const finished = await runExample(RUNTIME, name, [path, ...args]);
      assertOneLineError(finished, `Cannot connect to "${path}": ENOENT`);
    });
  });
}

test("examples/fd_sender.ts reports in one line that it cannot open the file", async () => {
  await withTempDir(async (directory) => {
    const file = join(directory, "nothing");
    const finished = await runExample(RUNTIME, "fd_sender", [join(directory, "socket"), file]);
    assertOneLineError(finished, `Cannot open "${file}": ENOENT`);
  });
});

for (const [sender, receiver] of PAIRS) {
  test(`examples/fd_receiver.ts under ${receiver} prints a file that only fd_sender.ts under ${sender} opened`, async () => {
    await withTempDir(async (directory) => {
      const path = join(directory, "test.sock");
      // More than a stream's buffer holds, and under a name that means nothing to the receiver.
      const contents = Array.from({ length: 50_000 }, (_, i) => `line ${i}\n`).join("");
      writeFileSync(join(directory, "note"), contents);
      await using server = await startServer("fd_receiver", path, { runtime: receiver });
      await using client = new TestProcess(exampleCommand(sender, "fd_sender", [path, "note"]), {
        cwd: directory,
      });
      assertEquals(await client.finished, { code: 0, signal: null, stdout: "", stderr: "" });
      await server.waitFor(contents);
      server.kill("SIGTERM");
      await assertEndsClean(server, path);
      const head = `Process ${client.pid} passed note, ${contents.length} bytes\n`;
      assertEquals(server.stdout, `Listening on ${path}\n${head}${contents}`);
    });
  });

  test(`examples/cred_server.ts under ${receiver} and cred_client.ts under ${sender} know each other by the kernel's word`, async () => {
    await withTempSocketPath(async (path) => {
      await using server = await startServer("cred_server", path, { runtime: receiver });
      await using client = new TestProcess(
        exampleCommand(sender, "cred_client", [path, "hello", "", "ünïcödé"]),
      );
      const finished = await client.finished;
      const ids = `uid ${process.geteuid!()}, gid ${process.getegid!()}`;
      const own = `pid ${client.pid}, ${ids}`;
      assertEquals(finished, {
        code: 0,
        signal: null,
        stdout: `Server: pid ${server.pid}, ${ids}\n` +
          `SO_PEERCRED: ${own}\nSCM_CREDENTIALS: ${own}\n`.repeat(3),
        stderr: "",
      });
      server.kill("SIGTERM");
      await assertEndsClean(server, path);
      assertEquals(
        server.stdout,
        `Listening on ${path}\nConnected: ${own}\n` +
          ["hello", "", "ünïcödé"].map((message) => `Sent: ${own}: ${message}\n`).join(""),
      );
    });
  });
}

test("examples/fd_sender.ts passes /etc/hostname without a name", {
  skip: !existsSync("/etc/hostname") && "there is no /etc/hostname",
}, async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer("fd_receiver", path);
    const { code, stderr } = await runExample(RUNTIME, "fd_sender", [path]);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const contents = readFileSync("/etc/hostname", "utf8");
    await server.waitFor(`passed /etc/hostname, ${contents.length} bytes\n${contents}`);
  });
});

/** Passes one descriptor to the receiver, and waits until it is done with it. */
async function pass(path: string, name: string, fd: Fd): Promise<void> {
  using stream = await UnixStream.connect(path);
  await stream.sendMessage(bytes(name), { fds: [fd] });
  fd.close();
  assertEquals(text(await readToEnd(stream)), "");
}

test("examples/fd_receiver.ts prints a removed file from its beginning, wherever the sender had come to", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "test.sock");
    await using server = await startServer("fd_receiver", path);
    const name = join(directory, "removed");
    writeFileSync(name, "from the beginning\n");
    const file = Fd.open(name);
    unlinkSync(name);
    await file.read(new Uint8Array(5));
    await pass(path, "removed", file);
    await server.waitFor("passed removed, 19 bytes\nfrom the beginning\n");
  });
});

test("examples/fd_receiver.ts says what it does not print, and serves on", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer("fd_receiver", path);
    await pass(path, "directory", Fd.open("/"));
    await server.waitFor("This is no file: directory\n", "stderr");
    const [reader, writer] = Fd.pipe();
    await pass(path, "pipe", reader);
    writer.close();
    await server.waitFor("This is no file: pipe\n", "stderr");
    {
      using plain = await UnixStream.connect(path);
      await plain.writeAll(bytes("/etc/passwd"));
      assertEquals(text(await readToEnd(plain)), "");
    }
    await server.waitFor("No descriptor came\n", "stderr");
    const file = Fd.memfd("memory");
    await file.writeAll(bytes("from memory\n"));
    await pass(path, "memory", file);
    await server.waitFor("passed memory, 12 bytes\nfrom memory\n");
    assertEquals(server.stderr.split("\n").length, 3 + 1);
  });
});

test("examples/fd_receiver.ts keeps no descriptor that it was passed", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer("fd_receiver", path);
    const memories = () =>
      readdirSync(`/proc/${server.pid}/fd`).filter((fd) => {
        try {
          return readlinkSync(`/proc/${server.pid}/fd/${fd}`).startsWith("/memfd:kept");
        } catch {
          return false; // It was closed meanwhile.
        }
      }).length;
    using kept = Fd.memfd("kept");
    await kept.writeAll(bytes("passed on\n"));
    for (let round = 0; round < 20; round++) {
      using stream = await UnixStream.connect(path);
      await stream.sendMessage(bytes("kept"), { fds: [kept, kept, kept] });
      assertEquals(text(await readToEnd(stream)), "");
      // It closes the connection after what came by it.
      assertEquals(memories(), 0);
    }
    await server.waitFor(/^(Process \d+ passed kept, 10 bytes\npassed on\n){20}$/m);
  });
});

/** Lets a shell send over a socket that this process connected; its pid. */
async function speakThroughShell(socket: UnixSeqpacket, ...wrapper: string[]): Promise<number> {
  const [program, ...args] = [...wrapper, "sh", "-c", "printf hello >&3"];
  const shell = spawn(program!, args, { stdio: ["ignore", "ignore", "inherit", socket.fd] });
  const [code] = await once(shell, "exit");
  assertEquals(code, 0);
  return shell.pid!;
}

test("examples/cred_server.ts tells the process that speaks from the one that connected", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer("cred_server", path);
    using socket = await UnixSeqpacket.connect(path);
    const pid = await speakThroughShell(socket);
    const ids = `uid ${process.getuid!()}, gid ${process.getgid!()}`;
    const answer = await socket.receive();
    assertEquals(
      text(answer!.data),
      `SO_PEERCRED: pid ${process.pid}, ${ids}\nSCM_CREDENTIALS: pid ${pid}, ${ids}`,
    );
    await server.waitFor(`Sent: pid ${pid}, ${ids}: hello\n`);
  });
});

test("examples/cred_server.ts tells the user who speaks from the one who connected", {
  skip: (process.getuid!() !== 0 && "needs root") || unlessProgram("setpriv"),
}, async () => {
  await withTempSocketPath(async (path) => {
    await using _server = await startServer("cred_server", path);
    using socket = await UnixSeqpacket.connect(path);
    const drop = ["setpriv", "--reuid=65533", "--regid=65532", "--clear-groups"];
    const pid = await speakThroughShell(socket, ...drop);
    const answer = text((await socket.receive())!.data);
    assert(answer.startsWith(`SO_PEERCRED: pid ${process.pid}, uid 0, gid `), answer);
    assert(answer.endsWith(`\nSCM_CREDENTIALS: pid ${pid}, uid 65533, gid 65532`), answer);
  });
});
