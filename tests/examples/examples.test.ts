import { existsSync, globSync, readFileSync, statSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { basename, dirname, join } from "@std/path";
import { UnixStream } from "../../mod.ts";
import {
  assertEndsClean,
  assertOneLineError,
  CTRL_C,
  exampleCommand,
  onTerminal,
  runExample,
  startServer,
} from "../support/examples.ts";
import {
  bytes,
  readToEnd,
  ROOT,
  RUNTIME,
  RUNTIMES,
  text,
  unlessProgram,
  withTempSocketPath,
} from "../support/mod.ts";

const SERVERS = ["echo_server", "print_server", "listener", "hello_server"];
const CLIENTS = ["echo_client", "stdin_client", "test_client", "hello_client"];

for (const name of [...SERVERS, ...CLIENTS]) {
  test(`examples/${name}.ts without a path prints its usage and exits with 2`, async () => {
    const { code, stdout, stderr } = await runExample(RUNTIME, name);
    assertEquals({ code, stdout }, { code: 2, stdout: "" });
    assertMatch(stderr, new RegExp(`^Usage: ${name}\\.ts PATH[^\\n]*\\n$`));
  });
}

for (const name of SERVERS) {
  test(`examples/${name}.ts reports in one line that it cannot listen`, async () => {
    await withTempSocketPath(async (path) => {
      writeFileSync(path, "a file");
      const finished = await runExample(RUNTIME, name, [path]);
      const expected = `Cannot bind to "${path}": EADDRINUSE (what is there is not a socket)`;
      assertOneLineError(finished, expected);
      assertEquals(readFileSync(path, "utf8"), "a file");
    });
  });
}

for (const name of CLIENTS) {
  test(`examples/${name}.ts reports in one line that it cannot connect`, async () => {
    await withTempSocketPath(async (path) => {
      const args = name === "test_client" ? [path, "hello"] : [path];
      const finished = await runExample(RUNTIME, name, args, { input: "hello\n" });
      assertOneLineError(finished, `Cannot connect to "${path}": ENOENT`);
    });
  });
}

for (const name of SERVERS) {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`examples/${name}.ts ends at ${signal} with 0 and removes its path`, async () => {
      await withTempSocketPath(async (path) => {
        await using server = await startServer(name, path);
        assert(statSync(path).isSocket());
        server.kill(signal);
        const { code, stderr } = await server.finished;
        assertEquals(code, 0);
        assertEquals(stderr, name === "print_server" ? `Listening on ${path}\n` : "");
        assert(!existsSync(path));
      });
    });
  }
}

test("examples/README.md names every program", () => {
  const readme = readFileSync(join(ROOT, "examples", "README.md"), "utf8");
  for (const file of globSync(join(ROOT, "examples", "*.ts"))) {
    assertStringIncludes(readme, basename(file));
  }
});

for (const client of RUNTIMES) {
  test(`examples/listener.ts answers and prints each message of a client under ${client}`, async () => {
    await withTempSocketPath(async (path) => {
      await using server = await startServer("listener", path);
      const { code, stdout, stderr } = await runExample(client, "test_client", [
        path,
        "hello",
        "two words, ünïcödé",
      ]);
      assertEquals({ code, stdout, stderr }, {
        code: 0,
        stdout: "Got your message\nGot your message\n",
        stderr: "",
      });
      await server.waitFor("\nhello\ntwo words, ünïcödé\n");
    });
  });
}

test("examples/listener.ts ends at the message that terminates it, and closes what is open", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer("listener", path);
    using other = await UnixStream.connect(path);
    const { code, stdout } = await runExample(RUNTIME, "test_client", [path, "terminate"]);
    assertEquals({ code, stdout }, { code: 0, stdout: "Got your message\n" });
    await assertEndsClean(server, path);
    assertEquals(await other.read(new Uint8Array(1)), null);
  });
});

