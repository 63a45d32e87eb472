import { test } from "node:test";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { cmsg } from "../../ffi/mod.ts";
import {
  CANARY,
  controlBytes,
  type ControlPiece,
  type ControlShape,
  CREDENTIALS,
  hex,
  int32s,
  LINUX,
  MACOS,
  PIDFD,
  RIGHTS,
  SECURITY,
} from "../support/control_messages.ts";
import { bytes } from "../support/mod.ts";

const { packControl, parseControl } = cmsg;

const SHAPES = [LINUX, MACOS];

const NOTHING: cmsg.ControlMessages = {
  fds: [],
  pidfds: [],
  credentials: null,
  securityContext: null,
  malformed: false,
};

function rights(...fds: number[]): ControlPiece {
  return { type: RIGHTS, payload: int32s(...fds) };
}

/** What is found in these control messages. */
function parsed(shape: ControlShape, ...pieces: ControlPiece[]): cmsg.ControlMessages {
  return parseControl(shape.abi, controlBytes(shape, pieces));
}

// Round trips

test("parseControl() finds nothing in no bytes", () => {
  for (const { abi } of SHAPES) assertEquals(parseControl(abi, new Uint8Array(0)), NOTHING);
});

/** The descriptors of one SCM_RIGHTS each. */
const ROUND_TRIPS: number[][][] = [[[42]], [[1, 2]], [[]], [[1, 2], [3, 4, 5], [], [7]]];

for (const groups of ROUND_TRIPS) {
  test(`N239 parseControl() gives back what was packed: ${JSON.stringify(groups)}`, () => {
    for (const shape of SHAPES) {
      const found = { ...NOTHING, fds: groups.flat() };
      const packed = groups.map((fds) => packControl(shape.abi, fds, null));
      assertEquals(parseControl(shape.abi, bytesOf(packed)), found, shape.name);
      // packControl() leaves an empty one out; here it stands as a header without a payload.
      assertEquals(parsed(shape, ...groups.map((fds) => rights(...fds))), found, shape.name);
    }
  });
}

