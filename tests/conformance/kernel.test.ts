import { readFileSync } from "node:fs";
import process from "node:process";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { test } from "node:test";
import { cmsg, errnoNumber, file, MessageBlock, native, sockets } from "../../ffi/mod.ts";
import { UnixDatagram, UnixListener, UnixSeqpacket, UnixStream } from "../../mod.ts";
import {
  assertFails,
  bytes,
  openDescriptors,
  TestProcess,
  withTempSocketPath,
} from "../support/mod.ts";
import {
  CARRIER_NAMES,
  type CarrierName,
  CARRIERS,
  contentOf,
  fileOf,
} from "../support/passing.ts";
import { succeed } from "../support/raw.ts";
import { polls, recvmsg, setBlocking } from "../support/recvmsg.ts";
import { O_CLOEXEC, O_NONBLOCK, openFlags } from "../support/streams.ts";
import { until } from "../support/waiting.ts";
import { assertLeavesNone, pidOf } from "../support/visitor.ts";

const POLLIN = 1, POLLOUT = 4, POLLERR = 8, POLLHUP = 16, POLLRDHUP = 0x2000;

/** Whether a process runs this program, and waits. */
function isAsleep(pid: number, program: string): boolean {
  return readFileSync(`/proc/${pid}/stat`, "utf8").startsWith(`${pid} (${program}) S`);
}

/** Bytes of control messages that the library has asked for on this kind of socket: a time stamp. */
function roomBefore(name: CarrierName): number {
  return name === "UnixSeqpacket" ? cmsg.spaceFor(native().abi, 16) : 0;
}

test("C79 accept4(2) gives a connection the flags that it is asked for, none of the listener's", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const { libc, abi } = native();
    const both = O_NONBLOCK | O_CLOEXEC;
    assertEquals(openFlags(listener.fd) & both, both);
    const { SOCK_NONBLOCK, SOCK_CLOEXEC } = abi.linux!;
    for (
      const [asked, expected] of [
        [0, 0],
        [SOCK_NONBLOCK, O_NONBLOCK],
        [SOCK_CLOEXEC, O_CLOEXEC],
        [SOCK_NONBLOCK | SOCK_CLOEXEC, both],
      ] as const
    ) {
      using _client = await UnixStream.connect(path);
      const fd = succeed(libc.accept4(listener.fd, null, null, asked));
      const flags = openFlags(fd) & both;
      file.close(fd);
      assertEquals(flags, expected);
    }
  });
});

test("D101 poll(2) of a datagram socket whose peer closed with unread messages tells of no end and no error", () => {
  const [a, b] = UnixDatagram.pair();
  a.sendSync(bytes("never read"));
  b.close();
  assertEquals(polls(a.fd, POLLOUT), true);
  for (const event of [POLLIN, POLLERR, POLLHUP, POLLRDHUP]) {
    assertEquals([event, polls(a.fd, event)], [event, false]);
  }
  const again = sockets.recv(a.fd, new Uint8Array(1), 1, 0);
  assertEquals(again, -errnoNumber("EAGAIN"));
  a.close();
});

test("D107 a read(2) that blocks on a datagram socket returns 0 when the reading is ended", async () => {
  const [a, b] = UnixDatagram.pair();
  setBlocking(b.fd, true);
  // One read(2), whose result is the exit status: of an error it makes 1.
  await using reader = new TestProcess(["dd", "bs=10", "count=1", "status=none"], {
    stdio: [b.fd, "pipe", "inherit"],
  });
  await until(() => isAsleep(reader.pid, "dd"), "the reader");
  assertEquals(sockets.shutdown(b.fd, native().abi.constants.SHUT_RD), 0);
  const { code, stdout } = await reader.finished;
  assertEquals([code, stdout], [0, ""]);
  a.close();
  b.close();
});

test("E113 recvmsg(2) never has MSG_EOR among its flags, also where it was sent", () => {
  const { MSG_EOR } = native().abi.constants;
  for (const Class of [UnixSeqpacket, UnixDatagram]) {
    const [a, b] = Class.pair();
    for (const flags of [MSG_EOR, 0]) {
      assertEquals(sockets.send(a.fd, bytes("record"), 6, flags), 6);
      const received = recvmsg(b.fd);
      assertEquals([received.result, received.flags & MSG_EOR], [6, 0]);
    }
    a.close();
    b.close();
  }
});

