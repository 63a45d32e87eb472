import { unlinkSync } from "node:fs";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { UnixListener, UnixStream } from "../../mod.ts";
import { acceptFrom, pattern, python } from "../support/interop.ts";
import { assertFails, bytes, readText, settled, withTempSocketPath } from "../support/mod.ts";

const MEBIBYTE = 1 << 20;

test("B43 UnixStream.read() that waits returns null when Python is killed", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = python(`client = connected(args[0])\nhear()`, [path]);
    using stream = await acceptFrom(client, listener);
    const waiting = readText(stream);
    await settled();
    client.kill("SIGKILL");
    assertEquals(await waiting, null);
    assertEquals((await client.finished).signal, "SIGKILL");
    await assertFails(() => stream.write(bytes("too late")), "EPIPE", "send");
    assertEquals(await readText(stream), null);
  });
});

test("B44 UnixStream.read() drains, rejects with ECONNRESET once, then ends, when Python is killed with unread data", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = python(
      `
      client = connected(args[0])
      hear()
      client.sendall(b"last words")
      say("sent")
      hear()
      `,
      [path],
    );
    using stream = await acceptFrom(client, listener);
    await stream.writeAll(bytes("never read"));
    client.tell();
    await client.line();
    client.kill("SIGKILL");
    await client.finished;
    assertEquals(await readText(stream), "last words");
    await assertFails(() => readText(stream), "ECONNRESET", "recv");
    assertEquals(await readText(stream), null);
    assertEquals(await readText(stream), null);
  });
});

test("B46 UnixStream.writeAll() that waits rejects with EPIPE and how far it came when Python is killed", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = python(`client = connected(args[0])\nhear()`, [path]);
    using stream = await acceptFrom(client, listener);
    const waiting = assertFails(() => stream.writeAll(pattern(4 * MEBIBYTE)), "EPIPE", "send");
    await settled();
    client.kill("SIGKILL");
    const error = await waiting;
    assertEquals(error.bytesTransferred, stream.bytesWritten);
    assertEquals(stream.bytesWritten > 0 && stream.bytesWritten < 4 * MEBIBYTE, true);
    await assertFails(() => readText(stream), "ECONNRESET", "recv");
    assertEquals(await readText(stream), null);
  });
});

test("C73 UnixStream.read() rejects with ECONNRESET once, then ends, when a Python server is killed before it accepts", async () => {
  await withTempSocketPath(async (path) => {
    await using server = python(
      `
      listener = listening(args[0])
      say("listening")
      hear()
      `,
      [path],
    );
    await server.line();
    using stream = await UnixStream.connect(path);
    const waiting = assertFails(() => readText(stream), "ECONNRESET", "recv");
    await settled();
    server.kill("SIGKILL");
    await waiting;
    assertEquals(await readText(stream), null);
    await assertFails(() => stream.write(bytes("too late")), "EPIPE", "send");
  });
});

test("C64 L220 UnixStream.connect() is refused at the path of a killed Python server, and UnixListener.listen() replaces it", async () => {
  await withTempSocketPath(async (path) => {
    await using server = python(
      `
      listener = listening(args[0])
      say("listening")
      hear()
      `,
      [path],
    );
    await server.line();
    await assertFails(() => UnixListener.listen(path), "EADDRINUSE", "bind");
    server.kill("SIGKILL");
    await server.finished;
    await assertFails(() => UnixStream.connect(path), "ECONNREFUSED", "connect");
    await assertFails(() => UnixListener.listen(path, { stale: "fail" }), "EADDRINUSE", "bind");

    using listener = UnixListener.listen(path);
    await using client = python(`say(connected(args[0]).recv(100).decode())`, [path]);
    using stream = await acceptFrom(client, listener);
    await stream.writeAll(bytes("taken over"));
    assertEquals(await client.line(), "taken over");
    await client.succeeded();
  });
});

test("C64 UnixListener.listen() does not take the path of a Python socket that is bound and does not listen yet", async () => {
  await withTempSocketPath(async (path) => {
    await using server = python(
      `
      listener = socket.socket(socket.AF_UNIX)
      listener.bind(args[0])
      say("bound")
      hear()
      listener.listen()
      say("listening")
      listener.accept()[0].sendall(b"mine")
      `,
      [path],
    );
    await server.line();
    await assertFails(() => UnixStream.connect(path), "ECONNREFUSED", "connect");
    await assertFails(() => UnixListener.listen(path), "EADDRINUSE", "bind");
    server.tell("listen");
    await server.line();
    using stream = await UnixStream.connect(path);
    assertEquals(await readText(stream), "mine");
    await server.succeeded();
  });
});

test("C65 UnixListener.close() leaves a path alone that Python has bound anew", async () => {
  await withTempSocketPath(async (path) => {
    const listener = UnixListener.listen(path);
    unlinkSync(path);
    await using server = python(
      `
      listener = listening(args[0])
      say("listening")
      listener.accept()[0].sendall(b"the new one")
      `,
      [path],
    );
    await server.line();
    listener.close();
    using stream = await UnixStream.connect(path);
    assertEquals(await readText(stream), "the new one");
    await server.succeeded();
  });
});
