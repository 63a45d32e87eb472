import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import process from "node:process";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { abstract, UnixListener, UnixStream } from "../../mod.ts";
import { afunix, play } from "../support/conversations.ts";
import {
  acceptFrom,
  addressBytes,
  digest,
  freshName,
  hex,
  joined,
  pattern,
  Peer,
  readExactly,
} from "../support/interop.ts";
import {
  assertFails,
  bytes,
  commandFor,
  readText,
  readToEnd,
  ROOT,
  RUNTIME,
  text,
  unlessProgram,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";

const options = { skip: unlessProgram("socat") };

/** Starts socat, which after one end waits long for the other. */
function socat(...args: string[]): Peer {
  return new Peer(["socat", "-d", "-d", "-t", "60", ...args], { cwd: ROOT });
}

/** Starts socat on an address that listens, and waits until it does. */
async function listeningSocat(...args: string[]): Promise<Peer> {
  const started = socat(...args);
  await started.waitFor("listening on", "stderr");
  return started;
}

/** An abstract name as socat makes it with `unix-tightsocklen=0`: filled up with NULs. */
function padded(name: string): Uint8Array {
  return joined([0], name.padEnd(107, "\0"));
}

/**
 * Sends and receives some data at once, through what has to echo them. (`EXEC:cat`, as socat's
 * `PIPE` blocks for good in a write to its own pipe when there is much.)
 */
async function assertEchoes(address: string | Uint8Array, size: number, seed = 1): Promise<void> {
  using stream = await UnixStream.connect(address);
  const data = pattern(size, seed);
  const sending = stream.writeAll(data).then(() => stream.closeWrite());
  const [echoed] = await Promise.all([readToEnd(stream), sending]);
  assertEquals(digest(echoed), digest(data));
}

test("O248 UnixStream.connect() exchanges 3 MiB with socat's UNIX-LISTEN", options, async () => {
  await withTempSocketPath(async (path) => {
    await using server = await listeningSocat(`UNIX-LISTEN:${path}`, "EXEC:cat");
    await assertEchoes(path, 3 << 20);
    await server.succeeded();
    assertEquals(existsSync(path), false);
  });
});

test(
  "O248 UnixStream.connect() exchanges 3 MiB with socat's ABSTRACT-LISTEN",
  options,
  async () => {
    const name = freshName();
    await using server = await listeningSocat(`ABSTRACT-LISTEN:${name}`, "EXEC:cat");
    await assertEchoes(`\0${name}`, 3 << 20);
    await server.succeeded();
  },
);

test(
  "O248 UnixListener.accept() takes a file of 3 MiB from socat's UNIX-CONNECT",
  options,
  async () => {
    await withTempDir(async (directory) => {
      const path = join(directory, "test.sock");
      const data = pattern(3 << 20);
      writeFileSync(join(directory, "data"), data);
      using listener = UnixListener.listen(path);
      await using client = socat("-u", `FILE:${join(directory, "data")}`, `UNIX-CONNECT:${path}`);
      using stream = await acceptFrom(client, listener);
      assertEquals(digest(await readToEnd(stream)), digest(data));
      await client.succeeded();
    });
  },
);

test(
  "O248 UnixListener.accept() gives a file of 3 MiB to socat's ABSTRACT-CONNECT",
  options,
  async () => {
    await withTempDir(async (directory) => {
      const name = freshName();
      const data = pattern(3 << 20);
      const copy = join(directory, "copy");
      using listener = UnixListener.listen(abstract(name));
      await using client = socat("-u", `ABSTRACT-CONNECT:${name}`, `CREATE:${copy}`);
      {
        using stream = await acceptFrom(client, listener);
        await stream.writeAll(data);
      }
      await client.succeeded();
      assertEquals(digest(readFileSync(copy)), digest(data));
    });
  },
);

test(
  "A17 UnixStream.connect() reaches socat's padded abstract name by all of its 107 bytes alone",
  options,
  async () => {
    const name = freshName();
    const address = `ABSTRACT-LISTEN:${name},unix-tightsocklen=0`;
    await using server = await listeningSocat(address, "EXEC:cat");
    await assertFails(() => UnixStream.connect(abstract(name)), "ECONNREFUSED", "connect");
    await assertFails(() => UnixStream.connect(abstract(`${name}\0`)), "ECONNREFUSED", "connect");
    await assertEchoes(padded(name), 1000);
    await server.succeeded();
  },
);

test(
  "A17 UnixListener.listen() on a padded abstract name is reached by socat's unix-tightsocklen=0 alone",
  options,
  async () => {
    const name = freshName();
    using listener = UnixListener.listen(padded(name));
    await using tight = socat("-u", `ABSTRACT-CONNECT:${name}`, "STDOUT");
    assertEquals((await tight.finished).code, 1);
    assertStringIncludes(tight.stderr, "Connection refused");

    await using client = socat("-u", `ABSTRACT-CONNECT:${name},unix-tightsocklen=0`, "STDOUT");
    {
      using stream = await acceptFrom(client, listener);
      assertEquals(hex(addressBytes(stream.localAddr)), hex(padded(name)));
      await stream.writeAll(bytes("found"));
    }
    assertEquals(await client.succeeded(), "found");
  },
);

test(
  "B32 UnixStream.closeWrite() ends what socat forwards, and the answer still arrives",
  options,
  async () => {
    await withTempSocketPath(async (path) => {
      // `wc` answers only once its input has ended.
      await using server = await listeningSocat(`UNIX-LISTEN:${path}`, "EXEC:wc -c");
      using stream = await UnixStream.connect(path);
      await stream.writeAll(pattern(123_456));
      stream.closeWrite();
      assertEquals(text(await readToEnd(stream)).trim(), "123456");
      await server.succeeded();
    });
  },
);

test(
  "B32 UnixStream.read() returns null when socat's input ends, and its output goes on",
  options,
  async () => {
    await withTempSocketPath(async (path) => {
      using listener = UnixListener.listen(path);
      await using client = socat("STDIO", `UNIX-CONNECT:${path}`);
      using stream = await acceptFrom(client, listener);
      client.write("question");
      client.closeStdin();
      assertEquals(text(await readToEnd(stream)), "question");
      await stream.writeAll(bytes("answer"));
      stream.closeWrite();
      assertEquals(await client.succeeded(), "answer");
    });
  },
);

test(
  "B32 UnixStream.read() goes on after closeWrite() has ended socat's output",
  options,
  async () => {
    await withTempSocketPath(async (path) => {
      using listener = UnixListener.listen(path);
      await using client = socat("STDIO", `UNIX-CONNECT:${path}`);
      using stream = await acceptFrom(client, listener);
      await stream.writeAll(bytes("all that I say\n"));
      stream.closeWrite();
      await client.line();
      client.write("and more from here");
      assertEquals(await readText(stream), "and more from here");
      client.closeStdin();
      assertEquals(await readText(stream), null);
      await client.succeeded();
    });
  },
);

test("B43 UnixStream.write() rejects with EPIPE after socat's shut-close", options, async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = socat("-u", "STDIN", `UNIX-CONNECT:${path},shut-close`);
    using stream = await acceptFrom(client, listener);
    client.write("and away");
    client.closeStdin();
    assertEquals(text(await readToEnd(stream)), "and away");
    await client.succeeded();
    await assertFails(() => stream.write(bytes("nobody there")), "EPIPE", "send");
  });
});

