/**
 * The way to the service manager: the datagram socket that NOTIFY_SOCKET names.
 * @module
 */

import { type Address, sameAddress } from "../address.ts";
import { UnixDatagram } from "../datagram.ts";
import type { FdLike } from "../fd/fd_like.ts";
import { type EnvironmentOptions, malformed, withVariables } from "./environment.ts";

/**
 * Where the manager listens, or null where there is none.
 *
 * @throws {UnixSocketError} EINVAL, EAFNOSUPPORT, EACCES
 */
export function managerAddress(options?: EnvironmentOptions): Address | null {
  return withVariables(["NOTIFY_SOCKET"], [], options, ({ NOTIFY_SOCKET: name }) => {
    if (name === undefined) return null;
    if (name.startsWith("/")) return { kind: "pathname", path: name };
    if (name.startsWith("@")) {
      return { kind: "abstract", name: new TextEncoder().encode(name.slice(1)) };
    }
    if (/^vsock(-[a-z]+)?:/.test(name)) {
      const detail = "virtual machines' sockets (vsock) are no Unix domain sockets";
      throw malformed("NOTIFY_SOCKET", name, detail, "EAFNOSUPPORT");
    }
    throw malformed("NOTIFY_SOCKET", name, "expected an absolute path or @NAME");
  });
}

/** The maximum number of descriptors in one message. */
export const MAX_FDS = 253;

/**
 * Descriptors that go along with a notification, as in `sendMessage`; the manager closes what it has
 * no use for.
 */
export interface NotifyDescriptors {
  /** Descriptors for the manager, at most 253 (SCM_RIGHTS). It gets duplicates. */
  fds?: readonly FdLike[] | undefined;
  /**
   * Closes the descriptors in this process once the kernel has taken the message. If sending fails,
   * they stay open. Only for objects that own their descriptor, not for numbers.
   */
  transfer?: boolean | undefined;
}

/** The socket of the notifications that are under way, which so keep their order. */
let open: { address: Address; socket: UnixDatagram; users: number } | null = null;

/** Sends one message to the manager, and waits while its queue is full. */
export async function send(
  address: Address,
  data: Uint8Array,
  enclosed: NotifyDescriptors,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (open === null || !sameAddress(open.address, address)) {
    const socket = UnixDatagram.unbound();
    try {
      socket.connect(address);
    } catch (error) {
      socket.close();
      throw error;
    }
    open = { address, socket, users: 0 };
  }
  const used = open;
  used.users++;
  try {
    await used.socket.sendMessage(data, { ...enclosed, signal });
  } catch (error) {
    // A socket whose peer is gone has forgotten it: the next message begins anew.
    if (open === used && used.socket.remoteAddr === null) open = null;
    throw error;
  } finally {
    if (--used.users === 0) {
      used.socket.close();
      if (open === used) open = null;
    }
  }
}

/** {@linkcode send}, blocking the thread. */
export function sendSync(
  address: Address,
  data: Uint8Array,
  enclosed: NotifyDescriptors,
  timeout: number | undefined,
): void {
  using socket = UnixDatagram.unbound();
  socket.connect(address);
  socket.sendMessageSync(data, { ...enclosed, ...(timeout === undefined ? {} : { timeout }) });
}
