import { existsSync, mkdirSync } from "node:fs";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { basename, dirname, join } from "@std/path";
import { UnixListener, UnixStream } from "../../mod.ts";
import { acceptFrom, addressBytes, freshName, hex, joined, python } from "../support/interop.ts";
import { bytes, readText, readToEnd, text, withTempDir } from "../support/mod.ts";

/** Names of all kinds, as the bytes that bind(2) takes. */
const names: [what: string, make: (directory: string) => Uint8Array][] = [
  ["A1 a path", (directory) => joined(directory, "/plain.sock")],
  ["A2 a path that is no UTF-8", (directory) => joined(directory, "/", [0xff, 0xfe], ".sock")],
  ["A4 a path of 107 bytes", (directory) => joined(`${directory}/`.padEnd(107, "x"))],
  ["A17 an abstract name", () => joined([0], freshName())],
  [
    "A17 an abstract name that is no UTF-8, with NULs inside and at its end",
    () => joined([0], freshName(), [0, 0xff, 0xc3, 0x28, 0, 0x41, 0]),
  ],
  ["A16 an abstract name of 107 bytes", () => joined([0], freshName().padEnd(107, "x"))],
];

for (const [what, make] of names) {
  const [number, ...words] = what.split(" ");
  const kind = words.join(" ");

  test(`${number} O248 UnixStream.connect() reaches a Python server at ${kind}`, async () => {
    await withTempDir(async (directory) => {
      const name = make(directory);
      await using server = python(
        `
        address = bytes.fromhex(args[0])
        listener = listening(address)
        say(shown(listener.getsockname()))
        connection, peer = listener.accept()
        say(shown(peer), shown(connection.getsockname()))
        connection.sendall(b"heard " + read_all(connection))
        connection.close()
        if address[0]: os.unlink(address)
        `,
        [name],
      );
      assertEquals(await server.line(), hex(name));

      using stream = await UnixStream.connect(name);
      assertEquals(hex(addressBytes(stream.remoteAddr)), hex(name));
      assertEquals(stream.localAddr, { kind: "unnamed" });
      assertEquals(await server.line(), ` ${hex(name)}`);
      await stream.writeAll(bytes("hello"));
      stream.closeWrite();
      assertEquals(text(await readToEnd(stream)), "heard hello");
      await server.succeeded();
    });
  });

  test(`${number} O248 UnixListener.listen() is reached by a Python client at ${kind}`, async () => {
    await withTempDir(async (directory) => {
      const name = make(directory);
      using listener = UnixListener.listen(name);
      assertEquals(hex(addressBytes(listener.addr)), hex(name));
      await using client = python(
        `
        client = connected(bytes.fromhex(args[0]))
        say(shown(client.getpeername()))
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        say(read_all(client).decode())
        `,
        [name],
      );
      using stream = await acceptFrom(client, listener);
      assertEquals(stream.remoteAddr, { kind: "unnamed" });
      assertEquals(hex(addressBytes(stream.localAddr)), hex(name));
      assertEquals(await client.line(), hex(name));
      assertEquals(text(await readToEnd(stream)), "hello");
      await stream.writeAll(bytes("heard"));
      stream.close();
      assertEquals(await client.line(), "heard");
      await client.succeeded();
    });
  });
}

test("A17 UnixStream.connect() tells Python's abstract names apart by a NUL at the end", async () => {
  const name = freshName();
  await using server = python(
    `
    tight, padded = (listening(b"\\0" + args[0].encode() + end) for end in (b"", b"\\0"))
    say("listening")
    for listener, word in ((padded, b"padded"), (tight, b"tight")):
        connection, _ = listener.accept()
        connection.sendall(word)
        connection.close()
    `,
    [name],
  );
  await server.line();
  using tight = await UnixStream.connect(`\0${name}`);
  using padded = await UnixStream.connect(`\0${name}\0`);
  assertEquals(await readText(tight), "tight");
  assertEquals(await readText(padded), "padded");
  await server.succeeded();
});

const bounds: [what: string, make: (directory: string) => Uint8Array][] = [
  ["path", (directory) => joined(directory, "/client.sock")],
  ["abstract name", () => joined([0], freshName(), [0xfe, 0, 0])],
];

for (const [what, make] of bounds) {
  test(`C70 UnixStream.connect() from a bound ${what} is seen by Python's accept()`, async () => {
    await withTempDir(async (directory) => {
      const path = join(directory, "server.sock");
      const from = make(directory);
      await using server = python(
        `
        listener = listening(args[0])
        say("listening")
        connection, peer = listener.accept()
        say(shown(peer), shown(connection.getpeername()))
        connection.recv(1)
        `,
        [path],
      );
      await server.line();
      {
        using stream = await UnixStream.connect(path, { from });
        assertEquals(hex(addressBytes(stream.localAddr)), hex(from));
        assertEquals(await server.line(), `${hex(from)} ${hex(from)}`);
      }
      await server.succeeded();
      assertEquals(existsSync(join(directory, "client.sock")), false);
    });
  });

  test(`C70 UnixStream.remoteAddr is the ${what} that a Python client bound`, async () => {
    await withTempDir(async (directory) => {
      const path = join(directory, "server.sock");
      const from = make(directory);
      using listener = UnixListener.listen(path);
      await using client = python(
        `
        client = socket.socket(socket.AF_UNIX)
        client.bind(bytes.fromhex(args[1]))
        client.connect(args[0])
        client.recv(1)
        `,
        [path, from],
      );
      using stream = await acceptFrom(client, listener);
      assertEquals(hex(addressBytes(stream.remoteAddr)), hex(from));
      stream.close();
      await client.succeeded();
    });
  });
}

