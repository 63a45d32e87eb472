/**
 * Telling the service manager how a service is doing.
 * @module
 */

import { Fd } from "../fd/fd.ts";
import { openFdOf } from "../fd/fd_like.ts";
import type { EnvironmentOptions } from "./environment.ts";
import { managerAddress, MAX_FDS, type NotifyDescriptors, send, sendSync } from "./manager.ts";
import { encodeState, type NotifyState } from "./state.ts";
import { now } from "../util/clock.ts";
import {
  checkDeadline,
  checkFlag,
  checkOptions,
  checkSignal,
  type SignalOption,
  type TimeoutOption,
} from "../util/validate.ts";

/** Options of {@linkcode notify}. */
export interface NotifyOptions extends EnvironmentOptions, NotifyDescriptors {}

/** Checks a notification before any system call, also if there is no manager to send it to. */
function prepared(state: NotifyState, options: NotifyOptions | undefined) {
  checkOptions(options);
  const { fds = [] } = options ?? {};
  if (!Array.isArray(fds)) {
    throw new TypeError("Cannot send these descriptors: expected an array");
  }
  const transfer = checkFlag(options?.transfer, "transfer");
  const data = encodeState(state, fds.length);
  if (fds.length > MAX_FDS) {
    throw new RangeError(`Cannot send ${fds.length} descriptors: at most ${MAX_FDS} are allowed`);
  }
  for (const descriptor of fds) {
    openFdOf(descriptor, "Cannot send a descriptor", "sendmsg");
    if (transfer && typeof (descriptor as { intoFd?: unknown }).intoFd !== "function") {
      throw new TypeError("Cannot transfer this: expected an Fd or a socket, which own theirs");
    }
  }
  return { data, enclosed: { fds, transfer } };
}

/**
 * Sends a notification to the service manager, at the address in NOTIFY_SOCKET: a path, or `@NAME`
 * for an abstract name (sendmsg(2)). Waits while the manager's queue is full. Notifications leave in
 * the order of the calls, also of those that wait.
 *
 * The kernel adds who sent it, and the manager checks that (`NotifyAccess=`). Before a process ends,
 * {@linkcode notifyBarrier} makes sure that the manager has still found it. Deno needs
 * `--allow-env=NOTIFY_SOCKET`.
 *
 * @returns whether there is a manager to tell; false where NOTIFY_SOCKET is absent or empty, and
 * nothing was sent then
 * @throws {TypeError|RangeError} for a state that makes no sense, a line break in a value, more than
 * 4096 bytes, which managers ignore, or more than 253 descriptors
 * @throws {UnixSocketError} ENOENT, ECONNREFUSED: the manager is gone. EACCES: no permission, or Deno
 * may not read the variable. EINVAL: NOTIFY_SOCKET is no address. EAFNOSUPPORT: it is a vsock. EBADF:
 * a descriptor is not open. EMFILE
 *
 * @example
 * ```ts
 * import { notify } from "@afunix/afunix/systemd";
 *
 * await notify({ ready: true, status: "Serving" });
 * await notify({ reloading: true });
 * await notify({ ready: true, fields: { X_CONFIGURATION: "7" } });
 * await notify({ stopping: true });
 * ```
 *
 * See sd_notify(3).
 */
export async function notify(
  state: NotifyState,
  options?: NotifyOptions & SignalOption,
): Promise<boolean> {
  const signal = checkSignal(options);
  const { data, enclosed } = prepared(state, options);
  const address = managerAddress(options);
  if (address === null) return false;
  await send(address, data, enclosed, signal);
  return true;
}

/**
 * {@linkcode notify}, blocking the thread: for the last words of a process. May overtake those that
 * wait.
 *
 * @throws {UnixSocketError} as `notify` does, and ETIMEDOUT
 */
export function notifySync(state: NotifyState, options?: NotifyOptions & TimeoutOption): boolean {
  checkDeadline(options);
  const { data, enclosed } = prepared(state, options);
  const address = managerAddress(options);
  if (address === null) return false;
  sendSync(address, data, enclosed, options?.timeout);
  return true;
}

const BARRIER = "BARRIER=1";

/**
 * Waits until the service manager has worked through all that was sent before: it gets one end of a
 * pipe (BARRIER=1) and closes it when its turn comes. A manager that ends closes it too.
 *
 * An abort stops waiting; the manager may still get the message. Without a `signal` this waits as
 * long as the manager takes.
 *
 * @returns whether there is a manager; false at once where there is none
 * @throws {UnixSocketError} as `notify` does
 *
 * @example
 * ```ts
 * import { notify, notifyBarrier } from "@afunix/afunix/systemd";
 *
 * await notify({ status: "Done" });
 * await notifyBarrier({ signal: AbortSignal.timeout(5000) });
 * ```
 *
 * See sd_notify_barrier(3).
 */
export async function notifyBarrier(options?: EnvironmentOptions & SignalOption): Promise<boolean> {
  const signal = checkSignal(options);
  const address = managerAddress(options);
  if (address === null) return false;
  const [reader, writer] = Fd.pipe();
  try {
    await send(
      address,
      new TextEncoder().encode(BARRIER),
      { fds: [writer], transfer: true },
      signal,
    );
    await reader.waitReadable({ signal });
    return true;
  } finally {
    reader.close();
    writer.close();
  }
}

/**
 * {@linkcode notifyBarrier}, blocking the thread. `timeout` is for all of it.
 *
 * @throws {UnixSocketError} as `notify` does, and ETIMEDOUT
 */
export function notifyBarrierSync(options?: EnvironmentOptions & TimeoutOption): boolean {
  const deadline = checkDeadline(options);
  const address = managerAddress(options);
  if (address === null) return false;
  const left = () => {
    if (deadline === Infinity) return undefined;
    return Math.max(0, deadline - now());
  };
  const [reader, writer] = Fd.pipe();
  try {
    const enclosed = { fds: [writer], transfer: true };
    sendSync(address, new TextEncoder().encode(BARRIER), enclosed, left());
    reader.waitReadableSync({ timeout: left() });
    return true;
  } finally {
    reader.close();
    writer.close();
  }
}
