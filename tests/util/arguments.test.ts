import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { abstract, Fd, formatAddress, sameAddress, UnixListener, UnixStream } from "../../mod.ts";
import { callsMade, uniqueName } from "../support/raw.ts";
import { bytes, readText, withSocketPair, withTempSocketPath } from "../support/mod.ts";
import {
  assertAllRefuse,
  assertRefuses,
  BUFFER,
  NO_INTEGERS,
  NOT_ADDRESSES,
  NOT_NUMBERS,
  NOT_OPTIONS,
  NOT_SIGNALS,
  show,
} from "../support/refusals.ts";

test("L227 UnixStream.connect() refuses what is no address with TypeError", async () => {
  await assertRefuses(TypeError, NOT_ADDRESSES, (value) => UnixStream.connect(value));
});

test("L227 UnixStream.connectSync() refuses what is no address with TypeError", async () => {
  await assertRefuses(TypeError, NOT_ADDRESSES, (value) => UnixStream.connectSync(value));
});

test("L227 UnixStream.connect() refuses what is no address to come from with TypeError", async () => {
  const values = NOT_ADDRESSES.filter((value) => value !== undefined);
  await assertRefuses(TypeError, values, (from) => UnixStream.connect("/x", { from }));
  await assertRefuses(TypeError, values, (from) => UnixStream.connectSync("/x", { from }));
});

test("L227 UnixListener.listen() refuses what is no address with TypeError", async () => {
  await assertRefuses(TypeError, NOT_ADDRESSES, (value) => UnixListener.listen(value));
});

/** Calls that take options, on sockets of their own. */
async function withCalls(
  body: (
    asynchronous: Record<string, (options: never) => unknown>,
    synchronous: Record<string, (options: never) => unknown>,
  ) => Promise<void>,
): Promise<void> {
  await withTempSocketPath((path) =>
    withSocketPair(async (a, b) => {
      using listener = UnixListener.listen(path);
      const [reader, writer] = Fd.pipe();
      using _reader = reader;
      using _writer = writer;
      b.writeAllSync(bytes("something to read"));
      writer.writeAllSync(bytes("something to read"));
      await body({
        "UnixStream.connect": (options) => UnixStream.connect(path, options),
        "UnixListener.accept": (options) => listener.accept(options),
        read: (options) => a.read(BUFFER, options),
        "read into nothing": (options) => a.read(new Uint8Array(0), options),
        peek: (options) => a.peek(BUFFER, options),
        "peek into nothing": (options) => a.peek(new Uint8Array(0), options),
        write: (options) => a.write(BUFFER, options),
        writeAll: (options) => a.writeAll(BUFFER, options),
        "Fd.read": (options) => reader.read(BUFFER, options),
        "Fd.write": (options) => writer.write(BUFFER, options),
        "Fd.writeAll": (options) => writer.writeAll(BUFFER, options),
      }, {
        "UnixStream.connectSync": (options) => UnixStream.connectSync(path, options),
        "UnixListener.acceptSync": (options) => listener.acceptSync(options),
        readSync: (options) => a.readSync(BUFFER, options),
        "readSync into nothing": (options) => a.readSync(new Uint8Array(0), options),
        peekSync: (options) => a.peekSync(BUFFER, options),
        "peekSync into nothing": (options) => a.peekSync(new Uint8Array(0), options),
        writeSync: (options) => a.writeSync(BUFFER, options),
        writeAllSync: (options) => a.writeAllSync(BUFFER, options),
        "Fd.readSync": (options) => reader.readSync(BUFFER, options),
        "Fd.writeSync": (options) => writer.writeSync(BUFFER, options),
        "Fd.writeAllSync": (options) => writer.writeAllSync(BUFFER, options),
      });
      // Nothing was taken or sent by all that was refused.
      assertEquals([a.bytesRead, a.bytesWritten], [0, 0]);
      assertEquals(await readText(a), "something to read");
    })
  );
}

type ByOptions = Record<string, (options: never) => unknown>;

/** The same calls, which take one member of the options only. */
function byMember(calls: ByOptions, member: string): Record<string, (value: never) => unknown> {
  return Object.fromEntries(
    Object.entries(calls).map(([name, call]) => [
      name,
      (value: unknown) => call({ [member]: value } as never),
    ]),
  );
}

test("L227 whatever takes options refuses what is no object with TypeError", async () => {
  await withCalls((asynchronous, synchronous) =>
    assertAllRefuse(TypeError, NOT_OPTIONS, { ...asynchronous, ...synchronous })
  );
});

