import process from "node:process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Credentials, UnixDatagram, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { programCommand } from "../support/listening.ts";
import { assertFails, bytes, run, text, unlessProgram } from "../support/mod.ts";
import { withoutRoot } from "../support/raw.ts";
import { NO_INTEGERS, NOT_NUMBERS } from "../support/refusals.ts";
import { STRANGER, unlessOthers } from "../support/visitor.ts";

const others = { skip: unlessOthers };

/** What the kernel stamps on messages of this process: the real ids. */
const STAMP = { pid: process.pid, uid: process.getuid!(), gid: process.getgid!() };

const PAIRS = {
  UnixStream: () => UnixStream.pair(),
  UnixDatagram: () => UnixDatagram.pair(),
  UnixSeqpacket: () => UnixSeqpacket.pair(),
};

type Sending = { credentials?: boolean | Partial<Credentials> };

for (const [name, pair] of Object.entries(PAIRS)) {
  test(`H170 ${name}: credentials that make no sense are refused, and nothing is sent`, async () => {
    const [sender, receiver] = pair();
    receiver.passCredentials = true;
    const send = (credentials: unknown) =>
      sender.sendMessage(bytes("x"), { credentials } as Sending);
    for (const wrong of [null, 0, 5, "root", () => STAMP]) {
      await assertRejects(() => send(wrong), TypeError);
    }
    for (const id of ["pid", "uid", "gid"]) {
      for (const wrong of [...NOT_NUMBERS, null]) {
        await assertRejects(() => send({ [id]: wrong }), TypeError, id);
      }
      for (const wrong of [...NO_INTEGERS, -1, 2 ** 32]) {
        await assertRejects(() => send({ [id]: wrong }), RangeError, id);
      }
    }
    // −1 means "no change" to the kernel, and a pid is positive.
    await assertRejects(() => send({ uid: 0xffff_ffff }), RangeError);
    await assertRejects(() => send({ gid: 0xffff_ffff }), RangeError);
    await assertRejects(() => send({ pid: 0 }), RangeError);
    await assertRejects(() => send({ pid: 2 ** 31 }), RangeError);
    assertThrows(() => sender.sendMessageSync(bytes("x"), { credentials: { pid: 0 } }), RangeError);
    await sender.sendMessage(bytes("next"));
    using next = await receiver.receiveMessage();
    assertEquals(text(next!.data), "next");
    sender.close();
    receiver.close();
  });

  test(`H170 ${name}: the pid of no process is ESRCH, and nothing is sent`, async () => {
    const [sender, receiver] = pair();
    receiver.passCredentials = true;
    const most = Number(readFileSync("/proc/sys/kernel/pid_max", "utf8"));
    const missing = STAMP.uid === 0 ? "ESRCH" : "EPERM";
    for (const pid of [most + 1, 0x7fff_ffff]) {
      const credentials = { pid };
      await assertFails(
        () => sender.sendMessage(bytes("x"), { credentials }),
        missing,
        "sendmsg",
      );
      await assertFails(
        () => sender.sendMessageSync(bytes("x"), { credentials }),
        missing,
        "sendmsg",
      );
    }
    await sender.sendMessage(bytes("next"));
    using next = await receiver.receiveMessage();
    assertEquals(text(next!.data), "next");
    sender.close();
    receiver.close();
  });
}

const setpriv = process.getuid!() === 0 && unlessProgram("setpriv");

test("H170 a process without privileges may claim its own ids, and nobody else's: EPERM", {
  skip: setpriv,
}, async () => {
  const root = process.getuid!() === 0;
  const mine = root ? { uid: 65534, gid: 65534 } : { uid: STAMP.uid, gid: STAMP.gid };
  const claims = [
    {},
    mine,
    { uid: 0 },
    { gid: 0 },
    { uid: 0, gid: 0 },
    { pid: process.pid },
    { pid: 1 },
    { ...mine, uid: mine.uid - 1 },
    mine,
  ];
  const command = [...programCommand("claims"), JSON.stringify(claims)];
  const { code, stdout, stderr } = await run(withoutRoot(command));
  assertEquals(code, 0, stderr);
  const outcomes = JSON.parse(stdout);
  assertEquals(outcomes.length, 3 * claims.length);
  outcomes.forEach((outcome: Credentials | string[], i: number) => {
    const claim = claims[i % claims.length]!;
    const own = claim === mine || Object.keys(claim).length === 0;
    if (own) {
      const { pid, ...ids } = outcome as Credentials;
      assertEquals(ids, mine);
      assert(pid > 1 && pid !== process.pid);
    } else {
      assertEquals(outcome, ["EPERM", "sendmsg", "Cannot send: EPERM"], JSON.stringify(claim));
    }
  });
});

test("H170 root may claim any ids, and the pid of any process that lives", others, async () => {
  const claims = [
    { pid: process.ppid, uid: 1, gid: 2 },
    { uid: STRANGER },
    { gid: 0xffff_fffe, uid: 0xffff_fffe },
    { pid: process.pid },
  ];
  const { code, stdout, stderr } = await run([...programCommand("claims"), JSON.stringify(claims)]);
  assertEquals(code, 0, stderr);
  const outcomes = JSON.parse(stdout) as Credentials[];
  outcomes.forEach((outcome, i) => {
    const own = { uid: STAMP.uid, gid: STAMP.gid, pid: outcome.pid };
    assertEquals(outcome, { ...own, ...claims[i % claims.length] });
  });
  assertEquals(outcomes.length, 3 * claims.length);
});
