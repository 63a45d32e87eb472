import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { abstract, ReceiveBatch, SendBatch, UnixDatagram } from "../../mod.ts";
import {
  addressBytes,
  digest,
  freshName,
  hex,
  joined,
  pattern,
  python,
  SIZES,
  summary,
  withAddresses,
} from "../support/interop.ts";
import { bytes, text, unlessProgram, withTempDir, withTempSocketPath } from "../support/mod.ts";

const options = { skip: unlessProgram("python3") };

test(
  "O248 UnixDatagram sends to a Python server, path or abstract, and is answered",
  options,
  async () => {
    await withAddresses(async ({ server, client, args }) => {
      await using peer = python(
        `
      server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
      server.bind(bytes.fromhex(args[0]))
      say("ready")
      for _ in range(${SIZES.length}):
          data, sender = server.recvfrom(1 << 20)
          assert sender == (bytes.fromhex(args[1]) if args[1][:2] == "00" else os.fsdecode(bytes.fromhex(args[1]))), sender
          say(json.dumps([len(data), digest(data)]))
          server.sendto(data[::-1], sender)
      `,
        args,
      );
      await peer.line();
      using socket = UnixDatagram.bind(client);
      for (const [i, size] of SIZES.entries()) {
        const data = pattern(size, i);
        await socket.sendTo(data, server);
        assertEquals(await peer.json(), summary(data));
        const answer = await socket.receive();
        assertEquals(summary(answer.data), summary(data.reverse()));
        assertEquals(hex(addressBytes(answer.from)), hex(server as Uint8Array));
      }
      await peer.succeeded();
    });
  },
);

test(
  "O248 UnixDatagram serves a Python client, bound to a path or an abstract name",
  options,
  async () => {
    await withAddresses(async ({ server, client, args }) => {
      using socket = UnixDatagram.bind(server);
      await using peer = python(
        `
      client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
      client.bind(bytes.fromhex(args[1]))
      client.connect(bytes.fromhex(args[0]))
      for size in ${JSON.stringify(SIZES)}:
          data = os.urandom(size)
          client.send(data)
          assert client.recv(1 << 20) == data[::-1]
      say("done")
      `,
        args,
      );
      for (const size of SIZES) {
        const { data, from, length, truncated } = await socket.receive();
        assertEquals([data.length, length, truncated], [size, size, false]);
        assertEquals(hex(addressBytes(from)), hex(client as Uint8Array));
        await socket.sendTo(data.reverse(), from);
      }
      assertEquals(await peer.line(), "done");
      await peer.succeeded();
    });
  },
);

test(
  "A11 UnixDatagram answers a Python client under the name that the kernel chose",
  options,
  async () => {
    await withTempSocketPath(async (path) => {
      using socket = UnixDatagram.bind(path);
      await using peer = python(
        `
      client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
      client.bind("")
      client.sendto(b"who am I", args[0])
      say(client.recv(100).decode(), shown(client.getsockname()))
      `,
        [path],
      );
      const { from } = await socket.receive();
      assert(from.kind === "abstract");
      await socket.sendTo(bytes("answer"), from);
      assertEquals(await peer.line(), `answer ${hex(addressBytes(from))}`);
      await peer.succeeded();
    });
  },
);

test("A2 UnixDatagram answers a Python client at a path that is not UTF-8", options, async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "server");
    const odd = joined(directory, "/", [0xff, 0xfe, 0x80]);
    using socket = UnixDatagram.bind(path);
    await using peer = python(
      `
      client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
      client.bind(bytes.fromhex(args[1]))
      client.sendto(b"hello", args[0])
      say(client.recv(100).decode())
      `,
      [path, odd],
    );
    const { from } = await socket.receive();
    assertEquals(hex(addressBytes(from)), hex(odd));
    await socket.sendTo(bytes("found you"), from);
    assertEquals(await peer.line(), "found you");
    await peer.succeeded();
  });
});

test("D86 UnixDatagram.receive() calls an unbound Python client unnamed", options, async () => {
  await withTempSocketPath(async (path) => {
    using socket = UnixDatagram.bind(path);
    await using peer = python(
      `
      client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
      client.sendto(b"", args[0])
      client.sendto(b"nameless", args[0])
      `,
      [path],
    );
    const empty = await socket.receive();
    assertEquals([text(empty.data), empty.from], ["", { kind: "unnamed" }]);
    const { data, from } = await socket.receive();
    assertEquals([text(data), from], ["nameless", { kind: "unnamed" }]);
    await peer.succeeded();
  });
});

