/**
 * One side of a storm of descriptors. Arguments: what to do, a seed, how many descriptors, and paths.
 *
 * `lose`: receives from itself, loses half of the messages, and collects garbage until its descriptor
 * table is what it was; prints "ok", or what is still open.
 * Otherwise it connects to the path of each type of socket, sends and receives on all of them, and
 * prints as JSON what it sent and received on each, and how its descriptor table changed.
 */

import process from "node:process";
import { Fd, UnixDatagram, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { descriptorTable, openForSignals, tableChanges } from "../support/descriptor_table.ts";
import { generator } from "../support/random.ts";
import { type AnySocket, narrowPair, receiveStorm, sendStorm, TYPES } from "../support/storms.ts";
import { collect } from "../support/garbage.ts";

const [what, ...rest] = process.argv.slice(2) as [string, ...string[]];
const [seed, total] = rest.map(Number) as [number, number];
const [streamPath, datagramPath, seqpacketPath] = rest.slice(2);
const say = (text: string) => new Promise((resolve) => process.stdout.write(`${text}\n`, resolve));

/** A storm between two ends here, closed afterwards. */
async function storm(
  index: number,
  total: number,
  manner: "leave" | "lose",
  witness: Fd,
): Promise<void> {
  const random = generator(seed + index);
  const [a, b] = narrowPair(TYPES[index % TYPES.length]!);
  await Promise.all([sendStorm(a, witness, total, random), receiveStorm(b, random, { manner })]);
  a.close();
  b.close();
}

async function lose(): Promise<void> {
  const [reader, witness] = Fd.pipe();
  await storm(0, 500, "leave", witness);
  const before = descriptorTable();
  const changes = () => tableChanges(before, descriptorTable());
  // In parts, so that what is lost never fills the table.
  const parts = 20;
  for (let part = 0; part < parts; part++) {
    await storm(part, total / parts, part % 2 === 0 ? "lose" : "leave", witness);
    await collect();
  }
  for (let round = 0; round < 300 && changes().length > 0; round++) {
    // Other messages take the places where a conservative collector sees the last of the lost.
    await storm(round, 50, "leave", witness);
    await collect();
  }
  await say(changes().join("\n") || "ok");
  reader.close();
  witness.close();
}

async function exchange(): Promise<void> {
  const [reader, witness] = Fd.pipe();
  // Whatever the runtime opens for waiting is open after this.
  await storm(0, 500, "leave", witness);
  const before = descriptorTable();
  const datagram = UnixDatagram.bind(`${datagramPath}.peer`).connect(datagramPath!);
  const sockets: AnySocket[] = [
    await UnixStream.connect(streamPath!),
    datagram,
    await UnixSeqpacket.connect(seqpacketPath!),
  ];
  const logs = await Promise.all(sockets.map(async (socket, index) => {
    socket.sendBufferSize = 1;
    const random = generator(seed + index);
    const [sent, received] = await Promise.all([
      sendStorm(socket, witness, total, random),
      receiveStorm(socket, random),
    ]);
    return { sent: [...sent], received: [...received] };
  }));
  for (const socket of sockets) socket.close();
  await say(JSON.stringify({ logs, changes: tableChanges(before, descriptorTable()) }));
  reader.close();
  witness.close();
}

openForSignals();
if (what === "lose") await lose();
else await exchange();
