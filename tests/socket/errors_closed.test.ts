import { assert, assertEquals, assertMatch } from "@std/assert";
import { test } from "node:test";
import {
  Fd,
  formatAddress,
  type Socket,
  UnixListener,
  type UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { callsMade } from "../support/raw.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  readText,
  withSocketPair,
  withTempSocketPath,
} from "../support/mod.ts";
import { BUFFER } from "../support/refusals.ts";

type Calls = Record<string, () => unknown>;

/** Asserts that each of these fails with EBADF, and that the kernel is not asked. */
async function assertAllClosed(methods: Calls): Promise<void> {
  for (const [name, call] of Object.entries(methods)) {
    let error: UnixSocketError | undefined;
    const calls = await callsMade(async () => {
      error = await assertFails(call, "EBADF").catch((cause) => {
        throw new Error(`${name}: ${cause.message}`, { cause });
      });
    });
    assertEquals(error!.errno, 9, name);
    assert(error!.syscall.length > 0);
    assertMatch(error!.message, /^Cannot .+: EBADF \(the (socket|descriptor) is closed\)$/, name);
    assertEquals(calls, [], name);
  }
}

/** The public names of a class, inherited ones too: those of accessors, and those of methods. */
function membersOf(prototype: object): { accessors: Map<string, boolean>; methods: string[] } {
  const accessors = new Map<string, boolean>();
  const methods: string[] = [];
  for (let at = prototype; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { get, set }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (name === "constructor" || PROTECTED.includes(name)) continue;
      if (get === undefined && set === undefined) methods.push(name);
      else accessors.set(name, set !== undefined);
    }
  }
  return { accessors, methods };
}

/** Asserts the same of a closed object's accessors, and that no method is missing among the calls. */
async function assertMembersClosed(
  object: object,
  calls: Calls,
  staying: readonly string[],
): Promise<void> {
  const { accessors, methods } = membersOf(Object.getPrototypeOf(object));
  const values = object as Record<string, unknown>;
  const all: Calls = { ...calls };
  for (const [name, writable] of accessors) {
    if (staying.includes(name)) continue;
    all[name] = () => values[name];
    if (writable) all[`set ${name}`] = () => values[name] = name.startsWith("pass") ? true : 5000;
  }
  await assertAllClosed(all);
  const untested = methods.filter((name) => !(name in calls) && !staying.includes(name));
  assertEquals(untested, []);
}

/** The system call that an error names, for each member. */
const SYSCALLS: Record<string, string> = {
  intoFd: "fcntl",
  localAddr: "getsockname",
  remoteAddr: "getpeername",
  peerCredentials: "getsockopt",
  peerGroups: "getsockopt",
  peerPidfd: "getsockopt",
  peerSecurityContext: "getsockopt",
  sendMessage: "sendmsg",
  sendMessageSync: "sendmsg",
  receiveMessage: "recvmsg",
  receiveMessageSync: "recvmsg",
  sendBufferSize: "getsockopt",
  receiveBufferSize: "getsockopt",
  "set sendBufferSize": "setsockopt",
  "set receiveBufferSize": "setsockopt",
  shutdown: "shutdown",
  closeWrite: "shutdown",
  read: "recv",
  readSync: "recv",
  peek: "recv",
  peekSync: "recv",
  write: "send",
  writeSync: "send",
  writeAll: "send",
  writeAllSync: "send",
  sendOutOfBand: "send",
  takeOutOfBand: "recv",
  accept: "accept4",
  acceptSync: "accept4",
};

/** What stays after close. */
const HARMLESS = ["fd", "closed", "close", "ref", "unref"];
/** What is there for the classes that derive from Socket. */
const PROTECTED = ["assertOpen", "readAddress", "getOption", "setOption", "closing"];

function peerCalls(socket: Socket): Calls {
  return {
    peerCredentials: () => socket.peerCredentials(),
    peerGroups: () => socket.peerGroups(),
    peerPidfd: () => socket.peerPidfd(),
    peerSecurityContext: () => socket.peerSecurityContext(),
  };
}

