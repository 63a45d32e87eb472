/**
 * Whether the peer of a connection is gone for good: no event of the library tells this while only
 * the end was read, and no call that would leave no trace in a seqpacket socket.
 * @module
 */

import { sockets } from "../../ffi/mod.ts";

/** Milliseconds between two looks. */
const INTERVAL = 50;

/** Whether both directions of a connection have ended. */
export function hasHungUp({ fd }: { readonly fd: number }): boolean {
  return fd === -1 || sockets.hasHungUp(fd);
}

/** Waits until both directions of a connection have ended, or something else did. */
export async function hungUp(socket: { readonly fd: number }, other: Promise<void>): Promise<void> {
  let over = false;
  const end = () => void (over = true);
  other.then(end, end);
  while (!over && !hasHungUp(socket)) {
    const pause = new Promise<void>((resolve) => setTimeout(resolve, INTERVAL));
    await Promise.race([pause, other.catch(end)]);
  }
}
