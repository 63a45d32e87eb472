/**
 * Relays: when a descriptor becomes readable, the kernel itself writes into another, which a
 * runtime's event loop can read. No thread waits, and no event loop has to take in an epoll set anew
 * for each wait, which costs the more the more descriptors are in it.
 * @module
 */

import type { Abi } from "./abi/mod.ts";
import { newPipeHandle, noDescriptor } from "./adoption.ts";
import type { Runtime, Watcher } from "./runtime.ts";
import type { Libc } from "./symbols.ts";

/** What a relay is made with. */
export interface RelayParts {
  readonly runtime: Runtime;
  readonly libc: Libc;
  readonly abi: Abi;
  /** What is waited for. */
  readonly from: number;
  /** What is written into, eight bytes each time: an eventfd, or for some relays a socket. */
  readonly into: number;
}

export interface Relay {
  /** Asks for the next time. Not before the last one came. Throws EAGAIN where memory is short. */
  arm(): void;
  /** Gives up the kernel's part. What was asked for may be told once by that, and nothing after it. */
  close(): void;
}

/** Makes a relay, or null where the kernel does not have it or does not permit it. */
export type MakeRelay = (parts: RelayParts) => Relay | null;

/**
 * Watches through a relay into an eventfd, which a pipe handle reads: Node.js and Deno. Null where
 * there is no such handle, or no relay.
 */
export function watchByRelay(
  make: MakeRelay,
  { runtime, libc, abi, from }: Omit<RelayParts, "into">,
  onReadable: () => void,
): Watcher | null {
  const { linux, constants } = abi;
  if (linux === null) return null;
  const handle = newPipeHandle(libc, constants.O_NONBLOCK | constants.O_CLOEXEC);
  if (handle === null) return null;
  const into = libc.eventfd(0, linux.EFD_NONBLOCK | linux.EFD_CLOEXEC);
  if (into === -1) throw noDescriptor("eventfd");
  if (handle.open(into) !== 0) {
    libc.close(into);
    return null;
  }
  let fire = () => {};
  handle.onread = () => fire();
  let relay: Relay | null = null;
  try {
    if (handle.readStart() === 0) relay = make({ runtime, libc, abi, from, into });
  } finally {
    if (relay === null) handle.close();
  }
  if (relay === null) return null;
  const watcher = watcherOf(relay, handle);
  fire = () => watcher.fire(onReadable);
  return watcher;
}

/** What can keep the process alive: a handle or a socket. */
interface Refd {
  ref(): void;
  unref(): void;
}

/** A watcher that is told by `fire`. */
export function watcherOf(
  relay: Relay,
  end: Refd & { close(): void },
): Watcher & { fire(onReadable: () => void): void } {
  let armed = false;
  return {
    arm() {
      if (armed) return;
      relay.arm();
      armed = true;
    },
    fire(onReadable) {
      if (!armed) return;
      armed = false;
      onReadable();
    },
    ref: () => end.ref(),
    unref: () => end.unref(),
    close() {
      relay.close();
      end.close();
    },
  };
}
