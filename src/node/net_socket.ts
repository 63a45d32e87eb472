/**
 * Handing connections to the runtime's own `node:net`, and taking them back.
 * @module
 */

import {
  checked,
  inspectNodeSocket,
  native,
  openNodeSocket,
  refusal,
  sockets,
} from "../../ffi/mod.ts";
import { Fd } from "../fd/fd.ts";
import { duplicateOf } from "../fd/fd_like.ts";
import { UnixStream } from "../stream.ts";

const GIVING = "Cannot make a node:net socket";
const TAKING = "Cannot take over a node:net socket";

/** A `node:net` socket over the descriptor of a connection, which gives it away. */
export function intoSocket(connection: UnixStream | Fd): unknown {
  // By shape: two bundles of this library have two classes of one name.
  if (typeof connection?.fd !== "number" || typeof connection.intoFd !== "function") {
    throw new TypeError(`${GIVING} of this: expected a UnixStream, or an Fd that is a socket`);
  }
  const context = { action: GIVING, syscall: "getsockopt" };
  const { SOL_SOCKET, SO_TYPE, SOCK_STREAM } = native().abi.constants;
  if (connection.fd !== -1) {
    const type = checked(sockets.getsockopt(connection.fd, SOL_SOCKET, SO_TYPE), context);
    if (type !== SOCK_STREAM) {
      throw refusal("EPROTOTYPE", { ...context, detail: "it is no stream socket" });
    }
    if (sockets.isListening(connection.fd)) {
      throw refusal("EINVAL", { ...context, detail: "it listens" });
    }
  }
  return openNodeSocket(connection.intoFd(), context);
}

/** The descriptor's number of a `node:net` socket, which stays the runtime's. */
export function fdOfSocket(socket: unknown): number {
  return inspected(socket, "Cannot find the descriptor").fd;
}

/** A stream over the connection of a `node:net` socket, which is destroyed. */
export function fromSocket(socket: unknown): UnixStream {
  const state = inspected(socket, TAKING);
  if (state.buffered > 0) {
    throw refusal("EBUSY", {
      action: TAKING,
      syscall: "fcntl",
      detail: `${state.buffered} bytes are in its buffers`,
    });
  }
  const copy = Fd.received(duplicateOf(state.fd, TAKING));
  let stream;
  try {
    stream = UnixStream.fromFd(copy);
  } catch (error) {
    copy.close();
    throw error;
  }
  state.close();
  return stream;
}

function inspected(socket: unknown, action: string) {
  const state = inspectNodeSocket(socket);
  if (state === null) throw new TypeError(`${action}: expected a socket of node:net`);
  if (state.fd !== -1) return state;
  throw refusal("EBADF", {
    action,
    syscall: "fcntl",
    detail: "it is not connected, or was destroyed",
  });
}
