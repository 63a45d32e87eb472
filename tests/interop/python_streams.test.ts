import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { native, sockets } from "../../ffi/mod.ts";
import { UnixListener, UnixStream } from "../../mod.ts";
import {
  acceptFrom,
  digest,
  echo,
  joined,
  pattern,
  python,
  readExactly,
} from "../support/interop.ts";
import {
  assertFails,
  bytes,
  fill,
  readText,
  readToEnd,
  settled,
  text,
  withTempSocketPath,
} from "../support/mod.ts";

const MEBIBYTE = 1 << 20;

test("B32 UnixStream.closeWrite() ends Python's reading, and its answer still arrives", async () => {
  await withTempSocketPath(async (path) => {
    await using server = python(
      `
      listener = listening(args[0])
      say("listening")
      connection, _ = listener.accept()
      received = read_all(connection)
      say(received.decode())
      hear()
      connection.sendall(b"answer")
      connection.close()
      `,
      [path],
    );
    await server.line();
    using stream = await UnixStream.connect(path);
    await stream.writeAll(bytes("question"));
    stream.closeWrite();
    assertEquals(await server.line(), "question");
    await assertFails(() => stream.write(bytes("more")), "EPIPE", "send");
    server.tell("go on");
    assertEquals(await readText(stream), "answer");
    assertEquals(await readText(stream), null);
    await server.succeeded();
  });
});

test("B32 UnixStream.read() returns null after Python's SHUT_WR, and writing goes on", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = python(
      `
      client = connected(args[0])
      client.sendall(b"question")
      client.shutdown(socket.SHUT_WR)
      say(read_all(client).decode())
      `,
      [path],
    );
    using stream = await acceptFrom(client, listener);
    assertEquals(await readText(stream), "question");
    assertEquals(await readText(stream), null);
    assertEquals(await readText(stream), null);
    await stream.writeAll(bytes("answer, "));
    await settled();
    await stream.writeAll(bytes("and more"));
    stream.closeWrite();
    assertEquals(await client.line(), "answer, and more");
    await client.succeeded();
  });
});

test("B40 UnixStream.write() rejects with EPIPE after Python's SHUT_RD, and reading goes on", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = python(
      `
      client = connected(args[0])
      client.shutdown(socket.SHUT_RD)
      say("shut")
      hear()
      client.sendall(b"still here")
      client.close()
      `,
      [path],
    );
    using stream = await acceptFrom(client, listener);
    await client.line();
    await assertFails(() => stream.write(bytes("nobody reads this")), "EPIPE", "send");
    client.tell("go on");
    assertEquals(await readText(stream), "still here");
    assertEquals(await readText(stream), null);
    await client.succeeded();
  });
});

test('B40 UnixStream.shutdown("read") makes Python\'s send fail with EPIPE', async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = python(
      `
      client = connected(args[0])
      client.sendall(b"before")
      say("sent")
      hear()
      try:
          client.sendall(b"after")
      except BrokenPipeError:
          say("EPIPE")
      say(client.recv(100).decode())
      `,
      [path],
    );
    using stream = await acceptFrom(client, listener);
    await client.line();
    stream.shutdown("read");
    client.tell("go on");
    assertEquals(await client.line(), "EPIPE");
    assertEquals(await readText(stream), "before");
    assertEquals(await readText(stream), null);
    await stream.writeAll(bytes("the other way"));
    assertEquals(await client.line(), "the other way");
    await client.succeeded();
  });
});

/** Sends and receives 16 MiB at the same time, and prints the checksums of both. */
const bothWays = `
  def exchange(connection):
      import random
      sent = random.Random(7).randbytes(16 << 20)
      def send():
          connection.sendall(sent)
          connection.shutdown(socket.SHUT_WR)
      sender = threading.Thread(target=send)
      sender.start()
      received = read_all(connection)
      sender.join()
      say(digest(sent))
      say(digest(received))
`;

async function exchange(stream: UnixStream): Promise<{ sent: string; received: string }> {
  const data = pattern(16 * MEBIBYTE);
  const sending = stream.writeAll(data).then(() => stream.closeWrite());
  const [received] = await Promise.all([readToEnd(stream), sending]);
  return { sent: digest(data), received: digest(received) };
}

test("B56 N242 UnixStream carries 16 MiB to and from a Python server at once", async () => {
  await withTempSocketPath(async (path) => {
    await using server = python(
      `${bothWays}
  listener = listening(args[0])
  say("listening")
  exchange(listener.accept()[0])
      `,
      [path],
    );
    await server.line();
    using stream = await UnixStream.connect(path);
    const { sent, received } = await exchange(stream);
    assertEquals(await server.line(), received);
    assertEquals(await server.line(), sent);
    await server.succeeded();
  });
});

test("B56 N242 UnixStream carries 16 MiB to and from a Python client at once", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = python(`${bothWays}\n  exchange(connected(args[0]))`, [path]);
    using stream = await acceptFrom(client, listener);
    const { sent, received } = await exchange(stream);
    assertEquals(await client.line(), received);
    assertEquals(await client.line(), sent);
    await client.succeeded();
  });
});

test("N242 UnixStream.readable and writable carry 16 MiB to and from Python at once", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = python(`${bothWays}\n  exchange(connected(args[0]))`, [path]);
    using stream = await acceptFrom(client, listener);
    const data = pattern(16 * MEBIBYTE, 2);
    const writer = stream.writable.getWriter();
    const write = async () => {
      for (let at = 0; at < data.length; at += 300_000) {
        await writer.write(data.subarray(at, at + 300_000));
      }
      await writer.close();
    };
    const chunks: Uint8Array[] = [];
    const read = async () => {
      for await (const chunk of stream.readable) chunks.push(chunk);
    };
    await Promise.all([read(), write()]);
    assertEquals(await client.line(), digest(joined(...chunks)));
    assertEquals(await client.line(), digest(data));
    assertEquals(stream.closed, true);
    await client.succeeded();
  });
});