test("O248 UnixStream.connect() 20 times at once to a socat that forks", options, async () => {
  await withTempSocketPath(async (path) => {
    await using server = await listeningSocat(`UNIX-LISTEN:${path},fork,backlog=2`, "EXEC:cat");
    const connections = await Promise.all(Array.from({ length: 20 }, () => afunix.connect(path)));
    const accounts = await Promise.all(
      connections.map((connection, index) => play("both", connection, 300_000, index + 1)),
    );
    assertEquals(accounts.map(({ received }) => received), accounts.map(({ sent }) => sent));
    assertEquals(new Set(accounts.map(({ sent }) => sent)).size, 20);
    server.kill("SIGTERM");
    await server.finished;
  });
});

test(
  "O248 UnixStream and UnixListener converse through a socat between them",
  options,
  async () => {
    await withTempDir(async (directory) => {
      const [front, back] = [join(directory, "front.sock"), join(directory, "back.sock")];
      const accepted = Promise.withResolvers<unknown>();
      const listener = await afunix.listen(back, (connection) => {
        play("echo", connection, 0, 0).then(accepted.resolve, accepted.reject);
      });
      try {
        await using between = await listeningSocat(`UNIX-LISTEN:${front}`, `UNIX-CONNECT:${back}`);
        const { sent, received } = await play("both", await afunix.connect(front), 5 << 20, 1);
        assertEquals(received, sent);
        await accepted.promise;
        await between.succeeded();
      } finally {
        listener.close();
      }
    });
  },
);

test(
  "C70 UnixStream.remoteAddr is the path that socat's bind= gave its client",
  options,
  async () => {
    await withTempDir(async (directory) => {
      const [path, own] = [join(directory, "server.sock"), join(directory, "client.sock")];
      using listener = UnixListener.listen(path);
      await using client = socat("-u", `UNIX-CONNECT:${path},bind=${own}`, "STDOUT");
      const stream = await acceptFrom(client, listener);
      assertEquals(stream.remoteAddr, { kind: "pathname", path: own });
      stream.close();
      await client.succeeded();
    });
  },
);

test(
  "C70 UnixStream.remoteAddr is the padded abstract name that socat's bind= gave its client",
  options,
  async () => {
    const [name, own] = [freshName(), freshName()];
    using listener = UnixListener.listen(padded(name));
    const address = `ABSTRACT-CONNECT:${name},bind=${own},unix-tightsocklen=0`;
    await using client = socat("-u", address, "STDOUT");
    const stream = await acceptFrom(client, listener);
    assertEquals(hex(addressBytes(stream.remoteAddr)), hex(padded(own)));
    stream.close();
    await client.succeeded();
  },
);