function streamCalls(stream: UnixStream): Calls {
  return {
    ...peerCalls(stream),
    sendMessage: () => stream.sendMessage(BUFFER),
    sendMessageSync: () => stream.sendMessageSync(BUFFER),
    receiveMessage: () => stream.receiveMessage(),
    receiveMessageSync: () => stream.receiveMessageSync(),
    read: () => stream.read(BUFFER),
    readSync: () => stream.readSync(BUFFER),
    peek: () => stream.peek(BUFFER),
    peekSync: () => stream.peekSync(BUFFER),
    write: () => stream.write(BUFFER),
    writeSync: () => stream.writeSync(BUFFER),
    writeAll: () => stream.writeAll(BUFFER),
    writeAllSync: () => stream.writeAllSync(BUFFER),
    sendOutOfBand: () => stream.sendOutOfBand(33),
    takeOutOfBand: () => stream.takeOutOfBand(),
    closeWrite: () => stream.closeWrite(),
    shutdown: () => stream.shutdown("both"),
    intoFd: () => stream.intoFd(),
  };
}

/** Asserts which system call each error names, where that is known. */
async function assertSyscalls(calls: Calls, syscalls: Record<string, string>): Promise<void> {
  for (const [name, call] of Object.entries(calls)) {
    assertEquals((await assertFails(call, "EBADF")).syscall, syscalls[name], name);
  }
}

test("L223 every member of UnixStream fails with EBADF after close(), without a system call", async () => {
  await assertNoFdLeak(async () => {
    const [stream, peer] = UnixStream.pair();
    peer.close();
    stream.close();
    const calls = streamCalls(stream);
    const staying = [...HARMLESS, "bytesRead", "bytesWritten", "readable", "writable"];
    await assertMembersClosed(stream, calls, staying);
    await assertSyscalls({
      ...calls,
      localAddr: () => stream.localAddr,
      remoteAddr: () => stream.remoteAddr,
      sendBufferSize: () => stream.sendBufferSize,
      receiveBufferSize: () => stream.receiveBufferSize,
      "set sendBufferSize": () => stream.sendBufferSize = 5000,
      "set receiveBufferSize": () => stream.receiveBufferSize = 5000,
    }, SYSCALLS);
    const nothing = new Uint8Array(0);
    await assertAllClosed({
      "read into nothing": () => stream.read(nothing),
      "readSync into nothing": () => stream.readSync(nothing),
      "peek into nothing": () => stream.peek(nothing),
      "peekSync into nothing": () => stream.peekSync(nothing),
      "write of nothing": () => stream.write(nothing),
      "writeSync of nothing": () => stream.writeSync(nothing),
      "writeAll of nothing": () => stream.writeAll(nothing),
      "writeAllSync of nothing": () => stream.writeAllSync(nothing),
    });
  });
});

test("UnixStream.close(), ref() and unref() do nothing once it is closed", async () => {
  await withSocketPair(async (stream, peer) => {
    await stream.writeAll(bytes("abc"));
    await peer.writeAll(bytes("de"));
    await stream.read(BUFFER);
    const waiting = stream.read(BUFFER);
    stream.close();
    await assertFails(() => waiting, "EBADF", "recv");
    const calls = await callsMade(() => {
      stream.close();
      stream[Symbol.dispose]();
      assertEquals(stream.ref(), stream);
      assertEquals(stream.unref(), stream);
    });
    assertEquals(calls, []);
    assertEquals([stream.fd, stream.closed], [-1, true]);
    assertEquals([stream.bytesRead, stream.bytesWritten], [2, 3]);
    assertEquals(await readText(peer), "abc");
    assertEquals(await readText(peer), null);
  });
});

test("UnixStream's addresses that were asked for before are known after close()", async () => {
  await withTempSocketPath(async (path) => {
    using _listener = UnixListener.listen(path);
    const stream = await UnixStream.connect(path);
    assertEquals(stream.localAddr, { kind: "unnamed" });
    stream.close();
    assertEquals(stream.localAddr, { kind: "unnamed" });
    assertEquals(formatAddress(stream.remoteAddr), path);
  });
});

test("UnixStream's web streams and iteration report a socket that was closed before", async () => {
  const [stream, peer] = UnixStream.pair();
  using _peer = peer;
  stream.close();
  await assertFails(() => stream.readable.getReader().read(), "EBADF", "recv");
  await assertFails(() => stream.writable.getWriter().write(bytes("x")), "EBADF", "send");
  for await (const chunk of stream) throw new Error(`read ${chunk}`);
});

