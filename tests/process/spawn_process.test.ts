import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Fd, UnixStream } from "../../mod.ts";
import { type SpawnOptions, spawnWithSocket } from "../../process.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  readText,
  readToEnd,
  settled,
  text,
  unlessProgram,
  withTempDir,
} from "../support/mod.ts";

/** What a program finds as its descriptors, by number, without the directory that it reads. */
async function tableOf(options: SpawnOptions<"stream"> = {}): Promise<Map<string, string>> {
  const list = "exec >&3; exec ls -l /proc/self/fd";
  await using child = await spawnWithSocket("sh", ["-c", list], options);
  const listed = text(await readToEnd(child.socket)).matchAll(/ (\d+) -> (\S+)/g);
  const table = [...listed].map(([, number, target]) => [number!, target!] as const);
  return new Map(table.filter(([, target]) => !target.startsWith("/proc/")));
}

/** The descriptors that this process did not open, and that every child of it has. */
function withoutCloseOnExec(): Set<string> {
  const inherited = new Set<string>();
  for (const number of readdirSync("/proc/self/fd")) {
    try {
      const flags = /flags:\s*([0-7]+)/.exec(readFileSync(`/proc/self/fdinfo/${number}`, "utf8"))!;
      if ((parseInt(flags[1]!, 8) & 0o2000000) === 0) inherited.add(number);
    } catch {
      // The descriptor of the listing itself.
    }
  }
  return inherited;
}

test("spawnWithSocket() gives a shell its end as descriptor 3, and the number in the environment", async () => {
  const script = 'echo "$AFUNIX_SOCKET_FD ${AFUNIX_FDS%@*}" >&3; cat <&3 >&2; exit 7';
  await using child = await spawnWithSocket("sh", ["-c", script], { name: "x", stderr: "pipe" });
  assertEquals(await readText(child.socket), "3 x=3\n");
  await child.socket.writeAll(bytes("to the shell"));
  child.socket.close();
  assertEquals(await child.status, { success: false, code: 7, signal: null });
  assertEquals(await new Response(child.stderr).text(), "to the shell");
});

test(
  "spawnWithSocket() gives a socket that blocks",
  { skip: unlessProgram("python3") },
  async () => {
    const script = "import socket\ns = socket.socket(fileno=3)\n" +
      "s.sendall(b'ready'); s.sendall(s.recv(100).upper())";
    await using child = await spawnWithSocket("python3", ["-c", script]);
    assertEquals(await readText(child.socket, 5), "ready");
    await child.socket.writeAll(bytes("hello"));
    assertEquals(text(await readToEnd(child.socket)), "HELLO");
    assertEquals((await child.status).code, 0);
  },
);

test("spawnWithSocket() hands on what is asked for, and nothing else", async () => {
  using a = Fd.memfd("a");
  using b = Fd.memfd("b");
  const inherited = withoutCloseOnExec();
  const [own, other] = UnixStream.pair();
  for (const stdio of ["inherit", "ignore"] as const) {
    const table = await tableOf({ fds: [b, a, b], stdin: stdio, stdout: stdio, stderr: stdio });
    for (const number of inherited) if (Number(number) > 6) table.delete(number);
    assertEquals([...table.keys()].sort(), ["0", "1", "2", "3", "4", "5", "6"]);
    assertEquals(["4", "5", "6"].map((number) => table.get(number)), [
      "/memfd:b",
      "/memfd:a",
      "/memfd:b",
    ]);
  }
  own.close();
  other.close();
});

test("spawnWithSocket() gives descriptors whose numbers are those of others in the child", async () => {
  // Standard streams among them, and more of them than there are low numbers.
  const files = Array.from({ length: 40 }, (_, index) => Fd.memfd(`m${index}`));
  const table = await tableOf({ fds: [2, 1, ...files.toReversed(), 0] });
  const low = (number: number) => table.get(String(number));
  const own = (number: number) => readlinkSync(`/proc/self/fd/${number}`).split(" ")[0];
  assertEquals([low(4), low(5), low(46)], [own(2), own(1), own(0)]);
  for (const index of files.keys()) assertEquals(low(45 - index), `/memfd:m${index}`);
  for (const file of files) file.close();
});

