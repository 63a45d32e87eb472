/**
 * Relays: when a descriptor becomes readable, something writes into another, which a runtime's event
 * loop can read. On Linux that is the kernel itself: no thread waits, and no event loop has to take in
 * an epoll set anew for each wait, which costs the more the more descriptors are in it.
 * @module
 */

import type { Abi } from "../abi/mod.ts";
import { newPipeHandle, noDescriptor } from "./pipe_handle.ts";
import type { Runtime, Watcher } from "./runtime.ts";
import type { Libc } from "../libc/symbols.ts";

/** What a relay is made with. */
export interface RelayParts {
  readonly runtime: Runtime;
  readonly libc: Libc;
  readonly abi: Abi;
  /** What is waited for. */
  readonly from: number;
  /**
   * What is written into, eight bytes each time: an eventfd, the end of a pipe, or for some relays a
   * socket. It stays its maker's.
   */
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
 * Watches through a relay into an eventfd, or a pipe where there is none, which a pipe handle reads:
 * Node.js and Deno. Null where there is no such handle, or no relay.
 */
export function watchByRelay(
  make: MakeRelay,
  { runtime, libc, abi, from }: Omit<RelayParts, "into">,
  onReadable: () => void,
): Watcher | null {
  const { constants } = abi;
  const handle = newPipeHandle(libc, constants.O_NONBLOCK | constants.O_CLOEXEC);
  if (handle === null) return null;
  const [end, into] = openEnds(libc, abi);
  const closeInto = () => {
    if (into !== end) libc.close(into);
  };
  if (handle.open(end) !== 0) {
    libc.close(end);
    closeInto();
    return null;
  }
  let fire = () => {};
  handle.onread = () => fire();
  let relay: Relay | null = null;
  try {
    if (handle.readStart() === 0) relay = make({ runtime, libc, abi, from, into });
  } finally {
    if (relay === null) {
      handle.close();
      closeInto();
    }
  }
  if (relay === null) return null;
  const watcher = watcherOf(relay, {
    ref: () => handle.ref(),
    unref: () => handle.unref(),
    close() {
      handle.close();
      closeInto();
    },
  });
  fire = () => watcher.fire(onReadable);
  return watcher;
}

/** What is read, and what is written into: the same eventfd, or the ends of a pipe. */
export function openEnds(libc: Libc, { linux, constants }: Abi): [end: number, into: number] {
  if (linux !== null) {
    const both = libc.eventfd(0, linux.EFD_NONBLOCK | linux.EFD_CLOEXEC);
    if (both === -1) throw noDescriptor("eventfd");
    return [both, both];
  }
  const ends = new Int32Array(2);
  if (libc.pipe2(ends, constants.O_NONBLOCK | constants.O_CLOEXEC) === -1) {
    throw noDescriptor("pipe2");
  }
  return [ends[0]!, ends[1]!];
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
