import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { UnixListener, UnixStream } from "../../mod.ts";
import { acceptFrom, addressBytes, freshName, python } from "../support/interop.ts";
import { readText, withTempSocketPath } from "../support/mod.ts";

test("H164 UnixStream.peerCredentials() of an accepted stream is the Python client, also after it exits", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    await using client = python(
      `
      client = connected(args[0])
      say(json.dumps([os.getpid(), os.geteuid(), os.getegid()]))
      `,
      [path],
    );
    using stream = await acceptFrom(client, listener);
    const [pid, uid, gid] = await client.json<[number, number, number]>();
    assertEquals(pid, client.pid);
    assertEquals(stream.peerCredentials(), { pid, uid, gid });
    await client.succeeded();
    assertEquals(await readText(stream), null);
    assertEquals(stream.peerCredentials(), { pid, uid, gid });
  });
});

test("H164 Python's SO_PEERCRED of a UnixStream that connected is this process", async () => {
  await withTempSocketPath(async (path) => {
    await using server = python(
      `
      listener = listening(args[0])
      say("listening")
      connection, _ = listener.accept()
      say(json.dumps(peer_credentials(connection)))
      say(json.dumps([os.getpid(), os.geteuid(), os.getegid()]))
      hear()
      `,
      [path],
    );
    await server.line();
    using stream = await UnixStream.connect(path);
    const here = [process.pid, process.geteuid!(), process.getegid!()];
    assertEquals(await server.json<number[]>(), here);
    const [pid, uid, gid] = await server.json<[number, number, number]>();
    assertEquals(stream.peerCredentials(), { pid, uid, gid });
    server.tell();
    await server.succeeded();
  });
});

test("H164 UnixStream.peerCredentials() of a client is the Python process that listened, not the one that accepts", async () => {
  await withTempSocketPath(async (path) => {
    await using server = python(
      `
      listener = listening(args[0])
      say(os.getpid())
      child = os.fork()
      if child == 0:
          connection, _ = listener.accept()
          connection.sendall(str(os.getpid()).encode())
          connection.close()
          os._exit(0)
      os.waitpid(child, 0)
      `,
      [path],
    );
    const listened = Number(await server.line());
    using stream = await UnixStream.connect(path);
    const accepted = Number(await readText(stream));
    assert(accepted > 0 && accepted !== listened);
    assertEquals(stream.peerCredentials()?.pid, listened);
    await server.succeeded();
  });
});

test("H166 UnixStream.peerCredentials() are the effective ids that a Python client had when it connected", async () => {
  using listener = UnixListener.listen(`\0${freshName()}`);
  await using client = python(
    `
    if os.geteuid() == 0:
        os.setegid(65534)
        os.seteuid(65534)
    client = connected(bytes.fromhex(args[0]))
    say(json.dumps([os.getpid(), os.geteuid(), os.getegid()]))
    if os.getuid() == 0:
        os.seteuid(0)
        os.setegid(0)
    client.sendall(b"changed")
    hear()
    `,
    [addressBytes(listener.addr)],
  );
  using stream = await acceptFrom(client, listener);
  const [pid, uid, gid] = await client.json<[number, number, number]>();
  assertEquals(await readText(stream), "changed");
  assertEquals(stream.peerCredentials(), { pid, uid, gid });
  client.tell();
  await client.succeeded();
});
