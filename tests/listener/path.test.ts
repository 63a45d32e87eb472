import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { dirname, join } from "@std/path";
import { sockets } from "../../ffi/mod.ts";
import { abstract, UnixListener, UnixStream } from "../../mod.ts";
import {
  Agent,
  closeRaw,
  entryAt,
  leaveStale,
  programCommand,
  rawBind,
  rawConnect,
  rawSocket,
  until,
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
import { answers } from "../support/raw.ts";

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

// Binding and its errors

test("C59 UnixListener.listen() on the path of a live server fails with EADDRINUSE and disturbs nobody", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await assertInUse(path, "fail");
    await assertServes(listener, path);
    assert((await assertInUse(path, "replace")).includes("serves"));
    // The look left a connection that has come and gone.
    assertEquals(await readText(await listener.accept()), null);
    await assertServes(listener, path);
  });
});

test("C59 UnixListener.listen() on a regular file fails with EADDRINUSE and keeps the file", async () => {
  await withTempSocketPath(async (path) => {
    writeFileSync(path, "precious");
    await assertInUse(path, "fail");
    assert((await assertInUse(path, "replace")).includes("not a socket"));
    assertEquals(readFileSync(path, "utf8"), "precious");
  });
});

test("C59 UnixListener.listen() on a directory fails with EADDRINUSE and keeps it", async () => {
  await withTempSocketPath(async (path) => {
    mkdirSync(path);
    await assertInUse(path, "fail");
    await assertInUse(path, "replace");
  });
});

test("C61 UnixListener.listen() fails with ENOENT in a missing directory and with ENOTDIR below a file", async () => {
  await withTempDir(async (directory) => {
    writeFileSync(join(directory, "file"), "");
    const missing = join(directory, "missing", "s.sock");
    const below = join(directory, "file", "s.sock");
    const error = await assertFails(() => UnixListener.listen(missing), "ENOENT", "bind");
    assertEquals(error.address, missing);
    assertEquals(error.message, `Cannot bind to "${missing}": ENOENT`);
    await assertFails(() => UnixListener.listen(below), "ENOTDIR", "bind");
    assertEquals(readdirSync(directory), ["file"]);
  });
});

test("C61 UnixListener.listen() fails with EACCES where the directory may not be written", async () => {
  await withTempDir(async (directory) => {
    chmodSync(directory, 0o755);
    await using agent = new Agent();
    if (process.getuid!() === 0) await agent.order({ do: "becomeUser", uid: 65534 });
    else chmodSync(directory, 0o555);
    const { error } = await agent.ask({ do: "listen", path: join(directory, "s.sock") });
    assertEquals([error?.code, error?.syscall], ["EACCES", "bind"]);
    assertEquals(readdirSync(directory), []);
    chmodSync(directory, 0o755);
  });
});

// Closing

test("C62 close(2) leaves the file of a socket, and connecting to it is refused", async () => {
  await withTempSocketPath(async (path) => {
    leaveStale(path);
    assert(entryAt(path)?.isSocket);
    await assertFails(() => UnixStream.connect(path), "ECONNREFUSED", "connect");
  });
});

test("C62 UnixListener.close() removes the path, and accepted connections go on", async () => {
  await withTempSocketPath(async (path) => {
    const listener = UnixListener.listen(path);
    using client = await UnixStream.connect(path);
    using server = await listener.accept();
    listener.close();
    assertEquals(entryAt(path), null);
    await client.writeAll(bytes("still"));
    assertEquals(await readText(server), "still");
    await server.writeAll(bytes("here"));
    assertEquals(await readText(client), "here");
  });
});

test("C62 UnixListener.close() with unlinkOnClose: false leaves the path, which another can take over", async () => {
  await withTempSocketPath(async (path) => {
    UnixListener.listen(path, { unlinkOnClose: false }).close();
    assert(entryAt(path)?.isSocket);
    await assertFails(() => UnixStream.connect(path), "ECONNREFUSED");
    using next = UnixListener.listen(path, { unlinkOnClose: true });
    await assertServes(next, path);
    next.close();
    assertEquals(entryAt(path), null);
  });
});

