/**
 * Waiting for a descriptor on Bun, which has no call for it.
 * @module
 */

import type { Abi } from "../abi/mod.ts";
import { noDescriptor } from "./pipe_handle.ts";
import { type MakeRelay, type Relay, type RelayParts, watcherOf } from "./relay.ts";
import type { Watcher } from "./runtime.ts";
import type { Libc } from "../libc/symbols.ts";
import { queueMicrotask, setTimeout } from "./timers.ts";

interface BunSocket {
  ref(): void;
  unref(): void;
}

interface BunSockets {
  connect(options: { fd: number; socket: Record<string, (socket: BunSocket) => void> }): Promise<
    unknown
  >;
}

interface Timer {
  ref(): void;
  unref(): void;
}

// `Bun.connect` calls `open` before it returns, and in a callback of the event loop it then runs the
// microtasks that are due: from within an operation, it would run the caller's code in the midst of that.
// Hence a microtask of its own.

/** How long to wait before looking again, in milliseconds, where no descriptor is to be had. */
const RETRY_DELAY_MS = 10;

/**
 * Bun's event loop adopts a duplicate of the descriptor as if it were a socket. When it becomes
 * readable, Bun reads from it, is told that it is no socket, closes the duplicate and says so:
 * that is the callback. No thread waits.
 */
export function watchBySocket(
  libc: Libc,
  abi: Abi,
  fd: number,
  onReadable: () => void,
): Watcher {
  const { connect } = (globalThis as unknown as { Bun: BunSockets }).Bun;
  const { F_DUPFD_CLOEXEC } = abi.constants;
  let refd = true;
  let armed = false;
  let waiting: BunSocket | Timer | null = null;
  const fire = () => {
    if (!armed) return;
    armed = false;
    waiting = null;
    onReadable();
  };
  const wait = (on: BunSocket | Timer) => {
    waiting = on;
    if (!refd) on.unref();
  };
  const lookAgain = () => wait(setTimeout(fire, RETRY_DELAY_MS) as unknown as Timer);
  const ignore = () => {};
  const socket = { open: wait, close: fire, error: ignore, data: ignore };
  return {
    arm() {
      if (armed) return;
      armed = true;
      const duplicate = libc.fcntl(fd, F_DUPFD_CLOEXEC, 0);
      // At the descriptor limit a timer looks, until a descriptor comes free.
      if (duplicate < 0) return lookAgain();
      queueMicrotask(() => {
        try {
          connect({ fd: duplicate, socket }).catch(lookAgain);
        } catch {
          libc.close(duplicate);
          lookAgain();
        }
      });
    },
    ref() {
      refd = true;
      waiting?.ref();
    },
    unref() {
      refd = false;
      waiting?.unref();
    },
    close: () => {},
  };
}

/**
 * Watches through a relay into a socket, whose other end Bun's event loop reads. Null where there is
 * no relay.
 */
export function watchByRelayToSocket(
  make: MakeRelay,
  parts: Omit<RelayParts, "into">,
  onReadable: () => void,
): Watcher | null {
  const { libc, abi: { constants, creationFlags } } = parts;
  const type = constants.SOCK_STREAM | creationFlags;
  const ends = new Int32Array(2);
  if (libc.socketpair(constants.AF_UNIX, type, 0, ends) === -1) throw noDescriptor("socketpair");
  const [end, into] = [ends[0]!, ends[1]!];
  let relay: Relay | null = null;
  try {
    relay = make({ ...parts, into });
  } finally {
    if (relay === null) {
      libc.close(end);
      libc.close(into);
    }
  }
  if (relay === null) return null;
  // Connected some turns later, and refd until it is told otherwise.
  let socket: BunSocket | null = null;
  let refd = true;
  const apply = () => void (refd ? socket?.ref() : socket?.unref());
  const set = (wanted: boolean) => {
    refd = wanted;
    apply();
  };
  const watcher = watcherOf(relay, {
    ref: () => set(true),
    unref: () => set(false),
    close: () => void libc.close(into),
  });
  const open = (made: BunSocket) => {
    socket = made;
    apply();
  };
  const ignore = () => {};
  const data = () => watcher.fire(onReadable);
  const { connect } = (globalThis as unknown as { Bun: BunSockets }).Bun;
  queueMicrotask(() => connect({ fd: end, socket: { open, data, close: ignore, error: ignore } }));
  return watcher;
}
