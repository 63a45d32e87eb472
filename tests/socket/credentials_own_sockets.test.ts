import { createConnection, createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { peerCredentials, peerGroups, peerPidfd, UnixListener } from "../../mod.ts";
import { OWN_SOCKETS, ownSockets } from "../support/own_sockets.ts";
import { openDescriptors, RUNTIME, unlessProgram, withTempSocketPath } from "../support/mod.ts";
import { python } from "../support/interop.ts";
import { groupsOf, OWN, pidOf, Visitor } from "../support/visitor.ts";

const python3 = { skip: unlessProgram("python3") };

/** The descriptor of a socket of node:net, which all three runtimes have at the same place. */
function fdOf(socket: Socket): number {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  assertEquals(typeof fd, "number");
  return fd;
}

/** Asserts that a descriptor's peer is this process, or another one with the same ids. */
function assertPeer(fd: number, pid: number): void {
  assertEquals(peerCredentials(fd), { ...OWN, pid });
  assertEquals(peerGroups({ fd }), groupsOf(pid));
  using pidfd = peerPidfd(fd)!;
  assertEquals(pidOf(pidfd), pid);
}

async function listening(path: string): Promise<Server> {
  const server = createServer().listen(path);
  await once(server, "listening");
  return server;
}

test(
  "H164 the peer of a socket that a node:net server accepted is the process that connected",
  python3,
  async () => {
    await withTempSocketPath(async (path) => {
      const server = await listening(path);
      try {
        await using visitor = new Visitor();
        const connection = once(server, "connection");
        await visitor.visit({ kind: "pathname", path });
        const [socket] = await connection as [Socket];
        const fd = fdOf(socket);
        assertPeer(fd, visitor.pid);
        // The runtime's socket is as usable as before.
        socket.write("still here");
        assertEquals(await visitor.sees(), "still here");
        assertEquals(fdOf(socket), fd);
        socket.destroy();
      } finally {
        server.close();
      }
    });
  },
);

test("H164 the peer of a node:net client is the process that listens", python3, async () => {
  await withTempSocketPath(async (path) => {
    await using server = python(
      `
      listener = listening(args[0])
      say("listening")
      connection, _ = listener.accept()
      say(connection.recv(100).decode())
      `,
      [path],
    );
    await server.line();
    const socket = createConnection(path);
    await once(socket, "connect");
    assertPeer(fdOf(socket), server.pid);
    socket.write("hello");
    assertEquals(await server.line(), "hello");
    socket.destroy();
    await server.succeeded();
  });
});

for (const name of OWN_SOCKETS[RUNTIME]) {
  test(`H164 the peer of a client of ${name}, by the number of its descriptor, is this process, which listens`, async () => {
    await withTempSocketPath(async (path) => {
      using listener = UnixListener.listen(path);
      const before = openDescriptors();
      const connection = await ownSockets(name).connect(path);
      const fresh = [...openDescriptors()].filter(([fd, target]) =>
        target.startsWith("socket:") && before.get(fd) !== target
      );
      assertEquals(fresh.length, 1);
      assertPeer(Number(fresh[0]![0]), OWN.pid);
      using stream = await listener.accept();
      assertPeer(stream.fd, OWN.pid);
      connection.close();
    });
  });
}
