import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { abstract, Fd, UnixListener, UnixSeqpacketListener, UnixStream } from "../../mod.ts";
import { assertEnds, cliCommand, records, runCli, startCli, startServing } from "../support/cli.ts";
import { digest, pattern } from "../support/data.ts";
import { freshName, Peer } from "../support/interop.ts";
import {
  assertFails,
  bytes,
  readText,
  readToEnd,
  run,
  RUNTIME,
  text,
  unlessProgram,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";
import { until } from "../support/waiting.ts";

/** Where both kinds of name are tried: the address for the command line, and for the library. */
async function withAddresses(
  body: (shown: string, address: string) => Promise<void>,
): Promise<void> {
  await withTempSocketPath((path) => body(path, path));
  const name = freshName();
  await body(`@${name}`, `\0${name}`);
}

/** A shell line in which "$@" is the command line with these arguments. */
function shell(script: string, args: string[], directory?: string) {
  return run(
    ["bash", "-c", script, "bash", ...cliCommand(args)],
    directory ? { cwd: directory } : {},
  );
}

test("afunix echo sends back 8 MiB to afunix connect, byte by byte, and ends at SIGINT", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "s");
    writeFileSync(join(directory, "data"), pattern(8 << 20));
    await using server = await startServing(["echo", path, "--mode", "600"]);
    assertEquals(statSync(path).mode & 0o777, 0o600);
    const client = await shell('"$@" < data > copy && cmp data copy', ["connect", path], directory);
    assertEnds(client, 0);
    await server.waitFor(`Connection 1 ended, ${8 << 20} bytes`, "stderr");
    server.kill("SIGINT");
    assertEquals((await server.finished).code, 130);
    assertEquals(existsSync(path), false);
  });
});

test("afunix echo ends with 143 after SIGTERM and 129 after SIGHUP, and removes its path", async () => {
  await withTempSocketPath(async (path) => {
    for (const [signal, code] of [["SIGTERM", 143], ["SIGHUP", 129]] as const) {
      await using server = await startServing(["echo", path]);
      server.kill(signal);
      assertEquals((await server.finished).code, code);
      assertEquals(existsSync(path), false);
    }
  });
});

test("afunix echo goes on after SIGHUP where that was ignored, as nohup has it", {
  skip: RUNTIME === "node" ? "Node.js undoes that before any program runs" : false,
}, async () => {
  await withTempSocketPath(async (path) => {
    const command = cliCommand(["echo", "--verbose", path]);
    await using server = new Peer(["bash", "-c", 'trap "" HUP; exec "$@"', "bash", ...command]);
    await server.waitFor("Listening on", "stderr");
    server.kill("SIGHUP");
    const finished = await runCli(["connect", path], { input: "still here" });
    assertEquals([finished.code, finished.stdout], [0, "still here"]);
    server.kill("SIGTERM");
    assertEquals((await server.finished).code, 143);
  });
});

test("afunix echo serves many at once, and survives one that vanishes", async () => {
  await withAddresses(async (shown, address) => {
    await using server = await startServing(["echo", shown]);
    using first = await UnixStream.connect(address);
    const vanishing = await UnixStream.connect(address);
    const flood = vanishing.writeAll(new Uint8Array(8 << 20)).catch(() => {});
    while (vanishing.bytesWritten === 0) await new Promise((resolve) => setImmediate(resolve));
    vanishing.close();
    await flood;
    await server.waitFor(/Cannot (write: (EPIPE|ECONNRESET)|read: ECONNRESET)\n/, "stderr");
    await first.writeAll(bytes("still here"));
    assertEquals(await readText(first), "still here");
  });
});

test("afunix echo --once ends with its connection, and its path with the first one", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServing(["echo", "--once", path]);
    using stream = await UnixStream.connect(path);
    await stream.writeAll(bytes("once"));
    assertEquals(await readText(stream), "once");
    assertEquals(existsSync(path), false);
    stream.closeWrite();
    assertEquals((await server.finished).code, 0);
  });
});

test("afunix echo --max-bytes closes a connection that sends more, and serves on", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServing(["echo", path, "--max-bytes", "4"]);
    using stream = await UnixStream.connect(path);
    await stream.writeAll(bytes("12345"));
    assertEquals(text(await readToEnd(stream)), "1234");
    await server.waitFor("More than 4 bytes came\n", "stderr");
    using other = await UnixStream.connect(path);
    await other.writeAll(bytes("1234"));
    assertEquals(await readText(other), "1234");
  });
});

