import { test } from "node:test";
import { assert, assertEquals, assertInstanceOf, assertMatch, assertThrows } from "@std/assert";
import { abiFor } from "../../ffi/abi/mod.ts";
import { kernelLayouts } from "../../ffi/abi/linux.ts";
import { PointerError } from "../../ffi/debug/errors.ts";
import { MemoryLedger } from "../../ffi/debug/memory.ts";
import { systemCalls } from "../../ffi/debug/syscalls.ts";
import { readField, writeField } from "../../ffi/structs/field.ts";
import { type Signature, symbols } from "../../ffi/libc/symbols.ts";
import { relayByUring } from "../../ffi/linux/relay_uring.ts";
import { type Checked, checkedLibc } from "../support/debug.ts";

const POINTERS = ["buffer", "nullable"];

test("every function of the table says what stands behind each of its pointers", () => {
  for (const [name, signature] of Object.entries(symbols) as [string, Signature][]) {
    const { args, memory } = signature;
    if (memory === "by number") continue;
    const described = Object.keys(memory ?? {}).map(Number);
    args.forEach((type, index) => {
      if (!POINTERS.includes(type)) return;
      assert(described.includes(index), `argument ${index} of ${name} is not described`);
    });
    for (const extent of Object.values(memory ?? {})) {
      if (typeof extent !== "object") continue;
      for (const [what, other] of Object.entries(extent)) {
        if (what === "of") continue;
        const type = args[other as number];
        const fits = what === "bytesIn" ? POINTERS.includes(type!) : /^[iu]32$/.test(type ?? "");
        assert(fits, `${name}: argument ${other} is no length`);
      }
    }
  }
  const byNumber = Object.entries(symbols).filter(([, { memory }]: [string, Signature]) =>
    memory === "by number"
  );
  assertEquals(byNumber.map(([name]) => name), ["syscall"]);
});

test("every system call that has a number is described", () => {
  for (const arch of ["x64", "arm64"]) {
    const { syscalls } = abiFor("linux", arch)!;
    assertEquals(Object.keys(syscalls!).sort(), Object.keys(systemCalls).sort());
  }
});

/** A message with one part, an address and control messages, in a block whose address is known. */
function message({ runtime, abi }: Checked) {
  const { msghdr, iovec } = abi.layouts;
  const view = new DataView(new ArrayBuffer(512));
  const base = runtime.addressOf(view);
  const put = (field: keyof typeof msghdr.fields, value: number) =>
    writeField(view, msghdr.fields[field], value);
  const putPart = (field: keyof typeof iovec.fields, value: number) => {
    const [offset, width] = iovec.fields[field];
    writeField(view, [64 + offset, width], value);
  };
  put("msg_iov", base + 64);
  put("msg_iovlen", 1);
  put("msg_name", base + 128);
  put("msg_namelen", 110);
  put("msg_control", base + 256);
  put("msg_controllen", 64);
  putPart("iov_base", base + 384);
  putPart("iov_len", 128);
  return { view, base, put, putPart };
}

const bytes = (length: number) => new Uint8Array(new ArrayBuffer(length));

/** A view whose buffer was transferred away. */
function detached(length: number): Uint8Array<ArrayBuffer> {
  const view = bytes(length);
  view.buffer.transfer();
  return view;
}

type Violation = (checked: Checked) => [call: () => unknown, said: RegExp];

