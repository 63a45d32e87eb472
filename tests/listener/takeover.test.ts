import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  unlinkSync,
} from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { dirname, join } from "@std/path";
import { sockets } from "../../ffi/mod.ts";
import { UnixListener, UnixStream } from "../../mod.ts";
import {
  Agent,
  closeRaw,
  entryAt,
  leaveStale,
  programCommand,
  rawConnect,
  rawSocket,
  withLockedDirectory,
} from "../support/listening.ts";
import {
  assertFails,
  bytes,
  readText,
  TestProcess,
  unlessProgram,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";
import {
  answers,
  attemptElsewhere,
  codeOf,
  packedPath,
  succeed,
  withRawSocket,
} from "../support/raw.ts";
import { until } from "../support/waiting.ts";

/** Asserts that a listener's path leads to it. */
async function assertServes(listener: UnixListener, path: string): Promise<void> {
  using client = await UnixStream.connect(path);
  await client.writeAll(bytes("hello"));
  using server = await listener.accept();
  assertEquals(await readText(server), "hello");
}

/** Asserts that listening fails with EADDRINUSE and leaves what is there. */
async function assertInUse(path: string, stale?: "replace" | "fail"): Promise<string> {
  const before = entryAt(path);
  assert(before !== null);
  const error = await assertFails(() => UnixListener.listen(path, { stale }), "EADDRINUSE", "bind");
  assertEquals(error.address, path);
  assertEquals(entryAt(path), before);
  return error.message;
}

test("C64 UnixListener.listen() replaces the socket of a server that was killed", async () => {
  await withTempSocketPath(async (path) => {
    await using agent = new Agent();
    await agent.order({ do: "listen", path });
    assert(await answers(path));
    await assertInUse(path);
    await agent.kill();
    assert(entryAt(path)?.isSocket);
    await assertInUse(path, "fail");
    using listener = UnixListener.listen(path);
    await assertServes(listener, path);
  });
});

test("C64 UnixListener.listen() replaces stale sockets at long and relative paths", async () => {
  await withTempDir(async (directory) => {
    const deep = join(directory, "d".repeat(100));
    mkdirSync(deep);
    await using agent = new Agent({ cwd: deep });
    for (const name of ["s.sock", "s".repeat(200), "@s"]) {
      const path = join(deep, name);
      UnixListener.listen(path, { unlinkOnClose: false }).close();
      const { id } = await agent.order({ do: "listen", path: name });
      using client = await UnixStream.connect(path);
      assertEquals(client.closed, false);
      await assertInUse(path);
      await agent.order({ do: "close", id });
      assertEquals(readdirSync(deep), []);
    }
  });
});

test("C64 UnixListener.listen() never takes the path of a server whose backlog is full", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixListener.listen(path, { backlog: 0 });
    using client = await UnixStream.connect(path);
    await client.writeAll(bytes("hello"));
    const extra = rawSocket();
    assert(rawConnect(extra, path) < 0, "the backlog is not full");
    closeRaw(extra);
    await assertInUse(path);
    using accepted = await server.accept();
    assertEquals(await readText(accepted), "hello");
    await assertFails(() => server.acceptSync({ timeout: 0 }), "ETIMEDOUT");
  });
});

for (const form of ["absolute", "relative", "through a link to the directory"] as const) {
  test(`C64 UnixListener.listen() never takes the path of a socket that is bound elsewhere, ${form}, and does not listen yet`, async () => {
    await withTempDir(async (directory) => {
      const home = join(directory, "home");
      mkdirSync(home);
      symlinkSync(home, join(directory, "link"));
      const path = join(home, "s.sock");
      await using agent = new Agent({ cwd: home });
      const bound = form === "absolute"
        ? path
        : form === "relative"
        ? "s.sock"
        : join(directory, "link", "s.sock");
      await agent.order({ do: "bindOnly", path: bound });
      await assertInUse(path);
      await assertInUse(join(directory, "link", "s.sock"));
      await agent.kill();
      UnixListener.listen(path).close();
      assertEquals(readdirSync(home), []);
    });
  });
}

test("C64 UnixListener.listen() never takes the path of a server that was bound under another name and moved there", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixListener.listen(`${path}.new`);
    renameSync(`${path}.new`, path);
    await assertInUse(path);
    using client = await UnixStream.connect(path);
    assertEquals([client.closed, server.closed], [false, false]);
  });
});

