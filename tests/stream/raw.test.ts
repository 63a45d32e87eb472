import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { errnoNumber, file, native, sockaddr, sockets } from "../../ffi/mod.ts";
import { UnixListener, UnixStream } from "../../mod.ts";
import {
  assertFails,
  bytes,
  commandFor,
  readText,
  RUNTIME,
  TestProcess,
  text,
  withSocketPair,
  withTempSocketPath,
} from "../support/mod.ts";
import { digest, O_NONBLOCK, openFlags, pattern, program } from "../support/streams.ts";

/** Runs a body with a blocking descriptor whose other end another process works. */
function withBlockingPeer(
  steps: string[],
  body: (fd: number) => void,
): Promise<void> {
  return withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const command = commandFor(RUNTIME, program("stream_peer.ts"));
    await using _peer = new TestProcess([...command, path, ...steps]);
    const fd = (await listener.accept()).intoFd();
    try {
      const { libc, abi } = native();
      libc.fcntl(fd, abi.constants.F_SETFL, openFlags(fd) & ~O_NONBLOCK);
      assertEquals(openFlags(fd) & O_NONBLOCK, 0);
      body(fd);
    } finally {
      file.closeHandedOver(fd);
    }
  });
}

test("B49 send(2) that blocks returns a short count when the reader takes 10 bytes and closes", async () => {
  await withBlockingPeer(["read:10", "close"], (fd) => {
    const data = pattern(4 << 20);
    const sent = sockets.send(fd, data, data.length, 0);
    assert(sent >= 10 && sent < data.length, `${sent}`);
    assertEquals(sockets.send(fd, data, data.length, 0), -errnoNumber("EPIPE"));
  });
});

test("B50 recv(2) with MSG_WAITALL waits for far more than one write", async () => {
  await withBlockingPeer(["write:1048576", "write:1048576"], (fd) => {
    const buffer = new Uint8Array(2 << 20);
    const { MSG_WAITALL } = native().abi.constants;
    assertEquals(sockets.recv(fd, buffer, buffer.length, MSG_WAITALL), buffer.length);
    const half = digest(pattern(1 << 20));
    assertEquals(digest(buffer.subarray(0, 1 << 20)), half);
    assertEquals(digest(buffer.subarray(1 << 20)), half);
  });
});

test("B50 recv(2) with MSG_WAITALL returns less at the end", async () => {
  await withBlockingPeer(["write:3", "write:4"], (fd) => {
    const buffer = new Uint8Array(16);
    const { MSG_WAITALL } = native().abi.constants;
    assertEquals(sockets.recv(fd, buffer, buffer.length, MSG_WAITALL), 7);
    assertEquals(sockets.recv(fd, buffer, buffer.length, MSG_WAITALL), 0);
  });
});

test("B50 recv(2) with MSG_WAITALL and MSG_DONTWAIT takes what is there", async () => {
  await withSocketPair(async (a, b) => {
    await a.writeAll(bytes("abc"));
    await a.writeAll(bytes("def"));
    const buffer = new Uint8Array(16);
    const { MSG_WAITALL, MSG_DONTWAIT } = native().abi.constants;
    const flags = MSG_WAITALL | MSG_DONTWAIT;
    assertEquals(sockets.recv(b.fd, buffer, buffer.length, flags), 6);
    assertEquals(text(buffer.subarray(0, 6)), "abcdef");
    assertEquals(sockets.recv(b.fd, buffer, buffer.length, flags), -errnoNumber("EAGAIN"));
  });
});

function withUnconnected(body: (fd: number) => void): void {
  const fd = sockets.socket(native().abi.constants.SOCK_STREAM);
  assert(fd >= 0);
  try {
    body(fd);
  } finally {
    file.close(fd);
  }
}

test("B53 send(2) on an unconnected stream socket fails with ENOTCONN and recv(2) with EINVAL", () => {
  withUnconnected((fd) => {
    const buffer = new Uint8Array(4);
    assertEquals(sockets.send(fd, buffer, 4, 0), -errnoNumber("ENOTCONN"));
    assertEquals(sockets.recv(fd, buffer, 4, 0), -errnoNumber("EINVAL"));
  });
});

test("B52 sendto(2) with an address fails with EISCONN when connected and EOPNOTSUPP when not", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    using client = await UnixStream.connect(path);
    using server = await listener.accept();
    const to = sockaddr.packPathname(native().abi.layouts.sockaddr_un, bytes(path));
    const send = (fd: number) => sockets.sendto(fd, bytes("x"), 1, 0, to);
    assertEquals(send(client.fd), -errnoNumber("EISCONN"));
    // Linux has one number for EOPNOTSUPP and ENOTSUP.
    withUnconnected((fd) => assertEquals(send(fd), -errnoNumber("ENOTSUP")));
    client.close();
    assertEquals(await readText(server), null);
  });
});

test("B53 UnixStream over an unconnected socket rejects writes with ENOTCONN and reads with EINVAL", async () => {
  const fd = sockets.socket(native().abi.constants.SOCK_STREAM);
  using stream = UnixStream.fromFd(fd);
  await assertFails(() => stream.write(bytes("x")), "ENOTCONN", "send");
  await assertFails(() => stream.writeAll(bytes("x")), "ENOTCONN", "send");
  await assertFails(() => stream.read(new Uint8Array(1)), "EINVAL", "recv");
  await assertFails(() => stream.remoteAddr, "ENOTCONN", "getpeername");
  assertEquals(stream.localAddr, { kind: "unnamed" });
});

test("B41 shutdown(2) of an unconnected stream socket succeeds on Linux, also twice", () => {
  withUnconnected((fd) => {
    const { SHUT_RDWR } = native().abi.constants;
    assertEquals([sockets.shutdown(fd, SHUT_RDWR), sockets.shutdown(fd, SHUT_RDWR)], [0, 0]);
  });
});

test("B55 UnixStream over a duplicate reads the same bytes in turn", async () => {
  await withSocketPair(async (a, b) => {
    using twin = UnixStream.fromFd(file.duplicate(b.fd));
    await a.writeAll(bytes("abcdef"));
    assertEquals(await readText(b, 2), "ab");
    assertEquals(await readText(twin, 2), "cd");
    assertEquals(await readText(b, 2), "ef");
    await twin.writeAll(bytes("from the twin"));
    assertEquals(await readText(a), "from the twin");
  });
});

test("B55 UnixStream over a duplicate waits beside the original, and the peer sees the end after both closed", async () => {
  await withSocketPair(async (a, b) => {
    const twin = UnixStream.fromFd(file.duplicate(b.fd));
    try {
      const reads = [readText(b, 3), readText(twin, 3)];
      await a.writeAll(bytes("abcdef"));
      assertEquals((await Promise.all(reads)).sort(), ["abc", "def"]);
      b.close();
      await twin.writeAll(bytes("still here"));
      assertEquals(await readText(a), "still here");
    } finally {
      twin.close();
    }
    assertEquals(await readText(a), null);
  });
});
