import { test } from "node:test";
import process from "node:process";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Fd, UnixDatagram, UnixListener, UnixSeqpacketListener } from "../../mod.ts";
import { withoutDebugging } from "../support/debug.ts";
import { descriptorTable, openForSignals, tableChanges } from "../support/descriptor_table.ts";
import { Peer } from "../support/interop.ts";
import { programCommand } from "../support/listening.ts";
import { commandFor, run, RUNTIME, RUNTIMES, settled, withTempDir } from "../support/mod.ts";
import { generator, type Random } from "../support/random.ts";
import {
  type AnySocket,
  assertReleased,
  type Log,
  narrowPair,
  receiveStorm,
  sendStorm,
  turns,
  type Type,
  TYPES,
} from "../support/storms.ts";
import { program } from "../support/streams.ts";
import { until } from "../support/waiting.ts";

// Debug mode writes down where each descriptor comes from and goes, which takes too long for a storm.
withoutDebugging();

/** Which choices are made: set AFUNIX_STORM_SEED to what a failure says to see it again. */
const SEED = Number(process.env.AFUNIX_STORM_SEED ?? Math.floor(Math.random() * 1e9));
const TOTAL = 20_000;
const GC_FLAGS = { bun: [], deno: ["--v8-flags=--expose-gc"], node: ["--expose-gc"] }[RUNTIME];
const other = RUNTIMES[(RUNTIMES.indexOf(RUNTIME) + 1) % RUNTIMES.length]!;

/** Runs a storm; a failure says by which seed. */
async function seeded(body: (random: Random) => Promise<void>): Promise<void> {
  try {
    await body(generator(SEED));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`With AFUNIX_STORM_SEED=${SEED}: ${message}`, { cause: error });
  }
}

/**
 * Runs a storm over duplicates of one descriptor, and asserts that in the end none of them is open
 * anywhere, and that the descriptor table is what it was.
 */
async function assertStormPasses(body: (witness: Fd, random: Random) => Promise<void>) {
  openForSignals();
  await seeded(async (random) => {
    // Whatever the runtime opens for waiting is open after this.
    const [reader, writer] = Fd.pipe();
    await exchange("stream", writer, 200, random);
    const before = descriptorTable();
    await body(writer, random);
    await settled();
    assertEquals(tableChanges(before, descriptorTable()), []);
    writer.close();
    await assertReleased(reader);
    reader.close();
  });
}

/** Both ends send and receive; what either sent is what the other received. What the first sent. */
async function exchange(
  type: Type,
  witness: Fd,
  total: number,
  random: Random,
): Promise<Log> {
  const [a, b] = narrowPair(type);
  const [sentByA, receivedByA, sentByB, receivedByB] = await Promise.all([
    sendStorm(a, witness, total, random),
    receiveStorm(a, random),
    sendStorm(b, witness, total, random),
    receiveStorm(b, random),
  ]);
  a.close();
  b.close();
  assertEquals(inOrder(receivedByB), inOrder(sentByA));
  assertEquals(inOrder(receivedByA), inOrder(sentByB));
  return sentByA;
}

function inOrder(log: Iterable<[number, number]>): [number, number][] {
  return [...log].sort(([a], [b]) => a - b);
}

for (const type of TYPES) {
  test(`G161 a storm of descriptors through a ${type} pair, with aborts on both sides, brings just what was sent and leaves none open`, async () => {
    await assertStormPasses(async (witness, random) => {
      const sent = await exchange(type, witness, TOTAL / 2, random);
      // Some were given up, and those between them were not.
      const last = Math.max(...sent.keys());
      assert(sent.size > last / 2 && sent.size <= last, `${sent.size} of ${last + 1} were sent`);
    });
  });

  test(`G154 storms of descriptors through ${type} pairs that close at any moment leave none open`, async () => {
    await assertStormPasses(async (witness, random) => {
      const rounds = 150;
      const ofOne = Math.ceil(TOTAL / rounds);
      const round = async () => {
        const ends = narrowPair(type);
        const [first, second] = random(2) === 0 ? ends : ends.toReversed() as typeof ends;
        // A datagram receiver is not told that its peer has gone.
        const stop = new AbortController();
        const working = ends.flatMap((end) => [
          sendStorm(end, witness, ofOne, random),
          receiveStorm(end, random, { stop: stop.signal }),
        ]);
        await turns(random(30));
        first.close();
        await turns(random(10));
        second.close();
        stop.abort();
        await Promise.all(working);
      };
      for (let i = 0; i < rounds; i += 3) await Promise.all([round(), round(), round()]);
    });
  });

  test(`G140 a storm of descriptors through a ${type} pair whose receiver takes half of the messages without them leaves none open`, async () => {
    await assertStormPasses(async (witness, random) => {
      const [a, b] = narrowPair(type);
      const [sent, received] = await Promise.all([
        sendStorm(a, witness, TOTAL, random),
        receiveStorm(b, random, { manner: "plain" }),
      ]);
      a.close();
      b.close();
      assertEquals(inOrder(received), inOrder(sent));
    });
  });
}

