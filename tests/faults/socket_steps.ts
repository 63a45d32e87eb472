/**
 * What a step does at any socket, whatever goes over it.
 * @module
 */

import type { UnixDatagram, UnixSeqpacket, UnixStream } from "../../mod.ts";
import type { Step } from "./plan.ts";
import type { World } from "./world.ts";

/** Whether a step closes. */
export function isClosing({ what }: Step): boolean {
  return what === "close" || what === "dispose";
}

/** Closes in the way that a step says; false where that had been done. */
export function closeBy(
  step: Step,
  channel: Disposable & { closed: boolean; close(): void },
): boolean {
  if (channel.closed) return false;
  if (step.what === "close") channel.close();
  else channel[Symbol.dispose]();
  return true;
}

/** Does a step that moves nothing. */
export function controlSocket(
  world: World,
  step: Step,
  socket: UnixStream | UnixDatagram | UnixSeqpacket,
): void {
  switch (step.what) {
    case "shutdown read":
    case "shutdown write":
      return socket.shutdown(step.what === "shutdown read" ? "read" : "write");
    case "buffer":
      socket.sendBufferSize = 1 + step.choice % 60_000;
      return;
    case "ref":
      return void socket.ref();
    case "unref":
      return void socket.unref();
    case "look":
      if (socket.bytesReadable < 0 || socket.bytesUnsent < 0) world.fail("below zero");
      return void socket.peerCredentials();
  }
}