test("L227 whatever takes a signal refuses what is none with TypeError", async () => {
  await withCalls((asynchronous) =>
    assertAllRefuse(TypeError, NOT_SIGNALS, byMember(asynchronous, "signal"))
  );
});

test("L227 whatever takes a timeout refuses what is no number with TypeError", async () => {
  await withCalls((_, synchronous) =>
    assertAllRefuse(TypeError, [null, ...NOT_NUMBERS], byMember(synchronous, "timeout"))
  );
});

test("L227 whatever takes a timeout refuses numbers out of range with RangeError", async () => {
  await withCalls((_, synchronous) =>
    assertAllRefuse(RangeError, [-1, -0.001, -Infinity, NaN], byMember(synchronous, "timeout"))
  );
});

test("L227 UnixListener.listen() refuses options that are none with TypeError", async () => {
  await assertRefuses(TypeError, NOT_OPTIONS, (options) => UnixListener.listen("x", options));
});

test("L227 UnixListener.listen() refuses wrong types of backlog, mode, stale and unlinkOnClose", async () => {
  const address = { kind: "pathname", path: "refused" } as const;
  const listen = (options: never) => UnixListener.listen(address, options);
  const members: [string, unknown[]][] = [
    ["backlog", NOT_NUMBERS],
    ["mode", [null, ...NOT_NUMBERS]],
    ["stale", ["", "replaced", "REPLACE", true, 1, {}, ["replace"]]],
    ["unlinkOnClose", [0, 1, "", "false", {}]],
  ];
  for (const [member, values] of members) {
    await assertRefuses(TypeError, values, (value) => listen({ [member]: value } as never));
  }
});

test("L227 UnixListener.listen() refuses null as backlog, stale and unlinkOnClose", async () => {
  await assertAllRefuse(
    TypeError,
    [null],
    Object.fromEntries(
      ["backlog", "stale", "unlinkOnClose"].map((member) => [
        member,
        (value) => UnixListener.listen(abstract(uniqueName()), { [member]: value }),
      ]),
    ),
  );
});

test("L227 UnixListener.listen() refuses a backlog and a mode out of range with RangeError", async () => {
  const listen = (options: object) => UnixListener.listen("refused", options);
  const backlogs = [-1, 2 ** 31, ...NO_INTEGERS];
  await assertRefuses(RangeError, backlogs, (backlog) => listen({ backlog }));
  const modes = [-1, 0o1000, 0o4755, 2 ** 32, ...NO_INTEGERS];
  await assertRefuses(RangeError, modes, (mode) => listen({ mode }));
});

test("L227 UnixListener.listen() refuses a mode for an address that is no file with TypeError", async () => {
  const addresses = [abstract(uniqueName()), { kind: "unnamed" }];
  await assertRefuses(TypeError, addresses, (address) => UnixListener.listen(address, { mode: 0 }));
});

test("L227 fromFd() and adopt() refuse what is no descriptor with TypeError or RangeError", async () => {
  const calls = {
    "UnixStream.fromFd": (fd: never) => UnixStream.fromFd(fd),
    "UnixListener.fromFd": (fd: never) => UnixListener.fromFd(fd),
    "Fd.adopt": (fd: never) => Fd.adopt(fd),
  };
  await assertAllRefuse(TypeError, [null, undefined, ...NOT_NUMBERS], calls);
  await assertAllRefuse(RangeError, [-1, 2 ** 31, 2 ** 32, ...NO_INTEGERS], calls);
});

test("L227 UnixStream.shutdown() refuses other words with TypeError, and ends nothing", async () => {
  await withSocketPair(async (a, b) => {
    const words = [null, undefined, 0, 1, "", "READ", "rdwr", "toString", {}, ["read"]];
    await assertRefuses(TypeError, words, (how) => a.shutdown(how));
    await a.writeAll(bytes("open"));
    assertEquals(await readText(b), "open");
  });
});

test("L227 the buffer sizes refuse wrong types with TypeError and others with RangeError", async () => {
  await withSocketPair(async (a) => {
    const before = [a.sendBufferSize, a.receiveBufferSize];
    const setters = {
      sendBufferSize: (size: never) => {
        a.sendBufferSize = size;
      },
      receiveBufferSize: (size: never) => {
        a.receiveBufferSize = size;
      },
    };
    await assertAllRefuse(TypeError, [null, undefined, ...NOT_NUMBERS], setters);
    await assertAllRefuse(RangeError, [0, -1, 2 ** 31, ...NO_INTEGERS], setters);
    assertEquals([a.sendBufferSize, a.receiveBufferSize], before);
  });
});

