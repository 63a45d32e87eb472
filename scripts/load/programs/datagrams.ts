/**
 * Sends or receives numbered datagrams. Arguments: what ("writer", "receiver"), the path, and for a
 * writer how many sockets it has and the number of the first.
 */

import process from "node:process";
import { UnixDatagram } from "../../../mod.ts";
import { obey } from "./talk.ts";

const [what, path, sockets, first] = process.argv.slice(2) as [string, string, string, string];

interface Sending {
  count: number;
  /** Whether the sockets are connected, or each datagram has an address. */
  connected: boolean;
}

/** How many of one writer wait at once, which nobody may mix up. */
const AT_ONCE = 8;

async function write(writer: number, { count, connected }: Sending): Promise<void> {
  using socket = UnixDatagram.unbound();
  if (connected) socket.connect(path);
  for (let next = 0; next < count;) {
    const sending: Promise<void>[] = [];
    while (sending.length < AT_ONCE && next < count) {
      const message = new Uint8Array(8);
      const view = new DataView(message.buffer);
      view.setUint32(0, writer);
      view.setUint32(4, next++);
      sending.push(connected ? socket.send(message) : socket.sendTo(message, path));
    }
    await Promise.all(sending);
  }
}

/** Takes so many of each writer, and throws where one is missing, repeated or out of order. */
async function receive(socket: UnixDatagram, writers: number, count: number): Promise<void> {
  const next = new Uint32Array(writers);
  const message = new Uint8Array(9);
  const view = new DataView(message.buffer);
  for (let left = writers * count; left > 0; left--) {
    const { length } = await socket.receiveInto(message);
    const [writer, number] = [view.getUint32(0), view.getUint32(4)];
    if (length !== 8 || writer >= writers || number !== next[writer]) {
      throw new Error(`number ${number} of writer ${writer} came instead of ${next[writer]}`);
    }
    next[writer]!++;
  }
}

if (what === "writer") {
  await obey({
    send: (how: Sending) =>
      Promise.all(
        Array.from({ length: Number(sockets) }, (_, i) => write(Number(first) + i, how)),
      ),
  });
} else {
  const socket = UnixDatagram.bind(path);
  await obey({
    async receive({ writers, count }: { writers: number; count: number }) {
      await receive(socket, writers, count);
      // Nothing may come twice.
      try {
        socket.receiveSync({ timeout: 0 });
      } catch {
        return;
      }
      throw new Error("more came than was sent");
    },
  });
}
