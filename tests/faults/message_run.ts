/**
 * A run of steps over the two ends of a datagram or seqpacket connection.
 * @module
 */

import { UnixDatagram, UnixSeqpacket, UnixSeqpacketListener } from "../../mod.ts";
import { type MessageChannel, MessageEnd } from "./message_end.ts";
import { doMessageStep } from "./message_steps.ts";
import { judgeMessages } from "./model_messages.ts";
import { describe, LAST, type Plan, type Step } from "./plan.ts";
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
  for (const step of plan.steps) await run.step(step);
  await run.finish();
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

class MessageRun {
  readonly #world: World;
  readonly #plan: Plan;
  readonly #ends: readonly [MessageEnd, MessageEnd];
  /** Whether an end was closed before it had received all. */
  readonly #closed = [false, false];

  constructor(world: World, plan: Plan, ends: readonly [MessageEnd, MessageEnd]) {
    this.#world = world;
    this.#plan = plan;
    this.#ends = ends;
  }

  async step(step: Step): Promise<void> {
    const { journal } = this.#world;
    journal.note(describe(step));
    journal.count("operations");
    if (await this.#world.disturb(step)) return;
    const end = this.#ends[step.end];
    if (end.full) await this.#world.turns(20);
    if (!end.full && doMessageStep(this.#world, step, end)) this.#closed[step.end] = true;
    await this.#world.turns(step.turns);
    if (step.choice % 3 === 0) { for (const one of this.#ends) one.closeLater(); }
  }

  /** Lets everything come to its end: what waits, what is under way, and both ends. */
  async finish(): Promise<void> {
    this.#world.journal.note("the end");
    this.#world.abort("all");
    this.#world.faults.restore();
    this.#world.giveBack();
    const ending = this.#ends.map(async (end) => {
      if (!this.#plan.hasty) await Promise.all(end.sending);
      await end.endSending();
    });
    await Promise.all([...ending, this.#drain(0), this.#drain(1)]);
    for (const end of this.#ends) end.channel.close();
    await Promise.all(this.#ends.flatMap((end) => [...end.sending, ...end.receiving]));
    for (const end of this.#ends) end.closeLater();
  }

  /** Receives all that an end can still get. */
  async #drain(index: 0 | 1): Promise<void> {
    const [end, other] = [this.#ends[index], this.#ends[1 - index]!];
    const isDatagram = this.#plan.kind === "datagram";
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
    this.#closed[index] = true;
    end.channel.close();
  }

  judge(from: 0 | 1, to: 0 | 1): void {
    const [sender, receiver] = [this.#ends[from]!, this.#ends[to]!];
    const ended = !this.#closed[to] && !receiver.wasRefused;
    const { receipts } = receiver;
    const verdict = judgeMessages({ sent: sender.sent, receipts, ended });
    if (verdict !== null) this.#world.fail(`from ${sender.name} to ${receiver.name}: ${verdict}`);
  }
}
