import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { cmsg, file, MessageBlock, native } from "../../ffi/mod.ts";
import { Fd, ReceiveBatch, type UnixDatagram, UnixStream } from "../../mod.ts";
import { programCommand, underDescriptorLimit } from "../support/listening.ts";
import { bytes, run, text } from "../support/mod.ts";
import {
  assertEnded,
  type Carrier,
  CARRIER_NAMES,
  type CarrierName,
  closeEach,
  contentOf,
  copiesOf,
  fileOf,
  filesOf,
  targetOf,
  withCarriers,
} from "../support/passing.ts";
import { works } from "../support/raw.ts";

/** Receives with so much room for control messages; how many descriptors came, and whether all. */
function receiveWithRoom(fd: number, room: number): { count: number; cut: boolean } {
  const { abi } = native();
  const block = new MessageBlock({ messages: 1, data: 64, control: 1024 });
  assertEquals(block.receiveOne(fd, 0, room, 64), 1);
  const { fds } = cmsg.parseControl(abi, block.control(0));
  for (const each of fds) file.close(each);
  return { count: fds.length, cut: (block.flags(0) & abi.constants.MSG_CTRUNC) !== 0 };
}

for (const name of CARRIER_NAMES) {
  test(`G137 ${name}: room of CMSG_SPACE for n descriptors takes n, and CMSG_LEN for one takes one`, async () => {
    await withCarriers(name, async (a, b) => {
      const { abi } = native();
      using one = fileOf("one");
      const target = targetOf(one.fd);
      // Each record of a seqpacket comes with a timestamp before its descriptors.
      const before = name === "UnixSeqpacket" ? cmsg.spaceFor(abi, 16) : 0;
      for (const sent of [1, 2, 3, 10]) {
        const fds = Array.from({ length: sent }, () => one);
        const rooms = [
          { room: cmsg.spaceFor(abi, 4 * sent), count: sent },
          { room: cmsg.lengthOf(abi, 4 * sent), count: sent },
          { room: cmsg.lengthOf(abi, 4), count: 1 },
          // The padding behind one has room for a second.
          { room: cmsg.spaceFor(abi, 4), count: Math.min(2, sent) },
          { room: cmsg.lengthOf(abi, 0), count: 0 },
          { room: 0, count: 0 },
        ];
        for (const { room, count } of rooms) {
          await a.sendMessage(bytes("x"), { fds });
          assertEquals(receiveWithRoom(b.fd, before + room), { count, cut: count < sent });
          assertEquals(copiesOf(target), 1);
        }
      }
    });
  });

  test(`G137 ${name}.receiveMessage({ maxFds }) gets that many, closes the others and says so`, async () => {
    await withCarriers(name, async (a, b) => {
      const files = filesOf(5);
      const targets = files.map(({ fd }) => targetOf(fd));
      for (const maxFds of [0, 1, 2, 4, 5, 6, 253]) {
        for (const sync of [false, true]) {
          await a.sendMessage(bytes("five"), { fds: files });
          const message = sync
            ? b.receiveMessageSync({ maxFds })!
            : (await b.receiveMessage({ maxFds }))!;
          const expected = ["0", "1", "2", "3", "4"].slice(0, maxFds);
          assertEquals(message.fds.map(contentOf), expected);
          assertEquals(message.controlTruncated, maxFds < 5);
          assertEquals(text(message.data), "five");
          assertEquals(copiesOf(targets[4]!), maxFds < 5 ? 1 : 2);
          message.close();
        }
      }
      await a.sendMessage(bytes("none"));
      assertEquals((await b.receiveMessage({ maxFds: 0 }))!.controlTruncated, false);
      closeEach(files);
    });
  });

  test(`G139 ${name}.receiveMessage() has room for 253 descriptors, credentials and a pidfd together`, async () => {
    await withCarriers(name, async (a, b) => {
      b.passCredentials = true;
      b.passPidfd = true;
      using one = fileOf("one");
      const fds = Array.from({ length: 253 }, () => one);
      for (const receive of [() => b.receiveMessage(), () => b.receiveMessageSync()]) {
        await a.sendMessage(bytes("all"), { fds, credentials: true });
        using message = (await receive())!;
        assertEquals([message.fds.length, message.controlTruncated], [253, false]);
        assertEquals(message.credentials?.pid, process.pid);
        assert(message.pidfd !== null);
        assertEquals(text(message.data), "all");
      }
    });
  });

  test(`G149 ${name}: peeks at a message install no descriptor, and receiveMessage() gets them after that`, async () => {
    await withCarriers(name, async (a, b) => {
      const files = filesOf(2);
      const targets = files.map(({ fd }) => targetOf(fd));
      await a.sendMessage(bytes("peeked"), { fds: files });
      for (let times = 0; times < 3; times++) {
        assertEquals(await peek(b, false), "peeked");
        assertEquals(await peek(b, true), "peeked");
        assertEquals(targets.map(copiesOf), [1, 1]);
      }
      using message = (await b.receiveMessage())!;
      assertEquals(message.fds.map(contentOf), ["0", "1"]);
      assertEquals(targets.map(copiesOf), [2, 2]);
      closeEach(files);
    });
  });

  test(`G154 ${name}.close() with unread descriptors in the queue lets go of all of them`, async () => {
    await withCarriers(name, async (a, b) => {
      const [reader, writer] = Fd.pipe();
      for (let i = 0; i < 5; i++) {
        await a.sendMessage(bytes("x"), { fds: Array.from({ length: 50 }, () => writer) });
      }
      writer.close();
      b.close();
      await assertEnded(reader);
      reader.close();
    });
  });
}

