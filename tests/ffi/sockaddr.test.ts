import { assertEquals, assertThrows } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import { abiFor, type Field, type SockaddrUnLayout } from "../../ffi/abi/mod.ts";
import { sockaddr } from "../../ffi/mod.ts";
import { readField, writeField } from "../../ffi/structs/field.ts";
import { runC } from "../support/c_program.ts";
import { bytes, unlessProgram } from "../support/mod.ts";
import { generator } from "../support/random.ts";

const {
  longestAbstractName,
  maxPathname,
  packAbstract,
  packPathname,
  packUnnamed,
  unpackSockaddr,
} = sockaddr;

const linux = abiFor("linux", "x86_64")!.layouts.sockaddr_un;
const darwin = abiFor("darwin", "aarch64")!.layouts.sockaddr_un;
const LAYOUTS: [string, SockaddrUnLayout][] = [["Linux", linux], ["macOS", darwin]];

const decoder = new TextDecoder();

function hex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A copy that shows as text in a failure. */
function shown(address: sockaddr.RawAddress): string {
  return address.kind === "unnamed" ? "unnamed" : `${address.kind} ${hex(address.bytes)}`;
}

/** What a kernel writes: a family, where there is one a length, and a path. */
function written(layout: SockaddrUnLayout, path: Uint8Array, family = 1): Uint8Array {
  const [offset] = layout.fields.sun_path;
  const all = new Uint8Array(offset + path.length);
  const [familyOffset] = layout.fields.sun_family;
  all[familyOffset] = family;
  if (layout.fields.sun_len) all[layout.fields.sun_len[0]] = all.length;
  all.set(path, offset);
  return all;
}

test("packPathname() writes the family in two bytes, the path and one NUL on Linux", () => {
  assertEquals(hex(packPathname(linux, bytes("/a"))), "0100" + "2f61" + "00");
  assertEquals(hex(packPathname(linux, bytes("é"))), "0100" + "c3a9" + "00");
  assertEquals(hex(packPathname(linux, Uint8Array.of(0xff, 0xfe))), "0100" + "fffe" + "00");
  assertEquals(hex(packPathname(linux, bytes("@a"))), "0100" + "4061" + "00");
});

test("packPathname() writes length, family, the path and one NUL on macOS", () => {
  assertEquals(hex(packPathname(darwin, bytes("/a"))), "0501" + "2f61" + "00");
  assertEquals(hex(packPathname(darwin, bytes("x"))), "0401" + "78" + "00");
});

test("packAbstract() writes a NUL and the name, as long as it is and never padded", () => {
  assertEquals(hex(packAbstract(linux, bytes("q"))), "0100" + "00" + "71");
  assertEquals(hex(packAbstract(linux, bytes("q\0"))), "0100" + "00" + "7100");
  assertEquals(hex(packAbstract(linux, bytes("\0\0"))), "0100" + "00" + "0000");
  assertEquals(hex(packAbstract(linux, new Uint8Array(0))), "0100" + "00");
});

test("packUnnamed() writes the family alone", () => {
  assertEquals(hex(packUnnamed(linux)), "0100");
  assertEquals(hex(packUnnamed(darwin)), "0201");
});

test("packPathname() takes 107 bytes on Linux and 252 on macOS, and throws RangeError beyond", () => {
  assertEquals(maxPathname(linux), 107);
  assertEquals(maxPathname(darwin), 252);
  for (const [name, layout] of LAYOUTS) {
    const most = maxPathname(layout);
    const path = new Uint8Array(most).fill(0x61);
    const packed = packPathname(layout, path);
    assertEquals(packed.length, most + 3, name);
    assertEquals(hex(packed.subarray(2)), "61".repeat(most) + "00");
    assertThrows(() => packPathname(layout, new Uint8Array(most + 1).fill(0x61)), RangeError);
  }
  assertEquals(packPathname(darwin, new Uint8Array(252).fill(0x61))[0], 255);
});

test("packPathname() throws RangeError for an empty path and for one with a NUL", () => {
  for (const [, layout] of LAYOUTS) {
    for (const path of ["", "\0", "\0a", "a\0", "a\0b"]) {
      assertThrows(() => packPathname(layout, bytes(path)), RangeError);
    }
  }
});

test("packAbstract() takes 107 bytes and throws RangeError beyond", () => {
  assertEquals(longestAbstractName(linux), 107);
  const name = new Uint8Array(107).fill(0xff);
  assertEquals(hex(packAbstract(linux, name)), "0100" + "00" + "ff".repeat(107));
  assertThrows(() => packAbstract(linux, new Uint8Array(108)), RangeError);
});

