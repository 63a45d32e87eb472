import { assert, assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { Fd, UnixDatagram, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { bytes } from "../support/mod.ts";
import { closeEach } from "../support/passing.ts";
import { assertAllRefuse, NOT_BYTES } from "../support/refusals.ts";
import { eventually } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";
import { WAITS, withPlace } from "../support/waits.ts";

type Calls = Record<string, (memory: never) => unknown>;

/** All that sends memory, or receives into it; blocking calls must not wait for ever where they fail to refuse. */
function callsOf(
  { stream, datagram, seqpacket, reader, writer }: {
    stream: UnixStream;
    datagram: UnixDatagram;
    seqpacket: UnixSeqpacket;
    reader: Fd;
    writer: Fd;
  },
): Calls {
  const how = { timeout: 0 };
  const calls: Calls = {
    "UnixStream.read": (memory) => stream.read(memory),
    "UnixStream.readSync": (memory) => stream.readSync(memory, how),
    "UnixStream.peek": (memory) => stream.peek(memory),
    "UnixStream.peekSync": (memory) => stream.peekSync(memory, how),
    "UnixStream.write": (memory) => stream.write(memory),
    "UnixStream.writeSync": (memory) => stream.writeSync(memory, how),
    "Fd.read": (memory) => reader.read(memory),
    "Fd.readSync": (memory) => reader.readSync(memory, how),
    "Fd.write": (memory) => writer.write(memory),
    "Fd.writeSync": (memory) => writer.writeSync(memory, how),
    "UnixDatagram.sendTo": (memory) => datagram.sendTo(memory, "/x"),
    "UnixDatagram.sendToSync": (memory) => datagram.sendToSync(memory, "/x", how),
    "UnixDatagram.receiveInto": (memory) => datagram.receiveInto(memory),
    "UnixDatagram.receiveIntoSync": (memory) => datagram.receiveIntoSync(memory, how),
  };
  for (const [name, object] of Object.entries({ UnixStream: stream, Fd: writer })) {
    calls[`${name}.writeAll`] = (memory) => object.writeAll(memory);
    calls[`${name}.writeAllSync`] = (memory) => object.writeAllSync(memory, how);
  }
  for (const socket of [datagram, seqpacket]) {
    const { name } = socket.constructor;
    calls[`${name}.send`] = (memory) => socket.send(memory);
    calls[`${name}.sendSync`] = (memory) => socket.sendSync(memory, how);
    calls[`${name}.sendMany`] = (memory) => socket.sendMany([memory]);
    calls[`${name}.sendManySync`] = (memory) => socket.sendManySync([memory], how);
  }
  for (const socket of [stream, datagram, seqpacket]) {
    const { name } = socket.constructor;
    calls[`${name}.sendMessage`] = (memory) => socket.sendMessage(memory);
    calls[`${name}.sendMessageSync`] = (memory) => socket.sendMessageSync(memory, how);
  }
  return calls;
}

/** Runs a body with all of these calls, and asserts that they take and send nothing. */
async function withCalls(body: (calls: Calls) => Promise<void>): Promise<void> {
  const pairs = [UnixStream.pair(), UnixDatagram.pair(), UnixSeqpacket.pair()] as const;
  const [[stream, a], [datagram, b], [seqpacket, c]] = pairs;
  const [reader, writer] = Fd.pipe();
  for (const peer of [a, b, c]) peer.sendMessageSync(bytes("kept"));
  await body(callsOf({ stream, datagram, seqpacket, reader, writer }));
  for (const [own, peer] of pairs) {
    assertEquals(own.receiveMessageSync({ timeout: 0 })?.data, bytes("kept"));
    own.sendMessageSync(bytes("next"));
    assertEquals(peer.receiveMessageSync({ timeout: 0 })?.data, bytes("next"));
    closeEach([own, peer]);
  }
  closeEach([reader, writer]);
}

test("L227 whatever reads or writes refuses what is no memory with TypeError", async () => {
  await withCalls((calls) =>
    assertAllRefuse(TypeError, [...NOT_BYTES, new SharedArrayBuffer(4)], calls, "Cannot use")
  );
});

/** Memory that is gone, in each shape. */
function detached(): Record<string, ArrayBufferView | ArrayBuffer> {
  const gone = <T extends ArrayBufferView>(view: T): T => {
    (view.buffer as ArrayBuffer).transfer();
    return view;
  };
  const buffer = new ArrayBuffer(8);
  buffer.transfer();
  return {
    ArrayBuffer: buffer,
    Uint8Array: gone(new Uint8Array(8)),
    Int32Array: gone(new Int32Array(8)),
    DataView: gone(new DataView(new ArrayBuffer(8))),
    Buffer: gone(Buffer.from(new ArrayBuffer(8))),
  };
}

for (const kind of Object.keys(detached())) {
  test(`L227 whatever reads or writes refuses a detached ${kind} with TypeError`, async () => {
    await withCalls((calls) => assertAllRefuse(TypeError, [detached()[kind]], calls));
  });
}

// What goes away while a call waits. A message is copied before it waits where it has to keep its place.

/** How a buffer of sixteen bytes, of which a view takes the second half or all, becomes too small. */
const LOSSES: Record<
  string,
  [says: string, view: () => Uint8Array<ArrayBuffer>, lose: (buffer: ArrayBuffer) => void]
> = {
  "is detached": ["detached", () => new Uint8Array(16), (buffer) => buffer.transfer()],
  "shrinks under a view of all": [
    "shrunk",
    () => new Uint8Array(new ArrayBuffer(16, { maxByteLength: 16 })),
    (buffer) => buffer.resize(15),
  ],
  "shrinks under a view of a part": [
    "shrunk",
    () => new Uint8Array(new ArrayBuffer(16, { maxByteLength: 16 }), 8, 8),
    (buffer) => buffer.resize(12),
  ],
};

for (const wait of WAITS) {
  const { name, purpose, call, callWith } = wait;
  if (callWith === undefined || name.includes("sendMessage")) continue;

  for (const [what, [says, view, lose]] of Object.entries(LOSSES)) {
    test(`L227 ${name} rejects with TypeError when its memory ${what} while it waits, and the next goes on`, () =>
      withPlace(wait, async ({ object, give, take }) => {
        const memory = view().fill(33);
        const message = name.includes("send") ? "detached or resized" : says;
        const failing = assertRejects(
          () => eventually(callWith(object, memory)),
          TypeError,
          message,
        );
        const behind = call(object, {}, "b");
        assert(await isPending(behind));
        lose(memory.buffer);
        if (purpose === "send") assertEquals(take!(), "");
        else give!("b");
        await failing;
        const taken = await eventually(behind);
        if (purpose === "take") assertEquals(taken, "b");
        if (purpose === "send") assertEquals(take!(), "b");
      }));
  }
}