const violations: Record<string, Violation> = {
  "a view over a buffer that was transferred away": ({ libc }) => {
    const gone = detached(8);
    return [() => libc.send(-1, gone, 8, 0), /^Cannot call send: argument 1 is over a buffer that/];
  },
  "an empty view over a buffer that was transferred away": ({ libc }) => {
    const gone = detached(8);
    return [() => libc.send(-1, gone, 0, 0), /argument 1 is over a buffer that was transferred/];
  },
  "a length beyond the view": ({ libc }) => [
    () => libc.recv(-1, new Uint8Array(8), 9, 0),
    /^Cannot call recv: argument 1 has 8 bytes, and the call takes 9\n/,
  ],
  "a length beyond a view that is a part of its buffer": ({ libc }) => [
    () => libc.read(-1, new Uint8Array(64).subarray(8, 16), 9),
    /argument 1 has 8 bytes, and the call takes 9/,
  ],
  "an empty view to write into": ({ libc }) => [
    () => libc.pread(-1, new Uint8Array(0), 1, 0n),
    /argument 1 has 0 bytes, and the call takes 1/,
  ],
  "a view of a buffer that was made too short": ({ libc }) => {
    const buffer = new ArrayBuffer(16, { maxByteLength: 16 });
    const view = new DataView(buffer, 8, 8);
    buffer.resize(4);
    return [() => libc.write(-1, view, 8), /argument 1 is beyond the end of its buffer/];
  },
  "a view that became shorter with its buffer": ({ libc }) => {
    const buffer = new ArrayBuffer(16, { maxByteLength: 16 });
    const view = new Uint8Array(buffer);
    buffer.resize(4);
    return [() => libc.write(-1, view, 16), /argument 1 has 4 bytes, and the call takes 16/];
  },
  "no view at all": ({ libc }) => [
    () => libc.write(-1, "text" as never, 4),
    /argument 1 is text, and no view/,
  ],
  "null where memory is needed": ({ libc }) => [
    () => libc.write(-1, null as never, 0),
    /argument 1 is null, and no view/,
  ],
  "an address longer than its view": ({ libc }) => [
    () => libc.bind(-1, new Uint8Array(16), 110),
    /^Cannot call bind: argument 1 has 16 bytes/,
  ],
  "a destination longer than its view": ({ libc }) => [
    () => libc.sendto(-1, new Uint8Array(1), 1, 0, new Uint8Array(3), 4),
    /^Cannot call sendto: argument 4 has 3 bytes/,
  ],
  "room for an address that is not there": ({ libc }) => [
    () => libc.getsockname(-1, new Uint8Array(16), Int32Array.of(17)),
    /^Cannot call getsockname: argument 1 has 16 bytes, and the call takes 17/,
  ],
  "an address without its length": ({ libc }) => [
    () => libc.accept4(-1, new Uint8Array(110), null, 0),
    /^Cannot call accept4: argument 2 does not say how long/,
  ],
  "a length that is no number of four bytes": ({ libc }) => [
    () => libc.getsockopt(-1, 1, 1, new Uint8Array(4), new Uint8Array(2)),
    /argument 4 does not say how long/,
  ],
  "an option that is shorter than said": ({ libc }) => [
    () => libc.setsockopt(-1, 1, 1, new Uint8Array(3), 4),
    /argument 3 has 3 bytes/,
  ],
  "too short a memory for two descriptors": ({ libc }) => [
    () => libc.pipe2(new Int32Array(1), 0),
    /^Cannot call pipe2: argument 0 has 4 bytes, and the call takes 8/,
  ],
  "a path without a NUL": ({ libc }) => [
    () => libc.unlink(Uint8Array.of(47, 120)),
    /^Cannot call unlink: argument 0 is a text without a NUL/,
  ],
  "fewer entries than said": ({ libc, abi }) => [
    () => libc.poll(new Uint8Array(abi.layouts.pollfd.size), 2, 0),
    /^Cannot call poll: argument 0 has 8 bytes, and the call takes 16/,
  ],
  "fewer events than said": ({ libc, abi }) => {
    const { size } = abi.layouts.epoll_event!;
    return [() => libc.epoll_wait(-1, new Uint8Array(size * 7), 8, 0), /^Cannot call epoll_wait/];
  },
  "a negative length": ({ libc }) => [
    () => libc.read(-1, new Uint8Array(8), -1),
    /argument 2 is -1, which is no u32/,
  ],
  "a length that is no whole number": ({ libc }) => [
    () => libc.read(-1, new Uint8Array(8), 0.5),
    /argument 2 is 0.5, which is no u32/,
  ],
  "a number where a bigint is wanted": ({ libc }) => [
    () => libc.lseek(-1, 0 as never, 0),
    /argument 1 is 0, which is no i64/,
  ],
  "an argument too many": ({ libc }) => [
    () => (libc.getpid as (...args: unknown[]) => number)(1),
    /^Cannot call getpid: the call has 1 arguments, not 0/,
  ],

  "a header that is too short": ({ libc }) => [
    () => libc.recvmsg(-1, bytes(48), 0),
    /^Cannot call recvmsg: argument 1 has 48 bytes/,
  ],
  "a part whose address nobody took": (checked) => {
    const { view, putPart } = message(checked);
    putPart("iov_base", 0x1000);
    return [
      () => checked.libc.recvmsg(-1, view, 0),
      /iov_base 0 of argument 1 is 0x1000, for 128 bytes: nobody took an address there/,
    ];
  },
  "a part without an address": (checked) => {
    const { view, putPart } = message(checked);
    putPart("iov_base", 0);
    return [() => checked.libc.sendmsg(-1, view, 0), /iov_base 0 of argument 1 is 0x0.*no address/];
  },
  "a part that is longer than its memory": (checked) => {
    const { view, putPart } = message(checked);
    putPart("iov_len", 129);
    return [
      () => checked.libc.recvmsg(-1, view, 0),
      /iov_base 0 of argument 1 is 0x[\da-f]+, for 129 bytes, 1 of them beyond a buffer of 512 bytes, its address taken here:\n.*pointers\.test/s,
    ];
  },
  "a part whose length takes more than 32 bits": (checked) => {
    const { view, putPart } = message(checked);
    putPart("iov_len", 2 ** 32 + 8);
    return [() => checked.libc.recvmsg(-1, view, 0), /for 4294967304 bytes/];
  },
  "room for control messages beyond the block": (checked) => {
    const { view, put } = message(checked);
    put("msg_controllen", 257);
    return [() => checked.libc.recvmsg(-1, view, 0), /msg_control of argument 1 .* 1 of them/];
  },
  "room for control messages nowhere": (checked) => {
    const { view, put } = message(checked);
    put("msg_control", 0);
    return [() => checked.libc.recvmsg(-1, view, 0), /msg_control of argument 1 is 0x0/];
  },
  "a name that is longer than its memory": (checked) => {
    const { view, put } = message(checked);
    put("msg_namelen", 385);
    return [() => checked.libc.sendmsg(-1, view, 0), /msg_name of argument 1/];
  },
  "more parts than there are": (checked) => {
    const { view, put } = message(checked);
    put("msg_iovlen", 29);
    return [() => checked.libc.sendmsg(-1, view, 0), /msg_iov of argument 1 .* 16 of them beyond/];
  },
  "more messages than there are": (checked) => {
    const { view } = message(checked);
    return [() => checked.libc.sendmmsg(-1, view, 9, 0), /argument 1 has 512 bytes/];
  },
  "a second message that points nowhere": (checked) => {
    const { view } = message(checked);
    const { abi: { layouts }, libc } = checked;
    const [offset, width] = layouts.msghdr.fields.msg_control;
    // The headers of a batch begin with the same memory; the second is all zeros up to here.
    const batch = new DataView(new ArrayBuffer(256));
    new Uint8Array(batch.buffer).set(new Uint8Array(view.buffer, 0, layouts.msghdr.size));
    const second = layouts.mmsghdr!.size;
    writeField(batch, [second + offset, width], 0x5000);
    const [at, size] = layouts.msghdr.fields.msg_controllen;
    writeField(batch, [second + at, size], 16);
    return [
      () => libc.recvmmsg(-1, batch, 2, 0, null),
      /^Cannot call recvmmsg: msg_control of message 1 of argument 1 is 0x5000/,
    ];
  },
  "a block that was transferred away after its address was taken": (checked) => {
    const { view, base } = message(checked);
    const header = new DataView(view.buffer.slice(0));
    view.buffer.transfer();
    const at = (base + 128).toString(16);
    return [
      // The call keeps the view: what is collected was freed, and not transferred away.
      () => checked.libc.sendmsg(-1, header, view.buffer.detached ? 0 : 1),
      new RegExp(`msg_name .* 0x${at}, .*transferred away, in a buffer of 512 bytes, its address`),
    ];
  },

  "a system call without a description": ({ libc }) => [
    () => libc.syscall(0n, 0n, 0n, null, 0n),
    /^Cannot call syscall: argument 0 is 0/,
  ],
  "a system call with an address that nobody took": ({ libc, abi }) => [
    () => libc.syscall(BigInt(abi.syscalls!.clock_gettime), 1n, 0x5000n, null, 0n),
    /^Cannot call clock_gettime: argument 2 is 0x5000, for 16 bytes/,
  ],
  "a system call with too short a memory": ({ libc, abi, runtime }) => {
    const at = BigInt(runtime.addressOf(bytes(15)));
    const number = BigInt(abi.syscalls!.clock_gettime);
    return [() => libc.syscall(number, 1n, at, null, 0n), /1 of them beyond a buffer of 15 bytes/];
  },
  "a system call with a view that it does not take": ({ libc, abi }) => [
    () => libc.syscall(BigInt(abi.syscalls!.pidfd_open), 1n, 0n, bytes(8), 0n),
    /^Cannot call pidfd_open: argument 3 is a view/,
  ],
  "a list of requests that is too short": ({ libc, abi }) => [
    () => libc.syscall(BigInt(abi.syscalls!.io_submit), 1n, 2n, bytes(8), 0n),
    /^Cannot call io_submit: argument 3 has 8 bytes, and the call takes 16/,
  ],
  "a request at an address that nobody took": ({ libc, abi }) => {
    const list = BigUint64Array.of(0x5000n);
    const number = BigInt(abi.syscalls!.io_submit);
    return [() => libc.syscall(number, 1n, 1n, list, 0n), /request 0 of argument 3 is 0x5000/];
  },
  "a request of an unknown kind": ({ libc, abi, runtime }) => {
    const request = bytes(kernelLayouts.iocb.size);
    const list = BigUint64Array.of(BigInt(runtime.addressOf(request)));
    const number = BigInt(abi.syscalls!.io_submit);
    return [() => libc.syscall(number, 1n, 1n, list, 0n), /request 0 .* is of an unknown kind/];
  },
  "a ring that nobody made": ({ libc, abi }) => [
    () => libc.syscall(BigInt(abi.syscalls!.io_uring_enter), 9999n, 1n, null, 0n),
    /^Cannot call io_uring_enter: argument 1 is a ring whose queues are not known/,
  ],

  "a buffer over an address that nobody took": ({ runtime }) => [
    () => runtime.viewAt(0x5000, 8),
    /^Cannot call viewAt: the address is 0x5000, for 8 bytes: nobody took an address there/,
  ],
  "a buffer over more than was made": ({ libc, runtime }) => {
    const at = libc.calloc(2, 8);
    return [() => runtime.viewAt(at, 17), /1 of them beyond memory of 16 bytes, made here/];
  },
  "the address of a shared buffer": ({ runtime }) => [
    () => runtime.addressOf(new Uint8Array(new SharedArrayBuffer(8))),
    /^Cannot call addressOf: the view is over a SharedArrayBuffer/,
  ],
  "the address of a resizable buffer": ({ runtime }) => [
    () => runtime.addressOf(new Uint8Array(new ArrayBuffer(8, { maxByteLength: 16 }))),
    /the view is over a resizable buffer/,
  ],
  "the address of an empty view": ({ runtime }) => [
    () => runtime.addressOf(new Uint8Array(0)),
    /the view is empty/,
  ],
  "the address of a buffer that was transferred away": ({ runtime }) => {
    const gone = detached(8);
    return [() => runtime.addressOf(gone), /the view is over a buffer that was transferred away/];
  },
};