test("C62 UnixListener.close() of an abstract name touches no file and frees the name", async () => {
  await withTempDir(async (directory) => {
    const name = `afunix-path-${crypto.randomUUID()}`;
    const listener = UnixListener.listen(abstract(name));
    using client = await UnixStream.connect(abstract(name));
    using server = await listener.accept();
    listener.close();
    await assertFails(() => UnixStream.connect(abstract(name)), "ECONNREFUSED");
    UnixListener.listen(abstract(name)).close();
    await client.writeAll(bytes("still"));
    assertEquals(await readText(server), "still");
    assertEquals(readdirSync(".").filter((entry) => entry.includes(name)), []);
    assertEquals(readdirSync(directory), []);
  });
});

test("UnixListener.close() leaves a path that was removed and bound by another", async () => {
  await withTempSocketPath(async (path) => {
    const older = UnixListener.listen(path);
    unlinkSync(path);
    using newer = UnixListener.listen(path);
    older.close();
    await assertServes(newer, path);
  });
});

test("UnixListener.close() leaves a file that was put in the place of its socket", async () => {
  await withTempSocketPath((path) => {
    const listener = UnixListener.listen(path);
    unlinkSync(path);
    writeFileSync(path, "precious");
    listener.close();
    assertEquals(readFileSync(path, "utf8"), "precious");
  });
});

test("UnixListener.close() leaves a symbolic link in its place, even to its own socket", async () => {
  await withTempSocketPath((path) => {
    const listener = UnixListener.listen(path);
    renameSync(path, `${path}.moved`);
    symlinkSync(`${path}.moved`, path);
    listener.close();
    assert(entryAt(path) !== null);
    assert(entryAt(`${path}.moved`)?.isSocket);
  });
});

test("UnixListener.close() leaves a socket that was renamed, where the old path is gone or taken", async () => {
  await withTempSocketPath((path) => {
    const listener = UnixListener.listen(path);
    renameSync(path, `${path}.moved`);
    listener.close();
    assertEquals(entryAt(path), null);
    assert(entryAt(`${path}.moved`)?.isSocket);
  });
});

test("UnixListener.close() is quiet where the path or its whole directory is gone", async () => {
  await withTempDir((directory) => {
    const inner = join(directory, "inner");
    mkdirSync(inner);
    const first = UnixListener.listen(join(inner, "first.sock"));
    const second = UnixListener.listen(join(inner, "second.sock"));
    unlinkSync(join(inner, "first.sock"));
    first.close();
    rmSync(inner, { recursive: true });
    second.close();
    assertEquals([first.closed, second.closed], [true, true]);
  });
});

test("UnixListener.close() leaves a socket in a new directory of the same name", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "inner", "s.sock");
    mkdirSync(dirname(path));
    const older = UnixListener.listen(path);
    renameSync(dirname(path), join(directory, "away"));
    mkdirSync(dirname(path));
    using newer = UnixListener.listen(path);
    older.close();
    await assertServes(newer, path);
    assert(existsSync(join(directory, "away", "s.sock")));
  });
});

test("UnixListener.close() of a second listener on a removed path leaves the first alone, in any order", async () => {
  await withTempSocketPath(async (path) => {
    const older = UnixListener.listen(path);
    unlinkSync(path);
    const newer = UnixListener.listen(path);
    newer.close();
    assertEquals(entryAt(path), null);
    older.close();
    using last = UnixListener.listen(path);
    newer.close();
    older.close();
    await assertServes(last, path);
  });
});

