import { chmodSync, existsSync, readdirSync, readlinkSync, statSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertGreaterOrEqual, assertMatch } from "@std/assert";
import { dirname } from "@std/path";
import { readLines } from "../../examples/lines.ts";
import { UnixSeqpacket, UnixStream } from "../../mod.ts";
import { assertOneLineError, exampleCommand, runExample } from "../support/examples.ts";
import { python } from "../support/interop.ts";
import {
  bytes,
  RUNTIME,
  type RuntimeName,
  RUNTIMES,
  TestProcess,
  text,
  unlessProgram,
  withTempSocketPath,
} from "../support/mod.ts";
import { until } from "../support/waiting.ts";

/** Starts a server, which takes over where one runs, and waits until it serves. */
async function startServer(path: string, runtime: RuntimeName = RUNTIME): Promise<TestProcess> {
  const server = new TestProcess(exampleCommand(runtime, "hot_restart", [path]));
  try {
    await server.waitFor(/^(Listening on|Took over) /);
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

/** Asserts that a server ended by itself, because it was replaced. */
async function assertReplaced(server: TestProcess): Promise<void> {
  const { code, signal, stdout, stderr } = await server.finished;
  assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
  assertMatch(stdout, /\nHanded \d+ connections over\n$/);
}

/** Asserts that a server ends with 0 when it is asked to. */
async function assertEndsAtSignal(server: TestProcess, name: NodeJS.Signals): Promise<void> {
  server.kill(name);
  const { code, signal, stderr } = await server.finished;
  assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
}

/** How many sockets a process has open. */
function countSockets({ pid }: TestProcess): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith("socket:");
    } catch {
      return false; // It was closed meanwhile.
    }
  }).length;
}

/** The next line, which has to come. */
async function nextLine(answers: AsyncGenerator<string, void, void>): Promise<string> {
  const { done, value } = await answers.next();
  if (done) throw new Error("The server closed the connection");
  return value;
}

/** What is asked of the servers, and what they answered. */
class Load {
  /** How many requests were answered. */
  answered = 0;
  /** Whether the clients shall come to an end. */
  over = false;
  /** Which processes answered each of the clients, in order. */
  readonly servers = new Map<string, string[]>();
  #watchers = new Set<() => void>();

