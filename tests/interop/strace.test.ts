import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { basename, join } from "@std/path";
import { Peer } from "../support/interop.ts";
import { commandFor, ROOT, RUNTIME, unlessProgram, withTempDir } from "../support/mod.ts";

function unlessTraceable(): string | false {
  const missing = unlessProgram("strace");
  if (missing) return missing;
  const { status } = spawnSync("strace", ["-f", "-o", "/dev/null", "true"]);
  return status !== 0 && "the system does not let strace trace";
}

const options = { skip: unlessTraceable() };

interface Call {
  name: string;
  args: string;
  result: string;
}

interface Trace {
  /** The calls of the main thread, from the first socket of the program's to its output. */
  calls: Call[];
  /** The signals that came, in the same time. */
  signals: string[];
  /** The path it listened on. */
  path: string;
  /** What the program closed, in this order. */
  closed: { what: string; fd: number }[];
}

/** Runs tests/programs/traced.ts under strace. */
async function traced(): Promise<Trace> {
  return await withTempDir(async (directory) => {
    const [path, file] = [join(directory, "traced.sock"), join(directory, "trace")];
    const program = commandFor(RUNTIME, join(ROOT, "tests/programs/traced.ts"));
    const calls = "%network,close,fcntl,pipe2,epoll_ctl,unlink,unlinkat,fchmod,write";
    await using strace = new Peer([
      ...["strace", "-f", "-s", "256", "-e", `trace=${calls}`, "-o", file],
      ...[...program, path],
    ]);
    const closed = await strace.json<Trace["closed"]>();
    await strace.succeeded();
    return { ...parse(readFileSync(file, "utf8"), path), path, closed };
  });
}

