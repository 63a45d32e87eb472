/**
 * Connections of afunix as sockets of the runtime's own `node:net`, and back, on Deno, Bun and
 * Node.js: for `node:http`, `node:tls` and whatever takes a Duplex.
 *
 * @example An HTTP server for connections that another process accepted
 * ```ts
 * import { createServer } from "node:http";
 * import { UnixStream } from "@afunix/afunix";
 * import { intoNodeSocket } from "@afunix/afunix/node";
 *
 * const server = createServer((_request, response) => response.end("hello\n"));
 * using control = await UnixStream.connect("/run/acceptor.sock");
 * for (;;) {
 *   using message = await control.receiveMessage();
 *   if (message === null) break;
 *   for (const fd of message.fds.splice(0)) server.emit("connection", intoNodeSocket(fd));
 * }
 * ```
 *
 * @module
 */

import type { Socket } from "node:net";
import type { Fd } from "./src/fd/fd.ts";
import { fdOfSocket, fromSocket, intoSocket } from "./src/node/net_socket.ts";
import type { UnixStream } from "./src/stream.ts";

/**
 * The runtime's own socket over the same descriptor. It owns the descriptor from now on: the stream
 * counts as closed, and what waits on it rejects with EBADF.
 *
 * @param connection a stream, or a descriptor that is a connected stream socket: a TCP connection
 * that was received, for instance
 * @throws {TypeError} for anything else
 * @throws {UnixSocketError} EBADF once closed, ENOTSOCK: no socket, EPROTOTYPE: not a stream, EINVAL:
 * it listens; then it stays the caller's
 */
export function intoNodeSocket(connection: UnixStream | Fd): Socket {
  return intoSocket(connection) as Socket;
}

/**
 * A stream over the connection of a `node:net` socket, which is destroyed. Take it before the
 * runtime has read anything: from a server with `pauseOnConnect`, or right after connecting.
 *
 * @throws {TypeError} for what is no socket of `node:net`
 * @throws {UnixSocketError} EBADF: not connected, or destroyed. EBUSY: bytes are in its buffers, in
 * either direction. EPROTOTYPE: not a Unix stream socket. EMFILE. The socket stays as it was.
 */
export function fromNodeSocket(socket: Socket): UnixStream {
  return fromSocket(socket);
}

/**
 * The descriptor's number of a `node:net` socket, for `peerCredentials` and its like. The runtime
 * goes on owning it.
 *
 * @throws {TypeError} for what is no socket of `node:net`
 * @throws {UnixSocketError} EBADF: not connected, destroyed, or (TCP on Deno) hidden by the runtime
 */
export function nodeSocketFd(socket: Socket): number {
  return fdOfSocket(socket);
}