test("C64 UnixListener.listen() removes only its own name of a stale socket with two", async () => {
  await withTempSocketPath((path) => {
    leaveStale(`${path}.other`);
    linkSync(`${path}.other`, path);
    const other = entryAt(`${path}.other`);
    UnixListener.listen(path).close();
    assertEquals(entryAt(path), null);
    assertEquals(entryAt(`${path}.other`), other);
  });
});

test(
  "C64 UnixListener.listen() never takes the path of another program's datagram, seqpacket or stream socket",
  {
    skip: unlessProgram("python3"),
  },
  async () => {
    const script = `
import socket, sys
kind, path = sys.argv[1:]
s = socket.socket(socket.AF_UNIX, getattr(socket, "SOCK_" + kind))
s.bind(path)
if kind == "SEQPACKET": s.listen(1)
print("bound", flush=True)
sys.stdin.read()
`;
    await withTempDir(async (directory) => {
      for (const kind of ["DGRAM", "SEQPACKET", "STREAM"]) {
        const path = join(directory, kind);
        await using program = new TestProcess(["python3", "-c", script, kind, path]);
        await program.waitFor("bound");
        await assertInUse(path);
        program.closeStdin();
        await program.finished;
        UnixListener.listen(path).close();
      }
      assertEquals(readdirSync(directory), []);
    });
  },
);

test(
  "C64 UnixListener.listen() by another user takes neither a live nor a stale socket that it may not ask",
  {
    skip: process.getuid!() !== 0 && "needs root to become another user",
  },
  async () => {
    await withTempDir(async (directory) => {
      chmodSync(directory, 0o777);
      const [live, stale] = [join(directory, "live"), join(directory, "stale")];
      using server = UnixListener.listen(live, { mode: 0o600 });
      leaveStale(stale);
      chmodSync(stale, 0o600);
      const before = entryAt(stale);
      await using agent = new Agent();
      await agent.order({ do: "becomeUser", uid: 65534 });
      for (const path of [live, stale]) {
        const { error } = await agent.ask({ do: "listen", path });
        assertEquals(error?.code, "EADDRINUSE", path);
      }
      assertEquals(entryAt(stale), before);
      await assertServes(server, live);
    });
  },
);

test("C64 UnixListener.listen() by another user reports that a stale socket may not be removed", {
  skip: process.getuid!() !== 0 && "needs root to become another user",
}, async () => {
  await withTempDir(async (directory) => {
    chmodSync(directory, 0o755);
    const path = join(directory, "s.sock");
    leaveStale(path);
    chmodSync(path, 0o777);
    await using agent = new Agent();
    await agent.order({ do: "becomeUser", uid: 65534 });
    const { error } = await agent.ask({ do: "listen", path });
    assertEquals(error?.code, "EACCES");
    assert(error?.message.includes("cannot be removed"), error?.message);
    assert(entryAt(path)?.isSocket);
  });
});

test(
  "C64 UnixListener.listen() by another user leaves a stale socket in a directory that cannot be locked",
  {
    skip: process.getuid!() !== 0 && "needs root to become another user",
  },
  async () => {
    await withTempDir(async (directory) => {
      const path = join(directory, "s.sock");
      leaveStale(path);
      chmodSync(path, 0o777);
      chmodSync(directory, 0o733);
      await using agent = new Agent();
      await agent.order({ do: "becomeUser", uid: 65534 });
      const { error } = await agent.ask({ do: "listen", path });
      assertEquals(error?.code, "EADDRINUSE");
      assert(error?.message.includes("locked"), error?.message);
      assert(entryAt(path)?.isSocket);
      // A path that nothing is at needs no lock, neither to be made nor to be removed.
      const { id } = await agent.order({ do: "listen", path: join(directory, "new.sock") });
      await agent.order({ do: "close", id });
      assertEquals(readdirSync(directory), ["s.sock"]);
    });
  },
);

test("C64 UnixListener.listen() leaves a stale socket while somebody else holds the directory's lock", async () => {
  await withTempSocketPath(async (path) => {
    leaveStale(path);
    await withLockedDirectory(dirname(path), async (unlock) => {
      assert((await assertInUse(path)).includes("locked"));
      unlock();
      using listener = UnixListener.listen(path);
      await assertServes(listener, path);
    });
  });
});

test("C64 UnixListener.listen() on a stale path waits for the directory's lock and goes on when it comes free", async () => {
  await withTempSocketPath(async (path) => {
    await using agent = new Agent();
    // A machine that stands still for longer than the wait is tried again.
    for (let attempt = 0;; attempt++) {
      leaveStale(path);
      const asked = await withLockedDirectory(dirname(path), async () => {
        const number = agent.tell({ do: "listen", path });
        await until(() => holds(agent.process.pid, dirname(path)), "it opens the directory");
        return number;
      });
      const { error, id } = await agent.answer(asked);
      if (error !== undefined && attempt < 5) {
        unlinkSync(path);
        continue;
      }
      assertEquals(error, undefined);
      assert(await answers(path));
      await agent.order({ do: "close", id });
      break;
    }
  });
});

