import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { UnixListener, UnixStream } from "../../mod.ts";
import { digest, pattern } from "../support/interop.ts";
import {
  assertFails,
  bytes,
  readText,
  text,
  unlessProgram,
  withSocketPair,
  withTempSocketPath,
} from "../support/mod.ts";
import {
  contentsOf,
  filesOf,
  KINDS,
  numbers,
  receiveFrom,
  unlessSocketsHave,
  withPython,
} from "../support/python_messages.ts";

const options = { skip: unlessProgram("python3") };

// What is particular to streams.

const stream = "UnixStream";

test(
  "G142 UnixStream.receiveMessage() never joins the bytes of two Python messages with descriptors",
  options,
  async () => {
    const script = `
    connect()
    for number in range(3): send(b"%d" % number, (RIGHTS, ints(file(str(number)))))
    tell("sent")
  `;
    await withPython(stream, script, async ({ socket, peer }) => {
      await peer.line();
      for (const number of numbers(3)) {
        using message = await receiveFrom(socket);
        assertEquals([text(message.data), contentsOf(message.fds)], [number, [number]]);
      }
    });
  },
);

test(
  "G142 UnixStream.sendMessage() gives Python each message's descriptors apart",
  options,
  async () => {
    const script = `
    connect()
    hear()
    for _ in range(3):
        data, _, controls = receive()
        tell([data.decode(), [contents(fd) for fd in descriptors(controls)]])
  `;
    await withPython(stream, script, async ({ socket, peer, prefix }) => {
      for (const number of numbers(3)) {
        const fds = filesOf(prefix, [number]);
        await socket.sendMessage(bytes(number), { fds, transfer: true });
      }
      peer.tell();
      for (const number of numbers(3)) assertEquals(await peer.json(), [number, [number]]);
    });
  },
);

test(
  "G143 UnixStream.receiveMessage() of one byte takes all descriptors of a Python message",
  options,
  async () => {
    const script = `
    connect()
    send(b"abc", (RIGHTS, ints(file("x"), file("y"))))
    tell("sent")
  `;
    await withPython(stream, script, async ({ socket, peer }) => {
      await peer.line();
      using first = (await socket.receiveMessage({ size: 1 }))!;
      assertEquals([text(first.data), contentsOf(first.fds)], ["a", ["x", "y"]]);
      using rest = await receiveFrom(socket);
      assertEquals([text(rest.data), rest.fds.length, rest.controlTruncated], ["bc", 0, false]);
    });
  },
);

test(
  "G145 UnixStream.sendMessage() of 3 MiB gives Python the descriptors once",
  options,
  async () => {
    const script = `
    connect()
    hear()
    data, fds = [], []
    while True:
        part, flags, controls = receive()
        assert not flags & socket.MSG_CTRUNC
        if not part: break
        if descriptors(controls): fds.append([sum(map(len, data)), *map(contents, descriptors(controls))])
        data.append(part)
    tell([digest(b"".join(data)), fds])
  `;
    await withPython(stream, script, async ({ socket, peer, prefix }) => {
      const data = pattern(3 << 20);
      const fds = filesOf(prefix, ["first", "second"]);
      const sending = socket.sendMessage(data, { fds, transfer: true });
      peer.tell();
      assertEquals(await sending, data.length);
      assertEquals(fds.map(({ closed }) => closed), [true, true]);
      (socket as UnixStream).closeWrite();
      assertEquals(await peer.json(), [digest(data), [[0, "first", "second"]]]);
    });
  },
);

