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
export type { Ancillary, AncillaryOptions } from "./src/message/ancillary.ts";
export type { AllowedPeers, AuthorizePeer } from "./src/authorize.ts";
export {
  type BatchOptions,
  type BatchResult,
  ReceiveBatch,
  SendBatch,
} from "./src/message/batch.ts";
export {
  type Credentials,
  peerCredentials,
  peerGroups,
  peerPidfd,
  peerSecurityContext,
} from "./src/credentials.ts";
export { type ToOption, UnixDatagram } from "./src/datagram.ts";
export type { ReceivedInto } from "./src/message/receive_into.ts";
export { UnixSocketError, type UnixSocketErrorInit } from "./src/errors.ts";
export { Fd } from "./src/fd/fd.ts";
export type { OpenMode } from "./src/fd/open.ts";
export type { FdLike } from "./src/fd/fd_like.ts";
export type { FdKind, FdStatus, Seals } from "./src/fd/status.ts";
export { type BusyPollOptions, type Configuration, configure } from "./src/io/busy_poll.ts";
export { UnixListener } from "./src/listener.ts";
export {
  type AdoptListenerOptions,
  type BindOptions,
  Listener,
  type ListenOptions,
} from "./src/socket/listen.ts";
export {
  MessageSocket,
  type ReceiveOptions,
  type SendOptions,
} from "./src/message/message_socket.ts";
export type { ReceiveMessageOptions } from "./src/message/message_operations.ts";
export type { Message } from "./src/message/message.ts";
export type { Pieces } from "./src/io/pieces.ts";
export { ReceivedMessage } from "./src/message/received_message.ts";
export { UnixSeqpacket, UnixSeqpacketListener } from "./src/seqpacket.ts";
export { type ShutdownHow, Socket } from "./src/socket/socket.ts";
export { type ConnectOptions, UnixStream } from "./src/stream.ts";
export type { Bytes, SignalOption, TimeoutOption } from "./src/util/validate.ts";
