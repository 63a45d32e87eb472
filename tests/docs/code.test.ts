import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { UnixDatagram, UnixStream } from "../../mod.ts";
import { commandFor, ROOT, run, RUNTIME, TestProcess, withTempDir } from "../support/mod.ts";

/** A program in a text. */
interface Program {
  source: string;
  /** The heading that it stands under. */
  chapter: string;
  /** Why it is not run; undefined for one that is. */
  reason: string | undefined;
  /** The name in its first line, `// server.ts`. */
  file: string | undefined;
}

const TEXTS = [
  "README.md",
  ...readdirSync(join(ROOT, "docs", "guides")).sort()
    // It has commands and no programs: docs_commands.test.ts runs those.
    .filter((name) => name !== "command-line.md")
    .map((name) => `docs/guides/${name}`),
];

/** As the guide to systemd has them. */
const MANAGER_VARIABLES =
  "LISTEN_PID,LISTEN_FDS,LISTEN_FDNAMES,NOTIFY_SOCKET,WATCHDOG_USEC,WATCHDOG_PID";

/** What follows `"afunix` in an import, and the entry point that it stands for. */
const entries = Object.entries(
  JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8")).exports as Record<string, string>,
).map(([name, file]) => [name.slice(1), join(ROOT, file)] as const);