for (const [title, violation] of Object.entries(violations)) {
  test(`debug mode refuses ${title}`, () => {
    const [call, said] = violation(checkedLibc());
    const error = assertThrows(call);
    assertInstanceOf(error, PointerError);
    assertMatch(error.message, said);
    assertMatch(error.message, /\nThis is a mistake in afunix itself: please report it$/);
  });
}

test("debug mode lets a whole message pass, and so all that is no violation", () => {
  const checked = checkedLibc();
  const { view, put } = message(checked);
  const { libc, abi, runtime } = checked;
  // Nobody's descriptor: the kernel is what refuses.
  assertEquals(libc.sendmsg(-1, view, 0), -1);
  put("msg_name", 0);
  put("msg_control", 0);
  put("msg_controllen", 0);
  assertEquals(libc.sendmsg(-1, view, 0), -1);
  assertEquals(libc.recvmmsg(-1, view, 1, 0, null), -1);
  assertEquals(libc.accept4(-1, null, null, 0), -1);
  assertEquals(libc.read(-1, new Uint8Array(0), 0), -1);
  assertEquals(libc.write(-1, new Uint8Array(new SharedArrayBuffer(8)), 8), -1);
  assertEquals(libc.write(-1, new Uint8Array(new ArrayBuffer(8, { maxByteLength: 9 })), 8), -1);
  assertEquals(libc.poll(bytes(4), 0, 0), 0);
  const time = new BigInt64Array(new ArrayBuffer(16));
  const at = BigInt(runtime.addressOf(time));
  assertEquals(libc.syscall(BigInt(abi.syscalls!.clock_gettime), 1n, at, null, 0n), 0n);
  assert(time[0]! > 0n);
});

