import { existsSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { UnixListener } from "../../mod.ts";
import { formatBytes } from "../../cli/terminal/progress.ts";
import { cliCommand, runCli, startServing } from "../support/cli.ts";
import { CTRL_C, CTRL_D, onTerminal } from "../support/examples.ts";
import {
  commandFor,
  readToEnd,
  ROOT,
  run,
  RUNTIME,
  TestProcess,
  unlessProgram,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";

const options = { skip: unlessProgram("python3") };
const PLAIN = { NO_COLOR: "1", TERM: "xterm" };
const COLOURFUL = { NO_COLOR: "", TERM: "xterm", FORCE_COLOR: "" };

/** A shell line on a terminal, in which "$@" is the command line with these arguments. */
function shellOnTerminal(
  script: string,
  args: string[],
  cwd: string,
  env: Record<string, string> = COLOURFUL,
) {
  return onTerminal(["bash", "-c", script, "bash", ...cliCommand(args)], { cwd, env });
}

test("formatBytes() takes the unit that reads well", () => {
  const shown = [0, 1023, 1024, 1536, 5 << 20, 2 ** 50].map(formatBytes);
  assertEquals(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB", "1.0 PiB"]);
});

test("afunix connect talks on a terminal until Ctrl-D", options, async () => {
  await withTempSocketPath(async (path) => {
    await using _server = await startServing(["echo", path]);
    await using client = onTerminal(cliCommand(["connect", path]), { env: PLAIN });
    await client.waitFor(`Connected to ${path}\r\n`);
    client.write("hello\n");
    await client.waitFor("hello\r\nhello\r\n");
    client.write(CTRL_D);
    const { code, stdout } = await client.finished;
    assertEquals(code, 0);
    assertEquals(stdout.includes("\x1b"), false, stdout);
  });
});

test(
  "afunix listen ends with 130 at Ctrl-C on a terminal, and removes its path",
  options,
  async () => {
    await withTempSocketPath(async (path) => {
      await using server = onTerminal(cliCommand(["listen", path]), { env: PLAIN });
      await server.waitFor(`Listening on ${path}\r\n`);
      server.write(CTRL_C);
      assertEquals((await server.finished).code, 130);
      assertEquals(existsSync(path), false);
    });
  },
);

test("afunix take leaves Ctrl-C on a terminal to its command", options, async () => {
  await withTempSocketPath(async (path) => {
    const script = 'trap "echo caught; exit 6" INT; echo ready; while :; do sleep 1; done';
    await using taker = onTerminal(cliCommand(["take", path, "--", "bash", "-c", script]));
    await taker.waitFor("Listening on");
    assertEquals((await runCli(["pass", path, "/dev/null"])).code, 0);
    await taker.waitFor("ready\r\n");
    taker.write(CTRL_C);
    const { code, stdout } = await taker.finished;
    assertEquals(code, 6, stdout);
    assertEquals(stdout.match(/caught/g)?.length, 1);
  });
});

test(
  "afunix colours on a terminal only, and neither with NO_COLOR nor --json",
  options,
  async () => {
    await withTempDir(async (directory) => {
      const failing = ["connect", "missing"];
      const red = "\x1b[31m";
      const shown = async (args: string[], env: Record<string, string>) => {
        await using client = onTerminal(cliCommand(args), { cwd: directory, env });
        return (await client.finished).stdout;
      };
      assertStringIncludes(await shown(failing, COLOURFUL), `${red}Cannot connect`);
      assertStringIncludes(await shown(["ls", "no-such"], COLOURFUL), "\x1b[1mTYPE");
      for (
        const [args, env] of [
          [failing, PLAIN],
          [[...failing, "--json"], COLOURFUL],
          [failing, { ...COLOURFUL, TERM: "dumb" }],
          [["ls", "no-such"], PLAIN],
        ] as const
      ) assertEquals((await shown([...args], env)).includes("\x1b"), false);
      const piped = await run(cliCommand(failing), { cwd: directory, env: COLOURFUL });
      assertEquals(piped.stderr, 'Cannot connect to "missing": ENOENT\n');
    });
  },
);

test("afunix send shows a bar, bytes and rate while a file goes out", options, async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "s");
    writeFileSync(join(directory, "data"), new Uint8Array(3 << 20));
    using listener = UnixListener.listen(path);
    const send = async (env: Record<string, string>, ...more: string[]) => {
      const script = '"$@" < data';
      await using client = shellOnTerminal(script, ["send", ...more, path], directory, env);
      using stream = await listener.accept();
      assertEquals((await readToEnd(stream)).length, 3 << 20);
      const { code, stdout } = await client.finished;
      assertEquals(code, 0);
      return stdout;
    };
    // deno-lint-ignore no-control-regex -- colours
    const bar = /sent 3\.0 MiB of 3\.0 MiB \x1b\[32m█{24}\x1b\[39m 100 %, [\d.]+ .?i?B\/s/;
    assertMatch(await send(COLOURFUL), bar);
    for (
      const [env, more] of [[PLAIN, []], [COLOURFUL, ["--json"]], [COLOURFUL, ["-q"]]] as const
    ) {
      assertEquals((await send(env, ...more)).includes("3.0 MiB"), false);
    }
  });
});

test(
  "afunix receive shows no progress where the bytes go to the same terminal",
  options,
  async () => {
    await withTempDir(async (directory) => {
      for (const [script, expected] of [['"$@"', false], ['"$@" > copy', true]] as const) {
        const path = join(directory, "s");
        await using server = shellOnTerminal(script, ["receive", path], directory);
        await server.waitFor("Listening on");
        assertEquals((await runCli(["send", path, "data"])).code, 0);
        const { code, stdout } = await server.finished;
        assertEquals(code, 0);
        assertEquals(stdout.includes("received 4 B"), expected, stdout);
      }
    });
  },
);

test(
  "afunix ls --watch draws a table on a terminal, and leaves it as it was",
  options,
  async () => {
    await withTempSocketPath(async (path) => {
      const args = ["ls", "--watch", "--interval", "50", path];
      await using watch = onTerminal(cliCommand(args), { env: PLAIN });
      await watch.waitFor("0 sockets");
      const before = watch.stdout.length;
      using _listener = UnixListener.listen(path);
      await watch.waitFor("1 socket,");
      const picture = watch.stdout.slice(before);
      assertStringIncludes(picture, "\x1b[H");
      assertMatch(picture, /stream +listening +\d+ /);
      watch.write(CTRL_C);
      const { code, stdout } = await watch.finished;
      assertEquals(code, 130);
      assert(stdout.startsWith("\x1b[?1049h"), stdout);
      assert(stdout.replace(/\^C$/, "").endsWith("\x1b[?1049l"), stdout);
    });
  },
);

test("cli/bin.ts runs the command line on this runtime", async () => {
  const bin = join(ROOT, "cli", "bin.ts");
  const finished = await run([...commandFor(RUNTIME, bin), "send", "missing", "x"]);
  assertEquals([finished.code, finished.stderr], [1, 'Cannot connect to "missing": ENOENT\n']);
});

test("cli/bin.ts starts a Node.js without node:ffi again, in the same process", async () => {
  await withTempSocketPath(async (path) => {
    const bin = join(ROOT, "cli", "bin.ts");
    const node = join(ROOT, "node_modules", ".bin", "node");
    await using server = new TestProcess(
      [node, "--no-experimental-ffi", bin, "echo", "-v", path],
      { env: { NODE_NO_WARNINGS: "" } },
    );
    await server.waitFor("Listening on", "stderr");
    const finished = await runCli(["who", "--json", path]);
    assertEquals(JSON.parse(finished.stdout).pid, server.pid);
    process.kill(server.pid, "SIGINT");
    const { code, stderr } = await server.finished;
    assertEquals(code, 130);
    assertEquals(/Warning/.test(stderr), false, stderr);
  });
});
