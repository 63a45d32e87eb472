import { execFileSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { basename, dirname } from "@std/path";
import {
  abstract,
  UnixDatagram,
  UnixListener,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { groupName, userName } from "../../cli/system/names.ts";
import { readOwners } from "../../cli/system/owners.ts";
import { parseTable } from "../../cli/system/proc_net_unix.ts";
import { assertEnds, records, runCli, startCli } from "../support/cli.ts";
import { freshName, python } from "../support/interop.ts";
import { TestProcess, unlessProgram, withTempDir, withTempSocketPath } from "../support/mod.ts";

interface Owner {
  pid: number;
  command: string;
  fds: number[];
}

/** Whether this process is among the owners, under this number. */
function ownsIt(owners: unknown, fd: number): boolean {
  return (owners as Owner[]).some((owner) => owner.pid === process.pid && owner.fds.includes(fd));
}

const HEADING = "Num       RefCount Protocol Flags    Type St Inode Path\n";

test("parseTable() reads types, states, and what paths there are", () => {
  const rows = parseTable(
    HEADING +
      "0000000000000000: 00000002 00000000 00010000 0001 01 30360934 /run/a b\n" +
      "0000000000000000: 00000003 00000000 00000000 0005 03 17\n" +
      "0000000000000000: 0000000A 00000000 00000000 0002 01   123 @a@b\\\xc3\xbc\n" +
      "0000000000000000: 00000003 00000000 00000000 0001 02     0 /new\nline: \xff\n" +
      "0000000000000000: 00000003 00000000 00000000 0003 04 18 rel\n",
  );
  assertEquals(
    rows.map(({ type, state, inode, references, path }) => [
      type,
      state,
      inode,
      references,
      path,
    ]),
    [
      ["stream", "listening", 30360934, 2, "/run/a b"],
      ["seqpacket", "connected", 17, 3, null],
      ["datagram", "unconnected", 123, 10, "@a@b\\\\ü"],
      ["stream", "waiting", 0, 3, "/new\\x0aline: \\xff"],
      ["type-3", "closing", 18, 3, "rel"],
    ],
  );
});

test("readOwners() finds this process under each number of a socket", () => {
  const [a, b] = UnixStream.pair();
  try {
    const found = [...readOwners().byInode.values()].flat().filter(({ pid }) =>
      pid === process.pid
    );
    for (const { fd } of [a, b]) assert(found.some(({ fds }) => fds.includes(fd)));
  } finally {
    a.close();
    b.close();
  }
});

test("readOwners() finds every number that a process has for one socket", async () => {
  const [a, b] = UnixStream.pair();
  const inode = Number(/\d+/.exec(readlinkSync(`/proc/self/fd/${a.fd}`))![0]);
  await using child = new TestProcess(["sleep", "1000"], { stdio: [a.fd, a.fd, "pipe"] });
  a.close();
  const owners = readOwners().byInode.get(inode) ?? [];
  assertEquals(owners.map(({ pid }) => pid), [child.pid]);
  assertMatch(owners[0]!.command, /sleep 1000$/);
  // Deno leaves it more.
  assertEquals(owners[0]!.fds.slice(0, 2), [0, 1]);
  b.close();
});

test("userName() and groupName() know root, and nobody of a number that is not given", () => {
  assertEquals([userName(0), groupName(0)], ["root", "root"]);
  assertEquals([userName(4123456789), groupName(4123456789)], [null, null]);
});

test("afunix ls shows sockets of all types, by path, with owners", async () => {
  await withTempDir(async (directory) => {
    const at = (name: string) => `${directory}/${name}`;
    using stream = UnixListener.listen(at("1"));
    using records_ = UnixSeqpacketListener.listen(at("2"));
    using datagrams = UnixDatagram.bind(at("3\n\x1b"));
    using client = await UnixStream.connect(at("1"));
    using connection = await stream.accept();
    using _waiting = await UnixStream.connect(at("1"));
    const finished = await runCli(["ls", directory, "--json"]);
    assertEnds(finished, 0);
    const found = records(finished.stdout);
    const shown = found.map(({ path, type, state }) => [basename(path as string), type, state]);
    assertEquals(shown.sort(), [
      ["1", "stream", "connected"],
      ["1", "stream", "listening"],
      ["1", "stream", "waiting"],
      ["2", "seqpacket", "listening"],
      ["3\\x0a\\x1b", "datagram", "unconnected"],
    ]);
    for (const { state, type, owners } of found) {
      const { fd } = state === "connected"
        ? connection
        : type === "stream"
        ? stream
        : type === "datagram"
        ? datagrams
        : records_;
      assertEquals(ownsIt(owners, fd), state !== "waiting");
    }
    assert(client.fd !== -1);

    const table = await runCli(["ls", directory, "--listening", "--type", "stream"]);
    assertEnds(table, 0);
    const [heading, row, ...rest] = table.stdout.trimEnd().split("\n");
    assertMatch(heading!, /^TYPE +STATE +INODE +PATH +OWNERS$/);
    assertMatch(row!, new RegExp(`^stream +listening +\\d+ +${at("1")} +.*\\b${process.pid} `));
    assertEquals(rest, []);
  });
});

test("afunix ls filters by owner and name, and finds abstract names", async () => {
  const name = freshName();
  using listener = UnixListener.listen(abstract(name));
  const [a, b] = UnixStream.pair();
  const pid = String(process.pid);
  const all = records((await runCli(["ls", "--pid", pid, "--json"])).stdout);
  for (const { fd } of [listener, a, b]) {
    assertEquals(all.filter(({ owners }) => ownsIt(owners, fd)).length, 1);
  }
  const named = records((await runCli(["ls", "--pid", pid, "--named", "--json"])).stdout);
  assertEquals(named.filter(({ path }) => path === `@${name}`).length, 1);
  assertEquals(named.filter(({ path }) => path === null), []);
  a.close();
  b.close();
});

test("afunix ls --watch --json tells what comes, changes and goes", async () => {
  await withTempDir(async (directory) => {
    await using watch = startCli(["ls", "--watch", "--interval", "50", "--json", directory]);
    const path = `${directory}/s`;
    using _same = UnixDatagram.bind(`${directory}/same`);
    const same = await watch.json<Record<string, unknown>>();
    assertEquals([same.event, same.path], ["added", `${directory}/same`]);
    const socket = UnixDatagram.bind(path);
    const added = await watch.json<Record<string, unknown>>();
    assertEquals([added.event, added.path, added.state], ["added", path, "unconnected"]);
    using other = UnixDatagram.bind({ kind: "unnamed" });
    socket.connect(other.localAddr);
    const changed = await watch.json<Record<string, unknown>>();
    assertEquals([changed.event, changed.path, changed.inode], ["changed", path, added.inode]);
    assertNotEquals({ ...changed, event: "added" }, added);
    socket.close();
    let record;
    do {
      record = await watch.json<Record<string, unknown>>();
      assertEquals(record.path, path);
    } while (record.event === "changed");
    assertEquals([record.event, record.inode], ["removed", added.inode]);
    watch.kill("SIGINT");
    assertEquals((await watch.finished).code, 130);
  });
});

test("afunix who tells process, user and group of a server, by path and by abstract name", async () => {
  const user = execFileSync("id", ["-un"], { encoding: "utf8" }).trim();
  await withTempSocketPath(async (path) => {
    const name = freshName();
    for (const Listener of [UnixListener, UnixSeqpacketListener]) {
      for (const address of [path, `@${name}`]) {
        using listener = Listener.listen(address.replace(/^@/, "\0"));
        const finished = await runCli(["who", "--json", address]);
        assertEnds(finished, 0);
        const [found] = records(finished.stdout);
        const { pid, uid, gid, owners } = found!;
        assertEquals({ pid, uid, gid, user: found!.user, address: found!.address }, {
          pid: process.pid,
          uid: process.getuid!(),
          gid: process.getgid!(),
          user,
          address,
        });
        assertEquals(found!.type, Listener === UnixListener ? "stream" : "seqpacket");
        assertEquals(ownsIt(owners, listener.fd), true);
        const text = (await runCli(["who", address])).stdout;
        assertStringIncludes(text, `pid               ${process.pid}\n`);
        assertStringIncludes(text, `user              ${uid} (${user})\n`);
      }
    }
  });
});

test("afunix who tells who receives datagrams, though the kernel does not", async () => {
  await withTempSocketPath(async (path) => {
    using socket = UnixDatagram.bind(path);
    const finished = await runCli(["who", "--json", path]);
    assertEnds(finished, 0);
    const [{ pid, type, owners }] = records(finished.stdout) as [Record<string, unknown>];
    assertEquals([pid, type, ownsIt(owners, socket.fd)], [null, "datagram", true]);
  });
});

test("afunix who finds a server that bound a relative path, and no other of that name", {
  skip: unlessProgram("python3"),
}, async () => {
  const script = `
    os.chdir(args[0])
    listener = listening(args[1])
    say("listening")
    hear()
  `;
  await withTempDir(async (one) => {
    await withTempDir(async (other) => {
      await using first = python(script, [one, "same.sock"]);
      await using second = python(script, [other, "same.sock"]);
      await first.line();
      await second.line();
      for (const [directory, { pid }] of [[one, first], [other, second]] as const) {
        for (const cwd of [directory, dirname(directory)]) {
          const address = cwd === directory ? "same.sock" : `${basename(directory)}/same.sock`;
          const finished = await runCli(["who", "--json", address], { cwd });
          assertEnds(finished, 0);
          const [found] = records(finished.stdout);
          assertEquals(found!.pid, pid);
          assertEquals((found!.owners as Owner[]).map((owner) => owner.pid), [pid]);
        }
      }
    });
  });
});

test("afunix who is told in one line that nobody is there", async () => {
  await withTempSocketPath(async (path) => {
    assertEnds(await runCli(["who", path]), 1, `Cannot connect to "${path}": ENOENT\n`);
    using _socket = UnixDatagram.bind(path);
    const args = ["who", "--type", "stream", path];
    assertEnds(await runCli(args), 1, `Cannot connect to "${path}": EPROTOTYPE\n`);
  });
  const name = freshName();
  assertEnds(await runCli(["who", `@${name}`]), 1, `Cannot connect to @${name}: ECONNREFUSED\n`);
});
