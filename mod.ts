/**
 * Unix domain sockets for Deno, Bun and Node.js, by each runtime's own FFI.
 *
 * @example An echo server, the same on every runtime
 * ```ts
 * import { UnixListener } from "@afunix/afunix";
 *
 * using listener = UnixListener.listen("/run/echo.sock");
 * for await (const stream of listener) {
 *   stream.readable.pipeTo(stream.writable).catch((error) => console.error(error.message));
 * }
 * ```
 *
 * @module
 */

export {
  abstract,
  type AbstractAddress,
  type Address,
  type AddressLike,
  formatAddress,
  type PathnameAddress,
  sameAddress,
  type UnnamedAddress,
} from "./src/address.ts";
export { type BatchOptions, type BatchResult, ReceiveBatch, SendBatch } from "./src/batch.ts";
export type { PeerCredentials } from "./src/credentials.ts";
export { type BindOptions, type ReceivedInto, UnixDatagram } from "./src/datagram.ts";
export { UnixSocketError, type UnixSocketErrorInit } from "./src/errors.ts";
export { Fd, type OpenMode } from "./src/fd.ts";
export { UnixListener } from "./src/listener.ts";
export { Listener, type ListenOptions, type PathOptions } from "./src/listening.ts";
export {
  MessageSocket,
  type ReceiveOptions,
  type ReceiveSyncOptions,
  type SendOptions,
  type SizeOption,
} from "./src/message_socket.ts";
export type { Message } from "./src/messages.ts";
export { UnixSeqpacket, UnixSeqpacketListener } from "./src/seqpacket.ts";
export { type ShutdownHow, Socket } from "./src/socket.ts";
export {
  type ConnectOptions,
  type ConnectSyncOptions,
  type FromOption,
  UnixStream,
} from "./src/stream.ts";
export type { Bytes } from "./src/transfer.ts";
export type { AsyncOptions, SyncOptions } from "./src/validate.ts";
