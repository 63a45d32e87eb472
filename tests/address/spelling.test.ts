import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { Buffer } from "node:buffer";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import {
  abstract,
  type Address,
  type AddressLike,
  formatAddress,
  sameAddress,
  UnixListener,
  UnixStream,
} from "../../mod.ts";
import { uniqueName } from "../support/raw.ts";
import { assertFails, bytes, withTempDir, withTempSocketPath } from "../support/mod.ts";
import {
  assertConnects,
  concat,
  encoder,
  namesIn,
  pathname,
  UNNAMED,
} from "../support/addresses.ts";

test("A25 formatAddress() shows paths as they are, and names and unprintable bytes escaped", () => {
  const cases: [Address, string][] = [
    [pathname("/run/a.sock"), "/run/a.sock"],
    [pathname("relative"), "relative"],
    [pathname("/tmp/日本"), "/tmp/日本"],
    [pathname("@a"), "./@a"],
    [pathname("/tmp/@a"), "/tmp/@a"],
    [pathname("\ufeffa"), "\ufeffa"],
    [pathname("/a\nb\tc"), "/a\\x0ab\\x09c"],
    [pathname("/a\\x0ab"), "/a\\\\x0ab"],
    [pathname("/\u0085"), "/\\x85"],
    [{ kind: "pathname", path: "/\ufffd", bytes: Uint8Array.of(0x2f, 0xff) }, "/\\xff"],
    [{ kind: "pathname", path: "\ufffd", bytes: Uint8Array.of(0xc3, 0x28, 0xe9) }, "\\xc3(\\xe9"],
    [abstract("name"), "@name"],
    [abstract("é"), "@é"],
    [abstract(""), "@"],
    [abstract("a\0b\0"), "@a\\x00b\\x00"],
    [abstract(Uint8Array.of(0x61, 0xff, 0x7f)), "@a\\xff\\x7f"],
    [abstract("\\x00"), "@\\\\x00"],
    [UNNAMED, "(unnamed)"],
  ];
  for (const [address, expected] of cases) assertEquals(formatAddress(address), expected);
});

test("A25 formatAddress() shows different names differently", () => {
  const names = ["q", "q\0", "q\0\0", "", "\0", "q\\x00", "\\", "\x1b[31m", "q\n", "@", "@q"];
  const shown = names.map((name) => formatAddress(abstract(name)));
  assertEquals(new Set(shown).size, names.length);
  // deno-lint-ignore no-control-regex -- they are what must not come through
  for (const one of shown) assert(!/[\x00-\x1f\x7f]/.test(one), JSON.stringify(one));
});

test("A25 sameAddress() compares kind and bytes, and nothing beyond them", () => {
  const memory = bytes("..q..");
  const same: [Address, Address][] = [
    [pathname("/a"), pathname("/a")],
    [pathname("/é"), { kind: "pathname", path: "?", bytes: bytes("/é") }],
    [
      { kind: "pathname", path: "one", bytes: Uint8Array.of(0xff) },
      { kind: "pathname", path: "two", bytes: Uint8Array.of(0xff) },
    ],
    [abstract("q"), { kind: "abstract", name: memory.subarray(2, 3) }],
    [abstract(""), abstract(new Uint8Array(0))],
    [UNNAMED, { kind: "unnamed" }],
  ];
  for (const [a, b] of same) {
    assert(sameAddress(a, b), `${formatAddress(a)} ${formatAddress(b)}`);
    assert(sameAddress(b, a));
  }
  const different: Address[] = [
    pathname("/a"),
    pathname("/a/"),
    pathname("//a"),
    pathname("q"),
    pathname("@q"),
    { kind: "pathname", path: "/\ufffd", bytes: Uint8Array.of(0x2f, 0xff) },
    { kind: "pathname", path: "/\ufffd", bytes: Uint8Array.of(0x2f, 0xfe) },
    pathname("/\ufffd"),
    abstract("q"),
    abstract("q\0"),
    abstract("/a"),
    abstract(""),
    UNNAMED,
  ];
  for (const a of different) {
    for (const b of different) {
      assertEquals(sameAddress(a, b), a === b, `${formatAddress(a)} ${formatAddress(b)}`);
    }
  }
});

test("A25 sameAddress() tells kinds apart where the text alone would not", () => {
  assertEquals(sameAddress(pathname(""), UNNAMED), false);
  assertEquals(sameAddress(pathname("\0q"), abstract("q")), false);
});

test("UnixListener.listen() and UnixStream.connect() take a file: URL", async () => {
  await withTempDir(async (directory) => {
    const names = ["a", "a b", "a%20b", "é", "a?b", "a#b", "100%", "a+b", "日本"];
    for (const name of names) {
      const path = join(directory, name);
      const url = new URL(`file://${directory}/`);
      url.pathname += encodeURIComponent(name);
      using listener = UnixListener.listen(url);
      assertEquals(listener.addr, pathname(path));
      assertEquals(readdirSync(directory), [name]);
      await assertConnects(listener, url);
      await assertConnects(listener, path);
    }
  });
});

