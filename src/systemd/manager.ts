/**
 * The way to the service manager: the datagram socket that NOTIFY_SOCKET names.
 * @module
 */

import { type Address, addressKey } from "../address.ts";
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

/** What goes along with a notification. */
export interface Enclosed {
  fds?: readonly FdLike[] | undefined;
  transfer?: boolean | undefined;
}

/** The socket of the notifications that are under way, which so keep their order. */
let open: { key: string; socket: UnixDatagram; users: number } | null = null;

/** Sends one message to the manager, and waits while its queue is full. */
export async function send(
  address: Address,
  data: Uint8Array,
  enclosed: Enclosed,
  signal: AbortSignal | undefined,
): Promise<void> {
  const key = addressKey(address);
  if (open?.key !== key) {
    const socket = UnixDatagram.unbound();
    try {
      socket.connect(address);
    } catch (error) {
      socket.close();
      throw error;
    }
    open = { key, socket, users: 0 };
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
  enclosed: Enclosed,
  timeout: number | undefined,
): void {
  using socket = UnixDatagram.unbound();
  socket.connect(address);
  socket.sendMessageSync(data, { ...enclosed, ...(timeout === undefined ? {} : { timeout }) });
}