/** A path with more bytes than a sockaddr_un holds. */
function longPath(directory: string): string {
  const deep = join(directory, "d".repeat(120), "e".repeat(120));
  mkdirSync(deep, { recursive: true });
  return join(deep, "long.sock");
}

const longWays: [how: string, script: string][] = [
  ["the name in its directory", "os.chdir(directory)\naddress = name"],
  [
    "its directory's descriptor",
    'fd = os.open(directory, os.O_PATH)\naddress = f"/proc/self/fd/{fd}/{name}"',
  ],
  [
    "a descriptor of the socket's file",
    'fd = os.open(os.path.join(directory, name), os.O_PATH)\naddress = f"/proc/self/fd/{fd}"',
  ],
];

for (const [how, script] of longWays) {
  test(`A7 A8 UnixListener.listen() on a long path is reached by Python through ${how}`, async () => {
    await withTempDir(async (directory) => {
      const path = longPath(directory);
      using listener = UnixListener.listen(path);
      assertEquals(listener.addr, { kind: "pathname", path });
      await using client = python(
        `directory, name = args\n${script}\nsay(connected(address).recv(100).decode())`,
        [dirname(path), basename(path)],
      );
      using stream = await acceptFrom(client, listener);
      assertEquals(stream.localAddr, { kind: "pathname", path });
      await stream.writeAll(bytes("a long way"));
      assertEquals(await client.line(), "a long way");
      await client.succeeded();
    });
  });
}

test("A7 UnixListener.listen() on a name too long for any sockaddr_un is reached by Python", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "n".repeat(200));
    using listener = UnixListener.listen(path);
    await using client = python(
      `
      assert os.listdir(args[0]) == [args[1]]
      fd = os.open(os.path.join(*args), os.O_PATH)
      say(connected(f"/proc/self/fd/{fd}").recv(100).decode())
      `,
      [directory, basename(path)],
    );
    using stream = await acceptFrom(client, listener);
    await stream.writeAll(bytes("a long name"));
    assertEquals(await client.line(), "a long name");
    await client.succeeded();
  });
});

test("A7 UnixStream.connect() reaches a long path that Python bound from within its directory", async () => {
  await withTempDir(async (directory) => {
    const path = longPath(directory);
    await using server = python(
      `
      os.chdir(args[0])
      listener = listening(args[1])
      say("listening")
      connection, peer = listener.accept()
      connection.sendall(read_all(connection))
      connection.close()
      `,
      [dirname(path), basename(path)],
    );
    await server.line();
    using stream = await UnixStream.connect(path);
    assertEquals(stream.remoteAddr, { kind: "pathname", path });
    await stream.writeAll(bytes("a long way"));
    stream.closeWrite();
    assertEquals(text(await readToEnd(stream)), "a long way");
    await server.succeeded();
  });
});

test("A31 UnixStream.remoteAddr is the relative path that a Python client bound", async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "server.sock");
    using listener = UnixListener.listen(path);
    await using client = python(
      `
      os.chdir(args[0])
      client = socket.socket(socket.AF_UNIX)
      client.bind("client.sock")
      client.connect(args[1])
      client.recv(1)
      `,
      [directory, path],
    );
    using stream = await acceptFrom(client, listener);
    assertEquals(stream.remoteAddr, { kind: "pathname", path: "client.sock" });
    stream.close();
    await client.succeeded();
  });
});

test("L221 UnixListener.listen() with a mode keeps a Python process of another user out", async () => {
  await withTempDir(async (directory) => {
    const script = `
      if os.geteuid() == 0:
          os.chmod(os.path.dirname(args[0]), 0o755)
          os.setegid(65534)
          os.seteuid(65534)
      say(oct(stat.S_IMODE(os.stat(args[0]).st_mode)))
      try:
          connected(args[0])
          say("connected")
      except PermissionError:
          say("EACCES")
    `;
    // Write permission is what counts. Root may always; the owner is asked by the owner's bits.
    for (const [mode, expected] of [[0o555, "EACCES"], [0o222, "connected"]] as const) {
      const path = join(directory, `${mode}.sock`);
      using _listener = UnixListener.listen(path, { mode });
      await using client = python(script, [path]);
      assertEquals(await client.line(), `0o${mode.toString(8)}`);
      assertEquals(await client.line(), expected);
      await client.succeeded();
    }
  });
});
