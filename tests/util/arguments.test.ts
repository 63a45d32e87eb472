import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  abstract,
  type AddressLike,
  type BindOptions,
  Fd,
  formatAddress,
  type ListenOptions,
  ReceiveBatch,
  sameAddress,
  type Socket,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { callsMade, uniqueName } from "../support/raw.ts";
import { assertFails, bytes, withEveryClass, withSocketPair, withTempDir } from "../support/mod.ts";
import { closeEach } from "../support/passing.ts";
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

test("L227 whatever takes an address refuses what is none with TypeError", async () => {
  using sender = UnixDatagram.unbound();
  await assertAllRefuse(TypeError, NOT_ADDRESSES, {
    "UnixStream.connect": (value) => UnixStream.connect(value),
    "UnixStream.connectSync": (value) => UnixStream.connectSync(value),
    "UnixSeqpacket.connect": (value) => UnixSeqpacket.connect(value),
    "UnixSeqpacket.connectSync": (value) => UnixSeqpacket.connectSync(value),
    "UnixListener.listen": (value) => UnixListener.listen(value),
    "UnixSeqpacketListener.listen": (value) => UnixSeqpacketListener.listen(value),
    "UnixDatagram.bind": (value) => UnixDatagram.bind(value),
    "UnixDatagram.connect": (value) => sender.connect(value),
    "UnixDatagram.sendTo": (value) => sender.sendTo(BUFFER, value),
    "UnixDatagram.sendToSync": (value) => sender.sendToSync(BUFFER, value),
  });
});

test("L227 UnixStream.connect() refuses what is no address to come from with TypeError", async () => {
  const values = NOT_ADDRESSES.filter((value) => value !== undefined);
  await assertAllRefuse(TypeError, values, {
    connect: (from) => UnixStream.connect("/x", { from }),
    connectSync: (from) => UnixStream.connectSync("/x", { from }),
  });
});

type Calls = Record<string, (options: never) => unknown>;

/** Calls that take options: those that wait, and those that block the thread. */
interface ByOptions {
  asynchronous: Calls;
  synchronous: Calls;
}

function streamCalls(a: UnixStream): ByOptions {
  const nothing = new Uint8Array(0);
  return {
    asynchronous: {
      read: (options) => a.read(BUFFER, options),
      "read into nothing": (options) => a.read(nothing, options),
      peek: (options) => a.peek(BUFFER, options),
      "peek into nothing": (options) => a.peek(nothing, options),
      write: (options) => a.write(BUFFER, options),
      writeAll: (options) => a.writeAll(BUFFER, options),
      sendMessage: (options) => a.sendMessage(BUFFER, options),
      receiveMessage: (options) => a.receiveMessage(options),
    },
    synchronous: {
      readSync: (options) => a.readSync(BUFFER, options),
      "readSync into nothing": (options) => a.readSync(nothing, options),
      peekSync: (options) => a.peekSync(BUFFER, options),
      "peekSync into nothing": (options) => a.peekSync(nothing, options),
      writeSync: (options) => a.writeSync(BUFFER, options),
      writeAllSync: (options) => a.writeAllSync(BUFFER, options),
      sendMessageSync: (options) => a.sendMessageSync(BUFFER, options),
      receiveMessageSync: (options) => a.receiveMessageSync(options),
    },
  };
}

function fdCalls(reader: Fd, writer: Fd): ByOptions {
  return {
    asynchronous: {
      read: (options) => reader.read(BUFFER, options),
      write: (options) => writer.write(BUFFER, options),
      writeAll: (options) => writer.writeAll(BUFFER, options),
      waitReadable: (options) => reader.waitReadable(options),
    },
    synchronous: {
      readSync: (options) => reader.readSync(BUFFER, options),
      writeSync: (options) => writer.writeSync(BUFFER, options),
      writeAllSync: (options) => writer.writeAllSync(BUFFER, options),
      waitReadableSync: (options) => reader.waitReadableSync(options),
    },
  };
}

