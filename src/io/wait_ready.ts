/**
 * Waits until a descriptor is readable or writable, without reading or writing.
 * @module
 */

import type { sockets } from "../../ffi/mod.ts";
import { isReady } from "./byte_calls.ts";
import { assertOpen } from "./byte_transfer.ts";
import type { Descriptor } from "./descriptor.ts";
import { DONE, ignore, NOT_TRIED, SingleCall, wouldBlock } from "./operation.ts";
import type { OperationQueue } from "./operation_queue.ts";
import {
  checkDeadline,
  checkSignal,
  type SignalOption,
  type TimeoutOption,
} from "../util/validate.ts";

/** `owner` is the public object whose method waits. */
export function waitReady(
  owner: object,
  descriptor: Descriptor,
  direction: sockets.Direction,
  options: SignalOption | undefined,
): Promise<void> {
  try {
    const signal = checkSignal(options);
    const queue = openQueue(descriptor, direction);
    const result = queue.mayTry() ? readyNow(descriptor, direction) : NOT_TRIED;
    if (result >= 0) return DONE;
    return queue.goOn(result, waiting(owner, descriptor, direction), signal);
  } catch (error) {
    return Promise.reject(error);
  }
}

/** {@linkcode waitReady}, blocking the thread. */
export function waitReadySync(
  owner: object,
  descriptor: Descriptor,
  direction: sockets.Direction,
  options: TimeoutOption | undefined,
): void {
  const deadline = checkDeadline(options);
  openQueue(descriptor, direction).runSync(waiting(owner, descriptor, direction), deadline);
}

const WAITING = "Cannot wait";

function openQueue(descriptor: Descriptor, direction: sockets.Direction): OperationQueue {
  assertOpen(descriptor, WAITING, "poll");
  return direction === "readable" ? descriptor.reading : descriptor.writing;
}

/** 0 if the descriptor is ready, else the negated errno of a call that would block. */
function readyNow({ fd }: Descriptor, direction: sockets.Direction): number {
  return isReady(fd, direction) ? 0 : wouldBlock();
}

function waiting(
  owner: object,
  descriptor: Descriptor,
  direction: sockets.Direction,
): SingleCall<void> {
  const attempt = () => readyNow(descriptor, direction);
  return new SingleCall(owner, WAITING, "poll", attempt, ignore);
}
