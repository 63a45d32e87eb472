import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { dirname, join } from "@std/path";
import { abstract, UnixListener, UnixStream } from "../../mod.ts";
import { Agent, entryAt, leaveStale, withLockedDirectory } from "../support/listening.ts";
import { assertFails, bytes, readText, withTempDir, withTempSocketPath } from "../support/mod.ts";

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
