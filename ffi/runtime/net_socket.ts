/**
 * `node:net` sockets over descriptors, which all three runtimes have.
 * @module
 */

import { checked, type FailureContext, refusal } from "../libc/failure.ts";
import { closeHandedOver, prepareDescriptor } from "../libc/file.ts";
import { builtinModule } from "./builtin_module.ts";
import { native } from "../native.ts";

interface Net {
  Socket: new (options: { fd: number }) => unknown;
  connect(options: { fd: number }): unknown;
}

/** What is looked at of a `node:net` socket. */
interface Inside {
  _handle?: { fd?: unknown } | null;
  connecting?: boolean;
  destroyed?: boolean;
  readableLength?: number;
  writableLength?: number;
  destroy?(): unknown;
}

/**
 * Makes a socket of `node:net` over a connected descriptor. Takes ownership of the descriptor: the socket
 * closes it, and so does a failure.
 *
 * @throws {UnixSocketError} ENOTSUP: there is no `node:net`
 */
export function openNodeSocket(fd: number, context: FailureContext): unknown {
  let socket: unknown = null;
  try {
    checked(prepareDescriptor(fd), { ...context, syscall: "fcntl" });
    const net = builtinModule<Net>("node:net");
    if (net === undefined) throw refusal("ENOTSUP", { ...context, detail: "there is no node:net" });
    // Bun's constructor ignores the descriptor.
    socket = native().runtime.name === "bun" ? net.connect({ fd }) : new net.Socket({ fd });
  } finally {
    if (socket === null) closeHandedOver(fd);
  }
  return socket;
}

/** The state of a `node:net` socket; null for what is none. */
export interface NodeSocketState {
  /** −1 where it has none, or does not show it. */
  fd: number;
  /** Bytes that the runtime has already read, or has not written yet. */
  buffered: number;
  close(): void;
}

/** Looks into a `node:net` socket. */
export function inspectNodeSocket(socket: unknown): NodeSocketState | null {
  if (typeof socket !== "object" || socket === null) return null;
  const inside = socket as Inside;
  if (typeof inside.destroy !== "function") return null;
  const open = !inside.destroyed && !inside.connecting;
  const fd = open ? inside._handle?.fd : undefined;
  return {
    fd: typeof fd === "number" && fd >= 0 ? fd : -1,
    buffered: (inside.readableLength ?? 0) + (inside.writableLength ?? 0),
    close: () => inside.destroy!(),
  };
}
