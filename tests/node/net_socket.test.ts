import { once } from "node:events";
import { createServer } from "node:http";
import net from "node:net";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Fd, peerCredentials, UnixListener, UnixStream } from "../../mod.ts";
import { fromNodeSocket, intoNodeSocket, nodeSocketFd } from "../../node.ts";
import { python } from "../support/interop.ts";
import {
  assertFails,
  assertNoFdLeak,
  bytes,
  readToEnd,
  text,
  withTempSocketPath,
} from "../support/mod.ts";

async function textOf(socket: net.Socket): Promise<string> {
  let received = "";
  for await (const chunk of socket) received += String(chunk);
  return received;
}

test("intoNodeSocket() carries bytes both ways, and the ends", async () => {
  const [a, b] = UnixStream.pair();
  const socket = intoNodeSocket(b);
  assert(b.closed);
  socket.end("from node:net");
  await a.writeAll(bytes("from afunix"));
  a.closeWrite();
  assertEquals(await textOf(socket), "from afunix");
  assertEquals(text(await readToEnd(a)), "from node:net");
  a.close();
});

test("intoNodeSocket() of a closed stream is EBADF, of a file ENOTSOCK, of anything else a TypeError", async () => {
  const [a, b] = UnixStream.pair();
  a.close();
  b.close();
  await assertFails(() => intoNodeSocket(a), "EBADF");
  using file = Fd.memfd("no socket");
  await assertFails(() => intoNodeSocket(file), "ENOTSOCK");
  assert(!file.closed);
  assertThrows(() => intoNodeSocket(3 as unknown as Fd), TypeError);
});

test("intoNodeSocket() rejects what waits on the stream", async () => {
  const [a, b] = UnixStream.pair();
  const reading = b.read(new Uint8Array(1)).then(() => "read", (error) => error.code);
  const socket = intoNodeSocket(b);
  assertEquals(await reading, "EBADF");
  socket.destroy();
  await once(socket, "close");
  a.close();
});

test("an HTTP server serves connections that it did not accept", async () => {
  const server = createServer((request, response) => response.end(`you asked for ${request.url}`));
  const [a, b] = UnixStream.pair();
  server.emit("connection", intoNodeSocket(b));
  await a.writeAll(bytes("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  const answer = text(await readToEnd(a));
  assert(answer.startsWith("HTTP/1.1 200 OK\r\n"), answer);
  assert(answer.includes("you asked for /x"), answer);
  a.close();
});

test("a TCP connection that was received becomes a socket of the runtime's own", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using program = python(
      `
      server = socket.create_server(("127.0.0.1", 0))
      client = socket.create_connection(server.getsockname())
      accepted = server.accept()[0]
      channel = socket.socket(socket.AF_UNIX)
      channel.connect(args[0])
      socket.send_fds(channel, [b"x"], [accepted.fileno()])
      accepted.close()
      client.sendall(b"over TCP")
      client.shutdown(socket.SHUT_WR)
      data = b""
      while chunk := client.recv(100): data += chunk
      say(data.decode())
      `,
      [path],
    );
    using channel = await listener.accept();
    using message = await channel.receiveMessage();
    const socket = intoNodeSocket(message!.fds.shift()!);
    socket.end("answered");
    assertEquals(await textOf(socket), "over TCP");
    assertEquals(await program.line(), "answered");
  });
});

test("fromNodeSocket() takes the connection of a client over", async () => {
  await withTempSocketPath((path) =>
    assertNoFdLeak(async () => {
      const listener = UnixListener.listen(path);
      const client = net.connect(path);
      const server = await listener.accept();
      if (client.connecting) await once(client, "connect");
      assertEquals(peerCredentials(nodeSocketFd(client))?.uid, server.peerCredentials()?.uid);
      const closed = once(client, "close");
      const stream = fromNodeSocket(client);
      await closed;
      await stream.writeAll(bytes("mine now"));
      stream.closeWrite();
      assertEquals(text(await readToEnd(server)), "mine now");
      await server.writeAll(bytes("yours"));
      server.close();
      assertEquals(text(await readToEnd(stream)), "yours");
      stream.close();
      listener.close();
    })
  );
});

test("fromNodeSocket() takes over what a server accepted with pauseOnConnect, and loses nothing", async () => {
  await withTempSocketPath(async (path) => {
    const server = net.createServer({ pauseOnConnect: true }).listen(path);
    await once(server, "listening");
    const accepted = once(server, "connection");
    const client = await UnixStream.connect(path);
    await client.writeAll(bytes("sent before"));
    const [socket] = await accepted as [net.Socket];
    const stream = fromNodeSocket(socket);
    client.closeWrite();
    assertEquals(text(await readToEnd(stream)), "sent before");
    client.close();
    stream.close();
    server.close();
  });
});

test("fromNodeSocket() refuses with EBUSY a socket whose runtime has read already", async () => {
  const [a, b] = UnixStream.pair();
  const socket = intoNodeSocket(b);
  await a.writeAll(bytes("early"));
  await once(socket, "readable");
  assert(socket.readableLength > 0);
  await assertFails(() => fromNodeSocket(socket), "EBUSY");
  assertEquals(String(socket.read()), "early");
  socket.destroy();
  a.close();
});

test("fromNodeSocket() of a destroyed socket is EBADF, of what is none a TypeError", async () => {
  const [a, b] = UnixStream.pair();
  const socket = intoNodeSocket(b);
  const closed = once(socket, "close");
  socket.destroy();
  await closed;
  await assertFails(() => fromNodeSocket(socket), "EBADF");
  await assertFails(() => nodeSocketFd(socket), "EBADF");
  for (const wrong of [null, 3, {}, new Uint8Array(1)]) {
    assertThrows(() => fromNodeSocket(wrong as unknown as net.Socket), TypeError);
  }
  a.close();
});
