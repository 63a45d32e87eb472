import { existsSync, readdirSync } from "node:fs";
import { test } from "node:test";
import process from "node:process";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { UnixDatagram } from "../../mod.ts";
import { receiveTexts } from "../support/datagrams.ts";
import { QUEUE } from "../support/queue.ts";
import {
  assertEndsClean,
  assertOneLineError,
  exampleCommand,
  runExample,
  startServer,
} from "../support/examples.ts";
import { freshName } from "../support/interop.ts";
import {
  bytes,
  run,
  RUNTIME,
  RUNTIMES,
  TestProcess,
  unlessProgram,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";

/** Starts the server at an abstract name and waits until it listens. */
async function startAbstractServer(name: string): Promise<TestProcess> {
  const server = new TestProcess(exampleCommand(RUNTIME, "abstract_server", [name]));
  await server.waitFor(`Listening on @${name}`);
  return server;
}

for (const client of RUNTIMES) {
  test(`examples/datagram_server.ts acknowledges each message to a client under ${client}`, async () => {
    await withTempDir(async (directory) => {
      const path = join(directory, "test.sock");
      await using server = await startServer("datagram_server", path);
      const messages = ["hello", "", "how are you, ünïcödé 🧦"];
      const finished = await runExample(client, "datagram_client", [path, ...messages]);
      assertEquals(finished, {
        code: 0,
        signal: null,
        stdout: messages.map((message) => `ACK ${message}\n`).join(""),
        stderr: "",
      });
      assertEquals(readdirSync(directory), ["test.sock"]);
      server.kill("SIGTERM");
      await assertEndsClean(server, path);
      const printed = server.stdout.split("\n").slice(1, -1);
      assertEquals(printed.map((line) => line.replace(/^.*\.sock\.[0-9]+: /, "")), messages);
    });
  });

  test(`examples/abstract_server.ts answers a client under ${client} and names its process`, async () => {
    const name = freshName();
    await using server = await startAbstractServer(name);
    await using started = new TestProcess(
      exampleCommand(client, "abstract_client", [name, "hello", "how are you"]),
    );
    const { code, stdout, stderr } = await started.finished;
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const said = `Process ${started.pid}`;
    assertEquals(stdout, `${said} said hello\n${said} said how are you\n`);
    server.kill("SIGTERM");
    const finished = await server.finished;
    assertEquals({ code: finished.code, stderr: finished.stderr }, { code: 0, stderr: "" });
    assertEquals(
      finished.stdout,
      `Listening on @${name}\n${said}: hello\n${said}: how are you\n`,
    );
  });
}

test("examples/datagram_server.ts serves clients under all runtimes at once", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer("datagram_server", path);
    const messages = Array.from({ length: 20 }, (_, i) => `message ${i}`);
    const expected = messages.map((message) => `ACK ${message}\n`).join("");
    const clients = RUNTIMES.map((client) =>
      runExample(client, "datagram_client", [path, ...messages])
    );
    for (const { code, stdout, stderr } of await Promise.all(clients)) {
      assertEquals({ code, stdout, stderr }, { code: 0, stdout: expected, stderr: "" });
    }
    server.kill("SIGINT");
    await assertEndsClean(server, path);
    assertEquals(server.stdout.split("\n").length, 1 + 3 * 20 + 1);
  });
});

test("examples/datagram_server.ts answers each of many clients at its own address", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer("datagram_server", path);
    await Promise.all(Array.from({ length: 50 }, async (_, i) => {
      using client = UnixDatagram.bind(`${path}.${i}`);
      client.connect(path);
      for (let round = 0; round < 10; round++) {
        await client.send(bytes(`${i}, ${round}`));
        assertEquals(await receiveTexts(client, 1), [`ACK ${i}, ${round}`]);
      }
    }));
    server.kill("SIGTERM");
    await assertEndsClean(server, path);
    assertEquals(server.stdout.split("\n").length, 1 + 500 + 1);
  });
});

test("examples/datagram_server.ts prints the message of an unbound sender and answers nobody", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer("datagram_server", path);
    using sender = UnixDatagram.unbound();
    await sender.sendTo(bytes("no address"), path);
    await server.waitFor("(unnamed): no address\n");
    server.kill("SIGTERM");
    await assertEndsClean(server, path);
  });
});

test("examples/datagram_server.ts is not held up by a client that takes no answers", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer("datagram_server", path);
    using deaf = UnixDatagram.bind(`${path}.deaf`);
    for (let i = 0; i < QUEUE + 19; i++) await deaf.sendTo(bytes("shouted"), path);
    const { code, stdout } = await runExample(RUNTIME, "datagram_client", [path, "hello"]);
    assertEquals({ code, stdout }, { code: 0, stdout: "ACK hello\n" });
    await server.waitFor(`Cannot send to "${path}.deaf": EAGAIN\n`, "stderr");
    server.kill("SIGTERM");
    assertEquals((await server.finished).code, 0);
  });
});

