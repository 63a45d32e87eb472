/**
 * Sends or receives numbered descriptors. Arguments: "sender" or "receiver", and the path. Each message
 * has its number, and two files that contain it.
 */

import process from "node:process";
import { Fd, UnixSeqpacket, UnixSeqpacketListener, type UnixSocketError } from "../../../mod.ts";
import { obey } from "./talk.ts";

const [what, path] = process.argv.slice(2) as [string, string];
const PER_MESSAGE = 2;
const taken: Fd[] = [];

function bytesOf(value: number): Uint8Array {
  const data = new Uint8Array(4);
  new DataView(data.buffer).setUint32(0, value);
  return data;
}

function numberIn(data: Uint8Array): number {
  return new DataView(data.buffer, data.byteOffset, data.byteLength).getUint32(0);
}

/** A file that contains a number. */
function numbered(value: number): Fd {
  const file = Fd.memfd("numbered");
  file.writeSync(bytesOf(value));
  return file;
}

async function sender(): Promise<void> {
  const socket = await UnixSeqpacket.connect(path);
  let sent = 0;
  let refusals = 0;
  let sending: Promise<void> = Promise.resolve();

  /** Sends so many; where too many are under way, tries again after growing pauses. */
  async function send(count: number): Promise<void> {
    for (const end = sent + count; sent < end; sent++) {
      using file = numbered(sent);
      const fds = Array.from({ length: PER_MESSAGE }, () => file);
      for (let pause = 5;; pause = Math.min(2 * pause, 1000)) {
        try {
          await socket.sendMessage(bytesOf(sent), { fds });
          break;
        } catch (error) {
          if ((error as UnixSocketError).code !== "ETOOMANYREFS") throw error;
          refusals++;
          await new Promise((resolve) => setTimeout(resolve, pause));
        }
      }
    }
  }

  await obey({
    begin({ count }: { count: number }) {
      sending = send(count);
      sending.catch(() => {});
    },
    sent: () => ({ sent, refusals }),
    async finish() {
      await sending;
      return { sent, refusals };
    },
  });
}

async function receiver(): Promise<void> {
  using listener = UnixSeqpacketListener.listen(path, { mode: 0o666 });
  const accepting = listener.accept();
  let socket: UnixSeqpacket;
  let next = 0;
  let whole = 0;
  let without = 0;

  async function receive(count: number): Promise<void> {
    socket ??= await accepting;
    for (let i = 0; i < count; i++) {
      using message = (await socket.receiveMessage())!;
      const number = numberIn(message.data);
      if (number !== next++) throw new Error(`message ${number} came instead of ${next - 1}`);
      if (message.fds.length === 0 && message.controlTruncated) without++;
      else if (message.fds.length !== PER_MESSAGE) {
        throw new Error(`message ${number} came with ${message.fds.length} descriptors`);
      } else whole++;
      for (const file of message.fds) {
        const content = new Uint8Array(4);
        file.preadSync(content, 0);
        if (numberIn(content) !== number) throw new Error(`message ${number} has another's file`);
      }
    }
  }

  let receiving: Promise<void> = Promise.resolve();
  await obey({
    begin({ count }: { count: number }) {
      receiving = receive(count);
      receiving.catch(() => {});
    },
    received: () => ({ whole, without }),
    async finish() {
      await receiving;
      return { whole, without };
    },

    /** Takes every free descriptor. */
    fill() {
      try {
        for (;;) taken.push(Fd.open("/dev/null"));
      } catch (error) {
        if ((error as UnixSocketError).code !== "EMFILE") throw error;
      }
    },

    /** Gives them back. */
    free() {
      for (const fd of taken.splice(0)) fd.close();
    },
  });
}

await (what === "sender" ? sender() : receiver());