test("packPathname() and packAbstract() leave what they are given, and share no memory with it", () => {
  const given = bytes("/a");
  const before = hex(given);
  const packed = [packPathname(linux, given), packAbstract(linux, given)];
  const texts = packed.map(hex);
  assertEquals(hex(given), before);
  given.fill(0x7a);
  assertEquals(packed.map(hex), texts);
});

test("unpackSockaddr() reads a pathname up to its NUL, or up to the length where it has none", () => {
  for (const [name, layout] of LAYOUTS) {
    const whole = written(layout, bytes("/run/a\0"));
    assertEquals(shown(unpackSockaddr(layout, whole, whole.length)), "pathname 2f72756e2f61", name);
    const tight = written(layout, bytes("/run/a"));
    assertEquals(shown(unpackSockaddr(layout, tight, tight.length)), "pathname 2f72756e2f61", name);
    const padded = written(layout, bytes("/a\0\0rest of the buffer"));
    assertEquals(shown(unpackSockaddr(layout, padded, padded.length)), "pathname 2f61", name);
  }
});

test("unpackSockaddr() reads no byte beyond the reported length", () => {
  for (const [, layout] of LAYOUTS) {
    const all = written(layout, bytes("/abcdef"));
    assertEquals(shown(unpackSockaddr(layout, all, 4)), "pathname 2f61");
    assertEquals(shown(unpackSockaddr(layout, all, 3)), "pathname 2f");
  }
  const abstract = written(linux, bytes("\0abcdef"));
  assertEquals(shown(unpackSockaddr(linux, abstract, 5)), "abstract 6162");
});

test("A5 unpackSockaddr() reads a path of 108 bytes without a NUL, reported as 111", () => {
  const path = new Uint8Array(108).fill(0x62);
  const roomy = new Uint8Array(256).fill(0x7a);
  roomy.set(written(linux, path));
  roomy[110] = 0;
  assertEquals(shown(unpackSockaddr(linux, roomy, 111)), `pathname ${"62".repeat(108)}`);
  // In a buffer of sizeof(struct sockaddr_un) the NUL does not fit, and the length says so.
  assertEquals(
    shown(unpackSockaddr(linux, written(linux, path), 111)),
    `pathname ${"62".repeat(108)}`,
  );
});

test("unpackSockaddr() reads every byte of an abstract name, NULs and trailing ones too", () => {
  for (const name of ["", "q", "q\0", "\0", "a\0b", "\0\0\0"]) {
    const raw = written(linux, bytes(`\0${name}`));
    assertEquals(shown(unpackSockaddr(linux, raw, raw.length)), `abstract ${hex(bytes(name))}`);
  }
});

test("unpackSockaddr() is unnamed for the lengths 0, 1 and 2, whatever the bytes", () => {
  for (const [, layout] of LAYOUTS) {
    for (const fill of [0x00, 0x01, 0x2f, 0xff]) {
      const noise = new Uint8Array(110).fill(fill);
      for (const length of [0, 1, 2]) {
        assertEquals(unpackSockaddr(layout, noise, length), { kind: "unnamed" });
      }
    }
  }
});

test("unpackSockaddr() tells the shortest names, of length 3, apart", () => {
  assertEquals(shown(unpackSockaddr(linux, written(linux, bytes("a")), 3)), "pathname 61");
  assertEquals(shown(unpackSockaddr(linux, written(linux, bytes("\0")), 3)), "abstract ");
  assertEquals(shown(unpackSockaddr(darwin, written(darwin, bytes("a")), 3)), "pathname 61");
  assertEquals(shown(unpackSockaddr(darwin, written(darwin, bytes("\0")), 3)), "unnamed");
});

test("unpackSockaddr() is unnamed for an empty path of 16 bytes, as macOS reports one", () => {
  const raw = written(darwin, new Uint8Array(14));
  assertEquals(unpackSockaddr(darwin, raw, 16), { kind: "unnamed" });
});

test("unpackSockaddr() stops at the buffer's end where the length is longer", () => {
  for (const [, layout] of LAYOUTS) {
    const raw = written(layout, bytes("/abc"));
    for (const length of [raw.length + 1, 111, 65536, 0x7fff_ffff]) {
      assertEquals(shown(unpackSockaddr(layout, raw, length)), "pathname 2f616263");
    }
    for (const size of [0, 1, 2]) {
      assertEquals(unpackSockaddr(layout, raw.subarray(0, size), 110), { kind: "unnamed" });
    }
    assertEquals(shown(unpackSockaddr(layout, raw.subarray(0, 3), 110)), "pathname 2f");
  }
});