function messageCalls(a: UnixDatagram | UnixSeqpacket): ByOptions {
  const batch = new ReceiveBatch({ messages: 1 });
  const calls: ByOptions = {
    asynchronous: {
      send: (options) => a.send(BUFFER, options),
      sendMany: (options) => a.sendMany([BUFFER], options),
      sendMessage: (options) => a.sendMessage(BUFFER, options),
      receive: (options) => a.receive(options),
      peek: (options) => a.peek(options),
      receiveMany: (options) => a.receiveMany(batch, options),
      receiveMessage: (options) => a.receiveMessage(options),
    },
    synchronous: {
      sendSync: (options) => a.sendSync(BUFFER, options),
      sendManySync: (options) => a.sendManySync([BUFFER], options),
      sendMessageSync: (options) => a.sendMessageSync(BUFFER, options),
      receiveSync: (options) => a.receiveSync(options),
      peekSync: (options) => a.peekSync(options),
      receiveManySync: (options) => a.receiveManySync(batch, options),
      receiveMessageSync: (options) => a.receiveMessageSync(options),
    },
  };
  if (!(a instanceof UnixDatagram)) return calls;
  calls.asynchronous.sendTo = (options) => a.sendTo(BUFFER, "/x", options);
  calls.asynchronous.receiveInto = (options) => a.receiveInto(BUFFER, options);
  calls.synchronous.sendToSync = (options) => a.sendToSync(BUFFER, "/x", options);
  calls.synchronous.receiveIntoSync = (options) => a.receiveIntoSync(BUFFER, options);
  return calls;
}

/** Runs a body with all calls that take options, and asserts that nothing is taken or sent by them. */
async function withCalls(
  body: (asynchronous: Calls, synchronous: Calls) => Promise<void>,
): Promise<void> {
  await withTempDir(async (directory) => {
    const paths = [`${directory}/stream`, `${directory}/seqpacket`] as const;
    using listener = UnixListener.listen(paths[0]);
    using records = UnixSeqpacketListener.listen(paths[1]);
    const pairs = [UnixStream.pair(), UnixDatagram.pair(), UnixSeqpacket.pair()] as const;
    const [reader, writer] = Fd.pipe();
    const text = bytes("something to read");
    for (const [, peer] of pairs) peer.sendMessageSync(text);
    writer.writeAllSync(text);
    const calls: Record<string, ByOptions> = {
      UnixListener: {
        asynchronous: { accept: (options) => listener.accept(options) },
        synchronous: { acceptSync: (options) => listener.acceptSync(options) },
      },
      UnixSeqpacketListener: {
        asynchronous: { accept: (options) => records.accept(options) },
        synchronous: { acceptSync: (options) => records.acceptSync(options) },
      },
      UnixStream: streamCalls(pairs[0][0]),
      UnixDatagram: messageCalls(pairs[1][0]),
      UnixSeqpacket: messageCalls(pairs[2][0]),
      Fd: fdCalls(reader, writer),
    };
    for (const [i, Class] of [UnixStream, UnixSeqpacket].entries()) {
      const { asynchronous, synchronous } = calls[Class.name]!;
      asynchronous.connect = (options) => Class.connect(paths[i]!, options);
      synchronous.connectSync = (options) => Class.connectSync(paths[i]!, options);
    }
    const named = (kind: keyof ByOptions) =>
      Object.fromEntries(
        Object.entries(calls).flatMap(([name, of]) =>
          Object.entries(of[kind]).map(([call, make]) => [`${name}.${call}`, make])
        ),
      );
    await body(named("asynchronous"), named("synchronous"));
    for (const [own, peer] of pairs) {
      assertEquals(own.receiveMessageSync({ timeout: 0 })?.data, text);
      await assertFails(() => peer.receiveMessageSync({ timeout: 0 }), "ETIMEDOUT");
      closeEach([own, peer]);
    }
    assertEquals(reader.readSync(new Uint8Array(64), { timeout: 0 }), text.length);
    closeEach([reader, writer]);
  });
}

/** The same calls, which take one member of the options only. */
function byMember(calls: Calls, member: string): Record<string, (value: never) => unknown> {
  return Object.fromEntries(
    Object.entries(calls).map(([name, call]) => [
      name,
      (value: unknown) => call({ [member]: value } as never),
    ]),
  );
}

