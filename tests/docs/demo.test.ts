import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { digest, pattern } from "../support/data.ts";
import { assertOneLineError, CTRL_C, onTerminal } from "../support/examples.ts";
import {
  commandFor,
  type Finished,
  ROOT,
  run,
  RUNTIME,
  TestProcess,
  unlessProgram,
  withTempDir,
} from "../support/mod.ts";
import { until } from "../support/waiting.ts";

const MAIN = commandFor(RUNTIME, join(ROOT, "examples", "demo", "main.ts"));
const CLIENTS = ["deno", "node"];

/** Where a demo runs: what it leaves behind shows in `temporary`. */
interface Place {
  directory: string;
  temporary: string;
  options: { env: Record<string, string>; cwd: string };
}

/** Runs a body with a place for a demo, and asserts that nothing was left on disk. */
async function withPlace(body: (place: Place) => Promise<void>): Promise<void> {
  await withTempDir(async (directory) => {
    const temporary = join(directory, "temporary");
    mkdirSync(temporary);
    const env = { TMPDIR: temporary, INIT_CWD: "" };
    await body({ directory, temporary, options: { env, cwd: directory } });
    assertEquals(readdirSync(temporary), []);
  });
}

/** Every process that a demo named. */
function pidsIn(output: string): number[] {
  return [...new Set([...output.matchAll(/pid (\d+)/g)].map((match) => Number(match[1])))];
}