test("spawnWithSocket() rejects where nothing can start, and leaves nothing open", async () => {
  await assertNoFdLeak(async () => {
    const closed = Fd.memfd("closed");
    closed.close();
    await assertFails(() => spawnWithSocket("no-such-program-here"), "ENOENT");
    await assertFails(
      () => spawnWithSocket("/no/such/program", ["x"], { stdout: "pipe" }),
      "ENOENT",
    );
    await assertFails(() => spawnWithSocket("/etc"), "EACCES");
    await assertFails(() => spawnWithSocket("true", [], { cwd: "/no/such/directory" }), "ENOENT");
    await assertFails(() => spawnWithSocket("true", [], { fds: { x: closed } }), "EBADF");
    await assertFails(() => spawnWithSocket("true", [], { fds: [0, 900_000] }), "EBADF");
    await assertFails(() => spawnWithSocket("true", ["x".repeat(1 << 22)]), "E2BIG");
  });
});

test("A failure to start says which program, with the runtime's error as its cause", async () => {
  const error = await assertRejects(() => spawnWithSocket("no-such-program-here"), Error);
  assertEquals(error.message, 'Cannot start "no-such-program-here": ENOENT');
  assert(error.cause instanceof Error);
});

test("200 children leave the descriptor table as it was", async () => {
  const once = async () => {
    const child = await spawnWithSocket("true", [], { stdin: "ignore" });
    assertEquals(await child.socket.read(new Uint8Array(1)), null);
    child.socket.close();
    assertEquals((await child.status).code, 0);
  };
  await assertNoFdLeak(async () => {
    for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 10 }, once));
  });
});

test("status tells exit codes and signals apart", async () => {
  for (
    const [script, code, signal] of [
      ["exit 0", 0, null],
      ["exit 137", 137, null],
      ["kill -TERM $$", null, "SIGTERM"],
      ["kill -KILL $$", null, "SIGKILL"],
    ] as const
  ) {
    await using child = await spawnWithSocket("sh", ["-c", script]);
    assertEquals(await child.status, { success: code === 0, code, signal });
  }
});

test("kill() sends signals that the child may handle, and false once it has ended", async () => {
  const script = "trap 'echo got >&3' USR1; trap 'exit 5' TERM; echo ready >&3; " +
    "while :; do read line <&3; done";
  await using child = await spawnWithSocket("sh", ["-c", script]);
  assertEquals(await readText(child.socket), "ready\n");
  assert(child.kill("SIGUSR1"));
  assert(child.kill(0));
  await child.socket.writeAll(bytes("\n"));
  assertEquals(await readText(child.socket), "got\n");
  assert(child.kill());
  assertEquals(await child.status, { success: false, code: 5, signal: null });
  assert(!child.kill("SIGKILL"));
  await assertFails(() => child.pidfd(), "ESRCH");
  assertThrows(() => child.kill("SIGNO"), TypeError);
  assertThrows(() => child.kill(65), RangeError);
});

test("pidfd() becomes readable when the process ends, and is the caller's", async () => {
  const child = await spawnWithSocket("sleep", ["1000"], { killSignal: "SIGKILL" });
  using pidfd = child.pidfd();
  const waiting = pidfd.waitReadable();
  child.kill();
  await waiting;
  assertEquals((await child.status).signal, "SIGKILL");
  assert(!pidfd.closed);
  await pidfd.waitReadable();
  child.socket.close();
});

