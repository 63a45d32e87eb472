/**
 * ROUNDS EACH: descriptors through a pair, EACH with every byte, closed on arrival. How many a
 * second.
 * @module
 */

import { cmsg, MessageBlock, native } from "../../ffi/mod.ts";
import { type ReceivedMessage, UnixStream } from "../../mod.ts";
import { expect, timed } from "./timed.ts";

const data = Uint8Array.of(7);
const [a, b] = UnixStream.pair();

function closeAll(message: ReceivedMessage | null, each: number): void {
  expect(message?.fds.length === each, "Too few arrived");
  for (const fd of message!.fds) fd.close();
}

/** No object for what arrives. */
function floor(fds: number[]): () => void {
  const { abi, libc } = native();
  const control = { fds, credentials: null };
  const size = { messages: 1, data: 1, control: cmsg.fullRoom(abi) };
  const [out, received] = [new MessageBlock(size), new MessageBlock(size)];
  out.describe(0, 0, 1, null, control);
  return () => {
    out.sendOne(a.fd);
    received.receiveOne(b.fd, 0, size.control, 1);
    const arrived = received.controlMessages(0).fds;
    expect(arrived.length === fds.length, "Too few arrived");
    for (const fd of arrived) libc.close(fd);
  };
}

export async function contend(api: string, args: string[]): Promise<number> {
  const [rounds, each] = args.map(Number) as [number, number];
  const fds = new Array<number>(each).fill(a.fd);
  const ways: Record<string, () => unknown> = {
    raw: floor(fds),
    sync() {
      a.sendMessageSync(data, { fds });
      closeAll(b.receiveMessageSync(), each);
    },
    async async() {
      await a.sendMessage(data, { fds });
      closeAll(await b.receiveMessage(), each);
    },
  };
  const messages = Math.ceil(rounds / each);
  const milliseconds = await timed(messages, api === "async", ways[api]!);
  return messages * each / (milliseconds / 1000);
}
