/**
 * What a step does at one end of a datagram or seqpacket connection.
 * @module
 */

import { UnixDatagram, UnixSeqpacket } from "../../mod.ts";
import type { MessageChannel, MessageEnd } from "./message_end.ts";
import type { Step } from "./plan.ts";
import type { World } from "./world.ts";

/** Gives the descriptor to a new object. */
function rewrapped(channel: MessageChannel): MessageChannel {
  const Kind = channel instanceof UnixDatagram ? UnixDatagram : UnixSeqpacket;
  return Kind.fromFd(channel.intoFd());
}

/** Does a step at one end; whether that closed it. */
export function doMessageStep(world: World, step: Step, end: MessageEnd): boolean {
  const { channel } = end;
  if (step.what === "close" || step.what === "dispose") {
    if (channel.closed) return false;
    if (step.what === "close") channel.close();
    else channel[Symbol.dispose]();
    return true;
  }
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
  const { channel } = end;
  switch (step.what) {
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
      if (channel.bytesReadable < 0 || channel.bytesUnsent < 0) world.fail("below zero");
      return void channel.peerCredentials();
  }
}