test("afunix connect closes its writing at the end of stdin and goes on reading", async () => {
  await withAddresses(async (shown, address) => {
    using listener = UnixListener.listen(address);
    await using client = startCli(["connect", shown]);
    using stream = await listener.accept();
    client.write("question\xff");
    client.closeStdin();
    assertEquals(text(await readToEnd(stream)), "question\u00ff");
    await stream.writeAll(Uint8Array.of(0, 65, 10));
    await client.waitFor("\0A\n");
    stream.close();
    const finished = await client.finished;
    assertEnds(finished, 0);
  });
});

test("afunix connect ends when the server is gone, though stdin is open", async () => {
  await withAddresses(async (shown, address) => {
    for (const Listener of [UnixListener, UnixSeqpacketListener]) {
      using listener = Listener.listen(address);
      const type = Listener === UnixListener ? "stream" : "seqpacket";
      await using client = startCli(["connect", "--type", type, shown]);
      const connection = await listener.accept();
      connection.closeWrite();
      connection.close();
      assertEnds(await client.finished, 0);
    }
  });
});

test("afunix connect is told in one line what it cannot", async () => {
  await withTempDir(async (directory) => {
    const file = join(directory, "file");
    const stale = join(directory, "stale");
    writeFileSync(file, "");
    UnixListener.listen(stale, { unlinkOnClose: false }).close();
    const missing = join(directory, "missing");
    const name = freshName();
    for (
      const [address, expected] of [
        [missing, `Cannot connect to "${missing}": ENOENT`],
        [file, `Cannot connect to "${file}": ECONNREFUSED`],
        [stale, `Cannot connect to "${stale}": ECONNREFUSED`],
        [`@${name}`, `Cannot connect to @${name}: ECONNREFUSED`],
      ] as const
    ) assertEnds(await runCli(["connect", address]), 1, `${expected}\n`);
    const { code, stderr } = await runCli(["connect", "--json", missing]);
    assertEquals(code, 1);
    assertEquals(JSON.parse(stderr), {
      event: "error",
      message: `Cannot connect to "${missing}": ENOENT`,
      code: "ENOENT",
      syscall: "connect",
      address: missing,
    });
  });
});

test("afunix connect fails with EPIPE when its input cannot be sent any more", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = startCli(["connect", path]);
    using stream = await listener.accept();
    stream.shutdown("read");
    client.write("lost");
    assertEnds(await client.finished, 1, "Cannot write: EPIPE\n");
  });
});

for (const command of ["connect", "listen"]) {
  test(`afunix ${command} prints all of the answer of a peer that leaves before all input was sent`, async () => {
    await withTempSocketPath(async (path) => {
      const answer = text(pattern(150_000).map((byte) => 32 + byte % 64));
      using listener = command === "connect" ? UnixListener.listen(path) : null;
      await using talker = listener === null
        ? await startServing(["listen", path])
        : startCli(["connect", path]);
      using stream = listener === null ? await UnixStream.connect(path) : await listener.accept();
      talker.child.stdin!.on("error", () => {});
      talker.write(new Uint8Array(4 << 20));
      await stream.read(new Uint8Array(1));
      talker.kill("SIGSTOP");
      await until(() => / T /.test(readFileSync(`/proc/${talker.pid}/stat`, "utf8")), "its halt");
      await stream.writeAll(bytes(answer));
      stream.close();
      talker.kill("SIGCONT");
      const { code, stdout, stderr } = await talker.finished;
      assertEquals([code, stdout.length, stdout === answer], [1, answer.length, true]);
      assertMatch(stderr, /^(Listening .*\n.*\n)?Cannot (read: ECONNRESET|write: EPIPE)\n$/);
    });
  });
}

test("afunix connect ends with 141, silently, when nobody reads stdout", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const ending = shell('"$@" < /dev/null | head -c 1; exit ${PIPESTATUS[0]}', ["connect", path]);
    using stream = await listener.accept();
    await stream.writeAll(new Uint8Array(8 << 20)).catch(() => {});
    assertEnds(await ending, 141);
  });
});

test("afunix ls ends with 141, silently, when nobody reads stdout", async () => {
  const [reader, writer] = Fd.pipe();
  reader.close();
  await using listing = startCli(["ls"], { stdio: ["ignore", writer.fd, "pipe"] });
  writer.close();
  assertEnds(await listing.finished, 141);
});

