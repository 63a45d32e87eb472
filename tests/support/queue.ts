/**
 * The queue of a datagram socket, and senders that can fill it. Nothing here needs `@std`, so that child
 * programs can use it, too.
 * @module
 */

import { readFileSync } from "node:fs";

/** A number that the kernel is set to, by its path below `/proc/sys`. */
export function kernelSetting(path: string): number {
  return Number(readFileSync(`/proc/sys/${path}`, "utf8"));
}

/**
 * How many messages a socket holds whose peer is not connected to it: 11 by the kernel's own default, and
 * 513 where systemd has started the machine.
 */
export const QUEUE = kernelSetting("net/unix/max_dgram_qlen") + 1;

/** What the kernel counts against the sender's buffer for a message of up to 192 bytes. */
const MESSAGE_MEMORY = 768;

/** How many messages more than a queue holds shall be able to leave, to others. */
const SPARE = 16;

/**
 * Gives a sender room for more small messages than a queue holds, so that it is the receiver that is full
 * first, however long its queue is: the buffer that a socket begins with has room for 278.
 */
export function ample<Sender extends { sendBufferSize: number }>(sender: Sender): Sender {
  const wanted = (QUEUE + SPARE) * MESSAGE_MEMORY;
  if (sender.sendBufferSize >= wanted) return sender;
  // The kernel doubles what it is given.
  sender.sendBufferSize = wanted / 2;
  if (sender.sendBufferSize >= wanted) return sender;
  throw new Error("net.core.wmem_max allows no sender that could fill net.unix.max_dgram_qlen");
}