test(
  "G145 UnixStream.sendMessage() that waits for Python to read sends duplicates of what is closed meanwhile",
  options,
  async () => {
    const script = `
    connect()
    hear()
    size = 0
    while True:
        part, _, controls = receive()
        size += len(part)
        if controls: break
    tell([size, [contents(fd) for fd in descriptors(controls)]])
  `;
    await withPython(stream, script, async ({ socket, peer, prefix }) => {
      let filled = 0;
      const chunk = new Uint8Array(65_536);
      await assertFails(() => {
        for (;;) filled += (socket as UnixStream).writeSync(chunk, { timeout: 0 });
      }, "ETIMEDOUT");
      const [file] = filesOf(prefix, ["kept"]);
      const sending = socket.sendMessage(bytes("last"), { fds: [file!] });
      file!.close();
      peer.tell();
      assertEquals(await sending, 4);
      assertEquals(await peer.json(), [filled + 4, ["kept"]]);
    });
  },
);

test(
  "G146 UnixStream.receiveMessage() finds nothing of descriptors that Python sent without a byte",
  options,
  async () => {
    const script = `
    connect()
    say(send(b"", (RIGHTS, ints(file("lost")))))
    send(b"x", (RIGHTS, ints(file("kept"))))
  `;
    await withPython(stream, script, async ({ socket, peer }) => {
      assertEquals(await peer.line(), "0");
      using message = await receiveFrom(socket);
      assertEquals([text(message.data), contentsOf(message.fds)], ["x", ["kept"]]);
    });
  },
);

for (const kind of ["UnixDatagram", "UnixSeqpacket"] as const) {
  test(
    `G130 ${kind} passes descriptors with empty messages to Python and back`,
    options,
    async () => {
      const script = `
      connect()
      data, _, controls = receive()
      tell([data.decode(), [contents(fd) for fd in descriptors(controls)]])
      send(b"", (RIGHTS, ints(*descriptors(controls))))
    `;
      await withPython(kind, script, async ({ socket, peer, prefix }) => {
        const fds = filesOf(prefix, ["a", "b"]);
        assertEquals(await socket.sendMessage(new Uint8Array(), { fds, transfer: true }), 0);
        assertEquals(await peer.json(), ["", ["a", "b"]]);
        using message = await receiveFrom(socket);
        assertEquals([message.data.length, contentsOf(message.fds)], [0, ["a", "b"]]);
      });
    },
  );
}

// What can be sent.

test("G152 UnixStream.fromFd() talks through a socket that Python sent", options, async () => {
  const script = `
    connect()
    kept, given = socket.socketpair()
    socket.send_fds(peer, [b"a socket"], [given.fileno()])
    given.close()
    kept.sendall(kept.recv(64).upper())
    kept.shutdown(socket.SHUT_WR)
    tell(len(kept.recv(64)))
  `;
  await withPython(stream, script, async ({ socket, peer }) => {
    using message = await receiveFrom(socket);
    {
      using given = UnixStream.fromFd(message.fds.shift()!);
      await given.writeAll(bytes("hello"));
      assertEquals([await readText(given), await readText(given)], ["HELLO", null]);
    }
    assertEquals(await peer.json(), 0);
  });
});

test(
  "G152 UnixStream.sendMessage() gives Python an end of a pair, and a blocking one stays so",
  options,
  async () => {
    const script = `
    connect()
    _, [fd], _, _ = socket.recv_fds(peer, 64, 1)
    given = socket.socket(fileno=fd)
    tell([given.family == socket.AF_UNIX, given.type == socket.SOCK_STREAM, os.get_blocking(fd)])
    os.set_blocking(fd, True)
    given.sendall(b"from Python")
    hear()
    tell(os.get_blocking(fd))
  `;
    await withPython(stream, script, async ({ socket, peer }) => {
      await withSocketPair(async (kept, given) => {
        await socket.sendMessage(bytes("x"), { fds: [given], transfer: true });
        assertEquals([given.closed, given.fd], [true, -1]);
        assertEquals(await peer.json(), [true, true, false]);
        assertEquals(await readText(kept), "from Python");
        peer.tell();
        assertEquals(await peer.json(), true);
        await peer.finished;
        assertEquals(await readText(kept), null);
      });
    });
  },
);