test("H164 UnixListener serves 50 Python processes at once, each by its own name", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using clients = python(
      `
      def client():
          connection = connected(args[0])
          assert connection.recv(2) == b"go"
          sent = f"{os.getpid():16}".encode() + os.urandom(100_000)
          def send():
              connection.sendall(sent)
              connection.shutdown(socket.SHUT_WR)
          threading.Thread(target=send).start()
          return read_all(connection) == sent

      children = []
      for _ in range(50):
          child = os.fork()
          if child == 0:
              os._exit(0 if client() else 1)
          children.append(child)
      say(*sorted(children))
      say("failed:", *[child for child in children if os.waitpid(child, 0)[1] != 0])
      `,
      [path],
    );
    const streams: UnixStream[] = [];
    for await (const stream of listener) {
      if (streams.push(stream) === 50) break;
    }
    // Only now, so that all of them are connected at the same time.
    const pids = await Promise.all(streams.map(async (stream) => {
      await stream.writeAll(bytes("go"));
      const header = await readExactly(stream, 16);
      const pid = stream.peerCredentials()?.pid;
      assertEquals(Number(text(header)), pid);
      await stream.writeAll(header);
      await echo(stream);
      assertEquals(stream.bytesRead, 100_016);
      return pid!;
    }));
    assertEquals(pids.sort((a, b) => a - b).join(" "), await clients.line());
    assertEquals(await clients.line(), "failed:");
    await clients.succeeded();
  });
});

test("B32 UnixStream.connect() 50 times at once to one Python server loses and mixes nothing", async () => {
  await withTempSocketPath(async (path) => {
    await using server = python(
      `
      listener = listening(args[0], 4)
      say("listening")
      connections = [listener.accept()[0] for _ in range(50)]
      def answer(connection):
          data = read_all(connection)
          connection.sendall(data[::-1])
          connection.close()
      threads = [threading.Thread(target=answer, args=(each,)) for each in connections]
      for thread in threads: thread.start()
      for thread in threads: thread.join()
      `,
      [path],
    );
    await server.line();
    await Promise.all(Array.from({ length: 50 }, async (_, index) => {
      using stream = await UnixStream.connect(path);
      const data = pattern(50_000, index + 1);
      await stream.writeAll(data);
      stream.closeWrite();
      const answer = await readToEnd(stream);
      assertEquals(digest(answer.reverse()), digest(data));
    }));
    await server.succeeded();
  });
});

test("K212 UnixStream.writeAll() aborted before a stopped Python tells how far it came, and loses nothing", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = python(
      `
      client = connected(args[0])
      say("connected")
      say(digest(read_all(client)))
      `,
      [path],
    );
    using stream = await acceptFrom(client, listener);
    await client.line();
    client.kill("SIGSTOP");
    const data = pattern(4 * MEBIBYTE);
    fill(stream, data.subarray(0, 65536));
    const before = stream.bytesWritten;
    const giveUp = new AbortController();
    const writing = stream.writeAll(data, { signal: giveUp.signal });
    await settled();
    giveUp.abort(new Error("given up"));
    assertEquals(await writing.catch((error) => error.message), "given up");
    const rest = stream.bytesWritten - before;
    client.kill("SIGCONT");
    await stream.writeAll(data.subarray(rest));
    stream.closeWrite();

    const repeated = data.subarray(0, 65536);
    const filled = joined(...Array(Math.ceil(before / 65536)).fill(repeated)).subarray(0, before);
    assertEquals(await client.line(), digest(joined(filled, data)));
    await client.succeeded();
  });
});

/** Whether this kernel has urgent data on Unix sockets (CONFIG_AF_UNIX_OOB). */
function lacksUrgentData(): string | false {
  const [a, b] = UnixStream.pair();
  const sent = sockets.send(a.fd, new Uint8Array(1), 1, native().abi.constants.MSG_OOB);
  a.close();
  b.close();
  return sent < 0 && "this kernel has no urgent data on Unix sockets";
}

test(
  "I191 UnixStream.read() stops before Python's urgent byte and goes on after it",
  { skip: lacksUrgentData() },
  async () => {
    await withTempSocketPath(async (path) => {
      using listener = UnixListener.listen(path);
      await using client = python(
        `
        client = connected(args[0])
        client.send(b"hello", socket.MSG_OOB)
        say("sent")
        hear()
        client.send(b" world")
        `,
        [path],
      );
      using stream = await acceptFrom(client, listener);
      await client.line();
      assertEquals(await readText(stream), "hell");
      const waiting = readText(stream);
      await settled();
      client.tell();
      assertEquals(await waiting, " world");
      assertEquals(await readText(stream), null);
      await client.succeeded();
    });
  },
);

test("B34 UnixStream.read() gets what Python gathers from several buffers as one stream", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = python(
      `
      client = connected(args[0])
      client.sendmsg([b"gath", b"", b"ered ", b"by"])
      client.sendall(b" Python")
      say("sent")
      hear()
      `,
      [path],
    );
    using stream = await acceptFrom(client, listener);
    await client.line();
    assertEquals(await readText(stream), "gathered by Python");
    const nothing = await assertFails(
      () => stream.readSync(new Uint8Array(1), { timeout: 0 }),
      "ETIMEDOUT",
    );
    assertEquals(nothing.syscall, "recv");
    client.tell();
    await client.succeeded();
  });
});