test(
  "D106 UnixDatagram.sendMany() and receiveMany() talk to one Python socket",
  options,
  async () => {
    await withTempSocketPath(async (path) => {
      using socket = UnixDatagram.bind(path);
      await using peer = python(
        `
      other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
      other.bind(args[0] + ".peer")
      say("ready")
      for i in range(3000):
          assert other.recv(100) == b"%d" % i
      for i in range(3000):
          other.sendto(b"%d" % -i, args[0])
      `,
        [path],
      );
      await peer.line();
      const batch = new SendBatch({ messages: 100 });
      for (let i = 0; i < 3000;) {
        batch.clear();
        while (i < 3000 && batch.add(bytes(String(i)), `${path}.peer`)) i++;
        assertEquals(await socket.sendMany(batch), { sent: batch.count, error: null });
      }
      const received = new ReceiveBatch();
      for (let i = 0; i < 3000;) {
        await socket.receiveMany(received);
        for (const { data, from } of received) {
          assertEquals(text(data), String(-i).replace("-0", "0"));
          assertEquals(from, { kind: "pathname", path: `${path}.peer` });
          i++;
        }
      }
      await peer.succeeded();
    });
  },
);

test(
  "E112 UnixDatagram and Python tell each other of a message that was cut",
  options,
  async () => {
    await withTempSocketPath(async (path) => {
      using socket = UnixDatagram.bind(path);
      await using peer = python(
        `
      client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
      client.bind(args[0] + ".client")
      client.sendto(b"x" * 5000, args[0])
      data, _, flags, _ = client.recvmsg(10)
      say(data.decode(), flags == socket.MSG_TRUNC)
      `,
        [path],
      );
      const { data, length, truncated } = await socket.receive({ size: 100 });
      assertEquals([text(data), length, truncated], ["x".repeat(100), 5000, true]);
      await socket.sendTo(bytes("0123456789 and the rest"), `${path}.client`);
      assertEquals(await peer.line(), "0123456789 True");
      await peer.succeeded();
    });
  },
);

test(
  "A7 UnixDatagram reaches a Python server through a path beyond sun_path",
  options,
  async () => {
    await withTempDir(async (directory) => {
      const name = "x".repeat(60);
      const long = join(directory, name, name, "server");
      await using peer = python(
        `
      os.makedirs(os.path.dirname(args[0]))
      os.chdir(os.path.dirname(args[0]))
      server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
      server.bind("server")
      say("ready")
      say(server.recv(100).decode())
      `,
        [long],
      );
      await peer.line();
      assertEquals(existsSync(long), true);
      using socket = UnixDatagram.unbound();
      await socket.sendTo(bytes("from afar"), long);
      assertEquals(await peer.line(), "from afar");
      await peer.succeeded();
    });
  },
);

test(
  "O248 UnixDatagram.bind() keeps the abstract namespace of Python's \\0name",
  options,
  async () => {
    const name = freshName();
    using socket = UnixDatagram.bind(abstract(name));
    await using peer = python(
      `
    taken = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        taken.bind("\\0" + args[0])
    except OSError as error:
        say(error.errno == 98)
    hear()
    taken.bind("\\0" + args[0])
    say("bound")
    say(taken.recv(100).decode())
    `,
      [name],
    );
    assertEquals(await peer.line(), "True");
    socket.close();
    peer.tell();
    using sender = UnixDatagram.unbound();
    assertEquals(await peer.line(), "bound");
    await sender.sendTo(bytes("yours now"), abstract(name));
    assertEquals(await peer.line(), "yours now");
    await peer.succeeded();
  },
);

test(
  "O248 UnixDatagram moves a file of 3 MiB to Python in datagrams of 60,000 bytes",
  options,
  async () => {
    await withTempDir(async (directory) => {
      const path = join(directory, "server");
      const copy = join(directory, "copy");
      await using peer = python(
        `
      server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
      server.bind(args[0])
      say("ready")
      with open(args[1], "wb") as copy:
          while data := server.recv(1 << 20):
              copy.write(data)
      `,
        [path, copy],
      );
      await peer.line();
      const data = pattern(3 << 20);
      using socket = UnixDatagram.unbound().connect(path);
      for (let at = 0; at < data.length; at += 60_000) {
        await socket.send(data.subarray(at, at + 60_000));
      }
      await socket.send(new Uint8Array(0));
      await peer.succeeded();
      assertEquals(digest(readFileSync(copy)), digest(data));
    });
  },
);
