import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { type Abi, abiFor } from "../../ffi/abi/mod.ts";
import { native } from "../../ffi/mod.ts";
import { askCompiler, flatten, layoutsOf, type Values } from "../support/c_values.ts";
import { ROOT, unlessProgram } from "../support/mod.ts";

/** The C library's headers as a compiler reads them; null where they do not define a name. */
type Fixture = Record<string, number | null>;

interface Target {
  os: "linux" | "darwin";
  arch: "x86_64" | "aarch64";
  fixture: string;
}

const FIXTURES = join(ROOT, "tests", "fixtures", "layouts");

const TARGETS: readonly Target[] = [
  { os: "darwin", arch: "aarch64", fixture: "darwin-aarch64.json" },
  { os: "darwin", arch: "x86_64", fixture: "darwin-x86_64.json" },
  { os: "linux", arch: "aarch64", fixture: "linux-aarch64-glibc.json" },
  { os: "linux", arch: "aarch64", fixture: "linux-aarch64-musl.json" },
  { os: "linux", arch: "x86_64", fixture: "linux-x86_64-glibc.json" },
  { os: "linux", arch: "x86_64", fixture: "linux-x86_64-musl.json" },
];

/** What musl's headers say otherwise. As an argument of listen(2) any large number does. */
const MUSL: Values = { SOMAXCONN: 128 };

/**
 * Members that musl declares as 4 bytes, as POSIX has them, and pads to the 8 that the kernel reads.
 * As the targets are little-endian, 8 bytes written are both, if the number is small.
 */
const PADDED_BY_MUSL: Values = {
  "cmsghdr.cmsg_len#": 4,
  "msghdr.msg_controllen#": 4,
  "msghdr.msg_iovlen#": 4,
};

/** Linux constants that no fixture has: from newer kernels, with the number in asm-generic/socket.h. */
const TOO_NEW: Values = {
  SCM_PIDFD: 4,
  SCM_SECURITY: 3,
  SO_PASSPIDFD: 76,
  SO_PASSRIGHTS: 83,
  SO_PEERPIDFD: 77,
};

/** Linux constants that no fixture has: of headers that were not asked. A C compiler is, below. */
const ELSEWHERE: Values = {
  IOCB_CMD_POLL: 5,
  IOCB_FLAG_RESFD: 1,
  IORING_FEAT_RW_CUR_POS: 8,
  IORING_OFF_SQES: 0x1000_0000,
  IORING_OFF_SQ_RING: 0,
  IORING_OP_POLL_ADD: 6,
  IORING_OP_POLL_REMOVE: 7,
  IORING_OP_WRITE: 23,
  IOSQE_IO_LINK: 4,
  MAP_ANONYMOUS: 0x20,
  MAP_FIXED: 0x10,
  MAP_NORESERVE: 0x4000,
  MAP_POPULATE: 0x8000,
  MAP_PRIVATE: 2,
  MAP_SHARED: 1,
  PROT_READ: 1,
  PROT_WRITE: 2,
  SIOCUNIXFILE: 0x89e0,
  STATX_BASIC_STATS: 0x7ff,
};

/** The same of every system. */
const EVERYWHERE: Values = { LOCK_EX: 2, LOCK_NB: 4, LOCK_UN: 8, S_IFBLK: 0o60000 };

/** Constants of macOS that its fixtures do not have. */
const DARWIN_ELSEWHERE: Values = { F_FULLFSYNC: 51 };

/** Members whose names in C differ, so that the fixtures, of other names, do not have them. */
const TIMES: Record<string, number> = { linux: 88, darwin: 48 };

/** Second names of a number, which the errno tables leave out on purpose. */
const ALIASES: Record<Abi["os"], Values> = {
  linux: { EDEADLOCK: 35, EOPNOTSUPP: 95, EWOULDBLOCK: 11 },
  darwin: { ELAST: 106, EWOULDBLOCK: 35 },
};