  /** Checks one answer. */
  note(client: string, request: string, answer: string): void {
    const [, server, rest] = /^(\w+ \d+): (.*)$/.exec(answer) ?? [];
    assertEquals(rest, request);
    const servers = this.servers.get(client) ?? [];
    this.servers.set(client, servers);
    if (servers.at(-1) !== server) servers.push(server!);
    this.answered++;
    for (const watcher of this.#watchers) watcher();
  }

  /** Waits until an answer makes a condition true. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        const watcher = () => {
          this.#watchers.delete(watcher);
          resolve();
        };
        this.#watchers.add(watcher);
      });
    }
  }
}

/**
 * One connection for the whole time. Ten requests are under way at once, and the server always has
 * half of another.
 */
async function talkOn(load: Load, path: string, client: string): Promise<void> {
  const request = (i: number) => `${client}, request ${i}${"-".repeat(i * 7 % 90)}`;
  using stream = await UnixStream.connect(path);
  const answers = readLines(stream);
  const half = (i: number) => request(i).length >> 1;
  let begun = "";
  let next = 0;
  while (!load.over) {
    const end = next + 10;
    let data = `${request(next)}\n`.slice(begun.length);
    for (let i = next + 1; i < end; i++) data += `${request(i)}\n`;
    begun = request(end).slice(0, half(end));
    await stream.writeAll(bytes(data + begun));
    for (; next < end; next++) load.note(client, request(next), await nextLine(answers));
  }
  await stream.writeAll(bytes(request(next).slice(begun.length)));
  stream.closeWrite();
  load.note(client, request(next), await nextLine(answers));
  assertEquals(await answers.next(), { done: true, value: undefined });
}

/** One connection for each request. */
async function comeAndGo(load: Load, path: string, client: string): Promise<void> {
  for (let i = 0; !load.over; i++) {
    using stream = await UnixStream.connect(path);
    const request = `${client}, request ${i}`;
    const answers = readLines(stream);
    await stream.writeAll(bytes(`${request}\n`));
    if (i % 2 === 0) stream.closeWrite();
    load.note(client, request, await nextLine(answers));
    if (i % 2 === 0) assertEquals(await answers.next(), { done: true, value: undefined });
  }
}

const SEQUENCE = ["deno", "bun", "node", "deno"] as const;
const REQUESTS = 10_000;
const LASTING = Array.from({ length: 8 }, (_, i) => `lasting ${i}`);
const PASSING = Array.from({ length: 4 }, (_, i) => `passing ${i}`);

test(`examples/hot_restart.ts answers every one of ${REQUESTS} requests once and in order while it moves over ${SEQUENCE.join(", ")}`, async () => {
  await withTempSocketPath(async (path) => {
    await using servers = new AsyncDisposableStack();
    const start = async (runtime: RuntimeName) => servers.use(await startServer(path, runtime));
    let server = await start(SEQUENCE[0]);
    const idle = countSockets(server);
    const inodes = () => [path, `${path}.control`].map((each) => statSync(each).ino);
    const first = inodes();
    const load = new Load();
    const clients = [
      ...LASTING.map((client) => talkOn(load, path, client)),
      ...PASSING.map((client) => comeAndGo(load, path, client)),
    ];
    const names: string[] = [];
    const restart = async () => {
      for (const [i, runtime] of SEQUENCE.entries()) {
        if (i > 0) {
          const old = server;
          server = await start(runtime);
          await assertReplaced(old);
        }
        const name = `${runtime} ${server.pid}`;
        names.push(name);
        const served = (client: string) => load.servers.get(client)?.at(-1) === name;
        const enough = REQUESTS * (i + 1) / SEQUENCE.length;
        await load.until(() =>
          load.answered >= enough && LASTING.every(served) && PASSING.every(served)
        );
      }
      load.over = true;
    };
    await Promise.all([restart(), ...clients]);

    assertGreaterOrEqual(load.answered, REQUESTS);
    // Nobody was answered by a process that had been replaced.
    for (const client of LASTING) assertEquals(load.servers.get(client), names, client);
    for (const client of PASSING) {
      const seen = load.servers.get(client)!;
      assertEquals(seen, names, client);
    }
    assertEquals(inodes(), first);
    await until(() => countSockets(server) === idle, "the last server to close all connections");
    await assertEndsAtSignal(server, "SIGTERM");
  });
});

for (const next of RUNTIMES) {
  test(`examples/hot_restart.ts under ${next} takes over half a request and answers that nobody reads`, async () => {
    await withTempSocketPath(async (path) => {
      await using old = await startServer(path);
      using half = await UnixStream.connect(path);
      await half.writeAll(bytes("whole\nhalf"));
      const answers = readLines(half);
      assertEquals(await nextLine(answers), `${RUNTIME} ${old.pid}: whole`);

      using slow = await UnixStream.connect(path);
      const requests = Array.from({ length: 2000 }, (_, i) => `${i}${"-".repeat(i % 4000)}`);
      // More than both directions hold, so that the server has to wait with an answer.
      const asking = slow.writeAll(bytes(`${requests.join("\n")}\nthe last`));
      await until(() => slow.bytesReadable > 0, "the server to answer");
      await using server = await startServer(path, next);
      await assertReplaced(old);

      await half.writeAll(bytes(" and half\n"));
      assertEquals(await nextLine(answers), `${next} ${server.pid}: half and half`);

      const received = readLines(slow);
      const seen = new Set<string>();
      const check = async (request: string) => {
        const [, name, rest] = /^(\w+ \d+): (.*)$/.exec(await nextLine(received)) ?? [];
        assertEquals(rest, request);
        seen.add(name!);
      };
      for (const request of requests) await check(request);
      await asking;
      slow.closeWrite();
      await check("the last");
      assertEquals(await received.next(), { done: true, value: undefined });
      assertEquals([...seen], [`${RUNTIME} ${old.pid}`, `${next} ${server.pid}`]);
      await assertEndsAtSignal(server, "SIGINT");
    });
  });
}

test("examples/hot_restart.ts serves on when the process that takes over fails", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer(path);
    using stream = await UnixStream.connect(path);
    const answers = readLines(stream);
    const ask = async (request: string) => {
      await stream.writeAll(bytes(`${request}\nbegun `));
      return await nextLine(answers);
    };
    const name = `${RUNTIME} ${server.pid}`;
    assertEquals(await ask("one"), `${name}: one`);
    {
      using hasty = await UnixSeqpacket.connect(`${path}.control`);
      using message = await hasty.receiveMessage();
      assertEquals([text(message!.data), message!.fds.length], ["1", 2]);
    }
    assertEquals(await ask("two"), `${name}: begun two`);
    {
      using failing = await UnixSeqpacket.connect(`${path}.control`);
      using _listeners = await failing.receiveMessage();
      using _connection = await failing.receiveMessage();
    }
    assertEquals(await ask("three"), `${name}: begun three`);
    await until(() => server.stderr.split("\n").length === 3, "both failures to be told");
    assertMatch(server.stderr, /^(Cannot hand over: .*\n){2}$/);
    using second = await UnixStream.connect(path);
    await second.writeAll(bytes("new\n"));
    assertEquals(await nextLine(readLines(second)), `${name}: new`);

    await using next = await startServer(path);
    assertEquals((await server.finished).code, 0);
    assertEquals(await ask("four"), `${RUNTIME} ${next.pid}: begun four`);
  });
});

