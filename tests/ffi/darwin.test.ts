// macOS on a model: see tests/support/darwin_libc.ts. Nothing of this has run on a Mac.

import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import {
  darwinPeerCredentials,
  darwinPeerToken,
  darwinPeerUser,
} from "../../ffi/darwin/credentials.ts";
import { batchHeader } from "../../ffi/structs/msghdr.ts";
import { native } from "../../ffi/native.ts";
import { createPoller } from "../../ffi/create_poller.ts";
import { FOR_READING, FOR_WRITING, type Poller } from "../../ffi/poller.ts";
import { accept, peerCredentials, socket, socketpair } from "../../ffi/libc/socket.ts";
import { writeField } from "../../ffi/structs/field.ts";
import { becomeMac, macAbi as abi } from "../support/darwin_libc.ts";

const mac = becomeMac();
const { libc } = native();
const { errno, constants } = abi;
const darwin = abi.darwin!;
const BOTH = FOR_READING | FOR_WRITING;

/** What a look at a poller reports, in words. */
function collected(poller: Poller): string[] {
  const seen: string[] = [];
  poller.collect((token, readable, writable) => {
    seen.push(`${token}${readable ? " readable" : ""}${writable ? " writable" : ""}`);
  });
  return seen;
}

/** A poller and a descriptor of the model. */
function polling(): { poller: Poller; fd: number } {
  return { poller: createPoller(), fd: mac.open("socket") };
}

test("a kqueue reports data once, and again when more has come", () => {
  const { poller, fd } = polling();
  assertEquals(poller.add(fd, 7, FOR_READING), 0);
  assertEquals(collected(poller), []);
  mac.happens(fd, { readable: 5 });
  assertEquals(collected(poller), ["7 readable"]);
  assertEquals(collected(poller), []);
  mac.happens(fd, { readable: 9 });
  assertEquals(collected(poller), ["7 readable"]);
});

test("a kqueue reports what is ready when it is added, for each direction that was asked for", () => {
  const { poller, fd } = polling();
  mac.happens(fd, { readable: 1 });
  assertEquals(poller.add(fd, 2 ** 40 + 3, BOTH), 0);
  assertEquals(collected(poller).sort(), [`${2 ** 40 + 3} readable`, `${2 ** 40 + 3} writable`]);
  const other = mac.open("socket");
  assertEquals(poller.add(other, 8, FOR_READING), 0);
  assertEquals(collected(poller), []);
});

test("a change looks anew, and takes out what is no longer asked for", () => {
  const { poller, fd } = polling();
  poller.add(fd, 1, BOTH);
  assertEquals(collected(poller), ["1 writable"]);
  mac.happens(fd, { readable: 1 });
  assertEquals(collected(poller).sort(), ["1 readable", "1 writable"]);
  assertEquals(poller.change(fd, 2, FOR_READING), 0);
  assertEquals(collected(poller), ["2 readable"]);
  mac.happens(fd, { writable: 2 });
  assertEquals(collected(poller), ["2 readable"]);
  // There is no filter for writing to take out.
  assertEquals(poller.change(fd, 2, FOR_READING), 0);
  assertEquals(collected(poller), ["2 readable"]);
  assertEquals(poller.change(fd, 3, FOR_WRITING), 0);
  assertEquals(collected(poller), ["3 writable"]);
});

test("an end is reported to whoever waits for either direction", () => {
  const { poller, fd } = polling();
  mac.files.get(fd)!.writable = 0;
  poller.add(fd, 4, BOTH);
  assertEquals(collected(poller), []);
  mac.happens(fd, { ended: true });
  assertEquals(collected(poller).sort(), ["4 readable", "4 writable"]);
});

test("what was removed is reported no more, and may be removed twice", () => {
  const { poller, fd } = polling();
  poller.add(fd, 5, BOTH);
  poller.remove(fd);
  poller.remove(fd);
  mac.happens(fd, { readable: 1 });
  assertEquals(collected(poller), []);
});

test("a descriptor that cannot be added leaves nothing behind", () => {
  const { poller, fd } = polling();
  assertEquals(poller.add(9999, 1, BOTH), -errno.EBADF!);
  mac.failures.set(`EV_ADD ${darwin.EVFILT_WRITE}`, { errno: errno.EPERM!, after: 0 });
  assertEquals(poller.add(fd, 1, BOTH), -errno.EPERM!);
  mac.happens(fd, { readable: 1 });
  assertEquals(collected(poller), []);
});

test("more is ready than one look takes", () => {
  const poller = createPoller();
  const wanted = Array.from({ length: 300 }, (_, token) => {
    const fd = mac.open("socket");
    mac.happens(fd, { readable: 1 });
    poller.add(fd, token, FOR_READING);
    return `${token} readable`;
  });
  const first = collected(poller);
  const second = collected(poller);
  assertEquals([first.length, second.length, collected(poller).length], [256, 44, 0]);
  assertEquals([...first, ...second], wanted);
});

