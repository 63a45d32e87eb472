import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { Fd, UnixListener, UnixStream } from "../../mod.ts";
import { assertEnds, cliCommand, records, runCli, startCli, startServing } from "../support/cli.ts";
import { freshName, python } from "../support/interop.ts";
import { bytes, run, text, unlessProgram, withTempDir } from "../support/mod.ts";

/** Two files with text, and a path for a socket. */
function withFiles(
  body: (files: { a: string; b: string; path: string; directory: string }) => Promise<void>,
): Promise<void> {
  return withTempDir(async (directory) => {
    const [a, b, path] = ["a", "b", "s"].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(a, "text of a\n");
    writeFileSync(b, "text of b\n");
    await body({ a, b, path, directory });
  });
}

for (const type of ["stream", "datagram", "seqpacket"]) {
  test(`afunix take runs a command with what afunix pass sends over a ${type} socket`, async () => {
    await withFiles(async ({ a, b, path }) => {
      const name = freshName();
      for (const address of [path, `@${name}`]) {
        const script = 'cat <&3; cat <&4; echo "$LISTEN_FDS|$AFUNIX_FDS|$AFUNIX_MESSAGE"; ' +
          "test $$ = $LISTEN_PID && exit 7";
        await using taker = await startServing(
          ["take", "--type", type, address, "--", "sh", "-c", script],
        );
        assertEnds(await runCli(["pass", "--type", type, address, a, b]), 0);
        const { code, stdout } = await taker.finished;
        assertEquals(stdout, `text of a\ntext of b\n2|3 4|${a}\n${b}\n`);
        assertEquals(code, 7);
        assertEquals(existsSync(path), false);
      }
    });
  });
}

test("afunix take turns {} into names of the descriptors, and leaves no others open", async () => {
  await withFiles(async ({ a, b, path }) => {
    await using taker = await startServing(["take", path, "--", "cat", "--", "{}"]);
    assertEnds(await runCli(["pass", path, a, b]), 0);
    assertEquals((await taker.finished).stdout, "text of a\ntext of b\n");
  });
  await withFiles(async ({ a, path }) => {
    await using taker = await startServing(["take", path, "--", "ls", "-l", "/proc/self/fd"]);
    assertEnds(await runCli(["pass", path, a]), 0);
    const { stdout } = await taker.finished;
    assertMatch(stdout, / 3 -> .*\/a\n/);
    assertEquals(/socket|eventpoll/.test(stdout.replaceAll(/ [012] -> .*/g, "")), false, stdout);
  });
});

test("afunix take --stdin gives the first file to the command's stdin", async () => {
  await withFiles(async ({ a, b, path }) => {
    const command = ["sh", "-c", "cat; cat <&3; echo $LISTEN_FDS"];
    await using taker = await startServing(["take", path, "--stdin", "--", ...command]);
    assertEnds(await runCli(["pass", path, a, b]), 0);
    assertEquals((await taker.finished).stdout, "text of a\ntext of b\n1\n");
  });
});

test("afunix take ends with the codes of a shell: 127, 126, and 128 and the signal", async () => {
  for (
    const [command, expected] of [
      [["afunix-no-such-command"], 127],
      [["/"], 126],
      [["sh", "-c", "kill -TERM $$"], 143],
    ] as const
  ) {
    await withFiles(async ({ a, path }) => {
      await using taker = await startServing(["take", path, "--", ...command]);
      assertEnds(await runCli(["pass", path, a]), 0);
      assertEquals((await taker.finished).code, expected);
    });
  }
});

test("afunix take hands SIGTERM on to its command, and waits for its end", async () => {
  await withFiles(async ({ a, path }) => {
    const script =
      'trap "echo bye; exit 5" TERM; echo ready; read line <&0; while :; do sleep 1; done';
    await using taker = await startServing(["take", path, "--", "bash", "-c", script]);
    assertEnds(await runCli(["pass", path, a]), 0);
    await taker.waitFor("ready\n");
    taker.write("go\n");
    taker.kill("SIGTERM");
    const { code, stdout } = await taker.finished;
    assertEquals({ code, stdout }, { code: 5, stdout: "ready\nbye\n" });
  });
});