test("examples/datagram_server.ts serves on when a client is gone before its answer", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer("datagram_server", path);
    server.kill("SIGSTOP");
    {
      using hasty = UnixDatagram.bind(`${path}.hasty`);
      await hasty.sendTo(bytes("and gone"), path);
    }
    server.kill("SIGCONT");
    await server.waitFor(`Cannot send to "${path}.hasty": ENOENT\n`, "stderr");
    const { code, stdout } = await runExample(RUNTIME, "datagram_client", [path, "hello"]);
    assertEquals({ code, stdout }, { code: 0, stdout: "ACK hello\n" });
  });
});

test("examples/datagram_server.ts takes over the path of a killed one, and none of a living one", async () => {
  await withTempSocketPath(async (path) => {
    {
      await using killed = await startServer("datagram_server", path);
      const second = await runExample(RUNTIME, "datagram_server", [path]);
      assertOneLineError(
        second,
        `Cannot bind to "${path}": EADDRINUSE (somebody serves it)`,
      );
      killed.kill("SIGKILL");
      await killed.finished;
    }
    assertEquals(existsSync(path), true);
    await using server = await startServer("datagram_server", path);
    server.kill("SIGTERM");
    await assertEndsClean(server, path);
  });
});

test("examples/datagram_client.ts says in one line that nobody is there, and leaves nothing", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "test.sock");
    const finished = await runExample(RUNTIME, "datagram_client", [path, "hello"]);
    assertOneLineError(finished, `Cannot connect to "${path}": ENOENT`);
    assertEquals(readdirSync(directory), []);
  });
});

test("examples/datagram_client.ts removes its own path on SIGTERM", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "test.sock");
    using silent = UnixDatagram.bind(path);
    await using client = new TestProcess(exampleCommand(RUNTIME, "datagram_client", [path, "hi"]));
    assertEquals(await receiveTexts(silent, 1), ["hi"]);
    client.kill("SIGTERM");
    assertEquals((await client.finished).code, 1);
    assertEquals(readdirSync(directory), ["test.sock"]);
  });
});

test("examples/abstract_server.ts starts again at once under the name of a killed one", async () => {
  const name = freshName();
  {
    await using killed = await startAbstractServer(name);
    const second = await runExample(RUNTIME, "abstract_server", [name]);
    assertOneLineError(second, `Cannot bind to @${name}: EADDRINUSE`);
    killed.kill("SIGKILL");
    await killed.finished;
  }
  await using _server = await startAbstractServer(name);
  const { code, stderr } = await runExample(RUNTIME, "abstract_client", [name, "hello"]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
});

test(
  "examples/abstract_server.ts refuses another user's process, and serves on",
  {
    skip: process.getuid!() !== 0
      ? "needs root, to start a process of another user"
      : unlessProgram("python3"),
  },
  async () => {
    const name = freshName();
    await using server = await startAbstractServer(name);
    const script = `import os, socket, sys
os.setuid(65534)
client = socket.socket(socket.AF_UNIX)
client.connect("\\0" + sys.argv[1])
print(client.recv(100))`;
    const stranger = await run(["python3", "-I", "-S", "-c", script, name]);
    assertEquals({ code: stranger.code, stdout: stranger.stdout }, { code: 0, stdout: "b''\n" });
    await server.waitFor("Refused user 65534\n");
    const { code, stdout } = await runExample(RUNTIME, "abstract_client", [name, "hello"]);
    assertEquals(code, 0);
    assertMatch(stdout, /^Process [0-9]+ said hello\n$/);
  },
);

test("examples/abstract_client.ts says in one line that nobody is there", async () => {
  const name = freshName();
  const finished = await runExample(RUNTIME, "abstract_client", [name, "hello"]);
  assertOneLineError(finished, `Cannot connect to @${name}: ECONNREFUSED`);
});

for (
  const [name, args] of [
    ["datagram_server", []],
    ["datagram_server", ["--help"]],
    ["datagram_client", ["/tmp/x.sock"]],
    ["abstract_server", []],
    ["abstract_client", ["name"]],
    ["sd_notify", ["ready"]],
    ["statsd", []],
    ["statsd", ["/tmp/x.sock", "--size", "-1"]],
    ["syslog", ["--severity", "loud", "hello"]],
    ["syslog", ["--tag"]],
  ] as const
) {
  test(`examples/${name}.ts prints its usage for the arguments [${args.join(" ")}]`, async () => {
    const { code, stdout, stderr } = await runExample(RUNTIME, name, [...args]);
    assertEquals({ code, stdout }, { code: 2, stdout: "" });
    assert(stderr.startsWith(`Usage: ${name}.ts `), stderr);
  });
}