test("L227 whatever takes options refuses what is no object with TypeError", async () => {
  await withCalls((asynchronous, synchronous) =>
    assertAllRefuse(TypeError, NOT_OPTIONS, { ...asynchronous, ...synchronous }, "options")
  );
});

test("L227 whatever takes a signal refuses what is none with TypeError", async () => {
  await withCalls((asynchronous) =>
    assertAllRefuse(TypeError, NOT_SIGNALS, byMember(asynchronous, "signal"), "signal")
  );
});

test("L227 whatever takes a timeout refuses what is no number with TypeError", async () => {
  await withCalls((_, synchronous) =>
    assertAllRefuse(TypeError, [null, ...NOT_NUMBERS], byMember(synchronous, "timeout"), "timeout")
  );
});

test("L227 whatever takes a timeout refuses numbers out of range with RangeError", async () => {
  await withCalls((_, synchronous) =>
    assertAllRefuse(
      RangeError,
      [-1, -0.001, -Infinity, NaN],
      byMember(synchronous, "timeout"),
      "timeout",
    )
  );
});

/** All that make a socket with an address of its own. */
const BINDS = {
  "UnixListener.listen": (address: AddressLike, options: ListenOptions) =>
    UnixListener.listen(address, options),
  "UnixSeqpacketListener.listen": (address: AddressLike, options: ListenOptions) =>
    UnixSeqpacketListener.listen(address, options),
  "UnixDatagram.bind": (address: AddressLike, options: BindOptions) =>
    UnixDatagram.bind(address, options),
};

for (const [name, bind] of Object.entries(BINDS)) {
  test(`L227 ${name}() refuses options that are none, with TypeError`, async () => {
    await assertRefuses(TypeError, NOT_OPTIONS, (options) => bind("x", options));
  });

  test(`L227 ${name}() refuses wrong types of its options with TypeError`, async () => {
    const members: [string, unknown[]][] = [
      ...name.endsWith("listen")
        ? [["backlog", [null, ...NOT_NUMBERS]] as [string, unknown[]]]
        : [],
      ["mode", [null, ...NOT_NUMBERS]],
      ["stale", [null, "", "replaced", "remove", "REPLACE", true, 1, {}, ["replace"]]],
      ["unlinkOnClose", [null, 0, 1, "", "no", {}]],
    ];
    for (const address of ["refused", abstract(uniqueName())]) {
      for (const [member, values] of members) {
        await assertRefuses(TypeError, values, (value) => bind(address, { [member]: value }));
      }
    }
  });

  test(`L227 ${name}() refuses a backlog and a mode out of range with RangeError`, async () => {
    const modes = [-1, 0o1000, 0o4755, 2 ** 32, ...NO_INTEGERS];
    await assertRefuses(RangeError, modes, (mode) => bind("refused", { mode }));
    if (!name.endsWith("listen")) return;
    const backlogs = [-1, 2 ** 31, ...NO_INTEGERS];
    await assertRefuses(RangeError, backlogs, (backlog: number) => bind("refused", { backlog }));
  });

  test(`L227 ${name}() refuses a mode for an address that is no file with TypeError`, async () => {
    const addresses = [abstract(uniqueName()), "\0name", { kind: "unnamed" }];
    await assertRefuses(TypeError, addresses, (address) => bind(address, { mode: 0 }));
  });
}

test("L227 receive() and peek() refuse sizes that no message can have", async () => {
  for (const Class of [UnixDatagram, UnixSeqpacket]) {
    const [a, b] = Class.pair();
    a.sendSync(bytes("untouched"));
    const calls = {
      receive: (size: never) => b.receive({ size }),
      receiveSync: (size: never) => b.receiveSync({ size }),
      peek: (size: never) => b.peek({ size }),
      peekSync: (size: never) => b.peekSync({ size }),
    };
    await assertAllRefuse(TypeError, [null, ...NOT_NUMBERS], calls);
    await assertAllRefuse(RangeError, [-1, 2 ** 31, ...NO_INTEGERS], calls);
    assertEquals(b.receiveSync()?.data, bytes("untouched"));
    closeEach([a, b]);
  }
});

