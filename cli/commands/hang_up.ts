/**
 * Whether the peer of a connection is gone for good: no event of the library tells this while only
 * the end was read, and no call that would leave no trace in a seqpacket socket.
 * @module
 */

/** Milliseconds between two looks. */
const INTERVAL_MS = 50;

/** Waits until both directions of a connection have ended, or something else did. */
export async function hungUp(
  connection: { readonly hungUp: boolean },
  other: Promise<void>,
): Promise<void> {
  let over = false;
  const end = () => void (over = true);
  other.then(end, end);
  while (!over && !connection.hungUp) {
    const pause = new Promise<void>((resolve) => setTimeout(resolve, INTERVAL_MS));
    await Promise.race([pause, other.catch(end)]);
  }
}
