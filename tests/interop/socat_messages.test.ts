import { readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import {
  abstract,
  type AddressLike,
  UnixDatagram,
  UnixSeqpacket,
  UnixSeqpacketListener,
} from "../../mod.ts";
import { addressBytes, freshName, hex, joined, Peer } from "../support/interop.ts";
import {
  bytes,
  ROOT,
  text,
  unlessProgram,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";
import { content, sendTexts } from "../support/seqpacket.ts";
import { until } from "../support/waiting.ts";

const options = { skip: unlessProgram("socat") };

/** Starts socat, which after one end waits long for the other. */
function socat(...args: string[]): Peer {
  return new Peer(["socat", "-d", "-d", "-t", "60", ...args], { cwd: ROOT });
}

async function assertUpperCase(socket: UnixDatagram, address: AddressLike): Promise<void> {
  for (const message of ["hello", "x".repeat(500), "again"]) {
    await socket.sendTo(bytes(message), address);
    const { data, from } = await socket.receive();
    assertEquals(text(data), message.toUpperCase());
    assert(from.kind !== "unnamed");
  }
}

test("O248 UnixDatagram is answered by socat's UNIX-RECVFROM", options, async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "server");
    await using server = socat(`UNIX-RECVFROM:${path},fork`, "EXEC:tr a-z A-Z");
    await server.waitFor("receiving on", "stderr");
    using socket = UnixDatagram.bind(join(directory, "client"));
    await assertUpperCase(socket, path);
    server.kill();
  });
});

test(
  "O248 UnixDatagram is answered by socat's ABSTRACT-RECVFROM, under abstract names",
  options,
  async () => {
    const name = freshName();
    await using server = socat(`ABSTRACT-RECVFROM:${name},fork`, "EXEC:tr a-z A-Z");
    await server.waitFor("receiving on", "stderr");
    using socket = UnixDatagram.bind(abstract(freshName()));
    await assertUpperCase(socket, abstract(name));
    server.kill();
  },
);

test(
  "O248 UnixDatagram reaches all of socat's UNIX-RECV, which answers nobody",
  options,
  async () => {
    await withTempDir(async (directory) => {
      const path = join(directory, "server");
      const copy = join(directory, "copy");
      await using server = socat("-u", `UNIX-RECV:${path}`, `CREATE:${copy}`);
      await server.waitFor("starting data transfer loop", "stderr");
      using socket = UnixDatagram.unbound().connect(path);
      const lines = Array.from({ length: 500 }, (_, i) => `line ${i}\n`);
      for (const line of lines) await socket.send(bytes(line));
      const all = lines.join("");
      await until(() => statSync(copy).size >= all.length, "socat has written all");
      assertEquals(readFileSync(copy, "utf8"), all);
      server.kill();
    });
  },
);

test(
  "O248 UnixDatagram answers socat's UNIX-SENDTO at the path that it bound",
  options,
  async () => {
    await withTempDir(async (directory) => {
      const path = join(directory, "server");
      const own = join(directory, "client");
      using socket = UnixDatagram.bind(path);
      await using client = socat("-", `UNIX-SENDTO:${path},bind=${own}`);
      for (const message of ["one\n", "two\n"]) {
        client.write(message);
        const { data, from } = await socket.receive();
        assertEquals(text(data), message);
        assertEquals(from, { kind: "pathname", path: own });
        await socket.sendTo(bytes(`answer to ${message}`), from);
        await client.waitFor(`answer to ${message}`);
      }
      client.kill();
    });
  },
);

test(
  "O248 UnixDatagram answers socat's ABSTRACT-SENDTO at the name that it bound",
  options,
  async () => {
    const name = freshName();
    const own = freshName();
    using socket = UnixDatagram.bind(abstract(name));
    await using client = socat("-", `ABSTRACT-SENDTO:${name},bind=${own}`);
    client.write("hello\n");
    const { data, from } = await socket.receive();
    assertEquals(text(data), "hello\n");
    assertEquals(hex(addressBytes(from)), hex(joined([0], own)));
    await socket.sendTo(bytes("answer\n"), from);
    await client.waitFor("answer\n");
    client.kill();
  },
);

test("O248 UnixDatagram.receive() calls socat unnamed where it did not bind", options, async () => {
  await withTempSocketPath(async (path) => {
    using socket = UnixDatagram.bind(path);
    await using client = socat("-u", "-", `UNIX-SENDTO:${path}`);
    client.write("nameless");
    const { data, from } = await socket.receive();
    assertEquals([text(data), from], ["nameless", { kind: "unnamed" }]);
    await client.succeeded();
  });
});

for (const option of ["socktype=5", "type=5"]) {
  test(
    `O248 UnixSeqpacket gets each record back from socat's UNIX-LISTEN with ${option}`,
    options,
    async () => {
      await withTempSocketPath(async (path) => {
        await using server = socat(`UNIX-LISTEN:${path},${option}`, "PIPE");
        await server.waitFor("listening on", "stderr");
        using socket = await UnixSeqpacket.connect(path);
        for (const record of ["one", "x".repeat(500), "three"]) {
          await sendTexts(socket, record);
          assertEquals(content(await socket.receive()), record);
        }
        socket.closeWrite();
        assertEquals(await socket.receive(), null);
        await server.succeeded();
      });
    },
  );

  test(
    `O248 UnixSeqpacketListener serves socat's UNIX-CONNECT with ${option}`,
    options,
    async () => {
      await withTempSocketPath(async (path) => {
        using listener = UnixSeqpacketListener.listen(path);
        await using client = socat("-", `UNIX-CONNECT:${path},${option}`);
        using socket = await listener.accept();
        for (const record of ["one\n", "two\n"]) {
          client.write(record);
          assertEquals(content(await socket.receive()), record);
          await sendTexts(socket, `answer to ${record}`);
          await client.waitFor(`answer to ${record}`);
        }
        client.closeStdin();
        assertEquals(await socket.receive(), null);
        socket.close();
        await client.succeeded();
      });
    },
  );
}

test("O248 UnixSeqpacket talks to socat under an abstract name, both roles", options, async () => {
  const ours = freshName();
  const theirs = freshName();
  using listener = UnixSeqpacketListener.listen(abstract(ours));
  await using relay = socat(
    `ABSTRACT-LISTEN:${theirs},socktype=5`,
    `ABSTRACT-CONNECT:${ours},socktype=5`,
  );
  await relay.waitFor("listening on", "stderr");
  using near = await UnixSeqpacket.connect(abstract(theirs));
  using far = await listener.accept();
  for (let i = 0; i < 100; i++) {
    await sendTexts(near, `there ${i}`);
    assertEquals(content(await far.receive()), `there ${i}`);
    await sendTexts(far, `back ${i}`);
    assertEquals(content(await near.receive()), `back ${i}`);
  }
  near.close();
  assertEquals(await far.receive(), null);
  far.close();
  await relay.succeeded();
});
