import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { UnixSeqpacket, UnixSeqpacketListener } from "../../mod.ts";
import { python } from "../support/interop.ts";
import { assertFails, bytes, unlessProgram, withTempSocketPath } from "../support/mod.ts";
import { content, sendTexts } from "../support/seqpacket.ts";

test("UnixSeqpacket.connectSync(), acceptSync(), sendSync() and receiveSync() need no turn", async () => {
  await withTempSocketPath((path) => {
    using listener = UnixSeqpacketListener.listen(path);
    using client = UnixSeqpacket.connectSync(path, { from: `${path}.me`, timeout: 10_000 });
    using server = listener.acceptSync({ timeout: 10_000 });
    client.sendSync(bytes("question"), { timeout: 10_000 });
    client.sendSync(bytes(""), { timeout: 10_000 });
    assertEquals(content(server.peekSync({ timeout: 10_000 })), "question");
    const question = server.receiveSync({ timeout: 10_000 });
    assertEquals(content(question), "question");
    assertEquals(question?.from, { kind: "pathname", path: `${path}.me` });
    assertEquals(content(server.receiveSync()), "");
    client.close();
    assertEquals(server.peekSync(), null);
    assertEquals(server.receiveSync(), null);
  });
});

test("UnixSeqpacket.connectSync() fails with ETIMEDOUT at a full backlog and leaves nothing", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixSeqpacketListener.listen(path, { backlog: 0 });
    using first = UnixSeqpacket.connectSync(path);
    await assertFails(
      () => UnixSeqpacket.connectSync(path, { timeout: 5 }),
      "ETIMEDOUT",
      "connect",
    );
    using accepted = listener.acceptSync({ timeout: 0 });
    await sendTexts(first, "first");
    assertEquals(content(await accepted.receive()), "first");
    await assertFails(() => listener.acceptSync({ timeout: 0 }), "ETIMEDOUT", "accept4");
  });
});

test(
  "UnixSeqpacket.receiveSync() blocks until another process sends, and until it ends",
  { skip: unlessProgram("python3") },
  async () => {
    await withTempSocketPath(async (path) => {
      using listener = UnixSeqpacketListener.listen(path);
      await using peer = python(
        `
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.connect(args[0])
        assert client.recv(100) == b"go"
        for i in range(3):
            client.send(b"%d" % i)
            assert client.recv(100) == b"%d" % i
        `,
        [path],
      );
      using server = listener.acceptSync({ timeout: 60_000 });
      server.sendSync(bytes("go"));
      for (let i = 0; i < 3; i++) {
        const record = server.receiveSync({ timeout: 60_000 });
        assertEquals(content(record), String(i));
        server.sendSync(record!.data);
      }
      assertEquals(server.receiveSync({ timeout: 60_000 }), null);
      await peer.succeeded();
    });
  },
);
