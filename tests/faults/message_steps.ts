/**
 * What a step does at one end of a datagram or seqpacket connection.
 * @module
 */

import { UnixDatagram, UnixSeqpacket } from "../../mod.ts";
import type { MessageChannel, MessageEnd } from "./message_end.ts";
import type { Step } from "./plan.ts";
import { closeBy, controlSocket, isClosing } from "./socket_steps.ts";
import { codeOf, type World } from "./world.ts";

/** Gives the descriptor to a new object. */
function rewrapped(channel: MessageChannel): MessageChannel {
  const Kind = channel instanceof UnixDatagram ? UnixDatagram : UnixSeqpacket;
  return Kind.fromFd(channel.intoFd());
}

/** Does a step at one end; whether that closed it. */
export function doMessageStep(world: World, step: Step, end: MessageEnd): boolean {
  const { channel } = end;
  if (isClosing(step)) return closeBy(step, channel);
  if (step.what.startsWith("send")) {
    end.send(step);
    // Right when the data arrive, and in the middle of what waits for them.
    world.abort("data");
  } else if (step.what.startsWith("receive") || step.what.startsWith("peek")) {
    end.receive(step);
  } else if (!channel.closed) {
    control(world, step, end);
  }
  return false;
}

function control(world: World, step: Step, end: MessageEnd): void {
  if (step.what === "rewrap") {
    if (end.replaceable) end.replace(rewrapped);
    return;
  }
  try {
    controlSocket(world, step, end.channel);
  } catch (error) {
    // A datagram socket without a peer, because that has closed, has nothing to end.
    const hasNone = step.what.startsWith("shutdown") && codeOf(error) === "ENOTCONN";
    if (!hasNone) throw error;
  }
}