test("debug mode notices memory that has moved, or that moves when it gets a buffer", () => {
  let at = 0x5000;
  const memory = new MemoryLedger({ addressOf: () => at, viewAt: () => new ArrayBuffer(0) });
  const view = bytes(8);
  assertEquals(memory.addressOf(view), 0x5000);
  memory.checkAddress("read", "argument 1", 0x5004, 4);
  at = 0x6000;
  const check = () => memory.checkAddress("read", "argument 1", 0x5004, 4);
  assertThrows(
    check,
    PointerError,
    "is 0x5004, for 4 bytes, which have moved to 0x6000, in a buffer",
  );
  const moving = new MemoryLedger({ addressOf: () => at++, viewAt: () => new ArrayBuffer(0) });
  const take = () => moving.addressOf(bytes(8));
  assertThrows(
    take,
    PointerError,
    "the view is small and was in the runtime's heap, where it moves",
  );
});

const PAGE = 65536;

/** Memory of this process's own, zeroed, and the flags that made it. */
function mapping({ libc, abi, runtime }: Checked) {
  const { PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_FIXED } = abi.linux!;
  const access = PROT_READ | PROT_WRITE;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const address = libc.mmap(null, PAGE, access, flags, -1, 0n);
  const show = (length = PAGE) => runtime.viewAt(address, length);
  const mapOver = (at: Uint8Array, length: number) =>
    libc.mmap(at, length, access, flags | MAP_FIXED, -1, 0n);
  return { address, show, mapOver };
}

