/**
 * A run of steps over the two ends of a datagram or seqpacket connection.
 * @module
 */

import { UnixDatagram, UnixSeqpacket, UnixSeqpacketListener } from "../../mod.ts";
import { type MessageChannel, MessageEnd } from "./message_end.ts";
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

/** Gives the descriptor to a new object. */
function rewrapped(channel: MessageChannel): MessageChannel {
  const Kind = channel instanceof UnixDatagram ? UnixDatagram : UnixSeqpacket;
  return Kind.fromFd(channel.intoFd());
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
    if (!end.full) this.#do(step, end);
    await this.#world.turns(step.turns);
    if (step.choice % 3 === 0) { for (const one of this.#ends) one.closeLater(); }
  }

  #do(step: Step, end: MessageEnd): void {
    if (step.what.startsWith("send")) {
      end.send(step);
      // Right when the data arrive, and in the middle of what waits for them.
      return this.#world.abort("data");
    }
    if (step.what.startsWith("receive") || step.what.startsWith("peek")) return end.receive(step);
    if (!end.channel.closed) this.#control(step, end);
  }

  #control(step: Step, end: MessageEnd): void {
    const { channel } = end;
    switch (step.what) {
      case "close":
      case "dispose":
        this.#closed[step.end] = true;
        if (step.what === "close") return channel.close();
        return channel[Symbol.dispose]();
      case "rewrap":
        if (end.replaceable) end.replace(rewrapped);
        return;
      case "shutdown read":
      case "shutdown write":
        // A datagram socket without a peer, because that has closed, has nothing to end.
        try {
          channel.shutdown(step.what === "shutdown read" ? "read" : "write");
        } catch (error) {
          if ((error as { code?: string }).code !== "ENOTCONN") throw error;
        }
        return;
      case "buffer":
        channel.sendBufferSize = 1 + step.choice % 60_000;
        return;
      case "ref":
        return void channel.ref();
      case "unref":
        return void channel.unref();
      case "look":
        if (channel.bytesReadable < 0 || channel.bytesUnsent < 0) this.#world.fail("below zero");
        return void channel.peerCredentials();
    }
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