async function peek(socket: Carrier, sync: boolean): Promise<string> {
  if (!(socket instanceof UnixStream)) {
    return text((sync ? socket.peekSync() : await socket.peek())!.data);
  }
  const buffer = new Uint8Array(64);
  return text(buffer.subarray(0, (sync ? socket.peekSync(buffer) : await socket.peek(buffer))!));
}

// Ways to receive that let no descriptor in

type Plain = (socket: Carrier) => unknown;

const buffer = new Uint8Array(64);
const STREAM: Record<string, (stream: UnixStream) => unknown> = {
  "read()": (stream) => stream.read(buffer),
  "readSync()": (stream) => stream.readSync(buffer),
  async "iteration"(stream) {
    for await (const _ of stream) break;
  },
  "readable": (stream) => stream.readable.getReader().read(),
};
const MESSAGES: Record<string, (socket: Exclude<Carrier, UnixStream>) => unknown> = {
  "receive()": (socket) => socket.receive(),
  "receiveSync()": (socket) => socket.receiveSync(),
  "receiveMany()": (socket) => socket.receiveMany(new ReceiveBatch()),
  "receiveManySync()": (socket) => socket.receiveManySync(new ReceiveBatch()),
};
const DATAGRAMS: Record<string, (socket: UnixDatagram) => unknown> = {
  ...MESSAGES,
  "receiveInto()": (socket) => socket.receiveInto(buffer),
  "receiveIntoSync()": (socket) => socket.receiveIntoSync(buffer),
};
const PLAIN = {
  UnixStream: STREAM,
  UnixDatagram: DATAGRAMS,
  UnixSeqpacket: MESSAGES,
} as Record<CarrierName, Record<string, Plain>>;

for (const name of CARRIER_NAMES) {
  for (const [how, receive] of Object.entries(PLAIN[name])) {
    test(`G140 ${name} ${how} closes the descriptors that come with what it gets`, async () => {
      await withCarriers(name, async (a, b) => {
        const [reader, writer] = Fd.pipe();
        const target = targetOf(writer.fd);
        await a.sendMessage(bytes("x"), { fds: [writer, writer], transfer: true });
        await receive(b);
        await assertEnded(reader);
        assertEquals(copiesOf(target), 1);
        reader.close();
      });
    });
  }
}

// Limits of a process

/** An id that nobody else has: the kernel counts what is under way for each user. */
const nobody = String(100_000 + process.pid);
const isRoot = process.getuid!() === 0;

function asNobody(command: readonly string[]): string[] {
  if (!isRoot) return [...command];
  return ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", ...command];
}

async function resultOf(command: readonly string[]): Promise<unknown> {
  const { code, stdout, stderr } = await run(command);
  assertEquals([stderr, code], ["", 0]);
  return JSON.parse(stdout);
}

const cannotChangeUser = works(asNobody(["true"])) ? false : "needs setpriv and its rights";

for (const name of CARRIER_NAMES) {
  test(
    `G151 ${name}.sendMessage() fails with ETOOMANYREFS when more descriptors are under way than a user may have open`,
    { skip: cannotChangeUser },
    async () => {
      const command = programCommand("passing_limits", ["under way", name]);
      const result = await resultOf(asNobody(underDescriptorLimit(64, command)));
      const { sent, ...rest } = result as { sent: number };
      // Before the eighth 70 are under way. Other programs of the same user may have some too.
      if (isRoot) assertEquals(sent, 7);
      else assert(sent <= 7, `${sent}`);
      assertEquals(rest as unknown, {
        code: "ETOOMANYREFS sendmsg",
        waiting: "ETOOMANYREFS sendmsg",
        transferred: "ETOOMANYREFS sendmsg",
        kept: true,
        plain: "ok",
        received: 10,
        afterwards: "ok",
      });
    },
  );

  test(`${name}.receiveMessage() without a free descriptor gets the data, and none of the descriptors if not all`, async () => {
    const command = programCommand("passing_limits", ["receiving", name]);
    assertEquals(await resultOf(underDescriptorLimit(256, command)), [
      { length: 4, fds: 0, controlTruncated: true, free: 2 },
      "2 free",
      { length: 4, fds: 2, controlTruncated: false, free: 0 },
      "2 free",
      { length: 4, fds: 0, controlTruncated: true, free: 0 },
      "0 free",
    ]);
  });

  test(`${name}.sendMessage() that would wait and cannot duplicate its descriptors fails with EMFILE, and keeps all`, async () => {
    const command = programCommand("passing_limits", ["waiting", name]);
    assertEquals(await resultOf(underDescriptorLimit(256, command)), {
      code: "EMFILE fcntl",
      free: 1,
      kept: true,
      fds: 2,
    });
  });
}