test("afunix take leaves the command no variables of the service that it is part of", async () => {
  const env = { LISTEN_PID: "1", LISTEN_FDS: "7", LISTEN_FDNAMES: "a:b", LISTEN_PIDFDID: "5" };
  const command = ["sh", "-c", "env | grep ^LISTEN_ | sed s/=$$/=own/ | sort"];
  for (
    const [options, expected] of [
      [[], "LISTEN_FDS=1\nLISTEN_PID=own\n"],
      // Nothing is passed but stdin: LISTEN_FDS=0 would be an error to sd_listen_fds(3).
      [["--stdin"], ""],
    ] as const
  ) {
    await withFiles(async ({ a, path }) => {
      await using taker = await startServing(["take", path, ...options, "--", ...command], { env });
      assertEnds(await runCli(["pass", path, a]), 0);
      assertEquals((await taker.finished).stdout, expected);
    });
  }
});

test("afunix take keeps no more bytes than --max-bytes, and 16 MiB without it", async () => {
  for (const [options, most] of [[["--max-bytes", "4"], 4], [[], 16 << 20]] as const) {
    await withFiles(async ({ path }) => {
      await using taker = await startServing(["take", ...options, path]);
      using stream = await UnixStream.connect(path);
      await stream.writeAll(new Uint8Array(most));
      // Nobody takes that any more, or not all of it.
      const more = stream.writeAll(new Uint8Array(1 << 20)).then(() => stream.closeWrite());
      await more.catch(() => {});
      const { code, stderr } = await taker.finished;
      assertEquals([code, stderr.endsWith(`More than ${most} bytes came\n`)], [1, true], stderr);
    });
  }
});

test("afunix take --keep takes one datagram's files after the other's", async () => {
  await withFiles(async ({ a, b, path }) => {
    const args = ["take", "--keep", "--type", "datagram", path, "--", "cat", "{}"];
    await using taker = await startServing(args);
    for (const [file, content] of [[a, "text of a\n"], [b, "text of b\n"]] as const) {
      assertEnds(await runCli(["pass", "--type", "datagram", path, file]), 0);
      await taker.waitFor(content);
    }
    taker.kill("SIGINT");
    assertEquals((await taker.finished).code, 130);
    assertEquals(existsSync(path), false);
  });
});

test("afunix take without a command tells what came", async () => {
  await withFiles(async ({ a, path }) => {
    {
      await using taker = await startServing(["take", path]);
      assertEnds(await runCli(["pass", path, a]), 0);
      assertMatch((await taker.finished).stdout, /^1 +file +10 bytes +mode 0\d{3}\n$/);
    }
    await using taker = startCli(["take", "--json", path]);
    assertEquals((await taker.json<{ event: string }>()).event, "listening");
    assertEnds(await runCli(["pass", "--message", "note", path, a]), 0);
    assertEquals((await taker.json<{ event: string }>()).event, "connection");
    const { descriptors, message } = await taker.json<Record<string, unknown>>();
    assertEquals(message, { text: "note" });
    assertEquals(
      (descriptors as { kind: string; size: number }[]).map(({ kind, size }) => [
        kind,
        size,
      ]),
      [["file", 10]],
    );
    assertEquals((await taker.finished).code, 0);
  });
});

test("afunix take fails where no descriptor comes, or too few", async () => {
  await withFiles(async ({ a, path }) => {
    for (
      const [count, send, message] of [
        ["1", ["send", path, "only text"], "No descriptor came\n"],
        ["2", ["pass", path, a], "Only 1 of 2 descriptors came\n"],
      ] as const
    ) {
      await using taker = await startServing(["take", "--count", count, path, "--", "true"]);
      assertEnds(await runCli(send), 0);
      const { code, stderr } = await taker.finished;
      assertEquals([code, stderr.endsWith(message)], [1, true], stderr);
    }
  });
});

test("afunix take --count collects the descriptors of several messages", async () => {
  await withFiles(async ({ a, b, path }) => {
    await using taker = await startServing(["take", "--count", "2", path, "--", "cat", "{}"]);
    using stream = await UnixStream.connect(path);
    for (const name of [a, b]) {
      using file = Fd.open(name);
      await stream.sendMessage(bytes("x"), { fds: [file] });
    }
    assertEquals((await taker.finished).stdout, "text of a\ntext of b\n");
  });
});

