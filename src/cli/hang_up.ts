/**
 * Whether the peer of a connection is gone for good: no event of the library tells this while only
 * the end was read, and no call that would leave no trace in a seqpacket socket.
 * @module
 */

import { native } from "../../ffi/mod.ts";

// poll(2); the same on every Linux.
const POLLHUP = 0x10;
/** The offset of `revents` in a pollfd. */
const REVENTS = 6;

/** Milliseconds between two looks. */
const INTERVAL = 50;

/** Whether both directions of a connection have ended. */
export function hasHungUp({ fd }: { readonly fd: number }): boolean {
  if (fd === -1) return true;
  const entry = new DataView(new ArrayBuffer(8));
  entry.setInt32(0, fd, true);
  if (native().libc.poll(entry, 1, 0) !== 1) return false;
  return (entry.getInt16(REVENTS, true) & POLLHUP) !== 0;
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