test("examples/hot_restart.ts is taken over by one after the other where several come at once", async () => {
  await withTempSocketPath(async (path) => {
    await using old = await startServer(path);
    using stream = await UnixStream.connect(path);
    const answers = readLines(stream);
    await stream.writeAll(bytes("first\n"));
    assertEquals(await nextLine(answers), `${RUNTIME} ${old.pid}: first`);
    await using newcomers = new AsyncDisposableStack();
    const started = await Promise.all(RUNTIMES.map((runtime) => startServer(path, runtime)));
    for (const each of started) newcomers.use(each);
    await assertReplaced(old);
    const replaced = (each: TestProcess) => each.stdout.includes("Handed 1 connections over");
    await until(() => started.filter(replaced).length === 2, "all but one to be replaced");
    const last = started.findIndex((each) => !replaced(each));
    await stream.writeAll(bytes("last\n"));
    assertEquals(await nextLine(answers), `${RUNTIMES[last]} ${started[last]!.pid}: last`);
    for (const [i, each] of started.entries()) if (i !== last) await assertReplaced(each);
    await assertEndsAtSignal(started[last]!, "SIGTERM");
  });
});

test("examples/hot_restart.ts removes the paths that it made, and replaces those of one that took over", async () => {
  await withTempSocketPath(async (path) => {
    const exist = () => [path, `${path}.control`].map((each) => existsSync(each));
    {
      await using only = await startServer(path);
      assertEquals(statSync(`${path}.control`).mode & 0o777, 0o600);
      await assertEndsAtSignal(only, "SIGTERM");
      assertEquals(exist(), [false, false]);
    }
    await using first = await startServer(path);
    await using second = await startServer(path);
    await assertReplaced(first);
    await assertEndsAtSignal(second, "SIGINT");
    assertEquals(exist(), [true, true]);
    await using third = await startServer(path);
    assert(third.stdout.startsWith("Listening on "));
    await assertEndsAtSignal(third, "SIGTERM");
    assertEquals(exist(), [false, false]);
  });
});

test("examples/hot_restart.ts closes a connection whose line has no end, and no other", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer(path);
    using endless = await UnixStream.connect(path);
    const flood = endless.writeAll(new Uint8Array(16 << 20)).then(() => "taken", (e) => e.code);
    assertEquals(await flood, "EPIPE");
    await server.waitFor("A line is too long\n", "stderr");
    using other = await UnixStream.connect(path);
    await other.writeAll(bytes("short\n"));
    assertEquals(await nextLine(readLines(other)), `${RUNTIME} ${server.pid}: short`);
  });
});

test("examples/hot_restart.ts prints its usage, or one line where it cannot listen", async () => {
  const { code, stdout, stderr } = await runExample(RUNTIME, "hot_restart");
  assertEquals({ code, stdout, stderr }, {
    code: 2,
    stdout: "",
    stderr: "Usage: hot_restart.ts PATH\n",
  });
  await withTempSocketPath(async (path) => {
    const nowhere = `${path}/nowhere/x`;
    const finished = await runExample(RUNTIME, "hot_restart", [nowhere]);
    assertOneLineError(finished, `Cannot bind to "${nowhere}": ENOENT`);
  });
});

const asAnotherUser = {
  skip: (process.getuid!() !== 0 && "needs root") || unlessProgram("python3"),
};
const BECOME_ANOTHER = "os.setgroups([]); os.setgid(65533); os.setuid(65533)";

test("examples/hot_restart.ts hands nothing to another user", asAnotherUser, async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServer(path);
    chmodSync(dirname(path), 0o777);
    chmodSync(`${path}.control`, 0o777); // So that only the server can refuse.
    await using stranger = python(
      `
      ${BECOME_ANOTHER}
      server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
      server.connect(args[0])
      say(len(server.recv(4096)))
      `,
      [`${path}.control`],
    );
    assertEquals(await stranger.succeeded(), "0\n");
    await using next = await startServer(path);
    await assertReplaced(server);
    await assertEndsAtSignal(next, "SIGTERM");
  });
});

test("examples/hot_restart.ts takes nothing from another user", asAnotherUser, async () => {
  await withTempSocketPath(async (path) => {
    chmodSync(dirname(path), 0o777);
    await using stranger = python(
      `
      ${BECOME_ANOTHER}
      listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
      listener.bind(args[0])
      listener.listen(1)
      say("listening")
      hear()
      `,
      [`${path}.control`],
    );
    await stranger.line();
    const finished = await runExample(RUNTIME, "hot_restart", [path]);
    assertOneLineError(finished, "Cannot take over from user 65533");
    stranger.tell();
    await stranger.succeeded();
  });
});
