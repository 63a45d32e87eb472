import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { basename, join } from "@std/path";
import { Fd, UnixListener, UnixStream } from "../../mod.ts";
import { digest, pattern, readExactly } from "../support/data.ts";
import {
  assertEndsClean,
  assertOneLineError,
  CTRL_C,
  CTRL_D,
  exampleCommand,
  onTerminal,
  runExample,
  startServer,
} from "../support/examples.ts";
import {
  bytes,
  readText,
  readToEnd,
  RUNTIME,
  RUNTIMES,
  TestProcess,
  text,
  unlessProgram,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";
import { until } from "../support/waiting.ts";

/** How many sockets a process has open. */
function socketsOf(pid: number): number {
  const open = readdirSync(`/proc/${pid}/fd`).filter((number) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${number}`).startsWith("socket:");
    } catch {
      return false; // It was closed meanwhile.
    }
  });
  return open.length;
}

for (const client of RUNTIMES) {
  test(`examples/echo_server.ts sends back each line to a client under ${client}`, async () => {
    await withTempSocketPath(async (path) => {
      await using server = await startServer("echo_server", path);
      const input = "one\n\nthree, ünïcödé 🧦\nlast, without an end";
      const finished = await runExample(client, "echo_client", [path], { input });
      assertEquals(finished, {
        code: 0,
        signal: null,
        stdout: "echo> one\necho> \necho> three, ünïcödé 🧦\necho> last, without an end\n",
        stderr: "",
      });
      server.kill("SIGTERM");
      await assertEndsClean(server, path);
    });
  });
}

test("examples/echo_client.ts prompts on a terminal until Ctrl-D", {
  skip: unlessProgram("python3"),
}, async () => {
  await withTempSocketPath(async (path) => {
    await using _server = await startServer("echo_server", path);
    await using client = onTerminal(exampleCommand(RUNTIME, "echo_client", [path]));
    await client.waitFor("> ");
    client.write("hello\n");
    await client.waitFor("echo> hello\r\n> ");
    client.write(CTRL_D);
    const { code, stdout } = await client.finished;
    assertEquals(code, 0);
    assertEquals(stdout.replace("^D\b\b", ""), "> hello\r\necho> hello\r\n> \r\n");
  });
});

test("examples/echo_client.ts ends at Ctrl-C on a terminal, and the server serves on", {
  skip: unlessProgram("python3"),
}, async () => {
  await withTempSocketPath(async (path) => {
    await using _server = await startServer("echo_server", path);
    await using client = onTerminal(exampleCommand(RUNTIME, "echo_client", [path]));
    await client.waitFor("> ");
    client.write(CTRL_C);
    assertEquals((await client.finished).code, 130);
    const { stdout } = await runExample(RUNTIME, "echo_client", [path], { input: "next\n" });
    assertEquals(stdout, "echo> next\n");
  });
});

test("examples/echo_client.ts gets back a line that no buffer holds", async () => {
  await withTempSocketPath(async (path) => {
    await using _server = await startServer("echo_server", path);
    const line = "0123456789abcdef".repeat(1 << 18);
    const { code, stdout } = await runExample(RUNTIME, "echo_client", [path], { input: line });
    assertEquals(code, 0);
    assertEquals(digest(bytes(stdout)), digest(bytes(`echo> ${line}\n`)));
  });
});

test("examples/echo_client.ts reports in one line that the server went away", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = new TestProcess(exampleCommand(RUNTIME, "echo_client", [path]));
    client.write("hello\n");
    using stream = await listener.accept();
    assertEquals(await readText(stream), "hello");
    stream.close();
    // Its input stays open: it must not wait for more.
    assertOneLineError(await client.finished, "The server closed the connection");
  });
});

test("examples/echo_server.ts serves many clients at once, and closes what they leave", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer("echo_server", path);
    // Serving the first makes what waiting takes once.
    using first = await UnixStream.connect(path);
    await first.writeAll(bytes("first"));
    assertEquals(await readText(first), "first");
    const before = socketsOf(server.pid);
    const streams = await Promise.all(
      Array.from({ length: 50 }, () => UnixStream.connect(path)),
    );
    // Everybody is connected before the first one speaks, and the last one speaks first.
    for (const [i, stream] of [...streams.entries()].reverse()) {
      await stream.writeAll(bytes(`client ${i}`));
      assertEquals(await readText(stream), `client ${i}`);
    }
    assertEquals(socketsOf(server.pid), before + streams.length);
    for (const stream of streams) stream.close();
    await until(() => socketsOf(server.pid) === before, "the server to close its sockets");
    server.kill("SIGTERM");
    await assertEndsClean(server, path);
  });
});

test("examples/echo_server.ts survives a client that vanishes while it is written to", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer("echo_server", path);
    const vanishing = await UnixStream.connect(path);
    // Reads nothing back, so that in the end the server waits in a write.
    const flood = vanishing.writeAll(new Uint8Array(16 << 20)).catch(() => {});
    await until(() => vanishing.bytesWritten > 0, "the server to read");
    vanishing.close();
    await flood;
    await server.waitFor(/^Cannot (write: EPIPE|read: ECONNRESET)\n$/, "stderr");
    const { stdout } = await runExample(RUNTIME, "echo_client", [path], { input: "next\n" });
    assertEquals(stdout, "echo> next\n");
  });
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`examples/echo_server.ts ends at ${signal} although clients are connected`, async () => {
    await withTempSocketPath(async (path) => {
      await using server = await startServer("echo_server", path);
      using idle = await UnixStream.connect(path);
      await idle.writeAll(bytes("x"));
      assertEquals(await readText(idle), "x");
      using stuck = await UnixStream.connect(path);
      const flood = stuck.writeAll(new Uint8Array(16 << 20)).then(() => "taken", (e) => e.code);
      await until(() => stuck.bytesWritten > 0, "the server to read");
      server.kill(signal);
      await assertEndsClean(server, path);
      assertEquals(await idle.read(new Uint8Array(1)), null);
      assertMatch(await flood, /^(EPIPE|ECONNRESET)$/);
    });
  });
}

test("examples/echo_server.ts does not take the path of one that runs, but of one that was killed", async () => {
  await withTempDir(async (directory) => {
    // A name of its own: whoever has bound the same name by a relative path, anywhere, may be meant.
    const path = join(directory, `${basename(directory)}.sock`);
    await using first = await startServer("echo_server", path);
    const second = await runExample(RUNTIME, "echo_server", [path]);
    const expected = `Cannot bind to "${path}": EADDRINUSE (somebody serves it)`;
    assertOneLineError(second, expected);
    first.kill("SIGKILL");
    await first.finished;
    assert(existsSync(path));
    await using third = await startServer("echo_server", path);
    third.kill("SIGTERM");
    await assertEndsClean(third, path);
  });
});

for (const client of RUNTIMES) {
  test(`examples/print_server.ts prints byte for byte what a client under ${client} reads`, async () => {
    await withTempDir(async (directory) => {
      const path = join(directory, "print.sock");
      const output = openSync(join(directory, "output"), "w");
      await using server = await startServer("print_server", path, {
        stdio: ["ignore", output, "pipe"],
      });
      closeSync(output);
      const input = pattern(5_000_003);
      for (const part of [input.subarray(0, 1), input.subarray(1), new Uint8Array(0)]) {
        const finished = await runExample(client, "stdin_client", [path], { input: part });
        assertEquals(finished, { code: 0, signal: null, stdout: "", stderr: "" });
      }
      server.kill("SIGTERM");
      assertEquals((await server.finished).code, 0);
      assertEquals(digest(readFileSync(join(directory, "output"))), digest(input));
    });
  });
}

/** A print server whose output is a pipe that the test reads, or does not read. */
async function withPrintServer(
  body: (server: TestProcess, path: string, output: Fd) => Promise<void>,
): Promise<void> {
  await withTempDir(async (directory) => {
    const path = join(directory, "print.sock");
    const fifo = join(directory, "fifo");
    execFileSync("mkfifo", [fifo]);
    using output = Fd.open(fifo);
    const writer = openSync(fifo, "w");
    await using server = await startServer("print_server", path, {
      stdio: ["ignore", writer, "pipe"],
    });
    closeSync(writer);
    await body(server, path, output);
  });
}

test("examples/print_server.ts takes no more than it can print", async () => {
  await withPrintServer(async (server, path, output) => {
    using client = await UnixStream.connect(path);
    const data = pattern(64 << 20);
    const sending = client.writeAll(data).then(() => client.closeWrite());
    // Nobody reads. Without backpressure everything would be taken, sooner or later.
    let [taken, still] = [0, 0];
    while (still < 40) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      still = client.bytesWritten === taken && taken > 0 ? still + 1 : 0;
      taken = client.bytesWritten;
    }
    assertLess(taken, 4 << 20);
    const hash = createHash("sha256");
    for (let left = data.length; left > 0;) {
      const part = await readExactly(output, Math.min(left, 1 << 20));
      assert(part.length > 0, `the output ended ${left} bytes early`);
      hash.update(part);
      left -= part.length;
    }
    assertEquals(hash.digest("hex"), digest(data));
    await sending;
    assertEquals(await client.read(new Uint8Array(1)), null);
    server.kill("SIGINT");
    assertEquals((await server.finished).code, 0);
    assertEquals(await output.read(new Uint8Array(1)), null);
  });
});

test("examples/print_server.ts ends in one line when its output is closed", async () => {
  await withPrintServer(async (server, path, output) => {
    output.close();
    const finished = await runExample(RUNTIME, "stdin_client", [path], { input: pattern(1 << 20) });
    assertEquals(finished.code, 1);
    assertMatch(finished.stderr, /^Cannot (write: EPIPE|read: ECONNRESET|write: ECONNRESET)\n$/);
    const { code, stderr } = await server.finished;
    assertEquals(code, 1);
    assertEquals(stderr, `Listening on ${path}\nCannot print: EPIPE\n`);
    assert(!existsSync(path));
  });
});

test("examples/print_server.ts ends at SIGTERM although its output is stuck", {
  skip: RUNTIME === "deno" && "Deno's process.stdout blocks the thread while a pipe is full",
}, async () => {
  await withPrintServer(async (server, path, output) => {
    using client = await UnixStream.connect(path);
    const sending = client.writeAll(pattern(16 << 20)).then(() => "taken", (e) => e.code);
    await output.read(new Uint8Array(1));
    server.kill("SIGTERM");
    assertMatch(await sending, /^(EPIPE|ECONNRESET)$/);
    assertEquals((await server.finished).code, 0);
    assert(!existsSync(path));
  });
});

test("examples/print_server.ts goes on after a client that was killed", async () => {
  await withPrintServer(async (_server, path, output) => {
    await using killed = new TestProcess(exampleCommand(RUNTIME, "stdin_client", [path]));
    killed.write("half");
    assertEquals(text(await readExactly(output, 4)), "half");
    killed.kill("SIGKILL");
    await killed.finished;
    await runExample(RUNTIME, "stdin_client", [path], { input: "next" });
    assertEquals(text(await readExactly(output, 4)), "next");
  });
});

test("examples/stdin_client.ts reports in one line that the server did not read everything", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = new TestProcess(exampleCommand(RUNTIME, "stdin_client", [path]));
    client.write("hello");
    const stream = await listener.accept();
    await stream.peek(new Uint8Array(1));
    client.closeStdin();
    await until(() => stream.peekSync(new Uint8Array(8)) === 5, "the message");
    stream.close();
    const finished = await client.finished;
    assertOneLineError(finished, "Cannot read: ECONNRESET");
  });
});

test("examples/stdin_client.ts sends from a terminal until Ctrl-D", {
  skip: unlessProgram("python3"),
}, async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = onTerminal(exampleCommand(RUNTIME, "stdin_client", [path]));
    using stream = await listener.accept();
    client.write("hello\n");
    assertEquals(await readText(stream), "hello\n");
    client.write(CTRL_D);
    assertEquals(text(await readToEnd(stream)), "");
    stream.close();
    assertEquals((await client.finished).code, 0);
  });
});