test("unpackSockaddr() is unnamed for a negative length", () => {
  const raw = written(linux, bytes("/abc"));
  assertEquals(unpackSockaddr(linux, raw, -1), { kind: "unnamed" });
});

test("unpackSockaddr() makes no name out of another family", () => {
  for (const [, layout] of LAYOUTS) {
    for (const family of [0, 2, 10, 255]) {
      const raw = written(layout, bytes("/abc"), family);
      assertEquals(unpackSockaddr(layout, raw, raw.length), { kind: "unnamed" });
    }
  }
  // The second byte of Linux's family counts as well.
  const raw = written(linux, bytes("/abc"));
  raw[1] = 1;
  assertEquals(unpackSockaddr(linux, raw, raw.length), { kind: "unnamed" });
});

test("unpackSockaddr() reads a view that begins inside its memory, and returns a copy", () => {
  const memory = new Uint8Array(64).fill(0x2f);
  const raw = memory.subarray(7);
  raw.set(written(linux, bytes("/abc\0")));
  const address = unpackSockaddr(linux, raw, 7);
  assertEquals(shown(address), "pathname 2f616263");
  memory.fill(0);
  assertEquals(shown(address), "pathname 2f616263");
});

test("unpackSockaddr() gives back what was packed, for 4,000 seeded random addresses", () => {
  const below = generator(0x5eed);
  for (const [name, layout] of LAYOUTS) {
    for (let round = 0; round < 2000; round++) {
      const abstract = name === "Linux" && below(2) === 0;
      const size = abstract
        ? below(longestAbstractName(layout) + 1)
        : 1 + below(maxPathname(layout));
      const content = Uint8Array.from(
        { length: size },
        () => abstract ? below(256) : 1 + below(255),
      );
      const packed = abstract ? packAbstract(layout, content) : packPathname(layout, content);
      const expected = `${abstract ? "abstract" : "pathname"} ${hex(content)}`;
      assertEquals(shown(unpackSockaddr(layout, packed, packed.length)), expected);
      // In a larger buffer with leftovers the length still decides.
      const buffer = new Uint8Array(256).fill(below(256));
      buffer.set(packed);
      assertEquals(shown(unpackSockaddr(layout, buffer, packed.length)), expected);
    }
  }
});

test("unpackSockaddr() survives 4,000 buffers of seeded random bytes and lengths", () => {
  const below = generator(0xbad5eed);
  for (const [, layout] of LAYOUTS) {
    for (let round = 0; round < 2000; round++) {
      const buffer = Uint8Array.from({ length: below(300) }, () => below(256));
      if (below(2) === 0 && buffer.length > 1) buffer.set(packUnnamed(layout));
      const length = below(400);
      const address = unpackSockaddr(layout, buffer, length);
      if (address.kind === "unnamed") continue;
      const [offset] = layout.fields.sun_path;
      const room = Math.min(length, buffer.length) - offset;
      const used = address.bytes.length + (address.kind === "abstract" ? 1 : 0);
      assertEquals(used <= room, true, `${used} bytes out of ${room}`);
      if (address.kind === "pathname") {
        assertEquals(address.bytes.length > 0 && !address.bytes.includes(0), true);
      }
    }
  }
});

test("writeField() writes little-endian, at its offset, and touches nothing else", () => {
  const cases: [Field, number, string][] = [
    [[1, 1], 0xab, "ffabffffffffffffffffffff"],
    [[1, 2], 0x1234, "ff3412ffffffffffffffffff"],
    [[3, 4], 0x1234_5678, "ffffff78563412ffffffffff"],
    [[2, 8], 0x1f_ffff_ffff_fff1, "fffff1ffffffffff1f00ffff"],
    [[0, 4], -1, "ffffffffffffffffffffffff"],
    [[0, 4], -100, "9cffffffffffffffffffffff"],
    [[0, 8], 0, "0000000000000000ffffffff"],
  ];
  for (const [field, value, expected] of cases) {
    const memory = new Uint8Array(12).fill(0xff);
    writeField(new DataView(memory.buffer), field, value);
    assertEquals(hex(memory), expected);
  }
});

