/**
 * A run of steps over the two ends of a stream, or of a pipe.
 * @module
 */

import { Fd, UnixListener, UnixStream } from "../../mod.ts";
import { ByteEnd } from "./byte_end.ts";
import { doByteStep, READS, standInLine } from "./byte_steps.ts";
import { judgeBytes } from "./model_bytes.ts";
import { LAST, type Plan, type Step } from "./plan.ts";
import { TwoEnds } from "./two_ends.ts";
import type { World } from "./world.ts";

export async function runBytes(world: World, plan: Plan): Promise<void> {
  const isPipe = plan.kind === "fd";
  const channels = isPipe ? Fd.pipe().toReversed() : await streams(plan);
  const ends = channels.map((channel, i) =>
    new ByteEnd("ab"[i]!, world, channel, plan.manners[i]!)
  ) as [ByteEnd, ByteEnd];
  const run = new ByteRun(world, plan, ends);
  await run.run();
  run.judge(0, 1);
  if (!isPipe) run.judge(1, 0);
}

async function streams({ buffers, connected }: Plan): Promise<[UnixStream, UnixStream]> {
  let pair: [UnixStream, UnixStream];
  if (connected) {
    using listener = UnixListener.listen({ kind: "unnamed" });
    const [client, server] = await Promise.all([
      UnixStream.connect(listener.addr),
      listener.accept(),
    ]);
    pair = [client, server];
  } else {
    pair = UnixStream.pair();
  }
  buffers.forEach((size, i) => {
    if (size > 0) pair[i]!.sendBufferSize = size;
  });
  return pair;
}

class ByteRun extends TwoEnds<ByteEnd> {
  protected override async act(step: Step, end: ByteEnd, other: ByteEnd): Promise<boolean> {
    if (step.what !== "stand in line") return doByteStep(this.world, step, end);
    await standInLine(this.world, step, end, other);
    return false;
  }

  /** Of a pipe, one end only writes, and the other only reads. */
  protected override endFor(step: Step): 0 | 1 {
    if (this.plan.kind !== "fd") return step.end;
    if (step.what.startsWith("write") || step.what === "stand in line") return 0;
    if (READS.includes(step.what) || step.what.startsWith("waitReadable")) return 1;
    return step.end;
  }

  protected override async drain(index: 0 | 1): Promise<void> {
    const end = this.ends[index];
    if (this.plan.kind === "fd" && index === 0) return;
    for (let id = 1_000_000; end.reads; id++) {
      const step = { ...LAST, id, end: index, size: 1 + (id * 7919) % 70_000 };
      if (this.plan.kind === "stream") end.receive({ ...step, what: "receiveMessage" });
      else end.take(step);
      await Promise.all(end.receiving);
    }
    // What cannot read to the end must not leave the other end waiting.
    if (!end.sawEnd) {
      this.closed[index] = true;
      end.channel.close();
    }
  }

  judge(from: 0 | 1, to: 0 | 1): void {
    const [writer, reader] = [this.ends[from]!, this.ends[to]!];
    const ended = reader.sawEnd && !this.closed[to];
    const verdict = judgeBytes({ written: writer.written, read: reader.read, ended });
    if (verdict !== null) this.world.fail(`from ${writer.name} to ${reader.name}: ${verdict}`);
  }
}