test("G152 Python accepts on a UnixListener that it got, whose path stays", options, async () => {
  const script = `
    connect()
    _, [fd], _, _ = socket.recv_fds(peer, 64, 1)
    listener = socket.socket(fileno=fd)
    listener.setblocking(True)
    tell(listener.getsockname())
    connection, _ = listener.accept()
    connection.sendall(connection.recv(64).upper())
  `;
  await withPython(stream, script, async ({ socket, peer }) => {
    await withTempSocketPath(async (path) => {
      const listener = UnixListener.listen(path);
      await socket.sendMessage(bytes("x"), { fds: [listener], transfer: true });
      assertEquals(listener.closed, true);
      assertEquals(await peer.json(), path);
      using client = await UnixStream.connect(path);
      await client.writeAll(bytes("to python"));
      assertEquals(await readText(client), "TO PYTHON");
    });
  });
});

test("G152 UnixListener.fromFd() accepts on a listener that Python sent", options, async () => {
  const script = `
    connect()
    listener = listening(path + ".other")
    socket.send_fds(peer, [b"x"], [listener.fileno()])
    listener.close()
    client = connected(path + ".other")
    client.sendall(b"hello")
    tell(client.recv(64).decode())
    os.unlink(path + ".other")
  `;
  await withPython(stream, script, async ({ socket, peer }) => {
    using message = await receiveFrom(socket);
    using listener = UnixListener.fromFd(message.fds.shift()!);
    using client = await listener.accept();
    assertEquals(await readText(client), "hello");
    await client.writeAll(bytes("welcome"));
    assertEquals(await peer.json(), "welcome");
  });
});

test("G158 a UnixStream that Python gets through itself and drops is closed", options, async () => {
  const script = `
    connect()
    _, fds, _, _ = socket.recv_fds(peer, 64, 2)
    for fd in fds: os.close(fd)
    tell("closed")
  `;
  await withPython(stream, script, async ({ socket, peer }) => {
    await withSocketPair(async (a, b) => {
      await a.sendMessage(bytes("itself"), { fds: [a, b] });
      await socket.sendMessage(bytes("both"), { fds: [a, b] });
      assertEquals(await peer.json(), "closed");
      using message = await receiveFrom(b);
      assertEquals(text(message.data), "itself");
      const through = UnixStream.fromFd(message.fds.shift()!);
      await through.writeAll(bytes("still there"));
      assertEquals(await readText(b), "still there");
      through.close();
    });
  });
});

// Receivers that take no descriptors (SO_PASSRIGHTS, Linux 6.16).

const refusing = { skip: options.skip || unlessSocketsHave("passDescriptors") };

for (const kind of KINDS) {
  test(
    `${kind}.sendMessage() with a descriptor rejects with EPERM where Python takes none`,
    refusing,
    async () => {
      const script = `
      connect()
      peer.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
      tell("refusing")
      data, flags, controls = receive()
      tell([data.decode(), flags & socket.MSG_CTRUNC, controls])
    `;
      await withPython(kind, script, async ({ socket, peer, prefix }) => {
        await peer.line();
        const fds = filesOf(prefix, ["refused"]);
        const sending = () => socket.sendMessage(bytes("bad"), { fds, transfer: true });
        await assertFails(sending, "EPERM", "sendmsg");
        assertEquals(contentsOf(fds), ["refused"]);
        fds[0]!.close();
        await socket.sendMessage(bytes("good"));
        assertEquals(await peer.json(), ["good", 0, []]);
      });
    },
  );

  test(
    `${kind} without passDescriptors refuses Python's with EPERM, and takes its data`,
    refusing,
    async () => {
      const script = `
      connect()
      hear()
      try:
          socket.send_fds(peer, [b"bad"], [0])
      except PermissionError as error:
          tell(error.errno)
      peer.send(b"good")
    `;
      await withPython(kind, script, async ({ socket, peer }) => {
        socket.passDescriptors = false;
        peer.tell();
        assertEquals(await peer.json(), 1);
        using message = await receiveFrom(socket);
        assertEquals([text(message.data), message.fds.length], ["good", 0]);
      });
    },
  );
}
