import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { abstract, UnixDatagram, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { listenFds } from "../../systemd.ts";
import { freshName } from "../support/interop.ts";
import {
  assertFails,
  bytes,
  commandFor,
  readText,
  ROOT,
  run,
  RUNTIMES,
  TestProcess,
  text,
  unlessProgram,
} from "../support/mod.ts";
import { activate, type Passable, programCommand, withEnvironment } from "../support/systemd.ts";

const withPython = { skip: unlessProgram("python3") };
const NONE = { LISTEN_PID: undefined, LISTEN_FDS: undefined, LISTEN_FDNAMES: undefined };

/** What the program says that gets these descriptors and variables. */
async function outcome(
  kinds: readonly Passable[],
  env: Record<string, string>,
  action = "report",
): Promise<Record<string, unknown>> {
  await using service = activate(kinds, env, programCommand("systemd_listen", [action]));
  for (const kind of kinds) if (kind === "tcp") await service.line();
  const said = await service.json<Record<string, unknown>>();
  await service.succeeded();
  return said;
}

const ALL: Passable[] = [
  "stream-listener",
  "stream",
  "seqpacket-listener",
  "seqpacket",
  "datagram",
  "tcp",
  "udp6",
  "pipe",
];

test(
  "listenFds() tells name, kind and family of each descriptor, and makes it close-on-exec",
  withPython,
  async () => {
    const names = "web::a name:seq:log:tcp:udp:fifo";
    const env = { LISTEN_PID: "PID", LISTEN_FDS: "8", LISTEN_FDNAMES: names };
    const { passed, again } = await outcome(ALL, env) as { passed: unknown[]; again: number };
    const flags = { closeOnExec: true, nonBlocking: false };
    const unix = { ...flags, family: "unix" };
    assertEquals(passed, [
      { fd: 3, name: "web", kind: "stream-listener", listening: true, ...unix },
      { fd: 4, name: "", kind: "stream", listening: false, ...unix },
      { fd: 5, name: "a name", kind: "seqpacket-listener", listening: true, ...unix },
      { fd: 6, name: "seq", kind: "seqpacket", listening: false, ...unix },
      { fd: 7, name: "log", kind: "datagram", listening: false, ...unix },
      { fd: 8, name: "tcp", kind: "other", listening: true, family: "inet", ...flags },
      { fd: 9, name: "udp", kind: "other", listening: false, family: "inet6", ...flags },
      { fd: 10, name: "fifo", kind: "other", listening: false, family: null, ...flags },
    ]);
    assertEquals(again, 8);
  },
);

test("listenFds() calls descriptors without names unknown", withPython, async () => {
  const env = { LISTEN_PID: "PID", LISTEN_FDS: "2", LISTEN_FDNAMES: "" };
  const { passed } = await outcome(["pipe", "pipe"], env) as { passed: { name: string }[] };
  assertEquals(passed.map(({ name }) => name), ["unknown", "unknown"]);
});

test(
  "listenFds() leaves the variables where they are, or removes them on request",
  withPython,
  async () => {
    const env = {
      LISTEN_PID: "PID",
      LISTEN_FDS: "1",
      LISTEN_FDNAMES: "one",
      LISTEN_PIDFDID: "1",
    };
    const kept = await outcome(["pipe"], env);
    assertEquals([kept.environment, kept.again], [Object.keys(env).sort(), 1]);
    const removed = await outcome(["pipe"], env, "unset");
    assertEquals([removed.environment, removed.again], [[], 0]);
    assertEquals((removed.passed as unknown[]).length, 1);
  },
);

test(
  "listenFds() finds nothing where the variables are another process's, or absent",
  withPython,
  async () => {
    const cases: Record<string, string>[] = [
      { LISTEN_PID: "1", LISTEN_FDS: "1" },
      { LISTEN_PID: "1", LISTEN_FDS: "no number" },
      { LISTEN_PID: "PID" },
      { LISTEN_PID: "PID", LISTEN_FDS: "" },
      { LISTEN_PID: "", LISTEN_FDS: "1" },
      { LISTEN_FDS: "1", LISTEN_FDNAMES: "one" },
    ];
    for (const env of cases) {
      const { passed, error } = await outcome(["pipe"], env);
      assertEquals([passed, error], [[], undefined], JSON.stringify(env));
    }
  },
);

test("listenFds() throws for variables that make no sense", withPython, async () => {
  const cases: [string, Record<string, string>][] = [
    ["Cannot use LISTEN_PID=x: EINVAL (expected a number from 1 to 2147483647)", {
      LISTEN_PID: "x",
    }],
    ["Cannot use LISTEN_PID=0: EINVAL (expected a number from 1 to 2147483647)", {
      LISTEN_PID: "0",
    }],
    ...["0", "-1", "1x", "0x1", " 1", "1.0", "2147483645", "9".repeat(30)].map((value) =>
      [
        `Cannot use LISTEN_FDS=${value}: EINVAL (expected a number from 1 to 2147483644)`,
        { LISTEN_PID: "PID", LISTEN_FDS: value },
      ] as [string, Record<string, string>]
    ),
    ["Cannot use LISTEN_FDNAMES=a:b: EINVAL (2 names for 1 descriptors)", {
      LISTEN_PID: "PID",
      LISTEN_FDS: "1",
      LISTEN_FDNAMES: "a:b",
    }],
  ];
  for (const [expected, env] of cases) {
    const { error, environment } = await outcome(["pipe"], env, "unset");
    assertEquals([error, environment], [expected, []]);
  }
});

test("listenFds() throws EBADF for more descriptors than are open", withPython, async () => {
  const expected = (fd: number) =>
    `Cannot take descriptor ${fd}, which LISTEN_FDS counts: EBADF (it is not open)`;
  const env = { LISTEN_PID: "PID", LISTEN_FDS: "2147483644" };
  const kinds: Passable[] = Array(40).fill("pipe");
  const { error } = await outcome(kinds, env);
  assertEquals(
    /^Cannot take descriptor \d+, .*: EBADF \(it is not open\)$/.test(error as string),
    true,
  );
  assertEquals(error === expected(3), false);
});

test("PassedFd makes of each kind what it is, once, and refuses all else", withPython, async () => {
  const env = { LISTEN_PID: "PID", LISTEN_FDS: `${ALL.length}` };
  await using service = activate(ALL, env, programCommand("systemd_listen", ["take"]));
  await service.line();
  assertEquals(await service.json(), [
    "UnixListener true -1 EBADF EINVAL,EPROTOTYPE",
    "UnixStream true -1 EBADF EINVAL,EPROTOTYPE",
    "UnixSeqpacketListener true -1 EBADF EINVAL,EPROTOTYPE",
    "UnixSeqpacket true -1 EBADF EINVAL,EPROTOTYPE",
    "UnixDatagram true -1 EBADF EPROTOTYPE",
    "Fd true -1 EBADF EPROTOTYPE",
    "Fd true -1 EBADF EPROTOTYPE",
    "Fd true -1 EBADF ENOTSOCK",
  ]);
  assertEquals(await service.json(), 0, "what was taken is passed no more");
  await service.succeeded();
});

test("PassedFd gives its number away, or closes it once", withPython, async () => {
  const env = { LISTEN_PID: "PID", LISTEN_FDS: "4" };
  assertEquals(await outcome(["pipe", "pipe", "pipe", "pipe"], env, "close"), {
    number: 3,
    fds: [-1, -1, -1, 6],
    left: [6],
    open: [3, 6],
    taken: "EBADF",
  });
});

test("listenFds() refuses options of a wrong type", async () => {
  await withEnvironment(NONE, () => {
    assertEquals(listenFds(), []);
    assertEquals(listenFds({ unsetEnvironment: undefined }), []);
    assertThrows(() => listenFds(null as never), TypeError);
    assertThrows(() => listenFds({ unsetEnvironment: 1 as never }), TypeError);
  });
});

test("listenFds() and its siblings on Deno say which permission they need, and never ask", async () => {
  const script = join(ROOT, "tests", "programs", "systemd_permission.ts");
  const environment = { LISTEN_PID: "", NOTIFY_SOCKET: "", WATCHDOG_USEC: "" };
  const answers = async (...flags: string[]) => {
    const command = commandFor("deno", script, { allowAll: false, flags });
    const { stdout, stderr } = await run(command, { env: environment });
    assertEquals(stderr, "");
    return JSON.parse(stdout);
  };
  const cannot = (name: string, ...needed: string[]) =>
    `Cannot read the environment variable ${name}: EACCES (needs --allow-env=${needed.join(",")})`;
  assertEquals(await answers(), [
    cannot("LISTEN_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"),
    cannot("NOTIFY_SOCKET", "NOTIFY_SOCKET"),
    cannot("WATCHDOG_USEC", "WATCHDOG_USEC", "WATCHDOG_PID"),
    cannot("WATCHDOG_USEC", "WATCHDOG_USEC", "WATCHDOG_PID"),
  ]);
  const names = "LISTEN_PID,LISTEN_FDS,LISTEN_FDNAMES,NOTIFY_SOCKET,WATCHDOG_USEC,WATCHDOG_PID";
  assertEquals(await answers(`--allow-env=${names}`), [0, false, null, null]);
});

const withActivation = { skip: unlessProgram("systemd-socket-activate") };

/** Starts the program by systemd-socket-activate, which waits for the first peer. */
async function activated(
  name: string,
  options: string[],
  runtime = RUNTIMES[0]!,
): Promise<TestProcess> {
  const program = programCommand("systemd_listen", ["echo"], runtime);
  const service = new TestProcess([
    "systemd-socket-activate",
    `--listen=@${name}`,
    ...options,
    "-E",
    "HOME",
    ...program,
  ]);
  await service.waitFor(/Listening on/, "stderr");
  return service;
}

for (const runtime of RUNTIMES) {
  test(
    `listenFds() under ${runtime} gets the listener of systemd-socket-activate`,
    withActivation,
    async () => {
      const name = freshName();
      await using service = await activated(name, ["--fdname=web"], runtime);
      using client = await UnixStream.connect(abstract(name));
      await client.writeAll(bytes("hello"));
      client.closeWrite();
      assertEquals(await readText(client), "hello");
      const { code, stdout, stderr } = await service.finished;
      assertEquals(code, 0, stderr);
      const { passed } = JSON.parse(stdout);
      assertEquals(passed, [{
        fd: 3,
        name: "web",
        kind: "stream-listener",
        family: "unix",
        listening: true,
        closeOnExec: true,
        nonBlocking: passed[0].nonBlocking,
      }]);
    },
  );
}

test(
  "listenFds() gets the seqpacket listener of systemd-socket-activate",
  withActivation,
  async () => {
    const name = freshName();
    await using service = await activated(name, ["--seqpacket"]);
    using client = await UnixSeqpacket.connect(abstract(name));
    await client.send(bytes("a record"));
    assertEquals(text((await client.receive())!.data), "a record");
    client.close();
    assertEquals((await service.finished).code, 0);
  },
);

test(
  "listenFds() gets the datagram socket of systemd-socket-activate",
  withActivation,
  async () => {
    const name = freshName();
    await using service = await activated(name, ["--datagram"]);
    using client = UnixDatagram.bind({ kind: "unnamed" });
    await client.sendTo(bytes("a message"), abstract(name));
    assertEquals(text((await client.receive()).data), "a message");
    assertEquals((await service.finished).code, 0);
  },
);

test(
  "listenFds() gets each connection that systemd-socket-activate accepts",
  withActivation,
  async () => {
    const name = freshName();
    await using service = await activated(name, ["--accept"]);
    for (const word of ["one", "two"]) {
      using client = await UnixStream.connect(abstract(name));
      await client.writeAll(bytes(word));
      client.closeWrite();
      assertEquals(await readText(client), word);
    }
    await service.waitFor(/"name".*\n.*"name"/);
    const [first] = service.stdout.split("\n");
    const [{ kind, name: called }] = JSON.parse(first!).passed;
    assertEquals([kind, called], ["stream", "unknown"]);
  },
);

test(
  "listenFds() takes no descriptors of a process that went on by another number",
  withPython,
  async () => {
    const env = { LISTEN_PID: "PID", LISTEN_FDS: "1" };
    const inner = programCommand("systemd_listen", ["report"]);
    await using service = activate(["pipe"], env, ["sh", "-c", '"$@"; exit $?', "sh", ...inner]);
    assertEquals((await service.json<{ passed: unknown[] }>()).passed, []);
    await service.succeeded();
    await assertFails(
      () => withEnvironment({ ...NONE, LISTEN_PID: "no" }, () => listenFds()),
      "EINVAL",
      "getenv",
    );
  },
);
