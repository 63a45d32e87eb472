import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "@std/path";
import { test } from "node:test";
import { native, sockets } from "../../ffi/mod.ts";
import {
  type AddressLike,
  type BindOptions,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { closeRaw, entryAt } from "../support/listening.ts";
import { assertError } from "../support/errors.ts";
import { assertFails, bytes, withTempDir, withTempSocketPath } from "../support/mod.ts";
import { packedPath, succeed, uniqueName } from "../support/raw.ts";

type Bound = UnixListener | UnixSeqpacketListener | UnixDatagram;

/** All that bind a socket, and what then reaches it. */
const BINDS: Record<string, {
  bind(address: AddressLike, options?: BindOptions): Bound;
  reach(path: string): { close(): void };
}> = {
  "UnixListener.listen()": {
    bind: (address, options) => UnixListener.listen(address, options),
    reach: (path) => UnixStream.connectSync(path),
  },
  "UnixSeqpacketListener.listen()": {
    bind: (address, options) => UnixSeqpacketListener.listen(address, options),
    reach: (path) => UnixSeqpacket.connectSync(path),
  },
  "UnixDatagram.bind()": {
    bind: (address, options) => UnixDatagram.bind(address, options),
    reach: (path) => UnixDatagram.unbound().connect(path),
  },
};

type Type = "stream" | "datagram" | "seqpacket";

/** A bound socket of which the library knows nothing; for a type that listens, one that does not yet. */
function rawBound(path: string, type: Type): number {
  const { constants, linux } = native().abi;
  const { SOCK_STREAM: stream, SOCK_DGRAM: datagram } = constants;
  const number = { stream, datagram, seqpacket: linux!.SOCK_SEQPACKET }[type];
  const fd = succeed(sockets.socket(number));
  succeed(sockets.bind(fd, packedPath(path)));
  return fd;
}

/** Leaves what a server leaves that was killed. */
function leaveDead(path: string, type: Type): void {
  const fd = rawBound(path, type);
  if (type !== "datagram") succeed(sockets.listen(fd, 1));
  closeRaw(fd);
}

const disposing = (fd: number): Disposable => ({ [Symbol.dispose]: () => closeRaw(fd) });
const NOTHING: Disposable = { [Symbol.dispose]() {} };

/** What may be at a path and must stay, with a word of the error's reason. */
const TAKEN: Record<string, [case_: string, says: string, make: (path: string) => Disposable]> = {
  "a stream listener": ["C64", "serves", (path) => UnixListener.listen(path)],
  "a seqpacket listener": ["C64", "", (path) => UnixSeqpacketListener.listen(path)],
  "a datagram server": ["C64", "", (path) => UnixDatagram.bind(path)],
  "a datagram socket that is connected elsewhere": [
    "C64",
    "",
    (path) => UnixDatagram.bind(path).connect(join(path, "..", "elsewhere")),
  ],
  "a datagram socket that has ended its reading": ["C64", "", (path) => {
    const socket = UnixDatagram.bind(path);
    socket.shutdown("read");
    return socket;
  }],
  "a datagram socket of another library": [
    "C64",
    "",
    (path) => disposing(rawBound(path, "datagram")),
  ],
  "a stream socket that does not listen yet": [
    "C64",
    "",
    (path) => disposing(rawBound(path, "stream")),
  ],
  "a seqpacket socket that does not listen yet": [
    "C64",
    "",
    (path) => disposing(rawBound(path, "seqpacket")),
  ],
  "a regular file": ["C59", "not a socket", (path) => {
    writeFileSync(path, "precious");
    return NOTHING;
  }],
  "a directory": ["C59", "", (path) => {
    mkdirSync(path);
    return NOTHING;
  }],
  "a symbolic link to nothing": ["C64", "", (path) => {
    symlinkSync(`${path}.target`, path);
    return NOTHING;
  }],
  "a symbolic link to a dead server's socket": ["C64", "", (path) => {
    leaveDead(`${path}.target`, "stream");
    symlinkSync(`${path}.target`, path);
    return NOTHING;
  }],
  "a symbolic link to a live server's socket": ["C64", "", (path) => {
    symlinkSync(`${path}.target`, path);
    return UnixListener.listen(`${path}.target`);
  }],
};

for (const [name, { bind, reach }] of Object.entries(BINDS)) {
  for (const [what, [number, says, make]] of Object.entries(TAKEN)) {
    test(`${number} ${name} never takes the path of ${what}: EADDRINUSE`, async () => {
      await withTempDir(async (directory) => {
        using _elsewhere = UnixDatagram.bind(join(directory, "elsewhere"));
        const path = join(directory, "taken");
        using living = make(path);
        const [before, target] = [entryAt(path), entryAt(`${path}.target`)];
        assert(before !== null);
        for (const address of [path, bytes(path), new URL(`file://${path}`)]) {
          for (const stale of ["fail", "replace", undefined] as const) {
            const expected = { code: "EADDRINUSE", syscall: "bind", address: path };
            const { message } = await assertError(() => bind(address, { stale }), expected);
            if (stale !== "fail") assertStringIncludes(message, says);
          }
        }
        assertEquals([entryAt(path), entryAt(`${path}.target`)], [before, target]);
        if (what === "a regular file") assertEquals(readFileSync(path, "utf8"), "precious");
        if (living instanceof UnixListener) {
          // A look by a socket of another type leaves no connection behind.
          if (!name.startsWith("UnixListener")) {
            await assertFails(() => living.acceptSync({ timeout: 0 }), "ETIMEDOUT");
          }
          UnixStream.connectSync(path).close();
        }
        if (living instanceof UnixSeqpacketListener) UnixSeqpacket.connectSync(path).close();
      });
    });
  }

  for (const type of ["stream", "datagram", "seqpacket"] as const) {
    test(`C64 ${name} replaces the path of a dead ${type} server, but not with stale: "fail"`, async () => {
      await withTempSocketPath(async (path) => {
        leaveDead(path, type);
        const before = entryAt(path);
        const error = await assertFails(() => bind(path, { stale: "fail" }), "EADDRINUSE", "bind");
        assertEquals([error.address, entryAt(path)], [path, before]);
        using bound = bind(path);
        reach(path).close();
        assertEquals(bound.localAddr, { kind: "pathname", path });
      });
    });
  }

  test(`C61 ${name} fails with ENOENT in a missing directory and with ENOTDIR below a file`, async () => {
    await withTempDir(async (directory) => {
      writeFileSync(join(directory, "file"), "");
      for (const [below, code] of [["no/a", "ENOENT"], ["file/a", "ENOTDIR"]] as const) {
        const path = join(directory, below);
        const { message } = await assertError(() => bind(path), {
          code,
          syscall: "bind",
          address: path,
        });
        assertEquals(message, `Cannot bind to "${path}": ${code}`);
      }
    });
  });

  test(`A19 ${name} of an abstract name in use fails with EADDRINUSE, and gets it once it is free`, async () => {
    const unique = uniqueName();
    const address = `\0${unique}`;
    const first = bind(address);
    for (const stale of ["replace", "fail"] as const) {
      const error = await assertFails(() => bind(address, { stale }), "EADDRINUSE", "bind");
      assertEquals(error.address, `@${unique}`);
    }
    reach(address).close();
    first.close();
    bind(address).close();
  });
}