test("L227 UnixStream.peekOffset and sendOutOfBand() refuse wrong types and numbers out of range", async () => {
  await withSocketPair(async (a, b) => {
    const offset = (value: never) => {
      a.peekOffset = value;
    };
    const urgent = (value: never) => a.sendOutOfBand(value);
    await assertAllRefuse(TypeError, [null, undefined, ...NOT_NUMBERS], { offset, urgent });
    await assertRefuses(RangeError, [-2, 2 ** 31, ...NO_INTEGERS], offset);
    await assertRefuses(RangeError, [-1, 256, ...NO_INTEGERS], urgent);
    assertEquals(a.peekOffset, -1);
    assertEquals(b.takeOutOfBand(), null);
  });
});

test("L227 Fd.open() refuses what is no path with TypeError", async () => {
  const values = [null, undefined, 5, true, {}, [], ["/"], 5n, new URL("file:///"), "\ud800"];
  await assertRefuses(TypeError, values, (path) => Fd.open(path));
});

test("L227 Fd.open() refuses other modes with TypeError", async () => {
  const modes = [null, "", "r", "READ", {}, ["read"]];
  await assertRefuses(TypeError, modes, (mode) => Fd.open("/", mode));
});

test("L227 Fd.open() refuses the names of what every object has as a mode", async () => {
  const modes = ["toString", "constructor", "hasOwnProperty", "__proto__"];
  await assertRefuses(TypeError, modes, (mode) => Fd.open("/", mode));
});

test("L227 Fd.open() refuses options that are none with TypeError", async () => {
  await assertRefuses(TypeError, NOT_OPTIONS, (options) => Fd.open("/", "read", options));
});

test("L227 Fd.open() refuses permissions that are none", async () => {
  const open = (permissions: never) => Fd.open("/", "read", { permissions });
  await assertRefuses(TypeError, NOT_NUMBERS, open);
  await assertRefuses(RangeError, [-1, 0o10000, ...NO_INTEGERS], open);
});

test("L227 abstract() refuses wrong types with TypeError and long names with RangeError", async () => {
  const values = [
    null,
    undefined,
    5,
    true,
    {},
    [1],
    new ArrayBuffer(2),
    new Uint16Array(2),
    "\ud800",
  ];
  await assertRefuses(TypeError, values, (name) => abstract(name));
  await assertRefuses(RangeError, ["x".repeat(108), new Uint8Array(200)], (name) => abstract(name));
});

const NOT_TAGGED = [
  ...[null, undefined, 5, "/x", true, {}, [], { kind: "other" }, new URL("file:///x")],
  ...[{ kind: "pathname" }, { kind: "pathname", path: 5 }, bytes("/x")],
  ...[{ kind: "abstract" }, { kind: "abstract", name: "x" }],
];

test("L227 formatAddress() refuses what is no Address with TypeError", () => {
  const wrong: string[] = [];
  for (const value of NOT_TAGGED) {
    try {
      wrong.push(`${show(value)}: ${show(formatAddress(value as never))}`);
    } catch (error) {
      if (!(error instanceof TypeError)) wrong.push(`${show(value)}: ${error}`);
    }
  }
  assertEquals(wrong, []);
});

test("L227 sameAddress() refuses what is no Address with TypeError", () => {
  const wrong: string[] = [];
  for (const value of NOT_TAGGED) {
    for (const [a, b] of [[value, abstract("x")], [abstract("x"), value]]) {
      try {
        wrong.push(`${show(value)}: ${sameAddress(a as never, b as never)}`);
      } catch (error) {
        if (!(error instanceof TypeError)) wrong.push(`${show(value)}: ${error}`);
      }
    }
  }
  assertEquals(wrong, []);
});

test("L227 a signal that was aborted before stops everything before any system call", async () => {
  await withCalls(async (asynchronous) => {
    const reason = new Error("changed my mind");
    const signal = AbortSignal.abort(reason);
    for (const [name, call] of Object.entries(asynchronous)) {
      const calls = await callsMade(async () => {
        const thrown = await Promise.resolve().then(() => call({ signal } as never)).catch((e) =>
          e
        );
        assertEquals(thrown, reason, name);
      });
      assertEquals(calls, [], name);
    }
  });
});
