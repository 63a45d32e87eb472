import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { test } from "node:test";
import { errnoNumber, file, native, sockaddr, sockets } from "../../ffi/mod.ts";
import { abstract, type Address, sameAddress, UnixListener, UnixStream } from "../../mod.ts";
import {
  answers,
  attemptElsewhere,
  codeOf,
  kernelName,
  packedName,
  packedPath,
  succeed,
  uniqueName,
  withRawSocket,
  works,
} from "../support/raw.ts";
import { assertFails, bytes, text, unlessProgram, withTempSocketPath } from "../support/mod.ts";
import { assertConnects, AUTOBOUND, concat, encoder, UNNAMED } from "../support/addresses.ts";

test("A11 UnixListener.listen() lets the kernel choose a name for the unnamed address", async () => {
  using first = UnixListener.listen(UNNAMED);
  using second = UnixListener.listen(UNNAMED);
  for (const listener of [first, second]) {
    const address = listener.addr;
    assert(address.kind === "abstract");
    assertMatch(text(address.name), AUTOBOUND);
    assertEquals(kernelName(listener.fd).length, 8);
    await assertConnects(listener, address);
  }
  assert(!sameAddress(first.addr, second.addr));
});

test("A11 UnixStream.connect() lets the kernel choose a name to come from", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const connecting = UnixStream.connect(path, { from: UNNAMED });
    using accepted = await listener.accept();
    using client = await connecting;
    const address = client.localAddr;
    assert(address.kind === "abstract");
    assertMatch(text(address.name), AUTOBOUND);
    assertEquals(accepted.remoteAddr, address);
  });
});

test("A13 bind(2) of the family alone leaves the name of a bound socket", async () => {
  await withTempSocketPath(async (path) => {
    const unnamed = sockaddr.packUnnamed(native().abi.layouts.sockaddr_un);
    await withRawSocket("SOCK_STREAM", (fd) => {
      succeed(sockets.bind(fd, packedPath(path)));
      assertEquals(sockets.bind(fd, unnamed), 0);
      assertEquals(kernelName(fd).address, { kind: "pathname", bytes: encoder.encode(path) });
    });
    await withRawSocket("SOCK_STREAM", (fd) => {
      succeed(sockets.bind(fd, unnamed));
      const chosen = kernelName(fd);
      succeed(sockets.bind(fd, unnamed));
      assertEquals(kernelName(fd), chosen);
    });
  });
});

test("A16 UnixListener.listen() takes an abstract name of 107 bytes, which all arrive", async () => {
  const name = uniqueName().padEnd(107, "x");
  for (const address of [`\0${name}`, bytes(`\0${name}`), abstract(name)]) {
    using listener = UnixListener.listen(address);
    assertEquals(listener.addr, { kind: "abstract", name: bytes(name) });
    assertEquals(kernelName(listener.fd).length, 110);
    await assertConnects(listener, address);
  }
});

test("A16 an abstract name of 108 bytes is refused before and by the kernel", async () => {
  const name = "x".repeat(108);
  const tagged: Address = { kind: "abstract", name: bytes(name) };
  for (const address of [`\0${name}`, bytes(`\0${name}`), tagged]) {
    const bound = await assertFails(() => UnixListener.listen(address), "ENAMETOOLONG", "bind");
    assertEquals(bound.address, `@${name}`);
    await assertFails(() => UnixStream.connect(address), "ENAMETOOLONG", "connect");
  }
  assertThrows(() => abstract(name), RangeError);
  assertThrows(() => abstract("é".repeat(54)), RangeError);
  await withRawSocket("SOCK_STREAM", (fd) => {
    const packed = new Uint8Array(new ArrayBuffer(111));
    packed.set(packedName(bytes(name).subarray(1)));
    assertEquals(sockets.bind(fd, packed), -errnoNumber("EINVAL"));
  });
});

test("A17 UnixListener.listen() tells abstract names apart by every byte, NULs at the end too", async () => {
  const name = uniqueName();
  using short = UnixListener.listen(`\0${name}`);
  using padded = UnixListener.listen(`\0${name}\0`);
  using inner = UnixListener.listen(`\0${name}\0x`);
  for (const listener of [short, padded, inner]) await assertConnects(listener, listener.addr);
  assertEquals(padded.addr, { kind: "abstract", name: bytes(`${name}\0`) });
  await assertFails(() => UnixStream.connect(`\0${name}\0\0`), "ECONNREFUSED", "connect");
  await assertFails(() => UnixStream.connect(`\0${name.slice(0, -1)}`), "ECONNREFUSED");
});

test("UnixListener.listen() takes an abstract name of any bytes", async () => {
  const name = concat(bytes(uniqueName()), Uint8Array.of(0xff, 0x00, 0x2f, 0x80, 0x0a));
  using listener = UnixListener.listen(abstract(name));
  using twin = UnixListener.fromFd(succeed(file.duplicate(listener.fd)));
  assertEquals(twin.addr, { kind: "abstract", name });
  await assertConnects(listener, abstract(name));
});

test("A20 an abstract name stays taken while a duplicate of its socket is open", async () => {
  const address = abstract(uniqueName());
  const listener = UnixListener.listen(address);
  const twin = succeed(file.duplicate(listener.fd));
  listener.close();
  await assertFails(() => UnixListener.listen(address), "EADDRINUSE", "bind");
  file.close(twin);
  UnixListener.listen(address).close();
});

const ISOLATED = ["unshare", "--net"];

test(
  "A23 UnixStream.connect() reaches a path from another network namespace, an abstract name not",
  {
    skip: unlessProgram("unshare") ||
      (!works([...ISOLATED, "true"]) && "may not make a network namespace"),
  },
  async () => {
    await withTempSocketPath(async (path) => {
      const name = uniqueName();
      using byPath = UnixListener.listen(path);
      using byName = UnixListener.listen(abstract(name));
      assertEquals(await attemptElsewhere([{ connect: `\0${name}` }, { connect: path }]), [
        "ok",
        "ok",
      ]);
      const outcomes = await attemptElsewhere(
        [{ connect: `\0${name}` }, { connect: path }, { listen: `\0${name}` }],
        (command) => [...ISOLATED, ...command],
      );
      assertEquals(outcomes.map(codeOf), ["ECONNREFUSED", "ok", "ok"]);
      assert(await answers(byPath.addr));
      assert(await answers(byName.addr));
    });
  },
);