/** The programs of a text; what says why one is not run is a comment directly before it. */
function programsIn(text: string): Program[] {
  const found: Program[] = [];
  const fence = /^(?:<!-- not run: (?<reason>.+?) -->\n+)?```ts\n(?<source>.*?)^```$/gms;
  for (const part of text.split(/^(?=##? )/m)) {
    const chapter = part.slice(0, part.indexOf("\n")).replace(/^#+ /, "");
    for (const { groups } of part.matchAll(fence)) {
      const source = groups!.source!;
      const file = /^\/\/ ([\w.-]+\.ts)\n/.exec(source)?.[1];
      found.push({ source, chapter, reason: groups!.reason, file });
    }
  }
  return found;
}

/** The last comments of a program, which say what it prints; `…` stands for anything. */
function expectedOutput(source: string): RegExp | null {
  const lines = source.trimEnd().split("\n");
  const first = lines.findLastIndex((line) => !line.startsWith("// ")) + 1;
  if (first === lines.length) return null;
  const quoted = lines.slice(first)
    .map((line) => RegExp.escape(line.slice(3)).replaceAll("…", ".*"));
  return new RegExp(`^${quoted.map((line) => `${line}\n`).join("")}$`);
}

/** A program with addresses that no other test has, and the library's own entry points. */
function adapt(source: string, directory: string): string {
  let own = source
    .replaceAll(/"\/(?:tmp|run)\//g, `"${directory}/`)
    .replaceAll(/"\\0(?=\w)/g, `"\\0test-${process.pid}-${RUNTIME}-`)
    .replaceAll(/abstract\("/g, `abstract("${process.pid}-${RUNTIME}-`);
  for (const [name, file] of entries) {
    const pattern = new RegExp(`(from|import) "afunix${name}"`, "g");
    own = own.replaceAll(pattern, `$1 ${JSON.stringify(file)}`);
  }
  return own;
}

/** What a program of the README needs around it. */
async function withSurroundings(
  { source }: Program,
  directory: string,
  body: () => Promise<void>,
): Promise<void> {
  if (!source.includes(`connect("/run/statsd.sock")`)) return await body();
  using server = UnixDatagram.bind(join(directory, "statsd.sock"));
  await body();
  const { data } = await server.receive();
  assertEquals(new TextDecoder().decode(data), "requests:1|c");
}

/** What Deno has to permit besides FFI, by what is in a program. */
const PERMISSIONS: readonly [RegExp, ...string[]][] = [
  [/"(node:child_process|afunix\/process)"/, "--allow-run", "--allow-env"],
  [/"afunix\/systemd"/, `--allow-env=${MANAGER_VARIABLES}`],
  [/getuid/, "--allow-sys=uid"],
];

/** The command of a program: with no permission but FFI's, unless it uses more. */
function command(script: string, source: string): string[] {
  const flags = RUNTIME === "deno"
    ? PERMISSIONS.flatMap(([what, ...flags]) => what.test(source) ? flags : [])
    : [];
  return commandFor(RUNTIME, script, { allowAll: false, flags });
}

/** `--no-warnings` is for the program alone, not for the scripts that it starts. */
const QUIET_CHILDREN = { env: { NODE_NO_WARNINGS: "1" } };

async function runWhole(program: Program, directory: string): Promise<void> {
  const script = join(directory, program.file ?? "program.ts");
  writeFileSync(script, adapt(program.source, directory));
  await withSurroundings(program, directory, async () => {
    const finished = await run(command(script, program.source), QUIET_CHILDREN);
    const { code, signal, stderr } = finished;
    assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
    const expected = expectedOutput(program.source);
    if (expected === null) return;
    // Abstract names were made unique: the text has them without.
    assertMatch(finished.stdout.replaceAll(`@${process.pid}-${RUNTIME}-`, "@"), expected);
  });
}

/** A program that serves until it is ended; `body` is its visitor. */
async function withServer(
  program: Program,
  directory: string,
  body: (server: TestProcess) => Promise<void>,
): Promise<void> {
  const script = join(directory, "server.ts");
  writeFileSync(script, adapt(program.source, directory));
  await using server = new TestProcess(command(script, program.source), QUIET_CHILDREN);
  await body(server);
  assertEquals(server.stderr, "");
}

/** Connects as soon as the server listens. */
async function connectSoon(address: string, server: TestProcess): Promise<UnixStream> {
  let ended = false;
  server.finished.finally(() => ended = true);
  for (;;) {
    assert(!ended, `The server has ended: ${server.stderr}`);
    try {
      return await UnixStream.connect(address);
    } catch (error) {
      const { code } = error as { code?: string };
      if (code !== "ECONNREFUSED" && code !== "ENOENT") throw error;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

for (const text of TEXTS) {
  const all = programsIn(readFileSync(join(ROOT, text), "utf8"));

  test(`${text} has programs, and none that the tests overlook`, () => {
    assert(all.length > 0);
    const fences = readFileSync(join(ROOT, text), "utf8").match(/^```(?:ts|typescript|js)\b/gm);
    assertEquals(all.length, fences?.length);
  });

  for (const [i, program] of all.entries()) {
    const { source, chapter, file, reason } = program;
    const others = all.filter((other) => other !== program && other.chapter === chapter);
    const title = `${text}: program ${i + 1}, of ${chapter}`;
    if (reason !== undefined) {
      test(`${title}, is not run: ${reason}`, () => assert(reason.length > 10));
    } else if (file === "server.ts") {
      const client = others.find((other) => other.file === "client.ts");
      test(`${title}, serves the client beside it`, async () => {
        await withTempDir((directory) =>
          withServer(program, directory, async (server) => {
            await server.waitFor("listening");
            await runWhole(client!, directory);
            await server.waitFor(/^peer [^]*\d/m);
          })
        );
      });
    } else if (file === "client.ts") {
      test(`${title}, has a server beside it`, () => {
        assert(others.some((other) => other.file === "server.ts"));
      });
    } else if (file !== undefined && others.some((other) => other.source.includes(`"${file}"`))) {
      test(`${title}, is started by the one beside it`, () => {
        assert(others.some((other) => other.source.includes("spawnScript")));
      });
    } else if (/await \(const \w+ of listener\)/.test(source)) {
      const name = /listen\("\\0([\w-]+)"/.exec(source)?.[1];
      test(`${title}, serves who connects`, async () => {
        assert(name !== undefined, "a server that is not named server.ts has an abstract name");
        await withTempDir((directory) =>
          // A visitor of another user would be refused: the ids in the text are this user's.
          withServer(
            { ...program, source: source.replace("uid: [0, 1000]", `uid: [${process.getuid!()}]`) },
            directory,
            async (server) => {
              using _client = await connectSoon(`\0test-${process.pid}-${RUNTIME}-${name}`, server);
              await server.waitFor(/ 0\n/);
              assertMatch(server.stdout, new RegExp(`pid: ${process.pid}\\b[^]* 0\n`));
            },
          )
        );
      });
    } else {
      test(`${title}, runs${expectedOutput(source) ? " and prints what it says" : ""}`, async () => {
        await withTempDir((directory) => {
          for (const other of others) {
            if (other.file === undefined) continue;
            writeFileSync(join(directory, other.file), adapt(other.source, directory));
          }
          return runWhole(program, directory);
        });
      });
    }
  }
}

test("The programs of README.md and of the guides pass the type-checker", async () => {
  await withTempDir(async (directory) => {
    const files: string[] = [];
    for (const text of TEXTS) {
      for (const [i, { source }] of programsIn(readFileSync(join(ROOT, text), "utf8")).entries()) {
        const folder = join(directory, text.replaceAll("/", "_"));
        if (!existsSync(folder)) mkdirSync(folder);
        files.push(join(folder, `${i + 1}.ts`));
        writeFileSync(files.at(-1)!, adapt(source, directory));
      }
    }
    const config = {
      extends: join(ROOT, "tsconfig.json"),
      compilerOptions: {
        typeRoots: [join(ROOT, "node_modules", "@types")],
        // A text may show a name that nothing uses.
        noUnusedLocals: false,
      },
      files,
      include: [],
    };
    writeFileSync(join(directory, "package.json"), `{ "type": "module" }`);
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(config));
    const tsc = join(ROOT, "node_modules", ".bin", "tsc");
    const { code, stdout, stderr } = await run([tsc, "--pretty", "false", "-p", directory]);
    assertEquals({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" });
  });
});