/** Sorted copies, so that a difference shows as one line. */
function sorted(values: Values): Values {
  return Object.fromEntries(Object.entries(values).sort(([a], [b]) => a < b ? -1 : 1));
}

function readFixture(name: string): Fixture {
  return JSON.parse(readFileSync(join(FIXTURES, name), "utf8"));
}

function target({ os, arch }: Target): Abi {
  const abi = abiFor(os, arch);
  assert(abi !== null);
  return abi;
}

/** Splits a table into what the fixture knows and what it does not. */
function compare(table: Values, fixture: Fixture): { differing: string[]; unknown: Values } {
  const differing: string[] = [];
  const unknown: Values = {};
  for (const [name, value] of Object.entries(table)) {
    const expected = fixture[name] ?? null;
    if (expected === null) unknown[name] = value;
    else if (expected !== value) differing.push(`${name}: ${value}, in C ${expected}`);
  }
  return { differing, unknown };
}

test("abiFor() has one fixture or more for every target, and no fixture is left unread", () => {
  assertEquals(readdirSync(FIXTURES).sort(), TARGETS.map(({ fixture }) => fixture));
  for (const os of ["linux", "darwin"]) {
    for (const arch of ["x86_64", "aarch64"]) {
      assert(TARGETS.some((one) => one.os === os && one.arch === arch), `${os} ${arch}`);
    }
  }
});

for (const one of TARGETS) {
  const { os, arch, fixture: name } = one;

  test(`abiFor("${os}", "${arch}") has the constants of ${name}, and names those it lacks`, () => {
    const abi = target(one);
    const constants = { ...abi.constants, ...abi.linux, ...abi.darwin };
    const { differing, unknown } = compare(constants, readFixture(name));
    const { SOMAXCONN } = abi.constants;
    const musl = [`SOMAXCONN: ${SOMAXCONN}, in C ${MUSL.SOMAXCONN}`];
    assertEquals(differing, name.includes("musl") ? musl : []);
    const own = os === "linux" ? { ...TOO_NEW, ...ELSEWHERE } : DARWIN_ELSEWHERE;
    const expected = { ...EVERYWHERE, ...own };
    assertEquals(sorted(unknown), sorted(expected));
  });

  test(`abiFor("${os}", "${arch}") has every errno of ${name}, and no other`, () => {
    const { errno } = target(one);
    const fixture = readFixture(name);
    assertEquals(compare(errno, fixture), { differing: [], unknown: {} });
    const left: Values = {};
    for (const [key, value] of Object.entries(fixture)) {
      if (value === null || !/^E(?!POLL)[A-Z0-9]+$/.test(key)) continue;
      if (!(key in errno) || key in ALIASES[os]) left[key] = value;
    }
    assertEquals(sorted(left), ALIASES[os]);
    for (const number of Object.values(left)) assert(Object.values(errno).includes(number));
  });

  test(`abiFor("${os}", "${arch}") has the struct sizes, offsets and widths of ${name}`, () => {
    const abi = target(one);
    const fixture = readFixture(name);
    assert(layoutsOf(abi).length >= 3);
    for (const [struct, layout] of layoutsOf(abi)) {
      const ours = flatten(struct, layout);
      const musl = Object.keys(ours)
        .filter((key) => name.includes("musl") && key in PADDED_BY_MUSL)
        .map((key) => `${key}: 8, in C ${PADDED_BY_MUSL[key]}`);
      const compared = compare(ours, fixture);
      const at = TIMES[os]!;
      const times: Values = struct !== "stat" ? {} : {
        "stat.st_mtim.tv_sec@": at,
        "stat.st_mtim.tv_sec#": 8,
        "stat.st_mtim.tv_nsec@": at + 8,
        "stat.st_mtim.tv_nsec#": 8,
      };
      assertEquals(compared, { differing: musl, unknown: times }, struct);
    }
    for (const [struct, layout] of Object.entries(abi.layouts)) {
      // Null here means that there is no such struct there.
      if (layout === null) assertEquals(fixture[`sizeof(${struct})`] ?? null, null, struct);
    }
  });

  test(`abiFor("${os}", "${arch}") has fields that neither overlap nor leave their struct`, () => {
    for (const [struct, { size, fields }] of layoutsOf(target(one))) {
      const ordered = Object.entries(fields).sort(([, a], [, b]) => a[0] - b[0]);
      let end = 0;
      for (const [field, [offset, width]] of ordered) {
        assert(offset >= end, `${struct}.${field} overlaps`);
        end = offset + width;
      }
      assert(end <= size, `${struct} ends at ${size}, its last field at ${end}`);
    }
  });

  test(`abiFor("${os}", "${arch}") gives every errno number one name`, () => {
    const names = new Map<number, string>();
    for (const [key, number] of Object.entries(target(one).errno)) {
      assertEquals(names.get(number), undefined, `${number} is ${key} and ${names.get(number)}`);
      names.set(number, key);
    }
  });
}

