/**
 * What a step does at one end of a stream or a pipe.
 * @module
 */

import { Fd, UnixStream } from "../../mod.ts";
import type { ByteEnd, Channel } from "./byte_end.ts";
import { LAST, type Step } from "./plan.ts";
import { closeBy, controlSocket, isClosing } from "./socket_steps.ts";
import { GIVEN_UP, type World } from "./world.ts";

export const READS: readonly string[] = ["read", "readSync", "readExactly", "peek", "peekSync"];

/** Gives the descriptor to a new object. */
function rewrapped(channel: Channel): Channel {
  return channel instanceof UnixStream
    ? UnixStream.fromFd(channel.intoFd())
    : Fd.adopt(channel.intoFd());
}

/** Goes on with a duplicate. */
function duplicated(channel: Channel): Channel {
  if (channel instanceof UnixStream) return channel;
  const copy = channel.dup();
  channel.close();
  return copy;
}

/** Does a step at one end; whether that closed it. */
export function doByteStep(world: World, step: Step, end: ByteEnd): boolean {
  const { channel } = end;
  if (isClosing(step)) return closeBy(step, channel);
  if (step.what.startsWith("write") || step.what.startsWith("sendMessage")) {
    if (step.what.startsWith("send")) end.send(step);
    else end.write(step);
    // Right when the data arrive, and in the middle of what waits for them.
    world.abort("data");
  } else if (step.what.startsWith("receiveMessage")) {
    end.receive(step);
  } else if (READS.includes(step.what)) {
    // The reads of somebody who wants it all follow each other.
    const times = step.what === "readExactly" ? 1 + step.choice % 4 : 1;
    for (let i = 0; i < times; i++) end.take(step);
  } else if (!channel.closed) {
    control(world, step, end);
  }
  return false;
}

function control(world: World, step: Step, end: ByteEnd): void {
  const { channel } = end;
  switch (step.what) {
    case "rewrap":
      if (end.replaceable) end.replace(rewrapped);
      return;
    case "dup":
      if (!world.isShort) end.replace(duplicated);
      return;
    case "waitReadable":
    case "waitReadableSync":
      return end.waitReadable(step);
  }
  if (channel instanceof UnixStream) controlSocket(world, step, channel);
}

/** Turns that are enough for what an abort wakes. */
const ENOUGH = 4;

/**
 * Has two writes stand in line while nobody reads, a long one and a short one behind it, and gives up the
 * long one. A full pipe may have room for the short one and not for the long one, and no event will ever
 * tell: what could go on has to be tried right then. Whether it was is seen by trying once more.
 */
export async function standInLine(
  world: World,
  step: Step,
  end: ByteEnd,
  other: ByteEnd,
): Promise<void> {
  const busy = () => end.channel.closed || end.sending.size > 0 || other.receiving.size > 0;
  if (!end.replaceable || busy() || world.isShort) return;
  world.faults.restore();
  const next = { ...LAST, id: step.id, end: step.end };
  const piece = 500 + step.choice % 3000;
  // Up to 16 pages of a pipe, or the send buffer; what does not fit any more has timed out.
  end.hadRoom = true;
  for (let i = 0; i < 400 && end.hadRoom; i++) {
    end.write({ ...next, what: "writeSync", size: piece });
  }
  if (busy()) return;
  const controller = new AbortController();
  const long: Step = { ...next, what: "write", size: piece, abort: "later" };
  end.write(long, controller);
  end.write({ ...next, what: "write", size: 1 + step.choice % 16 });
  await world.turns(ENOUGH);
  controller.abort(GIVEN_UP);
  await world.turns(ENOUGH);
  const waiting = end.sending.size;
  if (waiting === 0 || end.channel.closed || other.receiving.size > 0) return;
  world.journal.count("lines looked at");
  end.write({ ...next, what: "writeSync", size: 1 });
  await world.turns(1);
  if (end.sending.size < waiting) {
    world.fail(`step ${step.id}: what stood behind an abort could go on, and was not tried`);
  }
}