test("UnixListener.close() after a change of directory removes the path that listen() made", async () => {
  await withTempDir(async (directory) => {
    const [first, second] = [join(directory, "first"), join(directory, "second")];
    mkdirSync(first);
    mkdirSync(second);
    writeFileSync(join(second, "s.sock"), "precious");
    await using agent = new Agent({ cwd: first });
    const { id } = await agent.order({ do: "listen", path: "s.sock" });
    assert(entryAt(join(first, "s.sock"))?.isSocket);
    await agent.order({ do: "chdir", path: second });
    await agent.order({ do: "close", id });
    assertEquals(readdirSync(first), []);
    assertEquals(readFileSync(join(second, "s.sock"), "utf8"), "precious");
  });
});

test("UnixListener.close() removes its path while somebody else holds the directory's lock", async () => {
  await withTempSocketPath(async (path) => {
    await withLockedDirectory(dirname(path), () => {
      const listener = UnixListener.listen(path);
      listener.close();
      assertEquals(entryAt(path), null);
    });
  });
});

test("UnixListener.listen() that fails leaves no file behind", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "s.sock");
    using listener = UnixListener.listen(path);
    await assertFails(() => UnixListener.listen(path, { mode: 0o600 }), "EADDRINUSE");
    await assertFails(() => UnixListener.listen(path, { stale: "fail" }), "EADDRINUSE");
    assertEquals(readdirSync(directory), ["s.sock"]);
    await assertFails(
      () => UnixListener.listen(join(directory, "x".repeat(300))),
      "ENAMETOOLONG",
      "bind",
    );
    assertEquals(readdirSync(directory), ["s.sock"]);
    assertEquals(listener.closed, false);
  });
});

// Permissions

test("UnixListener.listen() gives the file exactly its mode under every umask, and without one what the umask leaves", async () => {
  await withTempSocketPath(async (path) => {
    await using agent = new Agent();
    const umasks = [0, 0o022, 0o027, 0o077, 0o177, 0o777];
    const modes = [null, 0, 0o200, 0o600, 0o660, 0o666, 0o700, 0o770, 0o755, 0o777, 0o007];
    const answer = await agent.order({ do: "modes", path, umasks, modes });
    const expected = umasks.flatMap((umask) => modes.map((mode) => mode ?? 0o777 & ~umask));
    const octal = (list: number[]) => list.map((mode) => mode.toString(8));
    assertEquals(octal(answer.modes), octal(expected));
  });
});

test("UnixListener.listen() gives exactly its mode to a path that is longer than a sockaddr_un", async () => {
  await withTempDir(async (directory) => {
    const deep = join(directory, "d".repeat(100));
    mkdirSync(deep);
    await using agent = new Agent();
    for (const name of ["s.sock", "s".repeat(200)]) {
      const path = join(deep, name);
      const { modes } = await agent.order({
        do: "modes",
        path,
        umasks: [0, 0o077],
        modes: [0o600, 0o666],
      });
      assertEquals(modes, [0o600, 0o666, 0o600, 0o666]);
      assertEquals(readdirSync(deep), []);
    }
  });
});

test("UnixListener.listen() gives its mode to the socket that replaces a stale one", async () => {
  await withTempSocketPath((path) => {
    leaveStale(path);
    chmodSync(path, 0o777);
    using listener = UnixListener.listen(path, { mode: 0o640 });
    assertEquals(entryAt(path)?.mode, 0o640);
    assertEquals(listener.closed, false);
  });
});