test("An abort kills the process, and one before the start starts nothing", async () => {
  const reason = new Error("stop");
  await assertNoFdLeak(async () => {
    const aborted = spawnWithSocket("true", [], { signal: AbortSignal.abort(reason) });
    assertEquals(await aborted.catch((error) => error), reason);
    const controller = new AbortController();
    const child = await spawnWithSocket("sleep", ["1000"], {
      signal: controller.signal,
      killSignal: "SIGINT",
    });
    controller.abort(reason);
    assertEquals((await child.status).signal, "SIGINT");
    child.socket.close();
  });
});

test("`await using` closes everything and ends the process", async () => {
  await assertNoFdLeak(async () => {
    let kept;
    {
      await using child = await spawnWithSocket("sleep", ["1000"], {
        stdin: "pipe",
        stdout: "pipe",
        stderr: "pipe",
      });
      kept = child;
    }
    assert(kept.socket.closed);
    assertEquals((await kept.status).signal, "SIGTERM");
  });
});

test("Piped standard streams carry bytes, also when they are read after the end", async () => {
  const options = { stdin: "pipe", stdout: "pipe", stderr: "pipe" } as const;
  await using child = await spawnWithSocket("sh", ["-c", "cat; echo on stderr >&2"], options);
  const writer = child.stdin!.getWriter();
  await writer.write(bytes("on stdin"));
  await writer.close();
  assertEquals((await child.status).code, 0);
  await settled();
  assertEquals(await new Response(child.stdout).text(), "on stdin");
  assertEquals(await new Response(child.stderr).text(), "on stderr\n");
  await using other = await spawnWithSocket("true");
  assertEquals([other.stdin, other.stdout, other.stderr], [null, null, null]);
});

test("env and cwd are those of the child", async () => {
  await withTempDir(async (directory) => {
    const script = 'echo "$(pwd) [$SPAWN_A] [$SPAWN_B] [$SPAWN_C]" >&3';
    process.env.SPAWN_C = "own";
    for (const cwd of [directory, pathToFileURL(directory)]) {
      await using child = await spawnWithSocket("sh", ["-c", script], {
        cwd,
        env: { PATH: process.env.PATH, SPAWN_A: "a b", SPAWN_B: undefined },
      });
      assertEquals(text(await readToEnd(child.socket)), `${directory} [a b] [] []\n`);
    }
    await using child = await spawnWithSocket(pathToFileURL("/bin/sh"), ["-c", script]);
    delete process.env.SPAWN_C;
    assert(text(await readToEnd(child.socket)).endsWith("[own]\n"));
  });
});

test("spawnWithSocket() refuses what is no command, argument or option", async () => {
  // deno-lint-ignore no-explicit-any -- wrong on purpose
  const start = (...args: any[]) => () => (spawnWithSocket as any)(...args);
  for (
    const wrong of [
      [3],
      [""],
      ["a\0b"],
      [new URL("http://localhost/")],
      ["true", "x"],
      ["true", [3]],
      ["true", ["a\0b"]],
      ["true", [], 3],
      ["true", [], { type: "raw" }],
      ["true", [], { stdin: "socket" }],
      ["true", [], { name: 3 }],
      ["true", [], { fds: 3 }],
      ["true", [], { fds: ["x"] }],
      ["true", [], { env: { A: 3 } }],
      ["true", [], { env: { "A=": "3" } }],
      ["true", [], { env: { A: "\0" } }],
      ["true", [], { cwd: 3 }],
      ["true", [], { signal: {} }],
      ["true", [], { killSignal: "TERM" }],
    ]
  ) {
    await assertRejects(start(...wrong), TypeError, "Cannot use", JSON.stringify(wrong));
  }
  for (
    const wrong of [
      { name: "a b" },
      { name: "" },
      { fds: { "a,b": 0 } },
      { fds: { socket: 0 } },
      { fds: [-2] },
      { killSignal: 65 },
    ]
  ) {
    await assertRejects(start("true", [], wrong), RangeError, "Cannot use", JSON.stringify(wrong));
  }
});
