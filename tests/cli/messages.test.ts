import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { abstract, UnixDatagram, UnixSeqpacket, UnixSeqpacketListener } from "../../mod.ts";
import { assertEnds, records, runCli, startCli, startServing } from "../support/cli.ts";
import { freshName, Peer, python } from "../support/interop.ts";
import { bytes, text, unlessProgram, withTempSocketPath } from "../support/mod.ts";

const DATAGRAMS = ["--type", "datagram"];
const RECORDS = ["--type", "seqpacket"];

/** The texts of so many messages. */
async function texts(socket: UnixDatagram | UnixSeqpacket, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) found.push(text((await socket.receive())!.data));
  return found;
}

test("afunix send makes a message of each DATA, of each line, or of all its input", async () => {
  await withTempSocketPath(async (path) => {
    using socket = UnixDatagram.bind(path);
    const send = (args: string[], input = "") =>
      runCli(["send", ...DATAGRAMS, "--json", path, ...args], { input });
    const finished = await send(["one", "", "two"]);
    assertEnds(finished, 0);
    assertEquals(records(finished.stdout), [
      { event: "sent", address: path, bytes: 6, messages: 3 },
    ]);
    assertEquals(await texts(socket, 3), ["one", "", "two"]);
    assertEnds(await send(["--lines"], "a\n\nb"), 0);
    assertEquals(await texts(socket, 3), ["a", "", "b"]);
    assertEnds(await send([], "a\n\nb\n"), 0);
    assertEquals(await texts(socket, 1), ["a\n\nb\n"]);
    assertEnds(await send([]), 0);
    assertEquals(await texts(socket, 1), [""]);
  });
});

test("afunix send keeps a line whole that came in pieces", async () => {
  await withTempSocketPath(async (path) => {
    using socket = UnixDatagram.bind(path);
    await using client = startCli(["send", ...DATAGRAMS, "--lines", path]);
    client.write("first\nsec");
    assertEquals(await texts(socket, 1), ["first"]);
    client.write("ond\n");
    assertEquals(await texts(socket, 1), ["second"]);
    // More than two of the pieces in which any runtime reads a pipe.
    const long = "0123456789".repeat(15_000);
    client.write(`${long}\nlast`);
    client.closeStdin();
    assertEquals(await texts(socket, 2), [long, "last"]);
    await client.succeeded();
  });
});

test("afunix send tells in one line that the input is longer than a message may be", async () => {
  await withTempSocketPath(async (path) => {
    using _socket = UnixDatagram.bind(path);
    const { code, stderr } = await runCli(["send", ...DATAGRAMS, path], {
      input: new Uint8Array(4 << 20),
    });
    assertEquals(code, 1);
    assertMatch(stderr, /^The input is longer than a message may be: more than \d+ bytes\n$/);
  });
});

test("afunix send --max-bytes says so where one message would be longer than that", async () => {
  await withTempSocketPath(async (path) => {
    using _socket = UnixDatagram.bind(path);
    const finished = await runCli(["send", ...DATAGRAMS, "--max-bytes", "3", path], {
      input: "1234",
    });
    assertEnds(finished, 1, "There are more than 3 bytes to send\n");
  });
});

test("afunix send tells in one line that another type of socket is there", async () => {
  await withTempSocketPath(async (path) => {
    using _socket = UnixDatagram.bind(path);
    assertEnds(await runCli(["send", path, "x"]), 1, `Cannot connect to "${path}": EPROTOTYPE\n`);
  });
});

test("afunix receive goes on with datagrams, and ends after one with --once", async () => {
  const name = freshName();
  {
    await using server = await startServing(["receive", ...DATAGRAMS, `@${name}`]);
    using socket = UnixDatagram.unbound().connect(abstract(name));
    await socket.send(bytes("one"));
    await socket.send(Uint8Array.of());
    await socket.send(bytes("two"));
    await server.waitFor("onetwo");
    server.kill("SIGINT");
    assertEquals((await server.finished).code, 130);
  }
  await using server = await startServing(["receive", ...DATAGRAMS, "--once", `@${name}`]);
  using socket = UnixDatagram.unbound().connect(abstract(name));
  await socket.send(bytes("one"));
  assertEquals((await server.finished).stdout, "one");
});

test("afunix receive --json tells sender and length of each datagram", async () => {
  await withTempSocketPath(async (path) => {
    await using server = startCli(["receive", ...DATAGRAMS, "--json", "--max-bytes", "5", path]);
    assertEquals(await server.json(), { event: "listening", type: "datagram", address: path });
    const name = freshName();
    using socket = UnixDatagram.bind(abstract(name)).connect(path);
    await socket.send(bytes("123"));
    const record = { event: "data", connection: 1, from: `@${name}` };
    assertEquals(await server.json(), { ...record, length: 3, truncated: false, text: "123" });
    await socket.send(bytes("4567"));
    assertEquals(await server.json(), { ...record, length: 4, truncated: true, text: "45" });
    assertEquals((await server.finished).code, 1);
  });
});

test("afunix echo answers datagrams, and is not disturbed by those who cannot be", async () => {
  const name = freshName();
  await using server = await startServing(["echo", ...DATAGRAMS, `@${name}`]);
  using silent = UnixDatagram.unbound().connect(abstract(name));
  await silent.send(bytes("from nobody"));
  const gone = UnixDatagram.bind({ kind: "unnamed" }).connect(abstract(name));
  await gone.send(bytes("from one who is gone"));
  gone.close();
  using socket = UnixDatagram.bind({ kind: "unnamed" }).connect(abstract(name));
  await socket.send(bytes("hello"));
  assertEquals(await texts(socket, 1), ["hello"]);
  await server.waitFor("11 bytes from (unnamed)\n", "stderr");
});

