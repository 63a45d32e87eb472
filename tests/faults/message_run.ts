/**
 * A run of steps over the two ends of a datagram or seqpacket connection.
 * @module
 */

import { UnixDatagram, UnixSeqpacket, UnixSeqpacketListener } from "../../mod.ts";
import { type MessageChannel, MessageEnd } from "./message_end.ts";
import { doMessageStep } from "./message_steps.ts";
import { judgeMessages } from "./model_messages.ts";
import { LAST, type Plan, type Step } from "./plan.ts";
import { TwoEnds } from "./two_ends.ts";
import type { World } from "./world.ts";

export async function runMessages(world: World, plan: Plan): Promise<void> {
  const channels = await connected(plan);
  plan.buffers.forEach((size, i) => {
    if (size > 0) channels[i]!.sendBufferSize = size;
  });
  const ends = channels.map((channel, i) => {
    const peer = channels[1 - i]!;
    const to = peer.localAddr.kind === "unnamed" ? null : peer.localAddr;
    return new MessageEnd("ab"[i]!, world, channel, plan.manners[i]!, to);
  }) as [MessageEnd, MessageEnd];
  const run = new MessageRun(world, plan, ends);
  await run.run();
  run.judge(0, 1);
  run.judge(1, 0);
}

async function connected({ kind, connected }: Plan): Promise<MessageChannel[]> {
  if (kind === "datagram") {
    if (!connected) return UnixDatagram.pair();
    const a = UnixDatagram.bind({ kind: "unnamed" });
    const b = UnixDatagram.bind({ kind: "unnamed" }).connect(a.localAddr);
    return [a.connect(b.localAddr), b];
  }
  if (!connected) return UnixSeqpacket.pair();
  using listener = UnixSeqpacketListener.listen({ kind: "unnamed" });
  return await Promise.all([UnixSeqpacket.connect(listener.addr), listener.accept()]);
}

class MessageRun extends TwoEnds<MessageEnd> {
  protected override act(step: Step, end: MessageEnd): boolean {
    return doMessageStep(this.world, step, end);
  }

  protected override async drain(index: 0 | 1): Promise<void> {
    const [end, other] = [this.ends[index], this.ends[1 - index]!];
    const isDatagram = this.plan.kind === "datagram";
    for (let id = 1_000_000; end.reads; id++) {
      const step = { ...LAST, id, end: index, what: "receiveMessage", size: 100_000 };
      if (isDatagram && end.byCalls) {
        // No end tells that this was the last.
        const before = end.receipts.length;
        end.receive({ ...step, what: "receiveMessageSync" });
        const isOver = end.receipts.length === before && other.sending.size === 0;
        if (isOver) return;
        await new Promise((resolve) => setTimeout(resolve, 0));
      } else if (isDatagram) {
        if (!end.full) end.receive(step);
        await new Promise((resolve) => setTimeout(resolve, 1));
        if (other.sending.size === 0) break;
      } else {
        end.receive(step);
        await Promise.all(end.receiving);
      }
    }
    if (end.sawEnd) return;
    // What cannot receive to the end must not leave the other end waiting.
    this.closed[index] = true;
    end.channel.close();
  }

  judge(from: 0 | 1, to: 0 | 1): void {
    const [sender, receiver] = [this.ends[from]!, this.ends[to]!];
    const ended = !this.closed[to] && !receiver.wasRefused;
    const { receipts } = receiver;
    const verdict = judgeMessages({ sent: sender.sent, receipts, ended });
    if (verdict !== null) this.world.fail(`from ${sender.name} to ${receiver.name}: ${verdict}`);
  }
}