test("afunix receive tells in one line that stdout is full", async () => {
  await withTempSocketPath(async (path) => {
    const { code, stderr } = await shell('"$@" > /dev/full', ["receive", path, "--json"]);
    assertEquals(code, 1);
    assertEquals(JSON.parse(stderr).message, "Cannot write to the standard output: ENOSPC");
    const help = await shell('"$@" > /dev/full', ["--help"]);
    assertEnds(help, 1, "Cannot write to the standard output: ENOSPC\n");
  });
});

test("afunix listen talks with the first who connects, and its path is free by then", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServing(["listen", path]);
    using stream = await UnixStream.connect(path);
    server.write("from stdin");
    assertEquals(await readText(stream), "from stdin");
    assertEquals(existsSync(path), false);
    await stream.writeAll(bytes("to stdout"));
    await server.waitFor("to stdout");
    stream.closeWrite();
    server.write(", and on");
    assertEquals(await readText(stream), ", and on");
    server.closeStdin();
    assertEquals(await readToEnd(stream), bytes(""));
    assertEquals((await server.finished).code, 0);
  });
});

test("afunix listen --keep copies stdin to all, and prints what any of them says", async () => {
  await withAddresses(async (shown, address) => {
    await using server = await startServing(["listen", "--keep", shown]);
    server.write("early\n"); // Waits for somebody.
    using a = await UnixStream.connect(address);
    assertEquals(await readText(a), "early\n");
    using b = await UnixStream.connect(address);
    await b.writeAll(bytes("b"));
    await server.waitFor("b");
    server.write("both\n");
    assertEquals([await readText(a), await readText(b)], ["both\n", "both\n"]);
    a.close();
    await b.writeAll(bytes("c"));
    await server.waitFor("bc");
    server.closeStdin();
    assertEquals(await readToEnd(b), bytes(""));
    using late = await UnixStream.connect(address);
    assertEquals(await readToEnd(late), bytes(""));
    await late.writeAll(bytes("d"));
    await server.waitFor("bcd");
    server.kill("SIGINT");
    assertEquals((await server.finished).code, 130);
  });
});

test("afunix listen --allow-uid lets nobody else in", async () => {
  await withTempSocketPath(async (path) => {
    const other = process.getuid!() + 1;
    await using server = await startServing(["listen", "--allow-uid", String(other), path]);
    using stream = await UnixStream.connect(path);
    assertEquals(text(await readToEnd(stream).catch(() => bytes(""))), "");
    server.kill("SIGINT");
    assertEquals((await server.finished).stdout, "");
  });
});

test("afunix send gives DATA as it is, or with newlines, to afunix receive", async () => {
  await withAddresses(async (shown) => {
    for (
      const [options, expected] of [[[], "onetwo"], [["-n"], "one\ntwo\n"]] as const
    ) {
      await using server = await startServing(["receive", shown]);
      assertEnds(await runCli(["send", ...options, shown, "one", "two"]), 0);
      const { code, stdout } = await server.finished;
      assertEquals({ code, stdout }, { code: 0, stdout: expected });
    }
  });
});

test("afunix send gives 8 MiB of stdin to afunix receive, and waits for its end", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "s");
    const data = pattern(8 << 20, 3);
    writeFileSync(join(directory, "data"), data);
    using listener = UnixListener.listen(path);
    const ending = shell('"$@" < data', ["send", "--wait", "--json", path], directory);
    using stream = await listener.accept();
    assertEquals(digest(await readToEnd(stream)), digest(data));
    stream.close();
    const finished = await ending;
    assertEnds(finished, 0);
    assertEquals(records(finished.stdout), [{ event: "sent", address: path, bytes: 8 << 20 }]);
  });
});

test("afunix receive says nothing, not even an end, before it has come to the sender's", async () => {
  await withTempSocketPath(async (path) => {
    await using receiver = await startServing(["receive", path]);
    using stream = await UnixStream.connect(path);
    await stream.writeAll(bytes("data"));
    await receiver.waitFor("data");
    const rest = new Uint8Array(1);
    await assertFails(() => stream.readSync(rest, { timeout: 0 }), "ETIMEDOUT");
    stream.closeWrite();
    assertEquals(await stream.read(rest), null);
    assertEquals((await receiver.finished).code, 0);
  });
});

test("afunix send --max-bytes sends no more, and fails", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const ending = runCli(["send", "--max-bytes", "3", path], { input: "1234" });
    using stream = await listener.accept();
    assertEquals(text(await readToEnd(stream)), "");
    assertEnds(await ending, 1, "There are more than 3 bytes to send\n");
  });
});