function bytesOf(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

test("N239 parseControl() gives back descriptors and credentials of every count that fits", () => {
  const credentials = { pid: 0x7fff_ffff, uid: 0xffff_fffe, gid: 0x8000_0000 };
  for (let count = 0; count <= 253; count++) {
    const fds = Array.from({ length: count }, (_, i) => i * 7919);
    const packed = packControl(LINUX.abi, fds, credentials);
    assertEquals(parseControl(LINUX.abi, packed), { ...NOTHING, fds, credentials });
    const plain = packControl(MACOS.abi, fds, null);
    assertEquals(parseControl(MACOS.abi, plain), { ...NOTHING, fds });
  }
});

test("parseControl() reports descriptor 0 and the largest number", () => {
  for (const shape of SHAPES) {
    assertEquals(parsed(shape, rights(0, 0x7fff_ffff)).fds, [0, 0x7fff_ffff]);
  }
});

// Kinds and their order

const ALL: ControlPiece[] = [
  { type: CREDENTIALS, payload: int32s(4711, 1000, -2) },
  { type: SECURITY, payload: bytes("system_u:system_r:init_t\0") },
  rights(11, 12, 13),
  { type: PIDFD, payload: int32s(14) },
  { type: 35, payload: new Uint8Array(16).fill(1) },
];

function orders<T>(all: readonly T[]): T[][] {
  if (all.length === 0) return [[]];
  return all.flatMap((one, i) => {
    const others = all.filter((_, j) => j !== i);
    return orders(others).map((order) => [one, ...order]);
  });
}

test("parseControl() finds every kind in every order, on Linux", () => {
  for (const order of orders(ALL)) {
    assertEquals(parsed(LINUX, ...order), {
      fds: [11, 12, 13],
      pidfds: [14],
      credentials: { pid: 4711, uid: 1000, gid: 0xffff_fffe },
      securityContext: bytes("system_u:system_r:init_t"),
      malformed: false,
    });
  }
});

test("parseControl() finds descriptors in every order on macOS, and none of the kinds of Linux", () => {
  for (const order of orders(ALL)) {
    assertEquals(parsed(MACOS, ...order), { ...NOTHING, fds: [11, 12, 13] });
  }
});

test("parseControl() joins several SCM_RIGHTS and several SCM_PIDFD in their order", () => {
  const pieces = [
    rights(9),
    { type: PIDFD, payload: int32s(20) },
    rights(3, 8, 5),
    rights(),
    { type: PIDFD, payload: int32s(19) },
    rights(4, 4),
  ];
  const fds = [9, 3, 8, 5, 4, 4];
  assertEquals(parsed(LINUX, ...pieces), { ...NOTHING, fds, pidfds: [20, 19] });
  assertEquals(parsed(MACOS, ...pieces), { ...NOTHING, fds });
});

test("parseControl() skips a level or a type that it does not know, and goes on behind it", () => {
  const payload = int32s(30, 31, 32);
  for (const shape of SHAPES) {
    const other = shape === LINUX ? 0xffff : 1;
    // Levels of which a byte, or all but the sign, is SOL_SOCKET; and IPPROTO_IP, IPPROTO_TCP.
    for (const level of [0, 6, other, 0x1_0001, 0x1_ffff, 0x0100_0001, 1 << 31 | 1, -1]) {
      for (const type of [RIGHTS, CREDENTIALS, SECURITY, PIDFD]) {
        const found = parsed(shape, rights(5), { level, type, payload }, rights(6));
        assertEquals(found, { ...NOTHING, fds: [5, 6] }, `${shape.name}: ${level} ${type}`);
      }
    }
    for (const type of [0, 5, 29, 35, 37, 0x101, 0x1_0001, 1 << 31 | RIGHTS, -1]) {
      const found = parsed(shape, rights(5), { type, payload }, rights(6));
      assertEquals(found, { ...NOTHING, fds: [5, 6] }, `${shape.name}: type ${type}`);
    }
  }
});

// Payloads

test("parseControl() reports no negative number, which is an errno in the place of a pidfd", () => {
  for (const number of [-1, -3, -24, -(2 ** 31)]) {
    const pidfd = { type: PIDFD, payload: int32s(number) };
    const found = parsed(LINUX, rights(5), pidfd, rights(6));
    assertEquals(found, { ...NOTHING, fds: [5, 6], malformed: true });
    for (const shape of SHAPES) {
      assertEquals(parsed(shape, rights(3, number, 4)).fds, [3, 4], shape.name);
    }
  }
});

test("parseControl() reports the whole numbers of a payload that ends within one", () => {
  for (let odd = 1; odd < 4; odd++) {
    for (let whole = 0; whole < 4; whole++) {
      const numbers = [70, 71, 72].slice(0, whole);
      const payload = bytesOf([int32s(...numbers), new Uint8Array(odd)]);
      for (const shape of SHAPES) {
        const found = parsed(shape, rights(1), { type: RIGHTS, payload }, rights(2));
        assertEquals(found, { ...NOTHING, fds: [1, ...numbers, 2], malformed: true });
      }
      const found = parsed(LINUX, { type: PIDFD, payload }, rights(2));
      assertEquals(found, { ...NOTHING, fds: [2], pidfds: numbers, malformed: true });
    }
  }
});

test("parseControl() reads as many descriptors as a kernel put into a short buffer", () => {
  // The length in the header, the bytes in all, and how many descriptors that is.
  const short: [ControlShape, [length: number, size: number, count: number][]][] = [
    // Linux leaves out the padding that found no room.
    [LINUX, [[16, 16, 0], [20, 20, 1], [20, 22, 1], [20, 24, 1], [24, 24, 2], [28, 28, 3], [
      28,
      31,
      3,
    ]]],
    [MACOS, [[12, 12, 0], [16, 16, 1], [20, 20, 2], [24, 24, 3]]],
  ];
  for (const [shape, rows] of short) {
    for (const [length, size, count] of rows) {
      // What stood in the buffer before looks like more descriptors.
      const all = controlBytes(shape, [{ ...rights(6, 7, 8, 9), length: BigInt(length) }]);
      assertEquals(
        parseControl(shape.abi, all.subarray(0, size)),
        { ...NOTHING, fds: [6, 7, 8].slice(0, count) },
        `${shape.name}: ${size} bytes`,
      );
    }
  }
});

test("parseControl() reads no descriptor out of the padding", () => {
  const [one, three] = [rights(6, 66), rights(7, 8, 9, 99)];
  const pieces = [{ ...one, length: 20n }, { ...three, length: 28n }, rights(10)];
  assertEquals(parsed(LINUX, ...pieces), { ...NOTHING, fds: [6, 7, 8, 9, 10] });
});

test("parseControl() rejects credentials that are not whole, and goes on behind them", () => {
  const whole = int32s(1, 2, 3, 4, 5);
  for (let size = 0; size <= whole.length; size++) {
    const piece = { type: CREDENTIALS, payload: whole.subarray(0, size) };
    const found = parsed(LINUX, piece, rights(5));
    if (size === 12) assertEquals(found.credentials, { pid: 1, uid: 2, gid: 3 });
    else assertEquals(found, { ...NOTHING, fds: [5], malformed: true }, `${size} bytes`);
  }
});

test("parseControl() rejects credentials at the end of a buffer that cuts them", () => {
  const all = controlBytes(LINUX, [rights(5, 6), {
    type: CREDENTIALS,
    payload: int32s(1, 2, 3),
  }]);
  for (let size = 24 + 16; size < 24 + 28; size++) {
    const found = parseControl(LINUX.abi, all.subarray(0, size));
    assertEquals(found, { ...NOTHING, fds: [5, 6], malformed: true }, `${size} bytes`);
  }
  // The padding may be missing.
  const found = parseControl(LINUX.abi, all.subarray(0, 24 + 28));
  assertEquals(found.credentials, { pid: 1, uid: 2, gid: 3 });
  assertEquals(found.malformed, false);
});

test("parseControl() rejects credentials that claim to be longer than the buffer, though 12 bytes are there", () => {
  for (const length of [29n, 32n, 100n, 2n ** 32n + 28n, 2n ** 63n]) {
    const piece = { type: CREDENTIALS, payload: int32s(1, 2, 3), length };
    const all = controlBytes(LINUX, [rights(5, 6), piece]).subarray(0, 24 + 28);
    const found = parseControl(LINUX.abi, all);
    assertEquals(found, { ...NOTHING, fds: [5, 6], malformed: true }, `cmsg_len ${length}`);
  }
});

test("parseControl() ends a security context at its first NUL, or with its payload", () => {
  for (
    const [payload, context] of [["", ""], ["\0", ""], ["a", "a"], ["a\0", "a"], ["ab\0cd\0", "ab"]]
  ) {
    const found = parsed(LINUX, { type: SECURITY, payload: bytes(payload!) }, rights(5));
    assertEquals(found, { ...NOTHING, fds: [5], securityContext: bytes(context!) });
  }
});

test("parseControl() shares no memory with the bytes, and leaves them", () => {
  const all = controlBytes(LINUX, ALL);
  const before = hex(all);
  const found = parseControl(LINUX.abi, all);
  assertEquals(hex(all), before);
  all.fill(0xff);
  assertEquals(found.securityContext, bytes("system_u:system_r:init_t"));
  assertNotEquals(found.securityContext!.buffer, all.buffer);
});

test("parseControl() reads its own part of a larger buffer, wherever that begins", () => {
  for (const shape of SHAPES) {
    const whole = controlBytes(shape, ALL);
    const expected = parseControl(shape.abi, whole);
    assert(expected.fds.length === 3);
    for (let offset = 0; offset < 17; offset++) {
      const memory = new Uint8Array(whole.length + 64).fill(CANARY);
      memory.set(whole, offset);
      const view = memory.subarray(offset, offset + whole.length);
      assertEquals(parseControl(shape.abi, view), expected, `${shape.name} at ${offset}`);
    }
  }
});

// Hostile bytes

test("N238 parseControl() stops at a length that is shorter than a header, and keeps what came before", () => {
  for (const shape of SHAPES) {
    for (let length = 0; length < shape.header; length++) {
      const wrong = { ...rights(7), length: BigInt(length) };
      const found = { ...NOTHING, fds: [5, 6], malformed: true };
      assertEquals(parsed(shape, rights(5, 6), wrong, rights(8)), found, `${length}`);
      assertEquals(parsed(shape, wrong), { ...NOTHING, malformed: true }, `${length}`);
    }
  }
});

test("N238 parseControl() reads no further than the buffer where a length claims more", () => {
  const lengths = [2n ** 15n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 8n, 2n ** 32n - 1n];
  const longer = [2n ** 32n, 2n ** 32n + 20n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n];
  for (const shape of SHAPES) {
    const claims = shape === LINUX ? [...lengths, ...longer] : lengths;
    for (const length of [BigInt(shape.header + 9), BigInt(shape.header + 100), ...claims]) {
      const pieces = [rights(5), { ...rights(6, 7), length }];
      const memory = new Uint8Array(256).fill(CANARY);
      const all = controlBytes(shape, pieces);
      memory.set(all);
      const found = parseControl(shape.abi, memory.subarray(0, all.length));
      assertEquals(
        found,
        { ...NOTHING, fds: [5, 6, 7], malformed: true },
        `${shape.name} ${length}`,
      );
    }
  }
});

test("N238 parseControl() takes what stands behind a wrong length as the next header, and ends", () => {
  for (const shape of SHAPES) {
    // The length covers a header and no payload: the descriptors are where the next header would be.
    for (const count of [1, 2, 3, 4, 50]) {
      const fds = Array.from({ length: count }, () => 5);
      const piece = { ...rights(...fds), length: BigInt(shape.header) };
      const found = parsed(shape, piece, rights(6));
      assertEquals(found.malformed, true, `${shape.name} ${count}`);
      assert(found.fds.every((fd) => fd === 5 || fd === 6));
    }
  }
});

test("N238 parseControl() reads no header that the buffer cuts", () => {
  for (const shape of SHAPES) {
    const first = controlBytes(shape, [rights(5, 6)]);
    const all = controlBytes(shape, [rights(5, 6), rights(7)]);
    for (let size = first.length + 1; size < first.length + shape.header; size++) {
      const found = parseControl(shape.abi, all.subarray(0, size));
      assertEquals(found, { ...NOTHING, fds: [5, 6], malformed: true }, `${shape.name} ${size}`);
    }
    for (let size = 1; size < shape.header; size++) {
      const found = parseControl(shape.abi, all.subarray(0, size));
      assertEquals(found, { ...NOTHING, malformed: true }, `${shape.name} ${size}`);
    }
  }
});