test("UnixDatagram, UnixSeqpacket and the listeners cannot be made by their constructors", () => {
  const classes = [UnixListener, UnixDatagram, UnixSeqpacket, UnixSeqpacketListener];
  for (const Class of classes) assertThrows(() => new (Class as unknown as new () => Socket)());
});

test("L227 fromFd() and adopt() refuse what is no descriptor with TypeError or RangeError", async () => {
  const calls = {
    "UnixStream.fromFd": (fd: never) => UnixStream.fromFd(fd),
    "UnixListener.fromFd": (fd: never) => UnixListener.fromFd(fd),
    "UnixDatagram.fromFd": (fd: never) => UnixDatagram.fromFd(fd),
    "UnixSeqpacket.fromFd": (fd: never) => UnixSeqpacket.fromFd(fd),
    "UnixSeqpacketListener.fromFd": (fd: never) => UnixSeqpacketListener.fromFd(fd),
    "Fd.adopt": (fd: never) => Fd.adopt(fd),
  };
  await assertAllRefuse(TypeError, [null, undefined, ...NOT_NUMBERS], calls, "descriptor");
  await assertAllRefuse(RangeError, [-1, 2 ** 31, 2 ** 32, ...NO_INTEGERS], calls, "a descriptor");
});

test("L227 shutdown() refuses other words with TypeError, and ends nothing", async () => {
  for (const Class of [UnixStream, UnixDatagram, UnixSeqpacket]) {
    const [a, b] = Class.pair();
    const words = [null, undefined, 0, 1, 2, "", "READ", "Read", "rdwr", "toString", {}, ["read"]];
    await assertRefuses(TypeError, words, (how) => a.shutdown(how), "direction");
    a.sendMessageSync(bytes("open"));
    assertEquals(b.receiveMessageSync()?.data, bytes("open"));
    closeEach([a, b]);
  }
});

test("L227 the buffer sizes and peekOffset refuse wrong types with TypeError and others with RangeError", async () => {
  await withEveryClass(async (all) => {
    for (const socket of Object.values(all)) {
      const before = [socket.sendBufferSize, socket.receiveBufferSize, socket.peekOffset];
      const sizes: Calls = {
        sendBufferSize: (size) => void (socket.sendBufferSize = size),
        receiveBufferSize: (size) => void (socket.receiveBufferSize = size),
      };
      const offset: Calls = { peekOffset: (value) => void (socket.peekOffset = value) };
      const noNumbers = [null, undefined, ...NOT_NUMBERS];
      await assertAllRefuse(TypeError, noNumbers, { ...sizes, ...offset });
      await assertAllRefuse(RangeError, [0, -1, 2 ** 31, ...NO_INTEGERS], sizes);
      await assertAllRefuse(RangeError, [-2, 2 ** 31, ...NO_INTEGERS], offset);
      assertEquals([socket.sendBufferSize, socket.receiveBufferSize, socket.peekOffset], before);
    }
  });
});

test("L227 UnixStream.sendOutOfBand() refuses what is no byte", async () => {
  await withSocketPair(async (a, b) => {
    const urgent = (value: never) => a.sendOutOfBand(value);
    await assertRefuses(TypeError, [null, undefined, "a", bytes("a"), ...NOT_NUMBERS], urgent);
    await assertRefuses(RangeError, [-1, 256, ...NO_INTEGERS], urgent);
    assertEquals(b.takeOutOfBand(), null);
  });
});

test("L227 Fd.open() refuses what is no path with TypeError", async () => {
  const values = [null, undefined, 5, true, {}, [], ["/"], 5n, new URL("file:///"), "\ud800"];
  await assertRefuses(TypeError, values, (path) => Fd.open(path));
});

test("L227 Fd.open() refuses other modes with TypeError, and other flags with RangeError", async () => {
  const modes = [null, "", "r", "READ", {}, ["read"]];
  await assertRefuses(TypeError, modes, (mode) => Fd.open("/", mode));
  const flags = [-1, 2 ** 31, ...NO_INTEGERS];
  await assertRefuses(RangeError, flags, (number) => Fd.open("/", number));
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