test("afunix receive --max-bytes keeps what may come, and fails at more", async () => {
  await withTempSocketPath(async (path) => {
    for (const [sent, kept, code] of [["123", "123", 0], ["1234", "123", 1]] as const) {
      await using server = await startServing(["receive", "--max-bytes", "3", path]);
      assertEnds(await runCli(["send", path, sent]), 0);
      const finished = await server.finished;
      assertEquals({ code: finished.code, stdout: finished.stdout }, { code, stdout: kept });
      assertEquals(finished.stderr.includes("More than 3 bytes came\n"), code === 1);
    }
  });
});

test("afunix receive --keep --json tells connections, data and ends as objects", async () => {
  await withTempSocketPath(async (path) => {
    await using server = startCli(["receive", "--keep", "--json", path]);
    assertEquals(await server.json(), { event: "listening", type: "stream", address: path });
    const uid = process.getuid!();
    const gid = process.getgid!();
    const peer = { pid: process.pid, uid, gid };
    for (
      const [connection, data, shown] of [
        [1, bytes("tëxt\n"), { text: "tëxt\n" }],
        [2, Uint8Array.of(255, 0), { base64: "/wA=" }],
      ] as const
    ) {
      using stream = await UnixStream.connect(path);
      await stream.writeAll(data);
      stream.closeWrite();
      assertEquals(await server.json(), { event: "connection", connection, peer });
      assertEquals(await server.json(), {
        event: "data",
        connection,
        length: data.length,
        truncated: false,
        ...shown,
      });
      assertEquals(await server.json(), { event: "end", connection });
    }
    server.kill("SIGINT");
    assertEnds(await server.finished, 130);
  });
});

test("afunix receive is told in one line that an address is taken, and leaves it alone", async () => {
  await withTempSocketPath(async (path) => {
    using _listener = UnixListener.listen(path);
    const { code, stderr } = await runCli(["receive", path]);
    assertEquals(code, 1);
    assertMatch(stderr, /^Cannot bind to ".*": EADDRINUSE[^\n]*\n$/);
    assertEquals(existsSync(path), true);
  });
});

test("afunix --timeout ends what hears nothing, with exit code 1", async () => {
  await withTempSocketPath(async (path) => {
    const message = "Timed out: nothing happened for 50 ms\n";
    assertEnds(await runCli(["receive", "--timeout", "50", path]), 1, message);
    assertEquals(existsSync(path), false);
    using listener = UnixListener.listen(path);
    const ending = runCli(["connect", "--timeout", "50", path]);
    using _stream = await listener.accept();
    assertEnds(await ending, 1, message);
  });
});

test("afunix listen @ takes an abstract name that the kernel chooses, and tells it", async () => {
  await using server = startCli(["receive", "--json", "@"]);
  const { address } = await server.json<{ address: string }>();
  assertMatch(address, /^@[0-9a-f]{5}$/);
  using stream = await UnixStream.connect(abstract(address.slice(1)));
  stream.close();
  assertEquals((await server.finished).code, 0);
});

test("afunix connect --from tells the server its address", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const name = freshName();
    const ending = runCli(["connect", "--from", `@${name}`, path]);
    using stream = await listener.accept();
    assertEquals(stream.remoteAddr, abstract(name));
    stream.close();
    assertEnds(await ending, 0);
  });
});

test("afunix connect talks with socat, afunix listen with nc", {
  skip: unlessProgram("socat") || unlessProgram("nc"),
}, async () => {
  await withTempSocketPath(async (path) => {
    const timed = ["socat", "-d", "-d", "-t", "60"];
    await using socat = new Peer([...timed, `UNIX-LISTEN:${path}`, "EXEC:tac"]);
    await socat.waitFor("listening on", "stderr");
    const { code, stdout } = await runCli(["connect", path], { input: "1\n2\n" });
    assertEquals({ code, stdout }, { code: 0, stdout: "2\n1\n" });
    await socat.finished;
  });
  await withTempSocketPath(async (path) => {
    await using server = await startServing(["listen", path]);
    server.write("answer\n");
    await using nc = new Peer(["nc", "-N", "-U", path]);
    nc.write("question\n");
    await Promise.all([server.waitFor("question\n"), nc.waitFor("answer\n")]);
    server.closeStdin();
    nc.closeStdin();
    assertEquals((await server.finished).code, 0);
    assertEquals((await nc.finished).code, 0);
  });
});
