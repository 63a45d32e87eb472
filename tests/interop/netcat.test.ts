import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { UnixDatagram, UnixListener, UnixStream } from "../../mod.ts";
import { acceptFrom, digest, pattern, Peer } from "../support/interop.ts";
import {
  assertFails,
  bytes,
  readText,
  readToEnd,
  text,
  unlessProgram,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";

const options = { skip: unlessProgram("nc.openbsd") };

async function listeningNetcat(path: string, ...flags: string[]): Promise<Peer> {
  const started = new Peer(["nc.openbsd", "-v", ...flags, "-lU", path]);
  await started.waitFor(/Listening on/i, "stderr");
  return started;
}

test("O248 UnixStream.connect() talks with nc -lU", options, async () => {
  await withTempSocketPath(async (path) => {
    await using server = await listeningNetcat(path);
    using stream = await UnixStream.connect(path);
    await stream.writeAll(bytes("to nc\n"));
    assertEquals(await server.line(), "to nc");
    server.tell("from nc");
    assertEquals(await readText(stream), "from nc\n");
    stream.close();
    await server.succeeded();
  });
});

test("O248 UnixListener.accept() talks with nc -U", options, async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = new Peer(["nc.openbsd", "-U", path]);
    using stream = await acceptFrom(client, listener);
    client.tell("from nc");
    assertEquals(await readText(stream), "from nc\n");
    await stream.writeAll(bytes("to nc\n"));
    assertEquals(await client.line(), "to nc");
    stream.close();
    await client.succeeded();
  });
});

test(
  "B32 UnixStream.read() returns null when the input of nc -N ends, and nc hears the answer",
  options,
  async () => {
    await withTempSocketPath(async (path) => {
      using listener = UnixListener.listen(path);
      await using client = new Peer(["nc.openbsd", "-NU", path]);
      using stream = await acceptFrom(client, listener);
      client.write("question");
      client.closeStdin();
      assertEquals(text(await readToEnd(stream)), "question");
      await stream.writeAll(bytes("answer"));
      stream.close();
      assertEquals(await client.succeeded(), "answer");
    });
  },
);

test("B32 UnixStream.closeWrite() ends nc -lU, which has heard all", options, async () => {
  await withTempSocketPath(async (path) => {
    await using server = await listeningNetcat(path);
    using stream = await UnixStream.connect(path);
    await stream.writeAll(bytes("all that I say"));
    stream.closeWrite();
    assertEquals(await readText(stream), null);
    assertEquals(await server.succeeded(), "all that I say");
  });
});

test(
  "O248 UnixListener.accept() takes 3 MiB from nc -N while it gives it 3 MiB",
  options,
  async () => {
    await withTempDir(async (directory) => {
      const path = join(directory, "test.sock");
      const [from, to] = [join(directory, "from"), join(directory, "to")];
      const [theirs, ours] = [pattern(3 << 20, 1), pattern(3 << 20, 2)];
      writeFileSync(from, theirs);
      using listener = UnixListener.listen(path);
      const command = 'exec nc.openbsd -NU "$1" < "$2" > "$3"';
      await using client = new Peer(["sh", "-c", command, "sh", path, from, to]);
      using stream = await acceptFrom(client, listener);
      const sending = stream.writeAll(ours).then(() => stream.closeWrite());
      const [received] = await Promise.all([readToEnd(stream), sending]);
      await client.succeeded();
      assertEquals(digest(received), digest(theirs));
      assertEquals(digest(readFileSync(to)), digest(ours));
    });
  },
);

test(
  "C71 UnixListener.accept() takes the connection that nc -z made and closed at once",
  options,
  async () => {
    await withTempSocketPath(async (path) => {
      using listener = UnixListener.listen(path);
      await using client = new Peer(["nc.openbsd", "-zU", path]);
      await client.succeeded();
      using stream = await acceptFrom(client, listener);
      assertEquals(stream.remoteAddr, { kind: "unnamed" });
      assertEquals(await readText(stream), null);
      await assertFails(() => stream.write(bytes("nobody there")), "EPIPE", "send");
    });
  },
);

test("O248 UnixDatagram sends to nc -luU, each message as it is", options, async () => {
  await withTempSocketPath(async (path) => {
    await using server = new Peer(["nc.openbsd", "-v", "-luU", path]);
    await server.waitFor(/Bound on|Listening on/i, "stderr");
    using client = UnixDatagram.bind(`${path}.client`);
    await client.sendTo(bytes("one\n"), path);
    await client.sendTo(bytes("two\n"), path);
    assertEquals([await server.line(), await server.line()], ["one", "two"]);
  });
});

test("O248 UnixDatagram answers nc -uU at the path that it bound", options, async () => {
  await withTempSocketPath(async (path) => {
    using server = UnixDatagram.bind(path);
    await using client = new Peer(["nc.openbsd", "-uU", "-s", `${path}.client`, path]);
    client.tell("question");
    const { data, from } = await server.receive();
    assertEquals(text(data), "question\n");
    assertEquals(from, { kind: "pathname", path: `${path}.client` });
    await server.sendTo(bytes("answer\n"), from);
    assertEquals(await client.line(), "answer");
  });
});