/** Lines are `PID name(args) = result`, or two, `PID name(args <unfinished ...>` and a resumed one. */
function parse(output: string, path: string): Pick<Trace, "calls" | "signals"> {
  const lines: { pid: string; line: string }[] = [];
  const unfinished = new Map<string, { pid: string; line: string }>();
  for (const text of output.split("\n")) {
    const [, pid, line] = /^(\d+) +(.*)$/.exec(text) ?? [];
    if (pid === undefined || line === undefined) continue;
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(line);
    const started = resumed === null ? { pid, line } : unfinished.get(pid)!;
    if (resumed !== null) started.line += resumed[1]!;
    else lines.push(started);
    const rest = / <unfinished \.\.\.>$/.exec(started.line);
    if (rest === null) continue;
    started.line = started.line.slice(0, rest.index);
    unfinished.set(pid, started);
  }
  const bound = lines.findIndex(({ line }) => line.startsWith("bind(") && line.includes(path));
  const { pid } = lines[bound]!;
  const main = lines.filter((line) => line.pid === pid).map(({ line }) => line);
  const descriptor = /^bind\((\d+),/.exec(lines[bound]!.line)![1];
  const created = main.findLastIndex((line, index) =>
    index < main.indexOf(lines[bound]!.line) && line.startsWith("socket(AF_UNIX") &&
    line.endsWith(` = ${descriptor}`)
  );
  const printed = main.findIndex((line) => line.startsWith('write(1, "[{'));
  assert(created >= 0 && printed > created);

  const calls: Call[] = [];
  const signals: string[] = [];
  for (const line of main.slice(created, printed)) {
    const call = /^(\w+)\((.*)\) += (.*)$/.exec(line);
    if (call !== null) calls.push({ name: call[1]!, args: call[2]!, result: call[3]! });
    else signals.push(/^--- (\w+)/.exec(line)?.[1] ?? line);
  }
  return { calls, signals };
}

function named(calls: readonly Call[], ...names: string[]): Call[] {
  return calls.filter(({ name }) => names.includes(name));
}

const BORN = "SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK";

test(
  "strace: UnixStream and UnixListener create sockets close-on-exec and non-blocking",
  options,
  async () => {
    const { calls } = await traced();
    assertEquals(
      named(calls, "socket").map(({ args }) => args),
      Array(3).fill(`AF_UNIX, ${BORN}, 0`),
    );
    assertEquals(
      named(calls, "socketpair").map(({ args }) => args.replace(/, \[.*/, "")),
      Array(2).fill(`AF_UNIX, ${BORN}, 0`),
    );
  },
);

test(
  "C79 strace: UnixListener accepts with accept4, close-on-exec and non-blocking",
  options,
  async () => {
    const { calls } = await traced();
    const accepts = named(calls, "accept", "accept4");
    assertEquals(new Set(accepts.map(({ name }) => name)), new Set(["accept4"]));
    for (const { args } of accepts) {
      assert(args.endsWith("NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK"), args);
    }
    assertEquals(accepts.filter(({ result }) => /^\d+$/.test(result)).length, 2);
  },
);

test(
  "L229 strace: UnixStream sends with MSG_NOSIGNAL, each write once, and no SIGPIPE comes",
  options,
  async () => {
    const { calls, signals } = await traced();
    const sends = named(calls, "sendto", "sendmsg", "sendmmsg");
    assertEquals(sends.map(({ args }) => args.replace(/^\d+, /, "")), [
      '"afunix-request", 14, MSG_NOSIGNAL, NULL, 0',
      '"afunix-answer", 13, MSG_NOSIGNAL, NULL, 0',
      '"afunix-pair", 11, MSG_NOSIGNAL, NULL, 0',
      '"afunix-too-late", 15, MSG_NOSIGNAL, NULL, 0',
    ]);
    assertEquals(sends.at(-1)!.result, "-1 EPIPE (Broken pipe)");
    assertEquals(signals.includes("SIGPIPE"), false);
  },
);

test(
  "M232 strace: every descriptor is closed exactly once, and leaves the epoll set before",
  options,
  async () => {
    const { calls, closed } = await traced();
    /** What is open and ours, and whether it is in the epoll set. */
    const open = new Map<number, { watched: boolean }>();
    const made = (...numbers: string[]) => {
      for (const number of numbers) open.set(Number(number), { watched: false });
    };
    const closes: number[] = [];
    let everWatched = 0;
    let pipesAreOurs = false;
    for (const { name, args, result } of calls) {
      const first = Number(/^\d+/.exec(args)?.[0] ?? -1);
      const failed = result.startsWith("-1");
      if (name === "close") {
        assertEquals(failed, false, `close(${args}) = ${result}`);
        if (!open.has(first)) continue;
        assertEquals(open.get(first), { watched: false }, `close(${args}) of what is watched`);
        open.delete(first);
        closes.push(first);
      } else if (name === "epoll_ctl") {
        const [, operation, fd] = /EPOLL_CTL_(\w+), (\d+)/.exec(args)!;
        const ours = open.get(Number(fd));
        if (ours === undefined) continue;
        assertEquals(failed, false, `epoll_ctl(${args}) = ${result}`);
        ours.watched = operation !== "DEL";
        if (ours.watched) everWatched++;
      } else if (failed) {
        continue;
      } else if (name === "socket" || name === "accept4") {
        made(result);
      } else if (name === "socketpair" || (name === "pipe2" && pipesAreOurs)) {
        made(.../\[(\d+), (\d+)\]/.exec(args)!.slice(1));
        // Before, a runtime may need some for its own loop.
        if (name === "socketpair") pipesAreOurs = true;
      } else if (name === "fcntl" && args.includes("F_DUPFD_CLOEXEC") && open.has(first)) {
        made(result);
      }
    }
    assertEquals(closes, closed.map(({ fd }) => fd));
    assertEquals([...open.keys()], []);
    // The listener and both ends of the first connection have waited.
    assertEquals(everWatched, 3);
  },
);

test("strace: UnixListener.listen() sets the mode before it binds", options, async () => {
  const { calls, path } = await traced();
  const order = named(calls, "fchmod", "bind", "listen").map(({ name, args }) =>
    `${name} ${args.replace(/^\d+, /, "")}`
  );
  assertEquals(order.slice(0, 2), [
    "fchmod 0600",
    `bind {sa_family=AF_UNIX, sun_path="${path}"}, ${path.length + 3}`,
  ]);
  assertEquals(order[2]!.startsWith("listen"), true);
});

test(
  "C62 strace: UnixListener.close() removes its path once, before it closes",
  options,
  async () => {
    const { calls, path, closed } = await traced();
    const { fd } = closed.find(({ what }) => what === "listener")!;
    const removals = named(calls, "unlink", "unlinkat");
    // By way of the directory's descriptor, so that a directory that was swapped harms nobody.
    const pinned = new RegExp(`^"/proc/self/fd/\\d+/${basename(path)}"$`);
    assertEquals(removals.map(({ args }) => pinned.test(args)), [true]);
    const removed = calls.indexOf(removals[0]!);
    const after = calls.slice(removed).findIndex(({ name, args }) =>
      name === "close" && args === String(fd)
    );
    const before = calls.slice(0, removed).some(({ name, args }) =>
      name === "close" && args === String(fd)
    );
    assertEquals([before, after > 0], [false, true]);
  },
);