test("afunix connect gets the answers of a datagram server, and ends after one with --once", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServing(["echo", ...DATAGRAMS, path]);
    const args = ["connect", ...DATAGRAMS, "--once", path];
    const finished = await runCli(args, { input: "ping" });
    assertEnds(finished, 0);
    assertEquals(finished.stdout, "ping");
    server.kill("SIGINT");
    await server.finished;
    assertEnds(await runCli(args), 1, `Cannot connect to "${path}": ENOENT\n`);
  });
});

test("afunix listen gives stdin to whoever wrote the last datagram", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServing(["listen", ...DATAGRAMS, "--lines", path]);
    server.write("waits\n");
    using a = UnixDatagram.bind({ kind: "unnamed" }).connect(path);
    using b = UnixDatagram.bind({ kind: "unnamed" }).connect(path);
    await a.send(bytes("from a"));
    await server.waitFor("from a\n");
    assertEquals(await texts(a, 1), ["waits"]);
    await b.send(bytes("from b"));
    await server.waitFor("from b\n");
    server.write("for b\n");
    assertEquals(await texts(b, 1), ["for b"]);
    server.closeStdin();
    await a.send(bytes("still there"));
    await server.waitFor("still there\n");
  });
});

test("afunix listen --once answers one datagram with its input, and ends", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServing(["listen", ...DATAGRAMS, "--once", path]);
    server.write("answer");
    server.closeStdin();
    using socket = UnixDatagram.bind({ kind: "unnamed" }).connect(path);
    await socket.send(bytes("question"));
    assertEquals(await texts(socket, 1), ["answer"]);
    const { code, stdout } = await server.finished;
    assertEquals({ code, stdout }, { code: 0, stdout: "question" });
  });
});

test("afunix connect --lines keeps records apart in both directions, empty ones too", async () => {
  const name = freshName();
  await using server = await startServing(["echo", ...RECORDS, "--once", `@${name}`]);
  const args = ["connect", ...RECORDS, "--lines", "--abstract", name];
  const finished = await runCli(args, { input: "a\n\nb\n" });
  assertEnds(finished, 0);
  assertEquals(finished.stdout, "a\n\nb\n");
  assertEquals((await server.finished).code, 0);
});

test("afunix connect --once ends after the first record", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixSeqpacketListener.listen(path);
    await using client = startCli(["connect", ...RECORDS, "--once", "--json", path]);
    using socket = await listener.accept();
    await socket.send(bytes("first"));
    const { code, stdout } = await client.finished;
    assertEquals(code, 0);
    assertEquals(records(stdout).map(({ event, text }) => [event, text]), [
      ["connected", undefined],
      ["data", "first"],
    ]);
  });
});

test("afunix listen --keep serves several who keep records apart", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServing(["listen", ...RECORDS, "--keep", "--lines", path]);
    using a = await UnixSeqpacket.connect(path);
    using b = await UnixSeqpacket.connect(path);
    for (const [socket, said] of [[a, "a"], [b, "b"]] as const) {
      await socket.send(bytes(said));
      await server.waitFor(`${said}\n`);
    }
    server.write("to both\nand again\n");
    for (const socket of [a, b]) assertEquals(await texts(socket, 2), ["to both", "and again"]);
  });
});

test("afunix listen --keep waits for others when nobody is left who can be sent to", async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServing(["listen", ...RECORDS, "--keep", "--lines", path]);
    using deaf = await UnixSeqpacket.connect(path);
    await deaf.send(bytes("deaf"));
    await server.waitFor("deaf\n");
    deaf.shutdown("read");
    // At once, so that the second is there before anybody else is.
    server.write("lost\nkept\n");
    await server.waitFor("EPIPE\n", "stderr");
    using other = await UnixSeqpacket.connect(path);
    const message = await other.receive({ signal: AbortSignal.timeout(30_000) });
    assertEquals(text(message!.data), "kept");
    await deaf.send(bytes("still heard"));
    await server.waitFor("still heard\n");
    server.kill("SIGTERM");
    assertEquals((await server.finished).code, 143);
  });
});

test("afunix talks with socat in datagrams", { skip: unlessProgram("socat") }, async () => {
  await withTempSocketPath(async (path) => {
    await using server = await startServing(["receive", ...DATAGRAMS, "--once", path]);
    await using socat = new Peer(["socat", "-u", "STDIN", `UNIX-SENDTO:${path}`]);
    socat.write("from socat");
    await socat.succeeded();
    assertEquals((await server.finished).stdout, "from socat");
  });
});

test("afunix talks with Python in records", { skip: unlessProgram("python3") }, async () => {
  await withTempSocketPath(async (path) => {
    await using server = python(
      `
      listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
      listener.bind(args[0])
      listener.listen()
      say("listening")
      client, _ = listener.accept()
      while (record := client.recv(100)):
          client.send(record.upper())
      client.close()
      `,
      [path],
    );
    await server.line();
    const { code, stdout, stderr } = await runCli(["connect", ...RECORDS, "--lines", path], {
      input: "one\ntwo\n",
    });
    assertEquals({ code, stdout, stderr }, { code: 0, stdout: "ONE\nTWO\n", stderr: "" });
    await server.succeeded();
  });
});
