/**
 * Messages over streams: lines, JSON, lengths, `Content-Length` headers, and JSON-RPC 2.0. Small,
 * optional, and bounded: nothing that a peer sends takes more memory than was allowed.
 *
 * @example Answers JSON-RPC calls, one JSON text a line
 * ```ts
 * import { UnixListener } from "@afunix/afunix";
 * import { LineFraming, RpcConnection } from "@afunix/afunix/framing";
 *
 * using listener = UnixListener.listen("/run/upper.sock");
 * for await (const stream of listener) {
 *   new RpcConnection(new LineFraming(stream), {
 *     handlers: { upper: (params) => String((params as string[])[0]).toUpperCase() },
 *   });
 * }
 * ```
 *
 * @module
 */

export type { ByteSource } from "./src/util/byte_reader.ts";
export {
  type FramedStream,
  Framing,
  FramingError,
  type FramingProblem,
  type LengthLimit,
} from "./src/framing/framing.ts";
export {
  JsonChannel,
  jsonLines,
  LineFraming,
  type LineLimit,
  linesOf,
  type LinesOptions,
} from "./src/framing/lines.ts";
export {
  ContentLengthFraming,
  type ContentLengthOptions,
  type HeadedMessage,
  type HeadedSendOptions,
  LengthPrefixed,
  type LengthPrefixedOptions,
} from "./src/framing/lengths.ts";
export {
  type RpcCall,
  RpcConnection,
  type RpcHandler,
  type RpcOptions,
} from "./src/framing/rpc.ts";
export { RpcCode, RpcError, type RpcId, type RpcParams } from "./src/framing/rpc_messages.ts";
export type { Bytes, SignalOption } from "./src/util/validate.ts";