test("UnixListener.listen() reads escaped bytes of a file: URL that are not UTF-8", async () => {
  await withTempDir(async (directory) => {
    const url = new URL(`file://${directory}/%ff%FE%e9`);
    using listener = UnixListener.listen(url);
    assertEquals(namesIn(directory), [[0xff, 0xfe, 0xe9]]);
    await assertConnects(listener, url);
  });
});

test("UnixListener.listen() takes a file: URL of localhost, and a percent sign that escapes nothing", async () => {
  await withTempDir(async (directory) => {
    using listener = UnixListener.listen(new URL(`file://localhost${directory}/5%zz%4`));
    assertEquals(listener.addr, pathname(join(directory, "5%zz%4")));
    await assertConnects(listener, listener.addr);
  });
});

test("UnixStream.connect() refuses other URLs with TypeError", () => {
  for (const url of ["http://localhost/a", "unix:/a", "file://elsewhere/a", "data:,a"]) {
    for (const action of [UnixListener.listen, UnixStream.connectSync]) {
      assertThrows(() => action(new URL(url)), TypeError, url);
    }
  }
});

test("UnixStream.connect() takes a file: URL that is a string for a path", async () => {
  const error = await assertFails(() => UnixStream.connect("file:///no/such"), "ENOENT", "connect");
  assertEquals(error.address, "file:///no/such");
});

test("every spelling of an address leads to the same socket", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen({ kind: "pathname", path });
    const spellings: AddressLike[] = [
      path,
      bytes(path),
      Buffer.from(path),
      new URL(`file://${path}`),
      { kind: "pathname", path },
      { kind: "pathname", path: "ignored", bytes: bytes(path) },
      listener.addr,
    ];
    for (const address of spellings) await assertConnects(listener, address);
  });
  const name = uniqueName();
  using listener = UnixListener.listen({ kind: "abstract", name: bytes(name) });
  const spellings: AddressLike[] = [
    `\0${name}`,
    bytes(`\0${name}`),
    Buffer.from(`\0${name}`),
    abstract(name),
    abstract(bytes(name)),
    { kind: "abstract", name: bytes(name) },
    listener.addr,
  ];
  for (const address of spellings) await assertConnects(listener, address);
});

for (const kind of ["Uint8Array", "Buffer"] as const) {
  test(`an address is copied from a ${kind}: changing it later changes nothing`, async () => {
    await withTempDir((directory) => {
      // Unlike that of any other Uint8Array, a Buffer's slice() shares its memory.
      const make = (data: Uint8Array) => kind === "Buffer" ? Buffer.from(data) : data.slice();
      const name = uniqueName();
      const path = concat(encoder.encode(`${directory}/`), Uint8Array.of(0xff));
      const spellings: [Uint8Array, (memory: Uint8Array) => AddressLike, Address][] = [
        [bytes(`\0${name}`), (memory) => memory, abstract(name)],
        [bytes(name), (memory) => ({ kind: "abstract", name: memory }), abstract(name)],
        [bytes(name), (memory) => abstract(memory), abstract(name)],
        [path, (memory) => memory, { kind: "pathname", path: "", bytes: path }],
        [path, (memory) => ({ kind: "pathname", path: "", bytes: memory }), {
          kind: "pathname",
          path: "",
          bytes: path,
        }],
      ];
      const changed: string[] = [];
      for (const [given, spell, expected] of spellings) {
        const memory = make(given);
        const address = spell(memory);
        using listener = UnixListener.listen(address);
        memory.fill(0x21);
        if (!sameAddress(listener.addr, expected)) changed.push(formatAddress(listener.addr));
      }
      assertEquals(changed, []);
    });
  });
}

test("abstract() takes text as UTF-8 and bytes as they are, without the NUL in front", () => {
  assertEquals(abstract("é"), { kind: "abstract", name: Uint8Array.of(0xc3, 0xa9) });
  assertEquals(abstract(Uint8Array.of(0, 1)), { kind: "abstract", name: Uint8Array.of(0, 1) });
  assertEquals(abstract(""), { kind: "abstract", name: new Uint8Array(0) });
  assertNotEquals(abstract("\0a"), abstract("a"));
});

test("an unpaired surrogate is refused with TypeError, not replaced", async () => {
  await withTempDir((directory) => {
    for (const path of [`${directory}/\ud800`, `\0\udc00`]) {
      const spellings: AddressLike[] = [path, { kind: "pathname", path: `${directory}/\ud800` }];
      for (const address of spellings) {
        assertThrows(() => UnixListener.listen(address), TypeError);
        assertThrows(() => UnixStream.connectSync(address), TypeError);
      }
    }
    assertThrows(() => abstract("\ud800"), TypeError);
    assertEquals(readdirSync(directory), []);
  });
});