for (const name of CARRIER_NAMES) {
  test(`H182 ${name}: a pidfd for which there is no room beside the credentials is cut off, and none is left open`, async () => {
    const { abi } = native();
    const [sender, receiver] = CARRIERS[name]();
    receiver.passCredentials = receiver.passPidfd = true;
    const before = roomBefore(name);
    const credentials = cmsg.spaceFor(abi, abi.layouts.ucred!.size);
    const whole = before + credentials + cmsg.spaceFor(abi, 4);
    const block = new MessageBlock({ messages: 1, data: 16, control: whole });
    const received = async (room: number) => {
      await sender.sendMessage(bytes("x"));
      assertEquals(block.receiveOne(receiver.fd, 0, room, 16), 1);
      const cut = (block.flags(0) & abi.constants.MSG_CTRUNC) !== 0;
      const { credentials, pidfds } = cmsg.parseControl(abi, block.control(0));
      return { cut, pid: credentials?.pid, pidfds };
    };
    await assertLeavesNone(async () => {
      for (let room = before + credentials; room < before + credentials + 20; room++) {
        assertEquals(await received(room), { cut: true, pid: process.pid, pidfds: [] });
      }
    });
    const { cut, pidfds } = await received(whole);
    assertEquals([cut, pidfds.map(pidOf)], [false, [process.pid]]);
    file.close(pidfds[0]!);
    sender.close();
    receiver.close();
  });

  test(`H182 ${name}: each recvmsg(2) with MSG_PEEK and room installs a pidfd of its own`, async () => {
    const { abi } = native();
    const [sender, receiver] = CARRIERS[name]();
    receiver.passPidfd = true;
    await sender.sendMessage(bytes("x"));
    const control = cmsg.fullRoom(abi);
    const block = new MessageBlock({ messages: 1, data: 16, control });
    const pidfds = [abi.constants.MSG_PEEK, abi.constants.MSG_PEEK, 0].map((flags) => {
      assertEquals(block.receiveOne(receiver.fd, flags, control, 16), 1);
      return cmsg.parseControl(abi, block.control(0)).pidfds[0]!;
    });
    assertEquals(new Set(pidfds).size, 3);
    for (const pidfd of pidfds) {
      assertEquals(pidOf(pidfd), process.pid);
      file.close(pidfd);
    }
    sender.close();
    receiver.close();
  });

  test(`L230 ${name}: recvmsg(2) that fails writes nothing, so that the header looks full`, async () => {
    const { abi } = native();
    const [sender, receiver] = CARRIERS[name]();
    using sent = fileOf("sent");
    const control = cmsg.fullRoom(abi);
    const block = new MessageBlock({ messages: 1, data: 16, control });
    await sender.sendMessage(bytes("x"), { fds: [sent] });
    assertEquals(block.receiveOne(receiver.fd, 0, control, 16), 1);
    const { fds } = cmsg.parseControl(abi, block.control(0));
    assertEquals(fds.length, 1);
    file.close(fds[0]!);
    assertEquals(block.receiveOne(receiver.fd, 0, control, 16), -errnoNumber("EAGAIN"));
    assertEquals([block.controlLength(0), block.flags(0)], [control, 0]);
    // Who read it now would find the descriptor of before, whose number may be another's.
    assertEquals(cmsg.parseControl(abi, block.control(0)).fds, fds);
    sender.close();
    receiver.close();
  });

  test(`L230 ${name}.receiveMessage() that fails takes nothing for received that an earlier one left`, async () => {
    const [sender, receiver] = CARRIERS[name]();
    using sent = fileOf("sent");
    const failures: Record<string, () => Promise<unknown>> = {
      ETIMEDOUT: async () => await receiver.receiveMessageSync({ timeout: 0 }),
      AbortError: async () => {
        const controller = new AbortController();
        const receiving = receiver.receiveMessage({ signal: controller.signal });
        controller.abort();
        await receiving;
      },
    };
    if (name !== "UnixDatagram") {
      failures["ECONNRESET"] = async () => {
        receiver.sendMessageSync(bytes("never read"));
        sender.close();
        await receiver.receiveMessage();
      };
    }
    for (const [failure, fail] of Object.entries(failures)) {
      await sender.sendMessage(bytes("x"), { fds: [sent] });
      const message = (await receiver.receiveMessage())!;
      const number = message.fds[0]!.fd;
      message.close();
      // The lowest free number is given first.
      using other = fileOf("somebody else's");
      assertEquals(other.fd, number);
      const error = await fail().then(() => undefined, (error) => error);
      assertNotEquals(error, undefined, failure);
      assertEquals(error.code === failure || error.name === failure, true, String(error));
      assert(openDescriptors().has(`${number}`), failure);
      assertEquals(contentOf(other), "somebody else's");
    }
    if (name !== "UnixDatagram") assertEquals(await receiver.receiveMessage(), null);
    receiver.close();
    sender.close();
    await assertFails(() => receiver.receiveMessage(), "EBADF");
  });
}