test("L223 every member of UnixListener fails with EBADF after close(), without a system call", async () => {
  await withTempSocketPath((path) =>
    assertNoFdLeak(async () => {
      const listener = UnixListener.listen(path);
      listener.close();
      const calls: Calls = {
        accept: () => listener.accept(),
        acceptSync: () => listener.acceptSync(),
        shutdown: () => listener.shutdown("both"),
        intoFd: () => listener.intoFd(),
        ...peerCalls(listener),
      };
      await assertMembersClosed(listener, calls, [...HARMLESS, "addr", "localAddr", "refused"]);
      await assertSyscalls(calls, SYSCALLS);
      assertEquals(formatAddress(listener.addr), path);
      assertEquals(formatAddress(listener.localAddr), path);
      assertEquals([listener.fd, listener.closed], [-1, true]);
      const made = await callsMade(() => {
        listener.close();
        listener[Symbol.dispose]();
        listener.ref().unref();
      });
      assertEquals(made, []);
      for await (const _ of listener) throw new Error("accepted");
    })
  );
});

test("UnixListener.addr of an adopted listener fails with EBADF after close() if nobody asked before", async () => {
  const made = UnixListener.listen({ kind: "unnamed" });
  const listener = UnixListener.fromFd(made.intoFd());
  listener.close();
  await assertAllClosed({ addr: () => listener.addr, localAddr: () => listener.localAddr });
});

test("L223 every member of Fd fails with EBADF after close(), without a system call", async () => {
  await assertNoFdLeak(async () => {
    const [fd, writer] = Fd.pipe();
    writer.close();
    fd.close();
    const calls: Calls = {
      read: () => fd.read(BUFFER),
      readSync: () => fd.readSync(BUFFER),
      write: () => fd.write(BUFFER),
      writeSync: () => fd.writeSync(BUFFER),
      writeAll: () => fd.writeAll(BUFFER),
      writeAllSync: () => fd.writeAllSync(BUFFER),
      dup: () => fd.dup(),
      intoFd: () => fd.intoFd(),
      waitReadable: () => fd.waitReadable(),
      waitReadableSync: () => fd.waitReadableSync(),
      pread: () => fd.pread(BUFFER, 0),
      preadSync: () => fd.preadSync(BUFFER, 0),
      pwrite: () => fd.pwrite(BUFFER, 0),
      pwriteSync: () => fd.pwriteSync(BUFFER, 0),
      seek: () => fd.seek(0),
      truncate: () => fd.truncate(0),
      sync: () => fd.sync(),
      syncSync: () => fd.syncSync(),
      stat: () => fd.stat(),
      addSeals: () => fd.addSeals({ seal: true }),
    };
    await assertMembersClosed(fd, calls, [...HARMLESS, "readable", "writable"]);
    await assertSyscalls(calls, {
      read: "read",
      readSync: "read",
      write: "write",
      writeSync: "write",
      writeAll: "write",
      writeAllSync: "write",
      dup: "fcntl",
      intoFd: "fcntl",
      waitReadable: "poll",
      waitReadableSync: "poll",
      pread: "pread",
      preadSync: "pread",
      pwrite: "pwrite",
      pwriteSync: "pwrite",
      seek: "lseek",
      truncate: "ftruncate",
      sync: "fsync",
      syncSync: "fsync",
      stat: "statx",
      addSeals: "fcntl",
    });
    assertEquals([fd.fd, fd.closed], [-1, true]);
    const made = await callsMade(() => {
      fd.close();
      fd[Symbol.dispose]();
      fd.ref().unref();
    });
    assertEquals(made, []);
    await assertFails(() => fd.readable.getReader().read(), "EBADF", "read");
    await assertFails(() => fd.writable.getWriter().write(bytes("x")), "EBADF", "write");
  });
});

test("L223 intoFd() ends the use of an object as close() does, and leaves the descriptor open", async () => {
  const [stream, peer] = UnixStream.pair();
  using _peer = peer;
  const fd = stream.intoFd();
  await assertAllClosed(streamCalls(stream));
  stream.close();
  using again = UnixStream.fromFd(fd);
  await again.writeAll(bytes("open"));
  assertEquals(await readText(peer), "open");
});