test("calls to a kqueue are made again after a signal", () => {
  const { poller, fd } = polling();
  mac.happens(fd, { readable: 1 });
  mac.failures.set("kevent", { errno: errno.EINTR!, after: 0 });
  assertEquals(poller.add(fd, 6, FOR_READING), 0);
  mac.failures.set("kevent", { errno: errno.EINTR!, after: 0 });
  assertEquals(collected(poller), ["6 readable"]);
  mac.failures.set("kqueue", { errno: errno.EINTR!, after: 0 });
  const { fd: kqueue } = createPoller();
  assertEquals(mac.files.get(kqueue)!.closeOnExec, true);
  mac.failures.set("kqueue", { errno: errno.EMFILE!, after: 0 });
  assertThrows(() => createPoller(), Error, "EMFILE");
});

test("sockets are non-blocking, close-on-exec and silent from the start", () => {
  const ends: [number, number] = [-1, -1];
  assertEquals(socketpair(constants.SOCK_STREAM, ends), 0);
  const accepted = accept(mac.open("socket"));
  for (const fd of [socket(constants.SOCK_STREAM), accepted, ...ends]) {
    const { closeOnExec, nonblocking, noSigpipe } = mac.files.get(fd)!;
    assertEquals([closeOnExec, nonblocking, noSigpipe], [true, true, true]);
  }
  const pipe = new Int32Array(2);
  assertEquals(libc.pipe2(pipe, 0), 0);
  for (const fd of pipe) {
    const { closeOnExec, nonblocking } = mac.files.get(fd)!;
    assertEquals([closeOnExec, nonblocking], [true, true]);
  }
});

test("a socket whose peer is gone may refuse to be silent, and is a socket all the same", () => {
  mac.failures.set("setsockopt", { errno: errno.EINVAL!, after: 0 });
  const fd = accept(mac.open("socket"));
  assertEquals(mac.files.get(fd)!.nonblocking, true);
});

for (let after = 0; after < 6; after++) {
  test(`what fails in the midst closes what it had made (fcntl number ${after + 1})`, () => {
    const before = mac.files.size;
    const ends: [number, number] = [-1, -1];
    mac.failures.set("fcntl", { errno: errno.EMFILE!, after });
    assertEquals(socketpair(constants.SOCK_STREAM, ends), -errno.EMFILE!);
    assertEquals(mac.files.size, before);
    mac.failures.set("fcntl", { errno: errno.EMFILE!, after });
    assertEquals(libc.pipe2(new Int32Array(2), 0), -1);
    assertEquals([mac.files.size, mac.errno[0]], [before, errno.EMFILE!]);
    if (after >= 3) return;
    mac.failures.set("fcntl", { errno: errno.EMFILE!, after });
    assertEquals(socket(constants.SOCK_STREAM), -errno.EMFILE!);
    assertEquals(mac.files.size, before);
  });
}

test("what macOS does not have fails with ENOTSUP", () => {
  const view = new Uint8Array(8);
  assertEquals(libc.epoll_create1(0), -1);
  assertEquals(mac.errno[0], errno.ENOTSUP);
  mac.errno[0] = 0;
  assertEquals(libc.memfd_create(view, 0), -1);
  assertEquals(mac.errno[0], errno.ENOTSUP);
  assertEquals([libc.eventfd(0, 0), libc.munmap(0n, 1)], [-1, -1]);
  assertEquals([libc.syscall(1n, 0n, 0n, null, 0n), libc.mmap(null, 1, 0, 0, -1, 0n)], [
    -1n,
    2 ** 64,
  ]);
});

test("a message that was cut off tells its real length", () => {
  const header = new Uint8Array(abi.layouts.msghdr.size);
  mac.messages = [40, 10];
  assertEquals(libc.recvmsg(3, header, constants.MSG_TRUNC), 40);
  assertEquals(libc.recvmsg(3, header, constants.MSG_TRUNC), 10);
  mac.messages = [40, 4, 40];
  const [room, length] = [new Uint8Array(10), new Uint8Array(4)];
  const fd = mac.open("socket");
  assertEquals(libc.recvfrom(fd, room, 10, constants.MSG_TRUNC, room, length), 40);
  assertEquals(libc.recvfrom(fd, room, 10, constants.MSG_TRUNC, room, length), 4);
  assertEquals(libc.recvfrom(fd, room, 10, 0, room, length), 10);
});

test("a batch is received and sent message by message, as far as it goes", () => {
  const { size, fields } = batchHeader(abi.layouts);
  const headers = new DataView(new ArrayBuffer(3 * size));
  mac.messages = [6, 40];
  assertEquals(libc.recvmmsg(mac.open("socket"), headers, 3, 0, null), 2);
  const lengthAt = (i: number) => headers.getUint32(i * size + fields.msg_len[0], true);
  assertEquals([lengthAt(0), lengthAt(1)], [6, 40]);
  assertEquals(libc.recvmmsg(mac.open("socket"), headers, 3, 0, null), -1);
  mac.failures.set("sendmsg", { errno: errno.EPIPE!, after: 2 });
  assertEquals(libc.sendmmsg(3, headers, 3, 0), 2);
  mac.failures.set("sendmsg", { errno: errno.EPIPE!, after: 0 });
  assertEquals([libc.sendmmsg(3, headers, 3, 0), mac.errno[0]], [-1, errno.EPIPE]);
});

