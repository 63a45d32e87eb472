/**
 * Control messages as the kernel writes them: whatever room they had, every descriptor that it
 * installed is reported. Random as AFUNIX_SEED says, and the same every time without it.
 */

import { readdirSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { cmsg, file, MessageBlock, native, sockets } from "../../ffi/mod.ts";
import { controlBytes, int32s, LINUX, RIGHTS } from "../support/control_messages.ts";
import { pick, type Random, random, SEED } from "../support/random.ts";
import { bytes, openDescriptors } from "../support/mod.ts";
import { succeed } from "../support/raw.ts";

const FILES = 12;

/** How the files that are sent are called in /proc/self/fd, and what a pidfd is called there. */
const OURS = /^\/memfd:cmsg-\d+ |pidfd/;

/** Two connected sockets, and files to send, each of which can be told from the others. */
interface Rig {
  sender: number;
  receiver: number;
  files: number[];
  /** The files' inodes, and which file that is. */
  order: Map<string, number>;
  /** The descriptors that are open while no message is. */
  usual: ReadonlySet<string>;
}

type SocketType = "SOCK_STREAM" | "SOCK_DGRAM" | "SOCK_SEQPACKET";
const TYPES: SocketType[] = ["SOCK_STREAM", "SOCK_DGRAM", "SOCK_SEQPACKET"];

function withRig(type: SocketType, body: (rig: Rig) => void): void {
  const { constants, linux } = native().abi;
  const ends: [number, number] = [-1, -1];
  const number = type === "SOCK_SEQPACKET" ? linux!.SOCK_SEQPACKET : constants[type];
  const open: number[] = [];
  try {
    succeed(sockets.socketpair(number, ends));
    open.push(...ends);
    const files = Array.from({ length: FILES }, (_, i) => {
      const fd = succeed(file.memfd(bytes(`cmsg-${i}`), false));
      open.push(fd);
      return fd;
    });
    const order = new Map(files.map((fd, i) => [identity(fd), i]));
    const usual = new Set(openDescriptors().keys());
    body({ sender: ends[0], receiver: ends[1], files, order, usual });
  } finally {
    for (const fd of open) file.close(fd);
  }
  assertEquals([...openDescriptors().values()].filter((target) => OURS.test(target)), []);
}

function identity(fd: number): string {
  const status = file.status(fd);
  if (typeof status === "number") throw new Error(`the status of ${fd} is ${status}`);
  return status.identity;
}

/** Which of these descriptors is another than the usual ones, and no file of the runtime's own. */
function ourOpen(rig: Rig, known: ReadonlySet<number>): { count: number; unknown: string[] } {
  let count = 0;
  const unknown: string[] = [];
  for (const number of readdirSync("/proc/self/fd")) {
    if (known.has(Number(number))) count++;
    else if (!rig.usual.has(number)) {
      let target;
      try {
        target = readlinkSync(`/proc/self/fd/${number}`);
      } catch {
        // The descriptor of the listing itself.
        continue;
      }
      if (OURS.test(target)) unknown.push(`${number}: ${target}`);
    }
  }
  return { count, unknown };
}

/** What came of one message. */
interface Outcome {
  /** How many descriptors were installed. */
  installed: number;
  truncated: boolean;
}

/**
 * Asserts that what parseControl() reports is what the kernel installed, and the beginning of what
 * was sent; closes it, and asserts that all is as before.
 */
function checkReceived(
  rig: Rig,
  block: MessageBlock,
  index: number,
  sent: readonly number[],
  others: ReadonlySet<number> = new Set(),
): Outcome {
  const { abi } = native();
  const { fds, pidfds, credentials, malformed } = cmsg.parseControl(abi, block.control(index));
  const reported = new Set([...fds, ...pidfds]);
  const known = new Set([...reported, ...others]);
  const during = ourOpen(rig, known);
  try {
    assertEquals(during.unknown, [], "installed by the kernel and not reported");
    assertEquals(during.count, known.size, "reported and not installed by the kernel");
    assertEquals(reported.size, fds.length + pidfds.length, "reported twice");
    const truncated = (block.flags(index) & abi.constants.MSG_CTRUNC) !== 0;
    assert(fds.length <= sent.length && (truncated || fds.length === sent.length));
    assert(truncated || !malformed);
    // The kernel keeps the order and cuts at the end; a look at some tells as much as at all.
    for (let i = 0; i < fds.length; i += 1 + (fds.length >> 3)) {
      assertEquals(rig.order.get(identity(fds[i]!)), sent[i], `descriptor ${i} of ${fds.length}`);
    }
    for (const pidfd of pidfds) assert(/pidfd/.test(readlinkSync(`/proc/self/fd/${pidfd}`)));
    if (credentials !== null) assertEquals(credentials, sockets.ownCredentials());
    return { installed: reported.size, truncated };
  } finally {
    for (const fd of reported) file.close(fd);
  }
}

function assertAllClosed(rig: Rig): void {
  assertEquals(ourOpen(rig, new Set()).unknown, [], "left open");
}

/** How many descriptors go along: mostly few, and sometimes as many as there can be. */
function randomCount(rounds: Random): number {
  return pick(rounds, [0, 1, 2, 3, rounds(10), rounds(254), rounds(254), 253]);
}

/** The room for control messages: any, just enough, nearly enough, all there can be, or none. */
function randomRoom(rounds: Random, count: number): number {
  const { abi } = native();
  const full = cmsg.fullRoom(abi);
  const enough = cmsg.spaceFor(abi, 4 * count);
  const credentials = cmsg.spaceFor(abi, 12);
  return Math.max(
    0,
    Math.min(
      full,
      pick(rounds, [
        0,
        rounds(80),
        rounds(80),
        rounds(full + 1),
        enough,
        enough - 1 - rounds(8),
        credentials + enough,
        credentials + rounds(enough + 1),
        full,
        full,
      ]),
    ),
  );
}

/** Control messages that carry these files, in one SCM_RIGHTS or in several. */
function packed(rounds: Random, rig: Rig, sent: readonly number[]): Uint8Array {
  const { abi } = native();
  const fds = sent.map((i) => rig.files[i]!);
  if (rounds(3) > 0) {
    return cmsg.packControl(abi, fds, rounds(3) === 0 ? sockets.ownCredentials() : null);
  }
  const groups = Array.from({ length: rounds(12) }, () => fds.splice(0, rounds(60)));
  const pieces = [...groups, fds].map((group) => ({ type: RIGHTS, payload: int32s(...group) }));
  return controlBytes(LINUX, pieces);
}

/** Asks the kernel for other things to put beside the descriptors, or not to. */
function randomOptions(rounds: Random, fd: number): void {
  const { constants, linux } = native().abi;
  for (const name of ["SO_PASSCRED", "SO_PASSPIDFD", "SO_TIMESTAMP"] as const) {
    // An older kernel refuses one of these, and then there is one kind less.
    sockets.setsockopt(fd, constants.SOL_SOCKET, linux![name], rounds(2));
  }
}

const ROUNDS = 1200;

for (const [stream, type] of TYPES.entries()) {
  test(`parseControl() reports every descriptor that the kernel installs, in ${ROUNDS} messages through a ${type} pair`, () => {
    const { abi } = native();
    const { MSG_PEEK, MSG_DONTWAIT } = abi.constants;
    const block = new MessageBlock({ messages: 1, data: 64, control: cmsg.fullRoom(abi) });
    const rounds = random(40 + stream);
    let [installed, truncated] = [0, 0];
    withRig(type, (rig) => {
      for (let round = 0; round < ROUNDS; round++) {
        randomOptions(rounds, rig.receiver);
        const count = randomCount(rounds);
        const sent = Array.from({ length: count }, () => rounds(FILES));
        block.describe(0, 0, 1, null, packed(rounds, rig, sent));
        assertEquals(block.sendOne(rig.sender), 1, `AFUNIX_SEED=${SEED}, round ${round}`);
        // A look installs descriptors as well, and what is looked at stays.
        const flags = rounds(4) === 0 ? [MSG_PEEK, 0] : [0];
        for (const flag of flags) {
          const room = randomRoom(rounds, count);
          const where = `AFUNIX_SEED=${SEED}, round ${round}, ${count} in ${room} bytes`;
          assertEquals(block.receiveOne(rig.receiver, flag | MSG_DONTWAIT, room, 64), 1, where);
          try {
            const outcome = checkReceived(rig, block, 0, sent);
            installed += outcome.installed;
            if (outcome.truncated) truncated++;
            assertAllClosed(rig);
          } catch (error) {
            throw new Error(where, { cause: error });
          }
        }
      }
    });
    // Most descriptors came, and much was cut: neither is a test of the other.
    assert(installed > 20 * ROUNDS, `${installed} were installed`);
    assert(truncated > ROUNDS / 5, `${truncated} were truncated`);
  });
}

test("parseControl() reports every descriptor of each message of a batch", () => {
  const { abi } = native();
  const MAX = 8;
  const control = cmsg.fullRoom(abi);
  const block = new MessageBlock({ messages: MAX, data: 64 * MAX, control });
  const rounds = random(50);
  withRig("SOCK_DGRAM", (rig) => {
    for (let round = 0; round < 150; round++) {
      randomOptions(rounds, rig.receiver);
      const batch = Array.from(
        { length: 1 + rounds(MAX) },
        () => Array.from({ length: pick(rounds, [0, 1, 2, rounds(40)]) }, () => rounds(FILES)),
      );
      for (const sent of batch) {
        block.describe(0, 0, 1, null, packed(rounds, rig, sent));
        assertEquals(block.sendOne(rig.sender), 1);
      }
      const room = randomRoom(rounds, 20);
      const where = `AFUNIX_SEED=${SEED}, round ${round}, ${batch.length} with ${room} bytes each`;
      assertEquals(block.receiveMany(rig.receiver, MAX, room), batch.length, where);
      try {
        // The others' descriptors stay open until it is their turn.
        const all = batch.map((_, i) => cmsg.parseControl(abi, block.control(i)));
        batch.forEach((sent, i) => {
          const others = all.slice(i + 1).flatMap(({ fds, pidfds }) => [...fds, ...pidfds]);
          checkReceived(rig, block, i, sent, new Set(others));
        });
        assertAllClosed(rig);
      } catch (error) {
        throw new Error(where, { cause: error });
      }
    }
  });
});

test("parseControl() reads what fits into 16 to 32 bytes: 20 hold one descriptor, 24 two, 28 three", () => {
  const { abi } = native();
  const block = new MessageBlock({ messages: 1, data: 64, control: cmsg.fullRoom(abi) });
  withRig("SOCK_SEQPACKET", (rig) => {
    const sent = [0, 1, 2, 3, 4];
    for (let room = 0; room <= 36; room++) {
      block.describe(0, 0, 1, null, cmsg.packControl(abi, sent.map((i) => rig.files[i]!), null));
      assertEquals(block.sendOne(rig.sender), 1);
      assertEquals(block.receiveOne(rig.receiver, 0, room, 64), 1);
      const whole = Math.max(0, Math.floor((room - 16) / 4));
      assertEquals(checkReceived(rig, block, 0, sent), {
        installed: Math.min(5, whole),
        truncated: whole < 5,
      }, `${room} bytes`);
    }
    assertAllClosed(rig);
  });
});

test("N239 parseControl() finds [1,2], [3,4,5], [], [7] joined in their order by the kernel", () => {
  const { abi } = native();
  const block = new MessageBlock({ messages: 1, data: 64, control: cmsg.fullRoom(abi) });
  for (const type of TYPES) {
    withRig(type, (rig) => {
      const groups = [[1, 2], [3, 4, 5], [], [7]];
      const pieces = groups.map((group) => {
        return { type: RIGHTS, payload: int32s(...group.map((i) => rig.files[i]!)) };
      });
      block.describe(0, 0, 1, null, controlBytes(LINUX, pieces));
      assertEquals(block.sendOne(rig.sender), 1);
      assertEquals(block.receiveOne(rig.receiver, 0, cmsg.fullRoom(abi), 64), 1);
      const { fds } = cmsg.parseControl(abi, block.control(0));
      assertEquals(fds.map((fd) => rig.order.get(identity(fd))), groups.flat());
      const outcome = checkReceived(rig, block, 0, groups.flat());
      assertEquals(outcome, { installed: 6, truncated: false });
      assertAllClosed(rig);
    });
  }
});
