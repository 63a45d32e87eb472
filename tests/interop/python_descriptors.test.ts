import process from "node:process";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { type Credentials, UnixListener, UnixStream } from "../../mod.ts";
import { acceptFrom, freshName, joined, python } from "../support/interop.ts";
import {
  bytes,
  commandFor,
  openDescriptors,
  readText,
  readToEnd,
  ROOT,
  RUNTIME,
  settled,
  text,
  withTempSocketPath,
} from "../support/mod.ts";

/** The command line of tests/programs/adopted.ts, as one argument for Python. */
const adopted = JSON.stringify(commandFor(RUNTIME, join(ROOT, "tests/programs/adopted.ts")));

interface About {
  localAddr: unknown;
  remoteAddr: unknown;
  peer: Credentials;
}

const unnamed = { kind: "unnamed" };

test("N247 UnixStream.fromFd() takes over one end of a Python parent's socketpair", async () => {
  await using parent = python(
    `
    import subprocess
    ours, theirs = socket.socketpair()
    command = [*json.loads(args[0]), "stream", str(theirs.fileno())]
    child = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()
    lines = ours.makefile("rwb")
    say(lines.readline().decode().strip())
    say(json.dumps([os.getpid(), os.geteuid(), os.getegid()]))
    sent = os.urandom(1 << 20)
    threading.Thread(target=lambda: (ours.sendall(sent), ours.shutdown(socket.SHUT_WR))).start()
    say(lines.read() == sent)
    say(child.wait())
    `,
    [adopted],
  );
  const { localAddr, remoteAddr, peer } = await parent.json<About>();
  assertEquals([localAddr, remoteAddr], [unnamed, unnamed]);
  const [pid, uid, gid] = await parent.json<[number, number, number]>();
  assertEquals(peer, { pid, uid, gid });
  assertEquals(await parent.line(), "True");
  assertEquals(await parent.line(), "0");
  await parent.succeeded();
});

test("N247 UnixStream.fromFd(0) serves a connection that a Python parent accepted, as inetd does", async () => {
  await withTempSocketPath(async (path) => {
    await using parent = python(
      `
      import subprocess
      listener = listening(args[1])
      say("listening")
      connection, _ = listener.accept()
      command = [*json.loads(args[0]), "stream", "0"]
      child = subprocess.Popen(command, stdin=connection, stdout=connection)
      connection.close()
      say(child.wait())
      `,
      [adopted, path],
    );
    await parent.line();
    using stream = await UnixStream.connect(path);
    await stream.writeAll(bytes("hello"));
    stream.closeWrite();
    const [first, second] = text(await readToEnd(stream)).split("\n");
    const { localAddr, remoteAddr, peer } = JSON.parse(first!) as About;
    assertEquals(localAddr, { kind: "pathname", path });
    assertEquals(remoteAddr, unnamed);
    assertEquals(peer.pid, process.pid);
    assertEquals(second, "hello");
    assertEquals(await parent.line(), "0");
    await parent.succeeded();
  });
});

test("N247 UnixListener.fromFd() serves on the listener of a Python parent, and leaves its path", async () => {
  await withTempSocketPath(async (path) => {
    await using parent = python(
      `
      import subprocess
      listener = listening(args[1])
      command = [*json.loads(args[0]), "listener", str(listener.fileno())]
      child = subprocess.Popen(command, pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL)
      listener.close()
      clients = [connected(args[1]) for _ in range(2)]
      for number, client in enumerate(clients):
          client.sendall(b"client %d" % number)
          client.shutdown(socket.SHUT_WR)
      answers = [read_all(client).decode() for client in clients]
      status = child.wait()
      say("answers:", *answers)
      say(status, stat.S_ISSOCK(os.stat(args[1]).st_mode))
      `,
      [adopted, path],
    );
    assertEquals(await parent.json(), { kind: "pathname", path });
    assertEquals(await parent.line(), "answers: client 0 client 1");
    assertEquals(await parent.line(), "0 True");
    await parent.succeeded();
  });
});

test("N247 UnixListener.fromFd() serves on a Python parent's abstract listener", async () => {
  const name = freshName();
  await using parent = python(
    `
    import subprocess
    address = b"\\0" + args[1].encode() + b"\\0\\xff"
    listener = listening(address)
    command = [*json.loads(args[0]), "listener", str(listener.fileno())]
    child = subprocess.Popen(command, pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL)
    listener.close()
    clients = [connected(address) for _ in range(2)]
    for client in clients: client.shutdown(socket.SHUT_WR)
    say(*[read_all(client) for client in clients])
    say(child.wait())
    `,
    [adopted, name],
  );
  const addr = await parent.json<{ kind: string; name: Record<string, number> }>();
  assertEquals(addr.kind, "abstract");
  assertEquals(Object.values(addr.name), [...joined(name, [0, 0xff])]);
  assertEquals(await parent.line(), "b'' b''");
  assertEquals(await parent.line(), "0");
  await parent.succeeded();
});