test("abiFor() has the numbers that no fixture knows as the kernel's headers have them", () => {
  for (const arch of ["x86_64", "aarch64"] as const) {
    const abi = abiFor("linux", arch)!;
    for (const [name, value] of Object.entries({ ...TOO_NEW, ...ELSEWHERE })) {
      assertEquals((abi.linux as unknown as Values)[name], value, name);
    }
  }
});

test("abiFor() has the system call numbers of each Linux architecture", () => {
  const same = {
    io_uring_setup: 425,
    io_uring_enter: 426,
    pidfd_send_signal: 424,
    pidfd_open: 434,
  };
  const x64 = {
    sendmsg: 46,
    io_setup: 206,
    io_destroy: 207,
    io_submit: 209,
    clock_gettime: 228,
    ...same,
  };
  assertEquals(abiFor("linux", "x86_64")!.syscalls, x64);
  const aarch64 = {
    sendmsg: 211,
    io_setup: 0,
    io_destroy: 1,
    io_submit: 2,
    clock_gettime: 113,
    ...same,
  };
  assertEquals(abiFor("linux", "aarch64")!.syscalls, aarch64);
  assertEquals(abiFor("darwin", "aarch64")!.syscalls, null);
});

test("abiFor() has the longest sockaddr_un that each kernel takes", () => {
  // Linux: what fits the struct. Darwin: SOCK_MAXADDRLEN, more than the struct.
  for (const arch of ["x86_64", "aarch64"]) {
    assertEquals(abiFor("linux", arch)!.layouts.sockaddr_un.longest, 110);
    assertEquals(abiFor("darwin", arch)!.layouts.sockaddr_un.longest, 255);
  }
});

test("abiFor() knows architectures by both their names, and no others", () => {
  for (const os of ["linux", "darwin"]) {
    assertEquals(abiFor(os, "x64"), abiFor(os, "x86_64"));
    assertEquals(abiFor(os, "arm64"), abiFor(os, "aarch64"));
    for (const arch of ["ia32", "arm", "riscv64", "", "constructor"]) {
      assertEquals(abiFor(os, arch), null, arch);
    }
  }
  for (const os of ["win32", "freebsd", "android", "", "constructor"]) {
    assertEquals(abiFor(os, "x64"), null, os);
  }
});

test("native().abi is the target of this machine", () => {
  assertEquals(native().abi, abiFor(process.platform, process.arch));
});

test(
  "abiFor() agrees with this machine's C compiler on every constant, errno, struct and number",
  { skip: process.platform === "linux" ? unlessProgram("cc") : "needs Linux headers" },
  async () => {
    const abi = native().abi;
    const { ours, told } = await askCompiler(abi);
    if (!("glibc" in told)) {
      assertEquals(told.SOMAXCONN, MUSL.SOMAXCONN);
      for (const name of ["SOMAXCONN", ...Object.keys(PADDED_BY_MUSL)]) delete ours[name];
    }
    const { differing, unknown } = compare(ours, told);
    assertEquals(differing, []);
    const silent = Object.keys(unknown).filter((name) => !(name in TOO_NEW));
    assertEquals(silent, []);
  },
);
