import { test } from "node:test";
import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { closeSync, openSync } from "node:fs";
import process from "node:process";
import { DescriptorError } from "../../ffi/debug/errors.ts";
import { MessageHeader } from "../../ffi/structs/msghdr.ts";
import { putControl, sizeOfControl } from "../../ffi/structs/cmsg.ts";
import { type Checked, checkedLibc, uncheckedLibc } from "../support/debug.ts";
import { descriptorTable, tableChanges } from "../support/descriptor_table.ts";

const CLOEXEC_PIPE = (checked: Checked) => {
  const ends = new Int32Array(new ArrayBuffer(8));
  assertEquals(checked.libc.pipe2(ends, checked.abi.constants.O_CLOEXEC), 0);
  return ends;
};

function refused(close: () => unknown, said: RegExp): void {
  const error = assertThrows(close, DescriptorError);
  assertMatch(error.message, said);
}

/** Runs with warnings collected instead of written. */
function warnings(body: () => void): string {
  const { warn } = console;
  const said: string[] = [];
  console.warn = (text: string) => void said.push(text);
  try {
    body();
  } finally {
    console.warn = warn;
  }
  return said.join("\n");
}

test("debug mode refuses to close what the library has neither made nor been given", () => {
  const { libc } = checkedLibc();
  const fd = openSync("/dev/null", "r");
  refused(() => libc.close(fd), /^Cannot close descriptor \d+: afunix has neither made it nor/);
  refused(() => libc.close(-1), /^Cannot close descriptor -1: afunix has neither/);
  // It was not closed.
  closeSync(fd);
});

test("debug mode refuses to close a descriptor twice, and names both places", () => {
  const checked = checkedLibc();
  const { libc } = checked;
  const before = descriptorTable();
  function closeFirst() {
    for (const fd of ends) libc.close(fd);
  }
  const ends = CLOEXEC_PIPE(checked);
  closeFirst();
  const said = /it was closed before, here:\n.*closeFirst.*\nand made here:\n.*CLOEXEC_PIPE/s;
  refused(() => libc.close(ends[0]!), said);
  // The number is somebody else's now.
  const fd = openSync("/dev/null", "r");
  assertEquals(fd, ends[0]);
  refused(() => libc.close(fd), /it was closed before/);
  closeSync(fd);
  assertEquals(tableChanges(before, descriptorTable()), []);
});

test("debug mode lets a number be closed again that was made again", () => {
  const { libc, abi } = checkedLibc();
  const make = () => libc.socket(abi.constants.AF_UNIX, abi.constants.SOCK_STREAM, 0);
  const first = make();
  assertEquals(libc.close(first), 0);
  assertEquals(make(), first);
  assertEquals(libc.close(first), 0);
});

test("debug mode refuses to close what was given away, until it comes back", () => {
  const { libc, abi, descriptors } = checkedLibc();
  const fd = libc.eventfd(0, abi.linux!.EFD_CLOEXEC);
  descriptors.giveAway(fd);
  refused(() => libc.close(fd), /it was given away before, here:\n.*descriptors\.test/s);
  descriptors.own(fd);
  assertEquals(libc.close(fd), 0);
});

test("debug mode knows every way to a descriptor", () => {
  const checked = checkedLibc();
  const { libc, abi, descriptors } = checked;
  const { AF_UNIX, SOCK_STREAM, F_DUPFD_CLOEXEC, O_CLOEXEC } = abi.constants;
  const text = (value: string) => new TextEncoder().encode(`${value}\0`);
  const made = [...CLOEXEC_PIPE(checked)];
  const pair = new Int32Array(new ArrayBuffer(8));
  libc.socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  made.push(...pair);
  made.push(libc.open(text("/dev/null"), O_CLOEXEC, 0));
  made.push(libc.memfd_create(text("x"), abi.linux!.MFD_CLOEXEC));
  made.push(libc.fcntl(pair[0]!, F_DUPFD_CLOEXEC, 0));
  made.push(
    Number(libc.syscall(BigInt(abi.syscalls!.pidfd_open), BigInt(process.pid), 0n, null, 0n)),
  );
  assertEquals(
    descriptors.loose().map(([fd]) => fd).sort((a, b) => a - b),
    made.sort((a, b) => a - b),
  );
  for (const fd of made) assertEquals(libc.close(fd), 0);
  assertEquals(descriptors.loose(), []);
  // Not what only changes one.
  const poller = libc.epoll_create1(abi.linux!.EPOLL_CLOEXEC);
  assertEquals(libc.fcntl(poller, abi.constants.F_GETFD, 0), abi.constants.FD_CLOEXEC);
  assertEquals(descriptors.loose(), []);
  assertEquals(libc.close(poller), 0);
});

test("debug mode knows the descriptors that came with a message", () => {
  const checked = checkedLibc();
  const { libc, abi, runtime, descriptors } = checked;
  const { AF_UNIX, SOCK_STREAM } = abi.constants;
  const pair = new Int32Array(new ArrayBuffer(8));
  libc.socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  const view = new DataView(new ArrayBuffer(512));
  const plan = {
    header: 0,
    iovec: 64,
    name: 128,
    control: 256,
    controlRoom: 128,
    data: 400,
    dataRoom: 1,
  };
  const header = new MessageHeader(view, runtime.addressOf(view), abi.layouts, plan);
  const sent = { fds: [pair[0]!, pair[1]!], credentials: null };
  header.setDestination(null);
  header.setControl(sizeOfControl(abi, sent));
  putControl(abi, view, plan.control, sent);
  assertEquals(libc.sendmsg(pair[0]!, view, 0), 1);
  header.makeRoom(plan.controlRoom);
  assertEquals(libc.recvmsg(pair[1]!, view, abi.linux!.MSG_CMSG_CLOEXEC), 1);
  const known = descriptors.loose().map(([fd]) => fd);
  assertEquals(known.length, 4);
  for (const fd of known) assertEquals(libc.close(fd), 0);
});

test("debug mode says when somebody else has closed a descriptor of the library", () => {
  const { libc, abi } = checkedLibc();
  const fd = libc.socket(abi.constants.AF_UNIX, abi.constants.SOCK_STREAM, 0);
  uncheckedLibc().libc.close(fd);
  const said = warnings(() => assertEquals(libc.close(fd), -1));
  assertMatch(
    said,
    /^afunix: descriptor \d+: somebody else had closed it before afunix did, here:\n/,
  );
  assertMatch(said, /\nmade here:\n.*descriptors\.test/s);
});

test("debug mode keeps errno as close(2) left it, whatever it says of that", () => {
  const { libc, abi, runtime } = checkedLibc();
  const errno = new Int32Array(runtime.viewAt(libc.__errno_location(), 4));
  const fd = libc.socket(abi.constants.AF_UNIX, abi.constants.SOCK_STREAM, 0);
  uncheckedLibc().libc.close(fd);
  const { warn } = console;
  console.warn = () => errno.fill(abi.errno.EPIPE!);
  try {
    libc.close(fd);
    assertEquals(errno[0], abi.errno.EBADF);
  } finally {
    console.warn = warn;
  }
});