/** Whether a process has a directory open. */
function holds(pid: number, directory: string): boolean {
  const fds = `/proc/${pid}/fd`;
  return readdirSync(fds).some((fd) => {
    try {
      return readlinkSync(join(fds, fd)) === directory;
    } catch {
      return false;
    }
  });
}

test("C64 UnixListener.listen() needs no lock where nothing is in the way", async () => {
  await withTempSocketPath(async (path) => {
    await withLockedDirectory(dirname(path), async () => {
      using listener = UnixListener.listen(path, { unlinkOnClose: false });
      await assertServes(listener, path);
    });
  });
});

test("C64 UnixListener.listen() never takes a path in the moment in which its owner begins to listen", async () => {
  await withTempSocketPath(async (path) => {
    await using agent = new Agent();
    for (let round = 0; round < 100; round++) {
      await agent.order({ do: "bindOnly", path });
      let listening = false;
      const order = agent.order({ do: "listenOnBound" }).finally(() => listening = true);
      while (!listening) {
        for (let attempt = 0; attempt < 10; attempt++) {
          await assertFails(() => UnixListener.listen(path).close(), "EADDRINUSE", "bind");
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      await order;
      await agent.order({ do: "closeBound", path });
    }
  });
});

for (
  const [what, names] of [["one path", ["a"]], ["two paths of one directory", ["a", "b"]]] as const
) {
  test(`C64 UnixListener.listen() in processes that race for ${what} lets one own a path at a time, and it stays connectable`, async () => {
    await withTempDir(async (directory) => {
      const paths = names.map((name) => join(directory, name));
      for (const path of paths) leaveStale(path);
      const racers = [1, 2, 3].map(() => new TestProcess(programCommand("takeover_race", paths)));
      try {
        const wins = () =>
          racers.reduce((sum, { stdout }) => sum + stdout.split("won\n").length - 1, 0);
        const trouble = () =>
          racers.some(({ stdout, child }) =>
            stdout.includes("VIOLATION") || child.exitCode !== null
          );
        await until(() => wins() >= 200 || trouble(), "200 takeovers");
        for (const racer of racers) racer.closeStdin();
        for (const racer of racers) {
          const { code, stdout, stderr } = await racer.finished;
          assertEquals([code, stdout.replaceAll("won\n", ""), stderr], [0, "", ""]);
        }
      } finally {
        for (const racer of racers) await racer[Symbol.asyncDispose]();
      }
      assertEquals(readdirSync(directory).sort(), [...names]);
    });
  });
}

test("UnixListener.listen() never takes over the path of another process's server", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixListener.listen(path);
    const outcomes = await attemptElsewhere([
      { listen: path },
      { listen: path, stale: "fail" },
      { connect: path },
    ]);
    assertEquals(outcomes.map(codeOf), ["EADDRINUSE", "EADDRINUSE", "ok"]);
    assertEquals(server.closed, false);
    assert(await answers(path));
  });
});

for (
  const [what, name] of [["a line feed", "a\nb"], ["a carriage return", "a\rb"], [
    "a space",
    "a b ",
  ]]
) {
  test(`UnixListener.listen() never takes over a socket that does not listen yet, with ${what} in its name`, async () => {
    await withTempDir((directory) =>
      withRawSocket("SOCK_STREAM", async (fd) => {
        const path = join(directory, name!);
        succeed(sockets.bind(fd, packedPath(path)));
        const { ino } = lstatSync(path);
        await assertFails(() => UnixListener.listen(path), "EADDRINUSE", "bind");
        assertEquals(lstatSync(path).ino, ino);
      })
    );
  });
}

test("UnixListener.listen() never takes over a socket that was renamed and does not listen yet", async () => {
  await withTempDir((directory) =>
    withRawSocket("SOCK_STREAM", async (fd) => {
      // As a server does that wants its path to appear at once with all its permissions.
      const [first, path] = [
        join(directory, "server.sock.1234.tmp"),
        join(directory, "server.sock"),
      ];
      succeed(sockets.bind(fd, packedPath(first)));
      renameSync(first, path);
      const { ino } = lstatSync(path);
      await assertFails(() => UnixListener.listen(path), "EADDRINUSE", "bind");
      assertEquals(lstatSync(path).ino, ino);
    })
  );
});