test("readField() reads unsigned, little-endian, at its offset", () => {
  const memory = Uint8Array.of(0x00, 0x80, 0xff, 0xfe, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff);
  const view = new DataView(memory.buffer);
  assertEquals(readField(view, [1, 1]), 0x80);
  assertEquals(readField(view, [1, 2]), 0xff80);
  assertEquals(readField(view, [1, 4]), 0x03fe_ff80);
  assertEquals(readField(view, [2, 8]), 0x03_feff);
  assertEquals(readField(new DataView(memory.buffer, 2), [0, 4]), 0x03_feff);
});

test("readField() gives back what writeField() wrote, up to each width's limit", () => {
  const view = new DataView(new ArrayBuffer(16));
  const below = generator(0xf1e1d);
  const limits = [[1, 2 ** 8], [2, 2 ** 16], [4, 2 ** 32], [8, 2 ** 53]] as const;
  for (const [width, limit] of limits) {
    const values = [0, 1, limit / 2, limit - 1];
    for (let round = 0; round < 500; round++) {
      values.push((below(2 ** 31) * 2 ** 22 + below(2 ** 22)) % limit);
    }
    for (const value of values) {
      const field: Field = [below(9), width];
      writeField(view, field, value);
      assertEquals(readField(view, field), value);
    }
  }
});

test("writeField() and readField() throw RangeError for other widths and outside the memory", () => {
  const view = new DataView(new ArrayBuffer(8));
  for (const width of [0, 3, 16, 104, -1, NaN]) {
    assertThrows(() => writeField(view, [0, width], 1), RangeError);
    assertThrows(() => readField(view, [0, width]), RangeError);
  }
  for (const [offset, width] of [[8, 1], [7, 2], [5, 4], [1, 8], [-1, 1]] as const) {
    assertThrows(() => writeField(view, [offset, width], 1), RangeError);
    assertThrows(() => readField(view, [offset, width]), RangeError);
  }
});

/** Prints `kind length bytes` for each address that is named, in hexadecimal, on the command line. */
const PROGRAM = `
  #include <stddef.h>
  #include <stdio.h>
  #include <string.h>
  #include <sys/socket.h>
  #include <sys/un.h>

  static size_t unhex(const char *text, unsigned char *into) {
    size_t count = strlen(text) / 2;
    for (size_t i = 0; i < count; i++) {
      unsigned value;
      sscanf(text + 2 * i, "%2x", &value);
      into[i] = value;
    }
    return count;
  }

  int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
      struct sockaddr_un address;
      unsigned char name[256];
      memset(&address, 0, sizeof address);
      address.sun_family = AF_UNIX;
      size_t length = offsetof(struct sockaddr_un, sun_path);
      if (argv[i][0] != 'u') {
        size_t count = unhex(argv[i] + 1, name);
        int abstract = argv[i][0] == 'a';
        memcpy(address.sun_path + abstract, name, count);
        length += count + 1;
      }
  #ifdef __APPLE__
      address.sun_len = length;
  #endif
      for (size_t k = 0; k < length; k++) printf("%02x", ((unsigned char *) &address)[k]);
      printf("\\n");
    }
    return 0;
  }`;

test("packPathname(), packAbstract() and packUnnamed() write what a C program writes", {
  skip: unlessProgram("cc"),
}, async () => {
  const { sockaddr_un: layout } = abiFor(process.platform, process.arch)!.layouts;
  const below = generator(0xc0ffee);
  const ours: string[] = [hex(packUnnamed(layout))];
  const args: string[] = ["u"];
  for (let size = 1; size <= 103; size += 6) {
    const path = Uint8Array.from({ length: size }, () => 1 + below(255));
    args.push(`p${hex(path)}`);
    ours.push(hex(packPathname(layout, path)));
    const name = Uint8Array.from({ length: size }, () => below(256));
    args.push(`a${hex(name)}`);
    ours.push(hex(packAbstract(layout, name)));
  }
  for (const size of [0, longestAbstractName(layout)]) {
    args.push(`a${"07".repeat(size)}`);
    ours.push(hex(packAbstract(layout, new Uint8Array(size).fill(7))));
  }
  assertEquals((await runC(PROGRAM, args)).trim().split("\n"), ours);
});

test("unpackSockaddr() reads text that is not ASCII", () => {
  const raw = packPathname(linux, bytes("/tmp/日本語"));
  const address = unpackSockaddr(linux, raw, raw.length);
  assertEquals(address.kind === "pathname" && decoder.decode(address.bytes), "/tmp/日本語");
});
