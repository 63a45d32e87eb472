import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { type Message, UnixSeqpacket, UnixSeqpacketListener } from "../../mod.ts";
import {
  addressBytes,
  hex,
  pattern,
  python,
  SIZES,
  summary,
  withAddresses,
} from "../support/interop.ts";
import { assertFails, unlessProgram, withTempSocketPath } from "../support/mod.ts";
import { content, sendTexts } from "../support/seqpacket.ts";

const options = { skip: unlessProgram("python3") };

test(
  "O248 UnixSeqpacket exchanges records with a Python server, path or abstract",
  options,
  async () => {
    await withAddresses(async ({ server, client, args }) => {
      await using peer = python(
        `
      listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
      listener.bind(bytes.fromhex(args[0]))
      listener.listen(1)
      say("ready")
      connection, address = listener.accept()
      say(shown(address))
      for _ in range(${SIZES.length}):
          data = connection.recv(1 << 20)
          say(json.dumps([len(data), digest(data)]))
          connection.send(data[::-1])
      connection.shutdown(socket.SHUT_WR)
      say(connection.recv(100).decode())
      `,
        args,
      );
      await peer.line();
      using socket = await UnixSeqpacket.connect(server, { from: client });
      assertEquals(await peer.line(), hex(client as Uint8Array));
      for (const [i, size] of SIZES.entries()) {
        const data = pattern(size, i);
        await socket.send(data);
        assertEquals(await peer.json(), summary(data));
        const answer = await socket.receive();
        assertEquals(summary(answer!.data), summary(data.reverse()));
      }
      assertEquals(await socket.receive(), null);
      await sendTexts(socket, "goodbye");
      assertEquals(await peer.line(), "goodbye");
      await peer.succeeded();
    });
  },
);

test("O248 UnixSeqpacketListener serves a Python client, path or abstract", options, async () => {
  await withAddresses(async ({ server, client, args }) => {
    using listener = UnixSeqpacketListener.listen(server);
    await using peer = python(
      `
      client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
      client.bind(bytes.fromhex(args[1]))
      client.connect(bytes.fromhex(args[0]))
      say(shown(client.getpeername()))
      for size in ${JSON.stringify(SIZES)}:
          data = os.urandom(size)
          client.send(data)
          assert client.recv(1 << 20) == data[::-1]
      client.shutdown(socket.SHUT_WR)
      assert client.recv(100) == b"goodbye"
      assert client.recv(100) == b""
      `,
      args,
    );
    using socket = await listener.accept();
    assertEquals(await peer.line(), hex(server as Uint8Array));
    assertEquals(hex(addressBytes(socket.remoteAddr)), hex(client as Uint8Array));
    const sizes: number[] = [];
    for await (const { data } of socket) {
      sizes.push(data.length);
      await socket.send(data.reverse());
    }
    assertEquals(sizes, SIZES);
    await sendTexts(socket, "goodbye");
    socket.close();
    await peer.succeeded();
  });
});

test(
  "E113 UnixSeqpacket.receive() reports Python's MSG_EOR as it reports its absence",
  options,
  async () => {
    await withTempSocketPath(async (path) => {
      using listener = UnixSeqpacketListener.listen(path);
      await using peer = python(
        `
      client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
      client.connect(args[0])
      client.send(b"same", socket.MSG_EOR)
      client.send(b"same")
      `,
        [path],
      );
      using socket = await listener.accept();
      assertEquals(await socket.receive(), await socket.receive());
      assertEquals(await socket.receive(), null);
      await peer.succeeded();
    });
  },
);

test(
  "E115 UnixSeqpacket.receive() rejects with ECONNRESET when Python leaves records unread",
  options,
  async () => {
    await withTempSocketPath(async (path) => {
      using listener = UnixSeqpacketListener.listen(path);
      await using peer = python(
        `
      client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
      client.connect(args[0])
      client.send(b"last")
      hear()
      client.close()
      say("closed")
      `,
        [path],
      );
      using socket = await listener.accept();
      await sendTexts(socket, "unread");
      peer.tell();
      assertEquals(await peer.line(), "closed");
      await assertFails(() => socket.receive(), "ECONNRESET", "recvmsg");
      assertEquals(content(await socket.receive()), "last");
      assertEquals(await socket.receive(), null);
      await peer.succeeded();
    });
  },
);

test(
  "E116 UnixSeqpacket iteration tells a Python client's empty records from its exit",
  options,
  async () => {
    await withTempSocketPath(async (path) => {
      using listener = UnixSeqpacketListener.listen(path);
      await using peer = python(
        `
      client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
      client.connect(args[0])
      for record in [b"", b"one", b"", b""]:
          client.send(record)
      `,
        [path],
      );
      using socket = await listener.accept();
      const records: (string | null)[] = [];
      for await (const record of socket as AsyncIterable<Message>) records.push(content(record));
      assertEquals(records, ["", "one", "", ""]);
      await peer.succeeded();
    });
  },
);

test("O248 UnixSeqpacketListener accepts many Python clients at once", options, async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixSeqpacketListener.listen(path, { backlog: 2 });
    await using peer = python(
      `
      def talk(i):
          client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
          client.connect(args[0])
          for j in range(20):
              client.send(b"%d %d" % (i, j))
              assert client.recv(100) == b"%d %d" % (i, j)
      threads = [threading.Thread(target=talk, args=(i,)) for i in range(30)]
      for thread in threads:
          thread.start()
      for thread in threads:
          thread.join()
      say("all served")
      `,
      [path],
    );
    const serving: Promise<void>[] = [];
    for (let i = 0; i < 30; i++) {
      const socket = await listener.accept();
      serving.push((async () => {
        using open = socket;
        for await (const { data } of open) await open.send(data);
      })());
    }
    assertEquals(await peer.line(), "all served");
    await Promise.all(serving);
    await peer.succeeded();
  });
});
