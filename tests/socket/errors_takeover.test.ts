import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { lstatSync, renameSync } from "node:fs";
import { test } from "node:test";
import { sockets } from "../../ffi/mod.ts";
import { type AddressLike, UnixListener, UnixStream } from "../../mod.ts";
import {
  answers,
  attemptElsewhere,
  codeOf,
  packedPath,
  succeed,
  withRawSocket,
} from "../support/raw.ts";
import { assertFails, bytes, readText, withTempDir, withTempSocketPath } from "../support/mod.ts";
import { assertError } from "../support/errors.ts";

test("UnixListener.listen() throws EADDRINUSE and never takes over a live server's path", async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixListener.listen(path);
    const { ino } = lstatSync(path);
    const refused: AddressLike[] = [path, bytes(path), new URL(`file://${path}`)];
    for (const address of refused) {
      for (const stale of ["replace", "fail", undefined] as const) {
        await assertError(() => UnixListener.listen(address, { stale }), {
          code: "EADDRINUSE",
          syscall: "bind",
          address: path,
        });
      }
    }
    assertEquals(lstatSync(path).ino, ino);
    // The attempts may have knocked; whoever comes after them is served.
    const serving = (async () => {
      for await (const stream of server) {
        await stream.writeAll(bytes("hello")).catch(() => {});
        stream.close();
      }
    })();
    using client = await UnixStream.connect(path);
    assertEquals(await readText(client), "hello");
    server.close();
    await serving;
  });
});

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