for (const [umask, mode] of [[0, 0o600], [0o022, 0o660], [0o077, 0o666]] as const) {
  const shown = `mode 0${mode.toString(8)} under the umask 0${umask.toString(8)}`;
  test(`UnixListener.listen() with ${shown} is never more accessible, watched from outside`, async () => {
    await withTempSocketPath(async (path) => {
      await using agent = new Agent();
      await agent.order({ do: "umask", umask });
      const seen = new Set<number>();
      let sightings = 0;
      let looks = 0;
      // Until it was looked at often enough; the bound only ends a failure.
      for (let batch = 0; sightings < 10_000 && batch < 50; batch++) {
        let churned = false;
        const churn = agent.order({ do: "churn", path, options: { mode }, times: 200 })
          .finally(() => churned = true);
        while (!churned) {
          for (let look = 0; look < 200; look++) {
            const entry = entryAt(path);
            looks++;
            if (entry === null) continue;
            seen.add(entry.mode);
            sightings++;
          }
          await new Promise((resolve) => setImmediate(resolve));
        }
        await churn;
      }
      assert(sightings >= 2000, `the socket was seen in ${sightings} of ${looks} looks`);
      const wider = [...seen].filter((found) => (found & ~mode) !== 0);
      assertEquals(wider.map((found) => found.toString(8)), []);
    });
  });
}

test("UnixListener.listen() with a mode for an address that is no file is a TypeError", () => {
  const name = `afunix-mode-${crypto.randomUUID()}`;
  assertThrows(() => UnixListener.listen(abstract(name), { mode: 0o600 }), TypeError);
  assertThrows(() => UnixListener.listen(`\0${name}`, { mode: 0o600 }), TypeError);
  assertThrows(() => UnixListener.listen({ kind: "unnamed" }, { mode: 0o600 }), TypeError);
  UnixListener.listen(abstract(name)).close();
});

test(
  "UnixStream.connect() to a listener with mode 0600 fails with EACCES for another user, with mode 0666 it succeeds",
  {
    skip: process.getuid!() !== 0 && "needs root to become another user",
  },
  async () => {
    await withTempDir(async (directory) => {
      chmodSync(directory, 0o755);
      const [closed, open] = [join(directory, "closed"), join(directory, "open")];
      using _closed = UnixListener.listen(closed, { mode: 0o600 });
      using _open = UnixListener.listen(open, { mode: 0o666 });
      process.seteuid!(65534);
      try {
        await assertFails(() => UnixStream.connectSync(closed), "EACCES", "connect");
        UnixStream.connectSync(open).close();
      } finally {
        process.seteuid!(0);
      }
    });
  },
);

// Stale sockets

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

test("C64 UnixListener.listen() with stale: fail leaves a stale socket and fails with EADDRINUSE", async () => {
  await withTempSocketPath(async (path) => {
    leaveStale(path);
    await assertInUse(path, "fail");
    using listener = UnixListener.listen(path, { stale: "replace" });
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

test("C64 UnixListener.listen() never takes the path of a socket that is bound and does not listen yet, in this process", async () => {
  await withTempSocketPath(async (path) => {
    const fd = rawSocket();
    try {
      assertEquals(rawBind(fd, path), 0);
      await assertFails(() => UnixStream.connect(path), "ECONNREFUSED");
      await assertInUse(path);
      assertEquals(sockets.listen(fd, 5), 0);
      assert(await answers(path));
    } finally {
      closeRaw(fd);
    }
    UnixListener.listen(path).close();
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

test("C64 UnixListener.listen() never removes symbolic links: to nothing, to a stale socket, to a live one", async () => {
  await withTempDir(async (directory) => {
    const at = (name: string) => join(directory, name);
    leaveStale(at("stale"));
    using live = UnixListener.listen(at("live"));
    for (const target of ["nothing", "stale", "live"]) {
      const link = at(`to-${target}`);
      symlinkSync(at(target), link);
      await assertInUse(link, "fail");
      await assertInUse(link, "replace");
    }
    assert(entryAt(at("stale"))?.isSocket);
    assertEquals(entryAt(at("nothing")), null);
    await assertServes(live, at("live"));
  });
});

test("C64 UnixListener.listen() never takes the path of a datagram socket, and replaces a stale one", async () => {
  await withTempSocketPath(async (path) => {
    const fd = rawSocket("datagram");
    try {
      assertEquals(rawBind(fd, path), 0);
      await assertInUse(path);
    } finally {
      closeRaw(fd);
    }
    using listener = UnixListener.listen(path);
    await assertServes(listener, path);
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