test("examples/listener.ts ends at Ctrl-C on its terminal", {
  skip: unlessProgram("python3"),
}, async () => {
  await withTempSocketPath(async (path) => {
    await using server = onTerminal(exampleCommand(RUNTIME, "listener", [path]));
    await server.waitFor("Listening on");
    using client = await UnixStream.connect(path);
    await client.writeAll(bytes("hello\n"));
    await server.waitFor("\nhello");
    server.write(CTRL_C);
    assertEquals((await server.finished).code, 0);
    assert(!existsSync(path));
    assertEquals(text(await readToEnd(client)), "Got your message\n");
  });
});

test("examples/listener.ts finds the messages however they are cut, also a last one without an end", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer("listener", path);
    using client = await UnixStream.connect(path);
    await client.writeAll(bytes("one\ntw"));
    await server.waitFor("\none\n");
    await client.writeAll(bytes("o\nthree"));
    client.closeWrite();
    assertEquals(text(await readToEnd(client)), "Got your message\n".repeat(3));
    await server.waitFor("\none\ntwo\nthree\n");
  });
});

test("examples/listener.ts drops a client whose message has no end, and serves the others", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer("listener", path);
    using endless = await UnixStream.connect(path);
    const flood = endless.writeAll(new Uint8Array(16 << 20)).then(() => "taken", (e) => e.code);
    assertEquals(await flood, "EPIPE");
    await server.waitFor("A line is too long\n", "stderr");
    const { stdout } = await runExample(RUNTIME, "test_client", [path, "hello"]);
    assertEquals(stdout, "Got your message\n");
  });
});

test("examples/test_client.ts reports in one line that the server went away", async () => {
  await withTempSocketPath(async (path) => {
    await using _server = await startServer("listener", path);
    const finished = await runExample(RUNTIME, "test_client", [path, "terminate", "x", "x", "x"]);
    assertEquals(finished.code, 1);
    assertMatch(
      finished.stderr,
      /^(The server closed the connection|Cannot write: EPIPE|Cannot read: ECONNRESET)\n$/,
    );
  });
});

for (const client of RUNTIMES) {
  test(`examples/hello_server.ts and hello_client.ts under ${client} greet each other`, async () => {
    await withTempSocketPath(async (path) => {
      await using server = await startServer("hello_server", path);
      const { code, stdout, stderr } = await runExample(client, "hello_client", [path]);
      assertEquals({ code, stdout, stderr }, { code: 0, stdout: "Hello, client\n", stderr: "" });
      await assertEndsClean(server, path);
      assertStringIncludes(server.stdout, "\nHello, server\n");
    });
  });
}

/** Finds the pinned runtimes first. */
function pinnedPath(): { PATH: string } {
  const [binary] = exampleCommand("node", "socketpair_child");
  return { PATH: `${dirname(binary!)}:${process.env.PATH}` };
}

for (const child of [undefined, ...RUNTIMES]) {
  test(`examples/socketpair_child.ts gets its text back from a child under ${child ?? "its own runtime"}`, async () => {
    const args = child === undefined ? [] : [child];
    const finished = await runExample(RUNTIME, "socketpair_child", args, { env: pinnedPath() });
    assertEquals({ code: finished.code, stderr: finished.stderr }, { code: 0, stderr: "" });
    const [introduction, answer, ...others] = finished.stdout.split("\n");
    const who = new RegExp(
      `^This is ${RUNTIME}, process (\\d+); the child is ${child ?? RUNTIME}, (\\d+)$`,
    );
    assertMatch(introduction!, who);
    assertEquals([answer, ...others], ["HELLO FROM THE PARENT", ""]);
  });
}

test("examples/socketpair_child.ts reports in one line that it cannot start the child", async () => {
  const other = RUNTIMES.find((runtime) => runtime !== RUNTIME)!;
  const options = { env: { PATH: "/nonexistent" } };
  const finished = await runExample(RUNTIME, "socketpair_child", [other], options);
  assertOneLineError(finished, `Cannot start ${other}: ENOENT`);
});

test("examples/socketpair_child.ts refuses an unknown runtime with its usage", async () => {
  const { code, stdout, stderr } = await runExample(RUNTIME, "socketpair_child", ["perl"]);
  assertEquals({ code, stdout }, { code: 2, stdout: "" });
  assertEquals(stderr, "Usage: socketpair_child.ts [deno|bun|node]\n");
});