test("C70 UnixStream.connect() from a path is socat's SOCAT_PEERADDR", options, async () => {
  await withTempDir(async (directory) => {
    const [path, own] = [join(directory, "server.sock"), join(directory, "client.sock")];
    await using server = await listeningSocat(
      `UNIX-LISTEN:${path}`,
      "SYSTEM:echo $SOCAT_PEERADDR; cat",
    );
    using stream = await UnixStream.connect(path, { from: own });
    stream.closeWrite();
    assertEquals(text(await readToEnd(stream)), `${own}\n`);
    await server.succeeded();
  });
});

test("L221 UnixStream.connect() reaches a socket that socat's mode= made", options, async () => {
  await withTempSocketPath(async (path) => {
    await using server = await listeningSocat(`UNIX-LISTEN:${path},mode=600`, "EXEC:cat");
    assertEquals(statSync(path).mode & 0o777, 0o600);
    await assertEchoes(path, 1000);
    await server.succeeded();
  });
});

test(
  "L221 UnixListener.listen() with a mode lets a socat of another user in by its write bits alone",
  options,
  async () => {
    await withTempDir(async (directory) => {
      chmodSync(directory, 0o755);
      const path = join(directory, "test.sock");
      const asAnother = process.geteuid!() === 0
        ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        : [];
      const connect = [...asAnother, "socat", "-u", `UNIX-CONNECT:${path}`, "STDOUT"];
      {
        using _listener = UnixListener.listen(path, { mode: 0o555 });
        await using client = new Peer(connect);
        assertEquals((await client.finished).code, 1);
        assertStringIncludes(client.stderr, "Permission denied");
      }
      using listener = UnixListener.listen(path, { mode: 0o222 });
      await using client = new Peer(connect);
      {
        using stream = await acceptFrom(client, listener);
        await stream.writeAll(bytes("come in"));
      }
      assertEquals(await client.succeeded(), "come in");
    });
  },
);

test(
  "D110 E119 UnixStream.connect() rejects with EPROTOTYPE at socat's sockets of other types",
  options,
  async () => {
    await withTempDir(async (directory) => {
      const [packets, datagrams] = [join(directory, "packets"), join(directory, "datagrams")];
      await using _packets = await listeningSocat(`UNIX-LISTEN:${packets},socktype=5`, "EXEC:cat");
      await using receiver = socat("-u", `UNIX-RECV:${datagrams}`, "STDOUT");
      await receiver.waitFor("starting data transfer", "stderr");
      await assertFails(() => UnixStream.connect(packets), "EPROTOTYPE", "connect");
      await assertFails(() => UnixStream.connect(datagrams), "EPROTOTYPE", "connect");
      // Somebody serves them, so they are not taken over either.
      await assertFails(() => UnixListener.listen(packets), "EADDRINUSE", "bind");
      await assertFails(() => UnixListener.listen(datagrams), "EADDRINUSE", "bind");
    });
  },
);

test(
  "C64 UnixListener.listen() replaces the socket that a killed socat left",
  options,
  async () => {
    await withTempSocketPath(async (path) => {
      // Without fork it would end, and remove the path, after the look at whether it serves.
      await using server = await listeningSocat(`UNIX-LISTEN:${path},fork`, "EXEC:cat");
      await assertFails(() => UnixListener.listen(path), "EADDRINUSE", "bind");
      server.kill("SIGKILL");
      await server.finished;
      assertEquals(existsSync(path), true);
      using listener = UnixListener.listen(path);
      await using client = socat("-u", `UNIX-CONNECT:${path}`, "STDOUT");
      (await acceptFrom(client, listener)).close();
      await client.succeeded();
    });
  },
);

test("N247 UnixStream.fromFd(0) is the program that socat's EXEC runs", options, async () => {
  await withTempSocketPath(async (path) => {
    // Relative, because socat gives meaning to characters that a path may have.
    const command = commandFor(RUNTIME, "tests/programs/adopted.ts").map((word) =>
      word.replace(`${ROOT}/`, "./")
    );
    const run = `EXEC:${[...command, "stream", "0"].join(" ")}`;
    await using server = await listeningSocat(`UNIX-LISTEN:${path}`, run);
    using stream = await UnixStream.connect(path);
    await stream.writeAll(bytes("through a pair of sockets"));
    stream.closeWrite();
    const [about, echoed] = text(await readToEnd(stream)).split("\n");
    assertMatch(about!, /^\{"localAddr":\{"kind":"unnamed"\},"remoteAddr":\{"kind":"unnamed"\}/);
    assertEquals(echoed, "through a pair of sockets");
    await server.succeeded();
  });
});

test("B43 UnixStream.read() returns null when a socat that echoes is killed", options, async () => {
  await withTempSocketPath(async (path) => {
    await using server = await listeningSocat(`UNIX-LISTEN:${path}`, "EXEC:cat");
    using stream = await UnixStream.connect(path);
    await stream.writeAll(bytes("echo"));
    assertEquals(text(await readExactly(stream, 4)), "echo");
    const waiting = readText(stream);
    server.kill("SIGKILL");
    assertEquals(await waiting, null);
  });
});