function isAlive(pid: number): boolean {
  try {
    // The state comes after the name, which is in parentheses. Z: ended, not yet waited for.
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

function assertNoneAlive(output: string): void {
  const pids = pidsIn(output);
  assert(pids.length > 0, "the demo names its processes");
  assertEquals(pids.filter(isAlive), []);
}

/**
 * Asserts that both clients got back a file of this name, size and content, and that the server read
 * the same by their descriptors.
 */
function assertIdentical(finished: Finished, name: string, size: string, sha256: string): void {
  const { code, stdout, stderr } = finished;
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assert(!stdout.includes("\x1b") && !stdout.includes("\r"), "it is no terminal");
  const routes = CLIENTS.flatMap((client) => [
    `${client} → bun → ${client}`,
    `${client} opens, bun reads`,
  ]);
  for (const route of routes) {
    const line = stdout.split("\n").find((line) => line.startsWith(`${route}  `));
    const [, shownName, shownSize, shownHash, verdict, time, ...more] = line!.split("  ");
    assertEquals([shownName, shownSize, verdict, more], [name, size, "identical", []]);
    assertEquals(shownHash, `sha256 ${sha256.slice(0, 12)}…`);
    assertMatch(time!, /^[\d,]+\.\d ms$/);
  }
  assertNoneAlive(stdout);
}

test("npm start streams the project's own README.md and passes it open, and each side knows its peer", async () => {
  await withPlace(async ({ options }) => {
    const start = commandFor("node", join(ROOT, "scripts", "run.mjs"));
    const finished = await run([...start, "examples/demo/main.ts"], options);
    const readme = readFileSync(join(ROOT, "README.md"));
    const size = `${readme.length.toLocaleString("en-US")} bytes`;
    assertIdentical(finished, "README.md", size, digest(readme));
    const { stdout } = finished;
    const [server, deno, node] = pidsIn(stdout);
    const ids = `uid ${process.getuid!()}, gid ${process.getgid!()}\n`;
    assertStringIncludes(stdout, `bun   server  pid ${server}  listens, mode 0600\n`);
    for (const [name, pid] of [["deno", deno], ["node", node]]) {
      assertStringIncludes(
        stdout,
        `${name}  client  pid ${pid}  peer is pid ${server} (bun), ${ids}`,
      );
      assertStringIncludes(
        stdout,
        `bun   server  pid ${server}  peer is pid ${pid} (${name}), ${ids}`,
      );
      assertStringIncludes(
        stdout,
        `bun   server  pid ${server}  sender is pid ${pid} (${name}), ${ids}`,
      );
    }
  });
});

test("examples/demo/main.ts streams a file whose name has spaces and a control character", async () => {
  await withPlace(async ({ directory, options }) => {
    const name = "a file\x1b[31m with spaces";
    writeFileSync(join(directory, name), "hello");
    const finished = await run([...MAIN, name], options);
    assertIdentical(finished, "a file�[31m with spaces", "5 bytes", digest(Buffer.from("hello")));
  });
});

test("examples/demo/main.ts streams an empty file", async () => {
  await withPlace(async ({ directory, options }) => {
    const file = join(directory, "empty");
    writeFileSync(file, "");
    const finished = await run([...MAIN, file], options);
    assertIdentical(finished, "empty", "0 bytes", digest(new Uint8Array(0)));
  });
});

test("examples/demo/main.ts streams a file of 64 MiB", async () => {
  await withPlace(async ({ directory, options }) => {
    const data = pattern(64 << 20);
    const file = join(directory, "large");
    writeFileSync(file, data);
    const finished = await run([...MAIN, file], options);
    assertIdentical(finished, "large", "67,108,864 bytes", digest(data));
  });
});

test("examples/demo/main.ts streams 256 MiB with no process needing as much memory", async () => {
  await withPlace(async ({ directory, options }) => {
    const file = sparseFile(directory, 256 << 20);
    const finished = await run([...MAIN, file], options);
    assertEquals({ code: finished.code, stderr: finished.stderr }, { code: 0, stderr: "" });
    const peaks = [...finished.stdout.matchAll(/peak memory of (\w+) (\d+) MB/g)];
    assertEquals(peaks.map((match) => match[1]), ["deno", "node", "bun"]);
    for (const [what, , megabytes] of peaks) assertLess(Number(megabytes), 200, what);
  });
});

/** Asserts that a demo without README.md, whose server is changed, finds that a route is bad. */
async function assertDetected(from: RegExp, to: string, bad: string, good: string): Promise<void> {
  await withPlace(async ({ directory, options }) => {
    for (const part of ["mod.ts", "src", "ffi", "examples", "LICENSE", "deno.json"]) {
      cpSync(join(ROOT, part), join(directory, part), { recursive: true });
    }
    symlinkSync(join(ROOT, "node_modules"), join(directory, "node_modules"));
    const server = join(directory, "examples", "demo", "server.ts");
    const honest = readFileSync(server, "utf8");
    assertMatch(honest, from);
    writeFileSync(server, honest.replace(from, to));
    const main = commandFor(RUNTIME, join(directory, "examples", "demo", "main.ts"));
    const { code, stdout, stderr } = await run(main, options);
    assertEquals({ code, stderr }, { code: 1, stderr: "" });
    for (const client of CLIENTS) {
      const route = (template: string) => template.replaceAll("CLIENT", client);
      assertMatch(stdout, new RegExp(`^${route(bad)}  LICENSE  .*  DIFFERENT  `, "m"));
      assertMatch(stdout, new RegExp(`^${route(good)}  LICENSE  .*  identical  `, "m"));
    }
    assertNoneAlive(stdout);
  });
}

const ROUND_TRIP = "CLIENT → bun → CLIENT";
const PASSED = "CLIENT opens, bun reads";

test("examples/demo/main.ts exits with 1 where something else comes back, here of LICENSE", async () => {
  const from = /^( *)(await client\.writeAll)/m;
  await assertDetected(from, "$1buffer[0]! ^= 1;\n$&", ROUND_TRIP, PASSED);
});

test("examples/demo/main.ts exits with 1 where the server reads something else, here of LICENSE", async () => {
  const from = /^( *)(hash\.update)/m;
  await assertDetected(from, "$1buffer[0]! ^= 1;\n$&", PASSED, ROUND_TRIP);
});

/** A file that takes no room on disk. */
function sparseFile(directory: string, size: number): string {
  const file = join(directory, "sparse");
  writeFileSync(file, "");
  truncateSync(file, size);
  return file;
}

test("examples/demo/main.ts refuses what it cannot read in one line", async () => {
  await withPlace(async ({ directory, options }) => {
    const fifo = join(directory, "fifo");
    execFileSync("mkfifo", [fifo]);
    const cases = [
      ["no such file", 'Cannot read "no such file": ENOENT'],
      [directory, `Cannot read "${directory}": EISDIR`],
      [fifo, `Cannot read "${fifo}": it is not a regular file`],
    ];
    for (const [file, message] of cases) {
      const finished = await run([...MAIN, file!], options);
      assertOneLineError(finished, message!);
      assertEquals(finished.stdout, "");
    }
  });
});

test("examples/demo/main.ts refuses an unreadable file in one line", {
  skip: process.getuid!() === 0 && unlessProgram("setpriv"),
}, async () => {
  await withPlace(async ({ directory, options }) => {
    const file = join(directory, "secret");
    writeFileSync(file, "secret");
    chmodSync(file, 0);
    // Permissions do not stop root, unless it gives up the two capabilities.
    const drop = "setpriv --bounding-set=-dac_override,-dac_read_search".split(" ");
    const command = process.getuid!() === 0 ? [...drop, ...MAIN] : MAIN;
    const finished = await run([...command, file], options);
    assertOneLineError(finished, `Cannot read "${file}": EACCES`);
    assertEquals(finished.stdout, "");
  });
});

test("examples/demo/main.ts takes one file at most, and says so with its usage", async () => {
  await withPlace(async ({ options }) => {
    for (const args of [["a", "b"], ["--help"]]) {
      const { code, stdout, stderr } = await run([...MAIN, ...args], options);
      assertEquals({ code, stdout, stderr }, {
        code: 2,
        stdout: "",
        stderr: "Usage: npm start [-- FILE]\n",
      });
    }
  });
});

/** Starts a demo with a file that takes minutes, and waits until the first client sends it. */
async function startLong({ directory, options }: Place): Promise<TestProcess> {
  const demo = new TestProcess([...MAIN, sparseFile(directory, 2 ** 37)], options);
  await demo.waitFor(/server .* peer is/);
  return demo;
}

for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  test(`examples/demo/main.ts ends its processes and removes its directory at ${signal}`, async () => {
    await withPlace(async (place) => {
      await using demo = await startLong(place);
      assertEquals(readdirSync(place.temporary).length, 1);
      demo.kill(signal);
      const { code, stderr } = await demo.finished;
      assertEquals({ code, stderr }, { code: expected, stderr: "" });
      assertNoneAlive(demo.stdout);
    });
  });
}

test("examples/demo/main.ts shows its progress on a terminal, and cleans up at Ctrl-C", {
  skip: unlessProgram("python3"),
}, async () => {
  await withPlace(async ({ directory, options }) => {
    const file = sparseFile(directory, 2 ** 37);
    await using demo = onTerminal([...MAIN, file], options);
    await demo.waitFor("\r\x1b[Kdeno → bun → deno  ");
    await demo.waitFor(/ [\d,]+ bytes {2}\d+ % {2}[\d.,]+ [Mk]B\/s/);
    demo.write(CTRL_C);
    assertEquals((await demo.finished).code, 130);
    assertNoneAlive(demo.stdout);
  });
});

test("examples/demo/main.ts names the process that was lost, and ends the others", async () => {
  for (const role of ["server", "client"]) {
    await withPlace(async (place) => {
      await using demo = await startLong(place);
      const [server, client] = pidsIn(demo.stdout);
      process.kill(role === "server" ? server! : client!, "SIGKILL");
      const finished = await demo.finished;
      const runtime = role === "server" ? "bun" : "deno";
      assertOneLineError(finished, `Lost the ${role} under ${runtime}: SIGKILL`);
      assertNoneAlive(demo.stdout);
    });
  }
});

test("examples/demo/main.ts cleans up when nobody reads its output any more", async () => {
  await withPlace(async ({ options }) => {
    // As npm start does it; Bun's console.log() ignores that nobody reads.
    const main = commandFor("node", join(ROOT, "examples", "demo", "main.ts"));
    const demo = spawn(main[0]!, main.slice(1), {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stderr = "";
    demo.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
    demo.stdout.destroy();
    const [code] = await once(demo, "close");
    assertEquals({ code, stderr }, { code: 1, stderr: "" });
  });
});

test("examples/demo/server.ts and client.ts do not outlive a main.ts that was killed", async () => {
  await withPlace(async (place) => {
    await using demo = await startLong(place);
    const [server, client] = pidsIn(demo.stdout);
    demo.kill("SIGKILL");
    await until(() => !isAlive(server!) && !isAlive(client!), "the children to end");
    const [directory] = readdirSync(place.temporary);
    assert(!existsSync(join(place.temporary, directory!, "demo.sock")));
    // Nobody was left to remove this.
    execFileSync("rmdir", [join(place.temporary, directory!)]);
  });
});
