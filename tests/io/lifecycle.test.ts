import { test } from "node:test";
import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import process from "node:process";
import { join } from "@std/path";
import { UnixStream } from "../../mod.ts";
import {
  bytes,
  commandFor,
  readText,
  ROOT,
  run,
  RUNTIME,
  TestProcess,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";

const program = (name: string) => join(ROOT, "tests/programs", name);
const lifecycle = (what: string, path: string) => [
  ...commandFor(RUNTIME, program("lifecycle.ts")),
  what,
  path,
];

/** Runs a program that has to end by itself, and returns what it said. */
async function endsByItself(what: string): Promise<string> {
  return await withTempSocketPath(async (path) => {
    const { code, signal, stdout, stderr } = await run(lifecycle(what, path));
    assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
    return stdout;
  });
}

/** Runs a program that an operation has to keep alive longer than an unref'd timer takes. */
async function staysAlive(what: string): Promise<void> {
  await withTempSocketPath(async (path) => {
    await using child = new TestProcess(lifecycle(what, path));
    assertEquals(await child.waitFor("still alive\n"), "still alive\n");
    assertEquals(child.child.exitCode, null);
  });
}

for (
  const [what, title] of [
    ["import", "only imports the library"],
    ["pair", "used a pair and left it open"],
    ["connections", "accepted connections and closed everything"],
    ["idle listener", "listens and accepts nothing"],
    ["listener that accepted", "accepted a connection and left all sockets open"],
    ["aborted", "aborted all that waited"],
    ["closed while waiting", "closed the sockets that it waited for"],
  ] as const
) {
  test(`a process that ${title} ends by itself`, async () => {
    assertEquals(await endsByItself(what), "");
  });
}

for (const what of ["read", "write", "accept", "connect", "read after other reads"]) {
  test(`K214 a pending ${what} keeps a process alive`, async () => {
    await staysAlive(`pending ${what}`);
  });
}

test("K214 a process that waited for one connection ends by itself once it came", async () => {
  await withTempSocketPath(async (path) => {
    await using child = new TestProcess(lifecycle("pending accept", path));
    await child.waitFor("still alive\n");
    using _stream = await UnixStream.connect(path);
    const { code, signal, stdout, stderr } = await child.finished;
    assertEquals({ code, signal, stdout, stderr }, {
      code: 0,
      signal: null,
      stdout: "still alive\naccepted\n",
      stderr: "",
    });
  });
});

test("K214 unref() before an operation lets the process end", async () => {
  assertEquals(await endsByItself("unref before"), "");
});

test("K214 unref() while operations wait lets the process end", async () => {
  assertEquals(await endsByItself("unref while waiting"), "");
});

test("K214 unref() of one socket leaves the other's operation in charge", async () => {
  await staysAlive("unref of one of two");
});

test("K214 ref() after unref() keeps the process alive again", async () => {
  await staysAlive("unref and ref");
});

test("K214 unref() and ref() around operations that finish leave nothing counted", async () => {
  assertEquals(await endsByItself("unref, ref and settle"), "");
});

test("K214 what is unref'd is served while something else keeps the process alive", async () => {
  await withTempSocketPath(async (path) => {
    await using child = new TestProcess(lifecycle("unref but served", path));
    await child.waitFor("ready\n");
    using stream = await UnixStream.connect(path);
    for (const word of ["one", "two", "three"]) {
      await stream.writeAll(bytes(word));
      assertEquals(await readText(stream), word);
    }
    assertEquals(await readText(stream), null);
    const { code, signal, stderr } = await child.finished;
    assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
  });
});

for (const what of ["exit", "exit at once"]) {
  test(`process.exit() (${what}) ends a process in which operations wait`, async () => {
    await withTempSocketPath(async (path) => {
      const { code, signal, stderr } = await run(lifecycle(what, path));
      assertEquals({ code, signal, stderr }, { code: 7, signal: null, stderr: "" });
    });
  });
}

for (const what of ["throw", "reject"]) {
  test(`an uncaught error (${what}) ends a process in which operations wait`, async () => {
    await withTempSocketPath(async (path) => {
      const { code, signal, stderr } = await run(lifecycle(what, path));
      assertEquals({ code, signal }, { code: 1, signal: null });
      assertStringIncludes(stderr, "nobody catches this");
    });
  });
}

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  test(`${signal} ends a process that waits`, async () => {
    await withTempSocketPath(async (path) => {
      await using child = new TestProcess(lifecycle("wait", path));
      await child.waitFor("ready\n");
      process.kill(child.pid, signal);
      const finished = await child.finished;
      assertEquals([finished.code, finished.signal], [null, signal]);
      assertEquals(finished.stderr, "");
    });
  });
}

for (
  const [state, title] of [
    ["connections", "with a pending accept and 50 idle connections"],
    ["unread", "with a byte that nobody reads"],
    ["hung up", "with a peer that has hung up"],
    ["half closed", "with a peer that has ended its writing"],
    ["full", "with a write that waits for room"],
    ["full backlog", "with connections that nobody accepts"],
  ] as const
) {
  test(`a server ${title} uses no processor time`, async () => {
    await withTempDir(async (cwd) => {
      const { code, stdout, stderr } = await run(
        [...commandFor(RUNTIME, program("idle.ts")), state],
        { cwd },
      );
      assertEquals([code, stderr], [0, ""]);
      const { percent, looks } = JSON.parse(stdout) as { percent: number; looks: number };
      assertLess(percent, 5);
      assert(looks <= 2, `looked ${looks} times`);
    });
  });
}
