import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { abiFor, type Layouts } from "../../ffi/abi/mod.ts";
import { aligned, MessageHeader, type MessagePlan, NAME_ROOM } from "../../ffi/structs/msghdr.ts";
import { bytes } from "../support/mod.ts";

const LAYOUTS: Record<string, Layouts> = {
  "Linux x86_64": abiFor("linux", "x86_64")!.layouts,
  "Linux aarch64": abiFor("linux", "aarch64")!.layouts,
  "macOS": abiFor("darwin", "aarch64")!.layouts,
};

/** Where the one message of these tests has its parts; the header begins at `header`. */
const PLAN: MessagePlan = {
  header: 0,
  iovec: 64,
  name: 80,
  control: 336,
  controlRoom: 32,
  data: 368,
  dataRoom: 16,
};
const SIZE = 384;

/** An address with something in its upper half, as pointers have. */
const BASE = 0x7f12_3456_7000;

/** A little-endian integer in so many bytes, as hexadecimal digits. */
function le(value: number, width: number): string {
  let digits = "";
  let rest = BigInt(value);
  for (let i = 0; i < width; i++, rest >>= 8n) {
    digits += Number(rest & 255n).toString(16).padStart(2, "0");
  }
  return digits;
}

function hex(view: DataView, start: number, length: number): string {
  const all = new Uint8Array(view.buffer, view.byteOffset + start, length);
  return Array.from(all, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A block full of this byte, with a header over it. */
function block(layouts: Layouts, plan: MessagePlan = PLAN, filling = 0): [DataView, MessageHeader] {
  const memory = new Uint8Array(SIZE).fill(filling);
  const view = new DataView(memory.buffer);
  return [view, new MessageHeader(view, BASE, layouts, plan)];
}

/** The members of a msghdr in their order, each followed by the padding that C puts there. */
interface Members {
  name: number;
  nameLength: number;
  iovec: number;
  iovecs: number;
  control: number;
  controlLength: number;
}

const linux = (m: Members, flags = 0): string =>
  le(m.name, 8) + le(m.nameLength, 4) + "00000000" + // msg_name, msg_namelen, padding
  le(m.iovec, 8) + le(m.iovecs, 8) + // msg_iov, msg_iovlen
  le(m.control, 8) + le(m.controlLength, 8) + // msg_control, msg_controllen
  le(flags, 4) + "00000000"; // msg_flags, padding

const darwin = (m: Members, flags = 0): string =>
  le(m.name, 8) + le(m.nameLength, 4) + "00000000" + // msg_name, msg_namelen, padding
  le(m.iovec, 8) + le(m.iovecs, 4) + "00000000" + // msg_iov, msg_iovlen, padding
  le(m.control, 8) + le(m.controlLength, 4) + // msg_control, msg_controllen
  le(flags, 4); // msg_flags

const EXPECTED: Record<string, [size: number, pack: typeof linux]> = {
  "Linux x86_64": [56, linux],
  "Linux aarch64": [56, linux],
  "macOS": [48, darwin],
};

const MEMBERS: Members = {
  name: 0,
  nameLength: 0,
  iovec: BASE + PLAN.iovec,
  iovecs: 1,
  control: 0,
  controlLength: 0,
};

for (const [target, layouts] of Object.entries(LAYOUTS)) {
  const [size, pack] = EXPECTED[target]!;

  test(`MessageHeader on ${target} is born with one iovec over all the room, and nothing else`, () => {
    const [view] = block(layouts);
    assertEquals(layouts.msghdr.size, size);
    assertEquals(hex(view, 0, size), pack(MEMBERS));
    assertEquals(hex(view, PLAN.iovec, 16), le(BASE + PLAN.data, 8) + le(PLAN.dataRoom, 8));
  });

  test(`MessageHeader.makeRoom() on ${target} offers room for a name and for control messages`, () => {
    const [view, header] = block(layouts);
    header.makeRoom(PLAN.controlRoom);
    const offered = {
      ...MEMBERS,
      name: BASE + PLAN.name,
      nameLength: NAME_ROOM,
      control: BASE + PLAN.control,
      controlLength: 32,
    };
    assertEquals(hex(view, 0, size), pack(offered));
  });

  test(`MessageHeader.makeRoom() on ${target} offers no more than there is`, () => {
    const [, header] = block(layouts);
    assertThrows(() => header.makeRoom(PLAN.controlRoom + 1), RangeError);
  });

  test(`MessageHeader.makeRoom() on ${target} offers no control messages where none are wanted`, () => {
    const [view, header] = block(layouts);
    header.makeRoom(PLAN.controlRoom);
    header.makeRoom(0);
    const offered = { ...MEMBERS, name: BASE + PLAN.name, nameLength: NAME_ROOM };
    assertEquals(hex(view, 0, size), pack(offered));
  });

  test(`MessageHeader.makeRoom() on ${target} takes back all that a kernel wrote`, () => {
    const [view, header] = block(layouts);
    header.makeRoom(PLAN.controlRoom);
    const fresh = hex(view, 0, size);
    const { msg_namelen, msg_controllen, msg_flags } = layouts.msghdr.fields;
    for (const [offset] of [msg_namelen, msg_controllen, msg_flags]) {
      view.setUint32(offset, 0xfedc_ba98, true);
    }
    assertNotEquals(hex(view, 0, size), fresh);
    header.makeRoom(PLAN.controlRoom);
    assertEquals(hex(view, 0, size), fresh);
  });

  test(`MessageHeader.setData() on ${target} points the iovec at bytes of the block`, () => {
    const [view, header] = block(layouts);
    header.setData(371, 7);
    assertEquals(hex(view, PLAN.iovec, 16), le(BASE + 371, 8) + le(7, 8));
    header.setData(368, 0);
    assertEquals(hex(view, PLAN.iovec, 16), le(BASE + 368, 8) + le(0, 8));
    assertEquals(hex(view, 0, size), pack(MEMBERS));
  });

  test(`MessageHeader.setDestination() on ${target} copies an address and points at it`, () => {
    const [view, header] = block(layouts);
    const address = bytes("an address");
    header.setDestination(address);
    const addressed = { ...MEMBERS, name: BASE + PLAN.name, nameLength: 10 };
    assertEquals(hex(view, 0, size), pack(addressed));
    address.fill(0);
    assertEquals(
      hex(view, PLAN.name, 12),
      hex(new DataView(bytes("an address\0\0").buffer), 0, 12),
    );
    header.setDestination(null);
    assertEquals(hex(view, 0, size), pack(MEMBERS));
  });

  test(`MessageHeader.setDestination() on ${target} has room for the longest address`, () => {
    const [view, header] = block(layouts);
    header.setDestination(new Uint8Array(NAME_ROOM).fill(0xaa));
    assertEquals(hex(view, PLAN.name, NAME_ROOM), "aa".repeat(NAME_ROOM));
    assertEquals(hex(view, PLAN.control, 48), "00".repeat(48));
    const [offset] = layouts.msghdr.fields.msg_namelen;
    assertEquals(view.getUint32(offset, true), NAME_ROOM);
  });

  test(`MessageHeader on ${target} reads what a kernel wrote: lengths and flags`, () => {
    const [view, header] = block(layouts);
    const { msg_namelen, msg_controllen, msg_flags } = layouts.msghdr.fields;
    view.setUint32(msg_namelen[0], 0x6f, true);
    view.setUint32(msg_controllen[0], 24, true);
    view.setUint32(msg_flags[0], 0x4000_0020, true);
    assertEquals([header.nameLength, header.controlLength, header.flags], [0x6f, 24, 0x4000_0020]);
  });

  test(`MessageHeader on ${target} writes no byte outside of its own header, iovec and name`, () => {
    const plan = { ...PLAN, header: 8, iovec: 72, name: 96, control: 358, data: 368 };
    const memory = new Uint8Array(SIZE).fill(0xee);
    const view = new DataView(memory.buffer);
    const header = new MessageHeader(view, BASE, layouts, plan);
    header.makeRoom(PLAN.controlRoom);
    header.setDestination(bytes("name"));
    header.setData(368, 16);
    const touched = (i: number) =>
      i >= 8 && i < 8 + size || i >= 72 && i < 88 || i >= 96 && i < 100;
    const outside = memory.filter((_, i) => !touched(i));
    assert(outside.every((byte) => byte === 0xee));
  });

  test(`MessageHeader on ${target} is relative to its view, and two in one block stay apart`, () => {
    const memory = new Uint8Array(640);
    const view = new DataView(memory.buffer, 256);
    const first = new MessageHeader(view, BASE, layouts, { ...PLAN, header: 0, iovec: 128 });
    new MessageHeader(view, BASE, layouts, { ...PLAN, header: 64, iovec: 144, data: 250 });
    assertEquals(hex(view, 0, size), pack({ ...MEMBERS, iovec: BASE + 128 }));
    assertEquals(hex(view, 64, size), pack({ ...MEMBERS, iovec: BASE + 144 }));
    first.setData(1, 2);
    assertEquals(hex(view, 128, 32), le(BASE + 1, 8) + le(2, 8) + le(BASE + 250, 8) + le(16, 8));
    assert(memory.subarray(0, 256).every((byte) => byte === 0));
  });
}

for (const target of ["Linux x86_64", "Linux aarch64"]) {
  test(`MessageHeader.controlLength on ${target} is the lower half: musl calls the upper one padding`, () => {
    const [view, header] = block(LAYOUTS[target]!);
    const [offset, width] = LAYOUTS[target]!.msghdr.fields.msg_controllen;
    assertEquals(width, 8);
    view.setUint32(offset, 32, true);
    view.setUint32(offset + 4, 0xdead_beef, true);
    assertEquals(header.controlLength, 32);
  });

  test(`MessageHeader on ${target} clears the upper halves of its lengths, which musl never reads`, () => {
    const [view, header] = block(LAYOUTS[target]!, PLAN, 0xff);
    header.makeRoom(PLAN.controlRoom);
    const { msg_iovlen, msg_controllen } = LAYOUTS[target]!.msghdr.fields;
    assertEquals(hex(view, msg_iovlen[0], 8), le(1, 8));
    assertEquals(hex(view, msg_controllen[0], 8), le(32, 8));
  });
}

test("aligned() rounds up to sixteen bytes, as every struct here needs at most", () => {
  assertEquals([0, 1, 15, 16, 17, 56, 64].map(aligned), [0, 16, 16, 16, 32, 64, 64]);
});
