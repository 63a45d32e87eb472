import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { file } from "../../ffi/mod.ts";
import { UnixListener, UnixSocketError, UnixStream } from "../../mod.ts";
import { attackedAt, hostile, NOBODY, unlessHostile, withPublicDir } from "../support/hostile.ts";
import { leaveStale } from "../support/listening.ts";
import { assertFails, withTempDir } from "../support/mod.ts";

const options = { skip: unlessHostile };

/** A reason to skip what needs the kernel's word about a socket's file, or false. */
const unlessTold = await withTempDir((directory) => {
  using listener = UnixListener.listen(join(directory, "s"));
  const own = file.fileOfSocket(listener.fd);
  if (own < 0) return "needs CAP_NET_ADMIN to ask for the file of a socket";
  file.close(own);
  return false;
});

/** Runs a body with this umask. */
function underUmask<T>(umask: number, body: () => T): T {
  const before = process.umask(umask);
  try {
    return body();
  } finally {
    process.umask(before);
  }
}

/** What an attacker wants to be removed, or opened to all. */
type Prize = "a file" | "a live socket";

/** A directory of an attacker's, beside one that is not his and has something of the same name. */
class Scene implements Disposable {
  readonly prize: string;
  readonly path: string;
  readonly #root: string;
  readonly #live: UnixListener | null = null;
  readonly #before: string;