test("debug mode unmaps nothing that is not a whole mapping, or that a buffer shows", () => {
  const checked = checkedLibc();
  const { libc } = checked;
  const { address, show } = mapping(checked);
  const refused = (at: number, length: number, said: RegExp) => {
    const error = assertThrows(() => libc.munmap(BigInt(at), length), PointerError);
    assertMatch(error.message, said);
  };
  refused(address, PAGE / 2, /but not the whole of memory of 65536 bytes, made here/);
  refused(address + 4096, PAGE - 4096, /but not the whole/);
  refused(0x5000, PAGE, /nothing is mapped/);
  const buffer = show();
  refused(address, PAGE, /is still shown by a buffer/);
  buffer.transfer(0);
  assertEquals(libc.munmap(BigInt(address), PAGE), 0);
  refused(address, PAGE, /given back here/);
});

test("debug mode refuses memory that was unmapped, also by a view and by an address within", () => {
  const checked = checkedLibc();
  const { libc, runtime } = checked;
  const { address, show, mapOver } = mapping(checked);
  const at = new Uint8Array(show(1));
  // It carries an address, and keeps nothing mapped.
  assertEquals(mapOver(at, PAGE), address);
  const { view, putPart } = message(checked);
  putPart("iov_base", address + 100);
  assertEquals(libc.sendmsg(-1, view, 0), -1);
  assertEquals(libc.munmap(BigInt(address), PAGE), 0);
  const within = assertThrows(() => libc.sendmsg(-1, view, 0), PointerError);
  assertMatch(within.message, /iov_base 0 .*, in memory of 65536 bytes, made here:.*given back/s);
  const byView = assertThrows(() => libc.write(-1, at, 1), PointerError);
  assertMatch(byView.message, /argument 1 lies in memory of 65536 bytes/);
  assertThrows(() => runtime.viewAt(address, 1), PointerError, "given back here");
  assertThrows(() => runtime.addressOf(at), PointerError, "given back here");
});

