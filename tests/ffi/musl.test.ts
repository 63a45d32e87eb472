import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { lstatSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Fd, UnixDatagram, UnixSeqpacket, UnixSocketError, UnixStream } from "../../mod.ts";
import { kernelLayouts, linuxLayouts } from "../../ffi/abi/linux.ts";
import { bindLibc, symbolsFor } from "../../ffi/libc/load.ts";
import { file, native } from "../../ffi/mod.ts";
import { statxBy } from "../../ffi/libc/statx_fallback.ts";
import { writeField } from "../../ffi/structs/field.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import { runC } from "../support/c_program.ts";
import { askCompiler } from "../support/c_values.ts";
import { bytes, openDescriptors, ROOT, unlessProgram } from "../support/mod.ts";

const MAX_DESCRIPTORS = 253;
/** What versions like 1.2.3 take; later ones 1,056. */
const MAX_CONTROL = 1024;

/** Runs a body with functions of libc replaced. */
function withCalls<T>(calls: Partial<Libc>, body: () => T): T {
  const libc = native().libc as { -readonly [Name in keyof Libc]: Libc[Name] };
  const before = { ...libc };
  try {
    Object.assign(libc, calls);
    return body();
  } finally {
    Object.assign(libc, before);
  }
}

/** Functions that refuse a header with more control messages than musl copies, as musl does. */
function asMusl(): Partial<Libc> & { refused: () => number } {
  const { libc, errno, abi } = native();
  const { sendmsg, sendmmsg } = libc;
  let refused = 0;
  const refuses = (header: ArrayBufferView) => {
    const [offset] = linuxLayouts.msghdr.fields.msg_controllen;
    const view = new DataView(header.buffer, header.byteOffset);
    if (view.getUint32(offset, true) <= MAX_CONTROL) return false;
    refused++;
    errno[0] = abi.errno.ENOMEM!;
    return true;
  };
  return {
    refused: () => refused,
    sendmsg: (fd, header, flags) => refuses(header) ? -1 : sendmsg(fd, header, flags),
    sendmmsg: (fd, headers, count, flags) =>
      refuses(headers) ? -1 : sendmmsg(fd, headers, count, flags),
  };
}

test("L226 the most descriptors leave in one message, with credentials and without, where sendmsg(3) takes less", () => {
  const before = openDescriptors().size;
  {
    const [a, b] = UnixDatagram.pair();
    b.passCredentials = true;
    using one = Fd.open("/dev/null");
    const fds = new Array<Fd>(MAX_DESCRIPTORS).fill(one);
    const { refused, ...calls } = asMusl();
    for (const credentials of [true, false]) {
      withCalls(calls, () => a.sendMessageSync(bytes("all"), { fds, credentials }));
      using message = b.receiveMessageSync()!;
      assertEquals([...message.data], [...bytes("all")]);
      assertEquals(message.fds.length, MAX_DESCRIPTORS);
      assertEquals(message.credentials?.pid, native().libc.getpid());
    }
    assertEquals(refused(), 2);
    a.close();
    b.close();
  }
  assertEquals(openDescriptors().size, before);
});

test("sendMessage() fails with ENOMEM where that is the kernel's word, and makes no other call", () => {
  const [a, b] = UnixDatagram.pair();
  const { errno, abi } = native();
  let others = 0;
  const calls: Partial<Libc> = {
    sendmsg: () => (errno[0] = abi.errno.ENOMEM!, -1),
    syscall: () => (others++, -1n),
  };
  let failure: unknown;
  withCalls(calls, () => {
    try {
      a.sendMessageSync(bytes("x"), { fds: [0] });
    } catch (error) {
      failure = error;
    }
  });
  a.close();
  b.close();
  assert(failure instanceof UnixSocketError);
  assertEquals([failure.code, others], ["ENOMEM", 0]);
});

test("what sendmsg(3) does not take fails with the kernel's error where the peer is gone, and SIGPIPE ends nothing", () => {
  const kinds = [[UnixDatagram, "ECONNREFUSED"], [UnixSeqpacket, "EPIPE"], [UnixStream, "EPIPE"]];
  using one = Fd.open("/dev/null");
  const fds = new Array<Fd>(MAX_DESCRIPTORS).fill(one);
  for (const [kind, expected] of kinds as [typeof UnixDatagram, string][]) {
    const [a, b] = kind.pair();
    b.close();
    const { refused, ...calls } = asMusl();
    let failure: unknown;
    withCalls(calls, () => {
      try {
        a.sendMessageSync(bytes("x"), { fds, credentials: true });
      } catch (error) {
        failure = error;
      }
    });
    a.close();
    assert(failure instanceof UnixSocketError);
    assertEquals([failure.code, refused()], [expected, 1]);
  }
});