  constructor(parent: string, prize: Prize, { stale, name }: { stale: boolean; name: string }) {
    this.#root = mkdtempSync(join(parent, "scene-"));
    chmodSync(this.#root, 0o755);
    mkdirSync(join(this.#root, "safe"));
    mkdirSync(join(this.#root, "evil/d"), { recursive: true });
    this.prize = join(this.#root, "safe", name);
    this.path = join(this.#root, "evil/d", name);
    if (stale) UnixListener.listen(this.path, { unlinkOnClose: false }).close();
    if (prize === "a file") writeFileSync(this.prize, "secret", { mode: 0o600 });
    else this.#live = UnixListener.listen(this.prize, { mode: 0o600 });
    this.#before = this.#shown();
  }

  /** Puts a way to the other directory in the place of the attacker's own, or takes it away again. */
  swap(): void {
    const [mine, away] = [join(this.#root, "evil/d"), join(this.#root, "evil/old")];
    if (existsSync(away)) {
      unlinkSync(mine);
      return renameSync(away, mine);
    }
    renameSync(mine, away);
    symlinkSync(join(this.#root, "safe"), mine);
  }

  /** What has become of the prize; empty where nothing has. */
  harm(): string {
    const after = this.#shown();
    return after === this.#before ? "" : `${this.#before} became ${after}`;
  }

  #shown(): string {
    const status = lstatSync(this.prize, { throwIfNoEntry: false });
    if (status === undefined) return "nothing";
    return `${status.ino} with mode ${(status.mode & 0o7777).toString(8)}`;
  }

  [Symbol.dispose](): void {
    this.#live?.close();
  }
}

/** Listens with a mode that the umask cuts, and closes. Errors are welcome. */
function listenAndClose(path: string): void {
  try {
    UnixListener.listen(path, { mode: 0o666 }).close();
  } catch (error) {
    if (!(error instanceof UnixSocketError)) throw error;
  }
}

/** Which moments of listening and closing let an attacker who swaps the directory then do harm. */
async function harmfulMoments(prize: Prize, name: string): Promise<string[]> {
  return await withTempDir((directory) => {
    const found: string[] = [];
    for (const stale of [false, true]) {
      for (const back of [false, true]) {
        for (let moment = 0, calls = 1; moment < calls; moment++) {
          using scene = new Scene(directory, prize, { stale, name });
          if (back) scene.swap();
          calls = underUmask(
            0o022,
            () => attackedAt(moment, () => listenAndClose(scene.path), () => scene.swap()),
          );
          const harm = scene.harm();
          if (harm !== "") {
            found.push(`call ${moment}, ${JSON.stringify({ stale, back })}: ${harm}`);
          }
        }
      }
    }
    return found;
  });
}

test("a directory that is swapped before any call of listen() or close() exposes no file elsewhere", async () => {
  assertEquals(await harmfulMoments("a file", "x.sock"), []);
});

for (const [length, name] of [["short", "x.sock"], ["long", "x".repeat(120)]] as const) {
  test(
    `a directory that is swapped before any call of listen() or close() on a ${length} name exposes no socket elsewhere`,
    { skip: unlessTold },
    async () => {
      assertEquals(await harmfulMoments("a live socket", name), []);
    },
  );
}

test(
  "another user who swaps the directory all the time while a server comes and goes does no harm elsewhere",
  { skip: unlessHostile || unlessTold },
  async () => {
    await withPublicDir(0o755, async (directory) => {
      for (const prize of ["a file", "a live socket"] as const) {
        using scene = new Scene(directory, prize, { stale: true, name: "x.sock" });
        const evil = join(scene.path, "../..");
        for (const each of [evil, join(evil, "d")]) chmodSync(each, 0o777);
        for (const each of [evil, join(evil, "d")]) chownSync(each, NOBODY, NOBODY);
        await using attacker = hostile(
          `
          evil, safe = args
          say("begun")
          rounds = 0
          while not select.select([sys.stdin], [], [], 0)[0]:
              os.rename(evil + "/d", evil + "/old")
              os.symlink(safe, evil + "/d")
              os.unlink(evil + "/d")
              os.rename(evil + "/old", evil + "/d")
              rounds += 1
          say(rounds)
          `,
          [evil, join(scene.prize, "..")],
        );
        assertEquals(await attacker.line(), "begun");
        for (let round = 0; round < 200; round++) {
          underUmask(0o022, () => listenAndClose(scene.path));
          assertEquals(scene.harm(), "", `round ${round}`);
        }
        attacker.tell();
        assert(Number(await attacker.line()) > 0);
        await attacker.succeeded();
      }
    });
  },
);

test(
  "a symbolic link of another user's in a sticky directory is neither followed nor removed by listen()",
  options,
  async () => {
    await withPublicDir(0o1777, async (directory) => {
      await withTempDir(async (own) => {
        const [path, target] = [join(directory, "s"), join(own, "made")];
        const stale = join(own, "stale");
        leaveStale(stale);
        await using attacker = hostile(
          `
          path, *targets = args
          for target in targets:
              os.symlink(target, path)
              say("linked")
              hear()
              os.unlink(path)
          `,
          [path, target, stale, own],
        );
        for (const [leads, code] of [[target], [stale], [own]].map(([to]) => [to!, "EADDRINUSE"])) {
          assertEquals(await attacker.line(), "linked");
          await assertFails(() => UnixListener.listen(path, { mode: 0o600 }), code!, "bind");
          assertEquals(readlinkSync(path), leads);
          attacker.tell();
        }
        await attacker.succeeded();
        assertEquals([existsSync(target), existsSync(stale)], [false, true]);
      });
    });
  },
);

test(
  "another user can neither remove, rename, replace nor open to himself a socket in a sticky directory",
  options,
  async () => {
    await withPublicDir(0o1777, async (directory) => {
      const path = join(directory, "s");
      using listener = UnixListener.listen(path, { mode: 0o600 });
      const before = lstatSync(path).ino;
      await using attacker = hostile(
        `
        path, = args
        def bind():
            socket.socket(socket.AF_UNIX).bind(path)
        mine = path + ".mine"
        socket.socket(socket.AF_UNIX).bind(mine)
        attempts = dict(
            unlink=lambda: os.unlink(path),
            rename=lambda: os.rename(path, path + ".away"),
            replace=lambda: os.rename(mine, path),
            chmod=lambda: os.chmod(path, 0o777),
            chown=lambda: os.chown(path, os.getuid(), -1),
            bind=bind,
            connect=lambda: connected(path),
        )
        for name, attempt in attempts.items():
            try:
                attempt()
                say(name, "succeeded")
            except OSError as error:
                say(name, type(error).__name__)
        os.unlink(mine)
        `,
        [path],
      );
      assertEquals((await attacker.succeeded()).trim().split("\n"), [
        ...["unlink", "rename", "replace", "chmod", "chown"].map((each) =>
          `${each} PermissionError`
        ),
        ...["bind OSError", "connect PermissionError"],
      ]);
      assertEquals(lstatSync(path).ino, before);
      using client = await UnixStream.connect(path);
      assertEquals(client.peerCredentials()!.pid, process.pid);
      assert(!listener.closed);
    });
  },
);

test(
  "another user who connects all the time while sockets of mode 0600 are made gets into none of them",
  options,
  async () => {
    await withPublicDir(0o755, async (directory) => {
      const path = join(directory, "s");
      await using attacker = hostile(
        `
        path, = args
        say("begun")
        inside = refused = 0
        while not select.select([sys.stdin], [], [], 0)[0]:
            try:
                connected(path)
                inside += 1
            except FileNotFoundError:
                pass
            except PermissionError:
                refused += 1
                if refused == 1:
                    say("refused")
        say(inside)
        `,
        [path],
      );
      assertEquals(await attacker.line(), "begun");
      for (let round = 0; round < 300; round++) {
        underUmask(0, () => UnixListener.listen(path, { mode: 0o600 })).close();
      }
      using last = UnixListener.listen(path, { mode: 0o600 });
      assertEquals(await attacker.line(), "refused");
      attacker.tell();
      assertEquals(await attacker.line(), "0");
      await attacker.succeeded();
      assert(!last.closed);
    });
  },
);

for (const kind of ["path", "abstract name"] as const) {
  test(
    `a server of another user's that was there first keeps its ${kind}, and shows a client whose it is`,
    options,
    async () => {
      await withPublicDir(0o1777, async (directory) => {
        const path = kind === "path"
          ? join(directory, "s")
          : `\0afunix-${directory.slice(directory.lastIndexOf("/") + 1)}`;
        await using squatter = hostile(
          `
          address = bytes.fromhex(args[0])
          server = listening(address)
          if address[0]:
              os.chmod(address, 0o777)
          say("listening")
          hear()
          `,
          [new TextEncoder().encode(path)],
        );
        assertEquals(await squatter.line(), "listening");
        await assertFails(() => UnixListener.listen(path), "EADDRINUSE", "bind");
        using client = await UnixStream.connect(path);
        assertEquals(client.peerCredentials()!.uid, NOBODY);
        squatter.tell();
        await squatter.succeeded();
      });
    },
  );
}