test("debug mode maps over nothing but what was mapped", () => {
  const checked = checkedLibc();
  const { show, mapOver } = mapping(checked);
  const own = new Uint8Array(new ArrayBuffer(PAGE));
  assertThrows(() => mapOver(own, PAGE), PointerError, "a view of memory that was not mapped");
  const at = new Uint8Array(show(1));
  assertThrows(() => mapOver(at, PAGE + 1), PointerError, "1 of them beyond memory");
});

/** A relay with all that it opened, and the memory of its requests; null where there is no io_uring. */
function ringed(checked: Checked) {
  const { runtime, libc, abi, descriptors } = checked;
  const ends = new Int32Array(new ArrayBuffer(8));
  libc.pipe2(ends, abi.constants.O_CLOEXEC);
  const shown: ArrayBuffer[] = [];
  const viewAt = (address: number, length: number) => {
    const buffer = runtime.viewAt(address, length);
    shown.push(buffer);
    return buffer;
  };
  const parts = { libc, abi, from: ends[0]!, into: ends[1]! };
  const relay = relayByUring({ ...parts, runtime: { ...runtime, viewAt } });
  const close = () => {
    for (const [fd] of descriptors.loose()) libc.close(fd);
  };
  if (relay !== null) return { relay, requests: shown[1]!, close };
  close();
  return null;
}

/** Whether this kernel has an io_uring, and permits it. */
function hasRing(): boolean {
  const ring = ringed(checkedLibc());
  ring?.close();
  return ring !== null;
}

test("debug mode looks at what an io_uring is to write", { skip: !hasRing() }, () => {
  const { relay, requests, close } = ringed(checkedLibc())!;
  const { size, fields } = kernelLayouts.io_uring_sqe;
  const request = (index: number) => new DataView(requests, index * size, size);
  const refused = (index: number, field: keyof typeof fields, value: number, said: RegExp) => {
    const before = readField(request(index), fields[field]);
    writeField(request(index), fields[field], value);
    const error = assertThrows(() => relay.arm(), PointerError);
    assertMatch(error.message, said);
    writeField(request(index), fields[field], before);
  };
  try {
    refused(
      1,
      "addr",
      0x5000,
      /^Cannot call io_uring_enter: addr of request 1 of the queue is 0x5/,
    );
    refused(1, "len", 2 ** 20, /addr of request 1 of the queue .* beyond memory of/);
    refused(0, "opcode", 1, /request 0 of the queue is of an unknown kind/);
    relay.arm();
  } finally {
    close();
  }
});

test("a relay that is closed leaves nothing to see of the memory that it gives back", {
  skip: !hasRing(),
}, () => {
  const { relay, requests, close } = ringed(checkedLibc())!;
  try {
    relay.arm();
    // Debug mode refuses to unmap what a buffer still shows.
    relay.close();
    assertEquals(requests.byteLength, 0);
  } finally {
    close();
  }
});
