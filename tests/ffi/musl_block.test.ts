import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { MessageBlock, native, sockaddr } from "../../ffi/mod.ts";
import type { Runtime } from "../../ffi/runtime/runtime.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import { runC } from "../support/c_program.ts";
import { bytes, ROOT, text, unlessProgram, withTempDir } from "../support/mod.ts";

/** What a C program that has musl tells. */
type Told = Record<string, number[]>;

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

/** Addresses at which other programs have nothing, with something in their upper half. */
const SENT_AT = 0x20_0000_0000;
const APART = 0x1000_0000;

/** Three messages: as they mostly are, without control messages, and more than musl takes. */
const MESSAGES = [
  { data: "first", fds: [0, 0, 0], credentials: true },
  { data: "", fds: [], credentials: false },
  { data: "the third", fds: new Array<number>(253).fill(0), credentials: true },
];
const CONTROL = 2048;
const SIZE = { messages: MESSAGES.length, data: 3 * 64, control: CONTROL };

const own = {
  pid: process.pid,
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
};

/** A block made as if the memory were at another address. */
function blockAt(address: number): MessageBlock {
  const runtime = native().runtime as Writable<Runtime>;
  const { addressOf } = runtime;
  try {
    runtime.addressOf = () => address;
    return new MessageBlock(SIZE);
  } finally {
    runtime.addressOf = addressOf;
  }
}

/** The memory that a call is given, which does not take place. */
function memoryGiven(name: "sendmmsg" | "recvmmsg", call: () => number): Uint8Array {
  const libc = native().libc as Writable<Libc>;
  const before = libc[name];
  let given: ArrayBufferView | undefined;
  try {
    libc[name] = (_fd, headers, count) => (given = headers, count);
    assertEquals(call(), MESSAGES.length);
  } finally {
    Object.assign(libc, { [name]: before });
  }
  return new Uint8Array(given!.buffer);
}

/** The three messages in a block, ready to be sent. */
function packed(name: string): Uint8Array {
  const block = blockAt(SENT_AT);
  const to = sockaddr.packAbstract(native().abi.layouts.sockaddr_un, bytes(name));
  let used = 0;
  for (const [i, { data, fds, credentials }] of MESSAGES.entries()) {
    block.data.set(bytes(data), used);
    const control = { fds, credentials: credentials ? own : null };
    block.describe(i, used, data.length, to, control);
    used += data.length;
  }
  return memoryGiven("sendmmsg", () => block.sendMany(-1, 0, MESSAGES.length));
}

/** Sends by a C program with musl; what it tells, and the block that it received into. */
function throughMusl(call: "many" | "one", name: string): Promise<[Told, MessageBlock]> {
  return withTempDir(async (directory) => {
    const [sent, room] = [join(directory, "sent"), join(directory, "room")];
    writeFileSync(sent, packed(name));
    const block = blockAt(SENT_AT + APART);
    const memory = memoryGiven(
      "recvmmsg",
      () => block.receiveMany(-1, MESSAGES.length, CONTROL),
    );
    writeFileSync(room, memory);
    const source = readFileSync(join(ROOT, "tests", "programs", "musl_block.c"), "utf8");
    const [base, apart] = [SENT_AT.toString(16), APART.toString(16)];
    const args = [call, name, base, `${MESSAGES.length}`, apart, sent, room];
    const told: Told = {};
    for (const line of (await runC(source, args, "musl-gcc")).trim().split("\n")) {
      const [what, value] = line.split(" ");
      (told[what!] ??= []).push(Number(value));
    }
    memory.set(readFileSync(room));
    return [told, block];
  });
}

for (const call of ["many", "one"] as const) {
  const names = call === "many" ? "sendmmsg and recvmmsg" : "sendmsg and recvmsg";
  test(
    `a message block is what ${names} of musl take, whose answers it reads`,
    { skip: unlessProgram("musl-gcc") },
    async () => {
      const name = `afunix-musl-${process.pid}-${call}`;
      const [told, block] = await throughMusl(call, name);
      const { constants, errno } = native().abi;
      const pid = told.pid![0]!;
      assertEquals(told, {
        pid: [pid],
        // musl sends one after another, and stops where one is refused.
        ...(call === "many" ? { sent: [2] } : {}),
        refused: [2],
        received: [3],
        "upper-halves": [0],
        empty: [-errno.EAGAIN!],
        none: [0],
      });
      for (const [i, { data, fds, credentials }] of MESSAGES.entries()) {
        assertEquals(block.length(i), data.length);
        const start = block.dataStart(i);
        assertEquals(text(block.data.subarray(start, start + data.length)), data);
        assertEquals(block.flags(i) & constants.MSG_CTRUNC, 0);
        const came = block.controlMessages(i);
        assertEquals(came.malformed, false);
        assertEquals(came.fds.length, fds.length);
        assert(came.fds.every((fd) => fd > 2));
        // Whoever receives credentials is told of all senders; the first and third claimed theirs.
        assertEquals(came.credentials, { ...own, pid });
        if (!credentials) assertEquals(came.fds, []);
        assertEquals(block.nameLength(i), 0);
      }
    },
  );
}