test("bindLibc() binds fstatat where the C library has no statx, as musl before 1.2.5", () => {
  const asked: string[][] = [];
  const libc = bindLibc(native().abi, {
    describe: () => null,
    open(_name, table) {
      asked.push(Object.keys(table));
      if ("statx" in table) throw new Error("Symbol not found");
      return Object.fromEntries(Object.keys(table).map((name) => [name, () => 0]));
    },
    address: Number,
  });
  assertEquals([libc.statx, typeof libc.fstatat, typeof libc.send], [
    undefined,
    "function",
    "function",
  ]);
  // All names with the one table, then the first with the other.
  assertEquals(asked.map((names) => names.includes("statx")), [true, true, true, false]);
});

test("statxBy() tells of a file what statx(2) does", () => {
  const { abi } = native();
  const { fields } = abi.layouts.stat;
  const path = join(ROOT, "mod.ts");
  const status = lstatSync(path, { bigint: true });
  const statx = statxBy(abi, (_at, _path, stat) => {
    const put = (name: keyof typeof fields, value: bigint) => {
      if (fields[name][1] === 8) stat.setBigUint64(fields[name][0], value, true);
      else writeField(stat, fields[name], Number(value));
    };
    put("st_dev", status.dev);
    put("st_ino", status.ino);
    put("st_mode", status.mode);
    put("st_nlink", status.nlink);
    put("st_uid", status.uid);
    put("st_gid", status.gid);
    put("st_size", status.size);
    put("st_mtim.tv_sec", status.mtimeNs / 1_000_000_000n);
    put("st_mtim.tv_nsec", status.mtimeNs % 1_000_000_000n);
    return 0;
  });
  assertEquals(kernelLayouts.statx.size, 256);
  const told = withCalls({ statx }, () => file.status(bytes(path))) as file.FileStatus;
  // After it: what one of them leaves out must not be there from the other.
  const expected = file.status(bytes(path)) as file.FileStatus;
  // The device is told as one number, so that its text is another.
  assertEquals({ ...told, identity: "" }, { ...expected, identity: "" });
  assertEquals(told.identity.split(":")[2], expected.identity.split(":")[2]);
});

test(
  "L226 musl has every function that is bound but statx, under glibc's name as well, and takes no more than 1,056 bytes of control messages",
  { skip: unlessProgram("musl-gcc") },
  async () => {
    const source = readFileSync(join(ROOT, "tests", "programs", "musl_libc.c"), "utf8");
    const names = [...symbolsFor("linux").keys()];
    const told: Record<string, number> = {};
    for (const line of (await runC(source, names, "musl-gcc")).trim().split("\n")) {
      const [name, value] = line.split(" ");
      told[name!] = Number(value);
    }
    // Later versions have it.
    delete told["missing-statx"];
    const { ENOMEM, EINVAL } = native().abi.errno;
    // 1,032 bytes: too many for versions like 1.2.3.
    assert(told.descriptors === 1 || told.descriptors === -ENOMEM!);
    delete told.descriptors;
    assertEquals(told, {
      "opens-as-glibc": 1,
      "with-credentials": -ENOMEM!,
      "past-libc": 1,
      // The kernel's answer to a control message that is cut, and musl's own.
      "room-1024": -EINVAL!,
      "room-1057": -ENOMEM!,
    });
  },
);

/** What musl's headers say otherwise; 8 bytes with a small number in them are both. */
const OTHERWISE = [
  "SOMAXCONN: 4096, in C 128",
  "cmsghdr.cmsg_len#: 8, in C 4",
  "msghdr.msg_controllen#: 8, in C 4",
  "msghdr.msg_iovlen#: 8, in C 4",
];

/** What musl leaves to the kernel's headers, which may be missing; `statx` came with 1.2.5. */
const NOT_OF_MUSL = new RegExp(
  "^(?:SO_(?:PASSPIDFD|PEERPIDFD|PASSRIGHTS)|SCM_(?:SECURITY|PIDFD)|SIOC(?:INQ|OUTQ|UNIXFILE)|" +
    "IOCB_\\w+|IO(?:RING|SQE)_\\w+|STATX_BASIC_STATS|" +
    "(?:sizeof\\()?(?:statx|iocb|io_uring_params|io_uring_sqe)[.)].*)$",
);

test(
  "abiFor() agrees with musl's headers on every constant, errno, number and struct but four",
  { skip: unlessProgram("musl-gcc") },
  async () => {
    const { ours, told } = await askCompiler(native().abi, "musl-gcc");
    assertEquals("glibc" in told, false);
    const differing: string[] = [];
    const silent: string[] = [];
    for (const [name, value] of Object.entries(ours)) {
      if (!(name in told)) silent.push(name);
      else if (told[name] !== value) differing.push(`${name}: ${value}, in C ${told[name]}`);
    }
    assertEquals(differing.sort(), OTHERWISE);
    assertEquals(silent.filter((name) => !NOT_OF_MUSL.test(name)), []);
  },
);
