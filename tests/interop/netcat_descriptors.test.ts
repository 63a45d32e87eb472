import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { UnixListener, UnixStream } from "../../mod.ts";
import { digest, joined, pattern, Peer } from "../support/interop.ts";
import { assertFails, bytes, text, unlessProgram } from "../support/mod.ts";

const options = { skip: unlessProgram("nc.openbsd") };

/** Listens at a TCP port of this machine's for the time of a body. */
async function withTcp(body: (server: Server, port: string) => Promise<void>): Promise<void> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await body(server, String((server.address() as AddressInfo).port));
  } finally {
    const closed = once(server, "close");
    server.close();
    await closed;
  }
}

/** Lets netcat connect to a port, and gives it one end of a pair as its output for the connection. */
async function connectedByNetcat(port: string) {
  const [ours, theirs] = UnixStream.pair();
  using stream = ours;
  await using netcat = new Peer(["nc.openbsd", "-F", "127.0.0.1", port], {
    stdio: ["pipe", theirs.fd, "pipe"],
  });
  theirs.close();
  const message = await stream.receiveMessage();
  await netcat.succeeded();
  assertEquals(await stream.receiveMessage(), null);
  return message!;
}

async function readAll(socket: Socket): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of socket) chunks.push(chunk as Uint8Array);
  return joined(...chunks);
}

test(
  "G152 UnixStream.receiveMessage() takes the TCP connection that nc -F made, and talks through it",
  options,
  async () => {
    await withTcp(async (server, port) => {
      const accepting = once(server, "connection");
      using message = await connectedByNetcat(port);
      assertEquals([[...message.data], message.fds.length], [[0], 1]);
      assertEquals(message.controlTruncated, false);
      const [accepted] = await accepting as [Socket];
      using connection = message.fds.shift()!;
      assertEquals(connection.kind, "socket");
      await connection.writeAll(bytes("through netcat's connection"));
      const [received] = await once(accepted, "data") as [Uint8Array];
      assertEquals(text(received), "through netcat's connection");
      accepted.end("and back");
      const buffer = new Uint8Array(64);
      assertEquals(text(buffer.subarray(0, (await connection.read(buffer))!)), "and back");
      assertEquals(await connection.read(buffer), null);
      connection.close();
      assertEquals((await readAll(accepted)).length, 0);
    });
  },
);

test("G152 Fd carries 4 MiB each way at once through a connection of nc -F", options, async () => {
  await withTcp(async (server, port) => {
    const accepting = once(server, "connection");
    using message = await connectedByNetcat(port);
    const [accepted] = await accepting as [Socket];
    using connection = message.fds.shift()!;
    const [there, back] = [pattern(4 << 20, 1), pattern(4 << 20, 2)];
    accepted.end(back);
    const sending = connection.writeAll(there);
    const chunks: Uint8Array[] = [];
    const buffer = new Uint8Array(65_536);
    const receiving = (async () => {
      for (let count; (count = await connection.read(buffer)) !== null;) {
        chunks.push(buffer.slice(0, count));
      }
    })();
    const arriving = readAll(accepted);
    await Promise.all([sending, receiving]);
    connection.close();
    assertEquals(digest(joined(...chunks)), digest(back));
    assertEquals(digest(await arriving), digest(there));
  });
});

test(
  "L223 UnixStream.fromFd() refuses the TCP connection of nc -F, which stays usable",
  options,
  async () => {
    await withTcp(async (server, port) => {
      const accepting = once(server, "connection");
      using message = await connectedByNetcat(port);
      const [accepted] = await accepting as [Socket];
      const [connection] = message.fds;
      await assertFails(() => UnixStream.fromFd(connection!), "EPROTOTYPE");
      await assertFails(() => UnixListener.fromFd(connection!), "EPROTOTYPE");
      await connection!.writeAll(bytes("still here"));
      message.close();
      assertEquals(text(await readAll(accepted)), "still here");
      accepted.end();
    });
  },
);