test("afunix take --keep runs the command for each sender, whatever became of the last", async () => {
  await withFiles(async ({ a, b, path }) => {
    await using taker = await startServing(["take", "--keep", path, "--", "cat", "{}"]);
    assertEnds(await runCli(["pass", path, a]), 0);
    await taker.waitFor("text of a\n");
    assertEnds(await runCli(["send", path, "nothing"]), 0);
    await taker.waitFor("No descriptor came\n", "stderr");
    assertEnds(await runCli(["pass", path, b]), 0);
    await taker.waitFor("text of b\n");
    taker.kill("SIGINT");
    assertEquals((await taker.finished).code, 130);
  });
});

test("afunix pass --listen gives files to whoever connects, afunix take --connect takes them", async () => {
  await withFiles(async ({ a, path }) => {
    await using giver = await startServing([
      "pass",
      "--listen",
      "--keep",
      "--mode",
      "600",
      path,
      a,
    ]);
    for (let i = 0; i < 2; i++) {
      const finished = await runCli(["take", "--connect", path, "--", "cat", "{}"]);
      assertEnds(finished, 0);
      assertEquals(finished.stdout, "text of a\n");
    }
    giver.kill("SIGINT");
    assertEquals((await giver.finished).code, 130);
  });
});

test("afunix pass --access opens for writing, and --fd and - pass what was inherited", async () => {
  await withFiles(async ({ a, path, directory }) => {
    const made = join(directory, "made");
    {
      await using taker = await startServing(["take", path, "--", "sh", "-c", "echo new >&3"]);
      assertEnds(await runCli(["pass", "--access", "write", path, made]), 0);
      assertEquals((await taker.finished).code, 0);
      assertEquals(readFileSync(made, "utf8"), "new\n");
    }
    await using taker = await startServing(["take", path, "--", "cat", "{}"]);
    const command = cliCommand(["pass", "--json", path, "-", "--fd", "7"]);
    const finished = await run(["bash", "-c", '"$@" < made 7< a', "bash", ...command], {
      cwd: directory,
    });
    assertEnds(finished, 0);
    assertEquals(records(finished.stdout), [{ event: "passed", files: ["fd:0", "fd:7"] }]);
    assertEquals((await taker.finished).stdout, "new\ntext of a\n");
    assertEquals(existsSync(a), true);
  });
});

test("afunix pass is told in one line what it cannot", async () => {
  await withFiles(async ({ a, b, path, directory }) => {
    const missing = join(directory, "missing");
    assertEnds(await runCli(["pass", path, a]), 1, `Cannot connect to "${path}": ENOENT\n`);
    using listener = UnixListener.listen(path);
    const message = `Cannot open "${missing}": ENOENT\n`;
    const ending = runCli(["pass", path, b, missing]);
    using stream = await listener.accept();
    assertEnds(await ending, 1, message);
    using received = await stream.receiveMessage();
    assertEquals(received, null);
    const { code, stderr } = await runCli(["pass", path, "--fd", "999"]);
    assertEquals(code, 1);
    assertMatch(stderr, /^Cannot [^\n]*: EBADF[^\n]*\n$/);
  });
});

test(
  "afunix pass and take exchange files with Python",
  { skip: unlessProgram("python3") },
  async () => {
    await withFiles(async ({ a, b, path }) => {
      await using receiver = python(
        `
      listener = listening(args[0])
      say("listening")
      client, _ = listener.accept()
      data, fds, _, _ = socket.recv_fds(client, 1000, 8)
      say(json.dumps([data.decode(), [os.read(fd, 100).decode() for fd in fds]]))
      `,
        [path],
      );
      await receiver.line();
      assertEnds(await runCli(["pass", path, a, b]), 0);
      assertEquals(await receiver.json(), [`${a}\n${b}\n`, ["text of a\n", "text of b\n"]]);
      await receiver.succeeded();
    });
    await withFiles(async ({ a, path }) => {
      await using taker = await startServing(["take", path, "--", "cat", "{}"]);
      await using sender = python(
        `
      client = connected(args[0])
      socket.send_fds(client, [b"x"], [os.open(args[1], os.O_RDONLY)])
      `,
        [path, a],
      );
      await sender.succeeded();
      assertEquals(text(bytes((await taker.finished).stdout)), "text of a\n");
    });
  },
);
