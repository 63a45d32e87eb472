import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { test } from "node:test";
import {
  abstract,
  type Address,
  SendBatch,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { takeQueued } from "../support/datagrams.ts";
import { assertError } from "../support/errors.ts";
import { assertFails, bytes, withTempDir } from "../support/mod.ts";
import { uniqueName } from "../support/raw.ts";

const TYPES = ["stream", "datagram", "seqpacket"] as const;
type Type = typeof TYPES[number];

const SERVERS = {
  stream: (address: string | Address) => UnixListener.listen(address),
  datagram: (address: string | Address) => UnixDatagram.bind(address),
  seqpacket: (address: string | Address) => UnixSeqpacketListener.listen(address),
};

/** All that goes to an address, by the type of its socket and the system call that its errors name. */
const USES: Record<string, [type: Type, syscall: string, (to: string | Address) => unknown]> = {
  "UnixStream.connect()": ["stream", "connect", (to) => UnixStream.connect(to)],
  "UnixStream.connectSync()": ["stream", "connect", (to) => UnixStream.connectSync(to)],
  "UnixSeqpacket.connect()": ["seqpacket", "connect", (to) => UnixSeqpacket.connect(to)],
  "UnixSeqpacket.connectSync()": ["seqpacket", "connect", (to) => UnixSeqpacket.connectSync(to)],
  "UnixDatagram.connect()": ["datagram", "connect", (to) => UnixDatagram.unbound().connect(to)],
  "UnixDatagram.sendTo()": ["datagram", "sendto", async (to) => {
    using sender = UnixDatagram.unbound();
    await sender.sendTo(bytes("?"), to);
  }],
  "UnixDatagram.sendToSync()": ["datagram", "sendto", (to) => {
    using sender = UnixDatagram.unbound();
    sender.sendToSync(bytes("?"), to);
  }],
  "UnixDatagram.sendMany()": ["datagram", "sendmmsg", async (to) => {
    using sender = UnixDatagram.unbound();
    const batch = new SendBatch();
    batch.add(bytes("?"), to);
    await sender.sendMany(batch);
  }],
};

for (const [name, [type, syscall, use]] of Object.entries(USES)) {
  for (const other of TYPES.filter((each) => each !== type)) {
    const number = { stream: "", datagram: "D110 ", seqpacket: "E119 " }[type];

    test(`${number}${name} to the path of a ${other} socket fails with EPROTOTYPE`, async () => {
      await withTempDir(async (directory) => {
        const path = join(directory, other);
        using _server = SERVERS[other](path);
        // A batch does not say to which of its addresses it could not send.
        const address = syscall === "sendmmsg" ? undefined : path;
        await assertError(() => use(path), { code: "EPROTOTYPE", syscall, address });
      });
    });

    test(`A22 ${name} to the abstract name of a ${other} socket fails with ECONNREFUSED`, async () => {
      const address = abstract(uniqueName());
      using _server = SERVERS[other](address);
      await assertFails(() => use(address), "ECONNREFUSED", syscall);
    });
  }
}

test("A22 one abstract name serves a stream, a datagram and a seqpacket socket at once", async () => {
  const name = abstract(uniqueName());
  using stream = UnixListener.listen(name);
  using datagram = UnixDatagram.bind(name);
  using seqpacket = UnixSeqpacketListener.listen(name);
  for (const type of TYPES) await assertFails(() => SERVERS[type](name), "EADDRINUSE", "bind");
  const nobody = async () => {
    await assertFails(() => stream.acceptSync({ timeout: 0 }), "ETIMEDOUT");
    await assertFails(() => seqpacket.acceptSync({ timeout: 0 }), "ETIMEDOUT");
    assertEquals(takeQueued(datagram), []);
  };
  using sender = UnixDatagram.unbound();
  await sender.sendTo(bytes("to the datagram socket"), name);
  assertEquals(takeQueued(datagram), ["to the datagram socket"]);
  await nobody();
  for (const [Class, listener] of [[UnixStream, stream], [UnixSeqpacket, seqpacket]] as const) {
    using client = await Class.connect(name);
    client.sendMessageSync(bytes("here"));
    using server = await listener.accept();
    assertEquals(server.receiveMessageSync({ timeout: 0 })?.data, bytes("here"));
    assertEquals(client.remoteAddr, name);
    await nobody();
  }
});