/** What the other process says in the end. */
interface PeerReport {
  logs: { sent: [number, number][]; received: [number, number][] }[];
  changes: string[];
}

/** A process under the other runtime that storms, and this side's end of each of its sockets. */
async function withStormingPeer(
  seed: number,
  total: number,
  body: (peer: Peer, sockets: readonly AnySocket[]) => Promise<void>,
): Promise<void> {
  const before = descriptorTable();
  await withTempDir(async (directory) => {
    const paths = TYPES.map((type) => join(directory, type));
    const [streamPath, datagramPath, seqpacketPath] = paths as [string, string, string];
    using streams = UnixListener.listen(streamPath);
    using datagram = UnixDatagram.bind(datagramPath);
    using seqpackets = UnixSeqpacketListener.listen(seqpacketPath);
    const command = commandFor(other, program("descriptor_storm.ts"));
    await using peer = new Peer([...command, "exchange", `${seed}`, `${total}`, ...paths]);
    using stream = await streams.accept();
    using seqpacket = await seqpackets.accept();
    datagram.connect(`${datagramPath}.peer`);
    const sockets = [stream, datagram, seqpacket];
    for (const socket of sockets) socket.sendBufferSize = 1;
    await body(peer, sockets);
    await peer.finished;
  });
  // Bun closes its ends of a child's pipes a little after it has said that they are closed.
  const isAsBefore = () => tableChanges(before, descriptorTable()).length === 0;
  await until(isAsBefore, "the descriptor table is what it was");
}

test(`G161 storms of descriptors to and from a process under ${other} bring just what was sent, and leave none open on either side`, async () => {
  const of = Math.ceil(TOTAL / 6);
  await assertStormPasses(async (witness, random) => {
    await withStormingPeer(random(1e6), of, async (peer, sockets) => {
      const logs = await Promise.all(sockets.map(async (socket) => {
        const work = [sendStorm(socket, witness, of, random), receiveStorm(socket, random)];
        const [sent, received] = await Promise.all(work) as [Log, Log];
        return { sent, received };
      }));
      const report = await peer.json<PeerReport>();
      assertEquals(report.changes, [], "the other process's descriptors");
      logs.forEach(({ sent, received }, index) => {
        assertEquals(inOrder(report.logs[index]!.received), inOrder(sent));
        assertEquals(inOrder(received), inOrder(report.logs[index]!.sent));
      });
      await peer.succeeded();
    });
  });
});

test(`G155 a process under ${other} that is killed amid storms of descriptors leaves none open here`, async () => {
  await assertStormPasses(async (witness, random) => {
    for (let round = 0; round < 4; round++) {
      await withStormingPeer(random(1e6), TOTAL, async (peer, sockets) => {
        let left = 50 + random(500);
        const countdown = () => {
          if (--left === 0) peer.kill("SIGKILL");
        };
        const stop = new AbortController();
        const giveUp = () => stop.abort();
        peer.finished.then(giveUp, giveUp);
        await Promise.all(sockets.flatMap((socket) => [
          sendStorm(socket, witness, TOTAL, random),
          receiveStorm(socket, random, { onMessage: countdown, stop: stop.signal }),
        ]));
        assert(left <= 0, "the storm was over before the kill");
        assertEquals((await peer.finished).signal, "SIGKILL");
      });
    }
  });
});

test("G163 received descriptors that a program leaves to using, or loses, are all closed", async () => {
  await seeded(async () => {
    const args = ["lose", String(SEED), String(TOTAL)];
    const command = programCommand("descriptor_storm", args, [...GC_FLAGS]);
    const { code, stdout, stderr } = await run(command);
    assertEquals([stdout, stderr, code], ["ok\n", "", 0]);
  });
});