test("M235 UnixStream.fromFd() makes the open file non-blocking for the Python parent that shares it", async () => {
  await using parent = python(
    `
    import subprocess
    ours, theirs = socket.socketpair()
    before = os.get_blocking(theirs.fileno())
    command = [*json.loads(args[0]), "stream", str(theirs.fileno())]
    child = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    if not select.select([ours], [], [], 300)[0]: sys.exit("the child says nothing")
    ours.recv(65536)
    say(before, os.get_blocking(theirs.fileno()), os.get_blocking(ours.fileno()))
    ours.close()
    say(child.wait())
    `,
    [adopted],
  );
  assertEquals(await parent.line(), "True False True");
  assertEquals(await parent.line(), "0");
  await parent.succeeded();
});

/** Connects, and sends the write ends of three pipes with some bytes; says when they are released. */
const sender = `
  client = connected(args[0])
  pipes = [os.pipe() for _ in range(3)]
  rights = array.array("i", [writer for _, writer in pipes])
  client.sendmsg([b"with rights"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
  for _, writer in pipes: os.close(writer)
  readers = [reader for reader, _ in pipes]
  under_way = select.select(readers, [], [], 0)[0] == []
  say(json.dumps([under_way, [os.fstat(reader).st_ino for reader in readers]]))
  for reader in readers:
      if not select.select([reader], [], [], 30)[0]: sys.exit("a descriptor is still open")
      assert os.read(reader, 1) == b""
  say("released")
  hear()
  client.sendall(b"more")
`;

const consumers: [how: string, consume: (stream: UnixStream) => Promise<string | null>][] = [
  ["read()", (stream) => readText(stream)],
  ["read() of one byte", async (stream) => {
    const first = await readText(stream, 1);
    return first + (await readText(stream))!;
  }],
  ["readSync()", (stream) => {
    const buffer = new Uint8Array(100);
    return Promise.resolve(text(buffer.subarray(0, stream.readSync(buffer)!)));
  }],
  ["peek() and read()", async (stream) => {
    const buffer = new Uint8Array(100);
    await stream.peek(buffer);
    stream.peekSync(buffer);
    return readText(stream);
  }],
  ["readable", async (stream) => {
    const reader = stream.readable.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    return text(value!);
  }],
  ["async iteration", async (stream) => {
    for await (const chunk of stream) return text(chunk);
    return null;
  }],
];

for (const [how, consume] of consumers) {
  test(`G140 UnixStream.${how} takes the bytes and no descriptor that Python sends with them`, async () => {
    await withTempSocketPath(async (path) => {
      using listener = UnixListener.listen(path);
      await using client = python(sender, [path]);
      using stream = await acceptFrom(client, listener);
      const [underWay, inodes] = await client.json<[boolean, number[]]>();
      assertEquals(underWay, true);
      assertEquals(await consume(stream), "with rights");
      assertEquals(await client.line(), "released");
      const open = new Set(openDescriptors().values());
      assertEquals(inodes.filter((inode) => open.has(`pipe:[${inode}]`)), []);
      client.tell();
      assertEquals(await readText(stream), "more");
      await client.succeeded();
    });
  });
}

test("G140 UnixStream.read() that waits takes no descriptor that Python sends", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = python(`hear()\n${sender.replaceAll(/^ {2}/gm, "")}`, [path]);
    const accepting = listener.accept();
    client.tell();
    using stream = await accepting;
    const waiting = readText(stream);
    await settled();
    assertEquals(await waiting, "with rights");
    await client.line();
    assertEquals(await client.line(), "released");
    client.tell();
    assertEquals(await readText(stream), "more");
    await client.succeeded();
  });
});

test("G154 UnixStream.close() releases descriptors that Python sent and nobody read", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = python(sender, [path]);
    const stream = await acceptFrom(client, listener);
    const [underWay] = await client.json<[boolean]>();
    assertEquals(underWay, true);
    stream.close();
    assertEquals(await client.line(), "released");
  });
});

test("G154 UnixListener.close() releases descriptors that Python sent on a connection that waits", async () => {
  await withTempSocketPath(async (path) => {
    const listener = UnixListener.listen(path);
    await using client = python(sender, [path]);
    const [underWay] = await client.json<[boolean]>();
    assertEquals(underWay, true);
    listener.close();
    assertEquals(await client.line(), "released");
  });
});

test("L223 UnixStream.fromFd() refuses a Python parent's pipe on descriptor 0", async () => {
  await using parent = python(
    `
    import subprocess
    child = subprocess.run([*json.loads(args[0]), "stream", "0"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    say(child.returncode != 0, b"ENOTSOCK" in child.stderr)
    `,
    [adopted],
  );
  assertEquals(await parent.line(), "True True");
  await parent.succeeded();
});
