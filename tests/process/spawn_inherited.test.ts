import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { file } from "../../ffi/mod.ts";
import { Fd, UnixDatagram, UnixListener, UnixStream } from "../../mod.ts";
import { inheritedFds, inheritedSocket } from "../../process.ts";
import { assertFails, assertNoFdLeak, bytes, withTempSocketPath } from "../support/mod.ts";

/** An entry of the list for a descriptor of this process. */
function entry(name: string, fd: number): string {
  const status = file.status(fd);
  assert(typeof status !== "number");
  return `${name}=${fd}@${status.identity}`;
}

/** Runs a body with these variables, which are gone afterwards. */
async function withVariables(
  socketFd: number | string | null,
  list: string,
  body: () => void | Promise<void>,
): Promise<void> {
  if (socketFd !== null) process.env.AFUNIX_SOCKET_FD = String(socketFd);
  process.env.AFUNIX_FDS = list;
  try {
    await body();
  } finally {
    delete process.env.AFUNIX_SOCKET_FD;
    delete process.env.AFUNIX_FDS;
  }
}

/** Two ends, of which the second is only a number, as in a process that has inherited it. */
function inheritedEnd(): [UnixStream, number] {
  const [ours, theirs] = UnixStream.pair();
  return [ours, theirs.intoFd()];
}

test("inheritedSocket() is null, and inheritedFds() empty, where no variable is", () => {
  assertEquals(inheritedSocket(), null);
  assertEquals(inheritedSocket("socket"), null);
  assertEquals(inheritedFds().size, 0);
});

test("inheritedSocket() takes the socket once, by any name or its own", async () => {
  await assertNoFdLeak(async () => {
    for (const name of [undefined, "mine"]) {
      const [ours, fd] = inheritedEnd();
      await withVariables(fd, entry("mine", fd), () => {
        if (name !== undefined) assertEquals(inheritedSocket("other"), null);
        using socket = inheritedSocket(name, { type: "stream" })!;
        assert(socket instanceof UnixStream);
        socket.writeAllSync(bytes("x"));
        assertEquals(inheritedSocket(name), null);
        assertEquals([process.env.AFUNIX_SOCKET_FD, process.env.AFUNIX_FDS], [
          undefined,
          undefined,
        ]);
        assert(typeof file.status(fd) === "number", "the number is still open");
      });
      ours.close();
    }
  });
});

test("keepEnvironment leaves the variables, and a second call finds nothing all the same", async () => {
  const [ours, fd] = inheritedEnd();
  const list = entry("socket", fd);
  await withVariables(fd, list, () => {
    using socket = inheritedSocket(undefined, { keepEnvironment: true });
    assert(socket instanceof UnixStream);
    assertEquals([process.env.AFUNIX_SOCKET_FD, process.env.AFUNIX_FDS], [String(fd), list]);
    assertEquals(inheritedSocket(undefined, { keepEnvironment: true }), null);
  });
  ours.close();
});

test("A stale variable is never mistaken for a socket of this process", async () => {
  const [ours, fd] = inheritedEnd();
  const [other, otherFd] = inheritedEnd();
  const wrong = entry("socket", otherFd).replace(`=${otherFd}@`, `=${fd}@`);
  await withVariables(fd, wrong, () => assertEquals(inheritedSocket(), null));
  await withVariables(900_000, wrong.replace(`=${fd}@`, "=900000@"), () => {
    assertEquals(inheritedSocket(), null);
  });
  // Nothing was closed.
  for (const number of [fd, otherFd]) {
    assert(typeof file.status(number) !== "number");
    file.closeHandedOver(number);
  }
  ours.close();
  other.close();
});

test("Malformed variables are none", async () => {
  const [ours, fd] = inheritedEnd();
  const good = entry("socket", fd);
  for (
    const bad of [
      "x",
      "=",
      `${good},`,
      `${good},x`,
      ` ${good}`,
      good.replace("@", "@-"),
      `a b${good}`,
    ]
  ) {
    await withVariables(fd, bad, () => {
      assertEquals(inheritedSocket(), null);
      assertEquals(inheritedFds().size, 0);
    });
  }
  for (const number of ["", "x", `${fd}x`, "-1", "1e1"]) {
    await withVariables(number, good, () => assertEquals(inheritedSocket(), null));
  }
  file.closeHandedOver(fd);
  ours.close();
});

test("inheritedSocket() refuses what is no socket, of another type, or listens; it stays", async () => {
  await withTempSocketPath((path) =>
    assertNoFdLeak(async () => {
      const [ours, fd] = inheritedEnd();
      const memfd = Fd.memfd("no socket").intoFd();
      using listener = UnixListener.listen(path);
      const list = [entry("socket", fd), entry("file", memfd), entry("listener", listener.fd)]
        .join();
      await withVariables(fd, list, async () => {
        await assertFails(() => inheritedSocket(undefined, { type: "datagram" }), "EPROTOTYPE");
        await assertFails(() => inheritedSocket("file"), "ENOTSOCK");
        await assertFails(() => inheritedSocket("listener"), "EINVAL");
        assertEquals(process.env.AFUNIX_FDS, list);
        inheritedSocket()!.close();
        const { AFUNIX_FDS } = process.env;
        assertEquals(AFUNIX_FDS, list.slice(list.indexOf(",") + 1));
      });
      file.closeHandedOver(memfd);
      ours.close();
    })
  );
});

test("inheritedFds() leaves the socket alone and owns the rest", async () => {
  await assertNoFdLeak(async () => {
    const [ours, fd] = inheritedEnd();
    const [a, b] = UnixDatagram.pair();
    const memfd = Fd.memfd("one").intoFd();
    const list = [entry("one", memfd), entry("socket", fd), entry("two", b.intoFd())].join();
    await withVariables(fd, list, () => {
      const fds = inheritedFds();
      assertEquals([...fds.keys()], ["one", "two"]);
      using two = UnixDatagram.fromFd(fds.get("two")!);
      two.sendSync(bytes("x"));
      fds.get("one")!.close();
      assertEquals(inheritedFds().size, 0);
      inheritedSocket()!.close();
    });
    a.close();
    ours.close();
  });
});

test("inheritedSocket() and inheritedFds() refuse wrong arguments", () => {
  assertThrows(() => inheritedSocket(3 as unknown as string), TypeError);
  assertThrows(() => inheritedSocket("a b"), RangeError);
  assertThrows(() => inheritedSocket("a", { type: "raw" as "stream" }), TypeError);
  assertThrows(() => inheritedFds({ keepEnvironment: 1 as unknown as boolean }), TypeError);
  assertThrows(() => inheritedFds(3 as unknown as undefined), TypeError);
});