test("a receiver without room means to try again, where a message has a destination", () => {
  const to = new Uint8Array(16);
  const full = { errno: errno.ENOBUFS!, after: 0 };
  mac.failures.set("sendto", { ...full });
  assertEquals([libc.sendto(3, to, 1, 0, to, 16), mac.errno[0]], [-1, errno.EAGAIN]);
  const header = new DataView(new ArrayBuffer(abi.layouts.msghdr.size));
  mac.failures.set("sendmsg", { ...full });
  assertEquals([libc.sendmsg(3, header, 0), mac.errno[0]], [-1, errno.ENOBUFS]);
  writeField(header, abi.layouts.msghdr.fields.msg_name, 0x1000);
  mac.failures.set("sendmsg", { ...full });
  assertEquals([libc.sendmsg(3, header, 0), mac.errno[0]], [-1, errno.EAGAIN]);
});

test("bytes that wait are those of the next message", () => {
  const fd = mac.open("socket");
  const count = new Int32Array(1);
  mac.messages = [12, 30];
  assertEquals([libc.ioctl(fd, constants.FIONREAD, count), count[0]], [0, 12]);
  mac.messages = [];
});

/** A `struct xucred`. */
function xucred(version: number, uid: number, groups: number[], count = groups.length): Uint8Array {
  const { size, fields } = abi.layouts.xucred!;
  const view = new DataView(new ArrayBuffer(size));
  writeField(view, fields.cr_version, version);
  writeField(view, fields.cr_uid, uid);
  writeField(view, fields.cr_ngroups, count & 0xffff);
  groups.forEach((group, i) => writeField(view, [fields.cr_groups[0] + 4 * i, 4], group));
  return new Uint8Array(view.buffer);
}

const nobody = () => ({ pid: 0, uid: 0xffff_ffff, gid: 0xffff_ffff });

test("H185: the peer's user and groups come from xucred, its process from LOCAL_PEERPID", () => {
  const fd = mac.open("socket");
  mac.local.set(darwin.LOCAL_PEERCRED, xucred(0, 501, [20, 80, 12]));
  mac.local.set(darwin.LOCAL_PEERPID, new Uint8Array(new Int32Array([4321]).buffer));
  assertEquals(darwinPeerUser(fd), { uid: 501, groups: [20, 80, 12] });
  const out = nobody();
  assertEquals([peerCredentials(fd, out), out], [0, { pid: 4321, uid: 501, gid: 20 }]);
  mac.local.set(darwin.LOCAL_PEERPID, errno.ENOTCONN!);
  assertEquals([darwinPeerCredentials(fd, out), out.pid, out.uid], [0, 0, 501]);
});

test("H185: what is not exactly an xucred is refused: one of zeros would be root", () => {
  const fd = mac.open("socket");
  const wrong = [
    new Uint8Array(76),
    xucred(1, 501, [20]),
    xucred(0, 501, [], 0),
    xucred(0, 501, [20], 17),
    xucred(0, 501, [20], -1),
    xucred(0, 501, [20]).subarray(0, 72),
    new Uint8Array(80),
  ];
  for (const bytes of wrong) {
    mac.local.set(darwin.LOCAL_PEERCRED, bytes);
    const out = nobody();
    assertEquals([darwinPeerCredentials(fd, out), out], [-errno.EPROTOTYPE!, nobody()]);
  }
});

test("H185: where there is no peer there are no credentials", () => {
  const fd = mac.open("socket");
  for (const reason of [errno.ENOTCONN!, errno.EINVAL!]) {
    mac.local.set(darwin.LOCAL_PEERCRED, reason);
    mac.local.set(darwin.LOCAL_PEERTOKEN, reason);
    const out = nobody();
    assertEquals([darwinPeerCredentials(fd, out), out], [0, nobody()]);
    assertEquals([darwinPeerUser(fd), darwinPeerToken(fd)], [null, null]);
  }
  mac.local.set(darwin.LOCAL_PEERCRED, errno.EBADF!);
  assertEquals(darwinPeerCredentials(fd, nobody()), -errno.EBADF!);
});

test("H185: the audit token tells both users, the process and its version", () => {
  const fd = mac.open("socket");
  const words = new Uint32Array([11, 501, 20, 502, 21, 4321, 99, 7]);
  mac.local.set(darwin.LOCAL_PEERTOKEN, new Uint8Array(words.buffer));
  assertEquals(darwinPeerToken(fd), {
    ...{ auditUid: 11, uid: 501, gid: 20, realUid: 502, realGid: 21 },
    ...{ pid: 4321, session: 99, pidVersion: 7, bytes: new Uint8Array(words.buffer) },
  });
  mac.local.set(darwin.LOCAL_PEERTOKEN, new Uint8Array(28));
  assertEquals(darwinPeerToken(fd), -errno.EPROTOTYPE!);
});
