/**
 * Descriptors that outlive a process: the service manager keeps them for the next one.
 * @module
 */

import type { FdLike } from "../fd/fd_like.ts";
import { MAX_FDS } from "./manager.ts";
import { notify, notifySync } from "./notify.ts";
import { checkFdName } from "./state.ts";
import {
  checkFlag,
  checkOptions,
  type SignalOption,
  type TimeoutOption,
} from "../util/validate.ts";

/** How to store descriptors. */
export interface StoreOptions {
  /**
   * Whether the manager drops a descriptor on a hang-up or an error on it; true without it, and
   * `false` is FDPOLL=0.
   */
  poll?: boolean | undefined;
  /**
   * Closes the descriptors here once the message that carries them was taken. Only for objects that own
   * their descriptor.
   */
  transfer?: boolean | undefined;
}

function* messages(name: string, fds: readonly FdLike[], options: StoreOptions | undefined) {
  checkFdName(name);
  if (!Array.isArray(fds)) throw new TypeError("Cannot store these descriptors: expected an array");
  checkOptions(options);
  const fdPoll = checkFlag(options?.poll, "poll", true);
  const state = { fdStore: true, fdName: name, fdPoll };
  const all = [...fds];
  // One message at least: it says what is wrong with no descriptors at all.
  for (let i = 0; i === 0 || i < all.length; i += MAX_FDS) {
    yield { state, fds: all.slice(i, i + MAX_FDS) };
  }
}

/**
 * Has the service manager keep duplicates of descriptors under a name (FDSTORE=1), and pass them to the
 * next process of this service: {@linkcode listenFds} then returns them with that name. For
 * connections and memfds that a restart, also after a crash, shall not lose. The unit needs
 * `FileDescriptorStoreMax=`; beyond that number, and of a file that is stored already, the manager
 * closes what it gets, and does not tell.
 *
 * More than 253 go in several messages, which an abort or an error may stop in between.
 *
 * @param name up to 255 printable ASCII characters, no colon; several may share it
 * @returns whether there is a manager; where there is none, nothing happened
 * @throws {TypeError|RangeError} for no descriptors, or another name
 * @throws {UnixSocketError} as `notify` does
 *
 * @example Keep state and connections over a restart
 * ```ts
 * import { Fd, type UnixStream } from "@afunix/afunix";
 * import { listenFds, removeStoredFds, storeFds } from "@afunix/afunix/systemd";
 *
 * const passed = listenFds();
 * const streams: UnixStream[] = passed
 *   .filter(({ name, kind }) => name === "client" && kind === "stream")
 *   .map((each) => each.toStream());
 * await removeStoredFds("client"); // they are ours again
 * // …
 * await storeFds("client", streams);
 * await storeFds("state", [Fd.memfd("state")], { transfer: true });
 * ```
 *
 * See sd_pid_notify_with_fds(3), systemd.service(5).
 */
export async function storeFds(
  name: string,
  fds: readonly FdLike[],
  options?: StoreOptions & SignalOption,
): Promise<boolean> {
  const { signal, transfer } = options ?? {};
  let told = false;
  for (const message of messages(name, fds, options)) {
    told = await notify(message.state, { fds: message.fds, signal, transfer });
  }
  return told;
}

/**
 * {@linkcode storeFds}, blocking the thread; `timeout` is for each message.
 *
 * @throws {UnixSocketError} as `storeFds` does, and ETIMEDOUT
 */
export function storeFdsSync(
  name: string,
  fds: readonly FdLike[],
  options?: StoreOptions & TimeoutOption,
): boolean {
  const { timeout, transfer } = options ?? {};
  let told = false;
  for (const message of messages(name, fds, options)) {
    told = notifySync(message.state, { fds: message.fds, timeout, transfer });
  }
  return told;
}

/**
 * Has the service manager close all descriptors that it keeps under a name (FDSTOREREMOVE=1).
 *
 * @returns whether there is a manager
 * @throws {UnixSocketError} as `notify` does
 */
export async function removeStoredFds(name: string, options?: SignalOption): Promise<boolean> {
  return await notify({ fdStoreRemove: true, fdName: name }, options);
}

/**
 * {@linkcode removeStoredFds}, blocking the thread.
 *
 * @throws {UnixSocketError} as `notify` does, and ETIMEDOUT
 */
export function removeStoredFdsSync(name: string, options?: TimeoutOption): boolean {
  return notifySync({ fdStoreRemove: true, fdName: name }, options);
}
