/**
 * The messages of JSON-RPC 2.0, and what is wrong with them.
 * @module
 */

/** The id of a request. */
export type RpcId = string | number | null;

/** The arguments of a method: by place or by name. */
export type RpcParams = readonly unknown[] | Readonly<Record<string, unknown>>;

/** The codes that JSON-RPC 2.0 reserves, and two of the range left to servers. */
export const RpcCode = {
  /** What arrived is not JSON. */
  ParseError: -32700,
  /** It is JSON, but no request. */
  InvalidRequest: -32600,
  /** There is no such method. */
  MethodNotFound: -32601,
  /** The method does not take these arguments. */
  InvalidParams: -32602,
  /** The method failed. */
  InternalError: -32603,
  /** More requests run than are allowed at once. */
  Busy: -32000,
  /** The request was cancelled by who sent it, as the language server protocol numbers it. */
  Cancelled: -32800,
} as const;

/**
 * The error that a method answers with: thrown by a handler, it is sent as it is; received, the
 * request rejects with it.
 */
export class RpcError extends Error {
  /** Always `RpcError`. */
  override name = "RpcError";
  /** An integer; see {@linkcode RpcCode}. */
  readonly code: number;
  /** More about it: any JSON value. */
  readonly data: unknown;

  /**
   * An error with a code of {@linkcode RpcCode}, or of your own.
   *
   * @throws {TypeError} for a code that is no integer
   */
  constructor(code: number, message: string, data?: unknown) {
    if (!Number.isSafeInteger(code)) {
      throw new TypeError(`Cannot use ${code} as the code of an error: expected an integer`);
    }
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** What arrived, taken apart. */
export type Incoming =
  | { kind: "request"; id: RpcId; method: string; params: RpcParams | undefined }
  | { kind: "notification"; method: string; params: RpcParams | undefined }
  | { kind: "result"; id: RpcId; result: unknown }
  | { kind: "error"; id: RpcId; error: RpcError }
  | { kind: "invalid"; id: RpcId; why: string }
  | { kind: "strange answer"; id: RpcId; why: string };

/** What one value is, that is no batch. */
export function classify(value: unknown): Incoming {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { kind: "invalid", id: null, why: "it is no object" };
  }
  const message = value as Record<string, unknown>;
  const has = (name: string) => Object.hasOwn(message, name);
  const id = has("id") && isId(message.id) ? message.id : null;
  if (!has("method") && (has("result") || has("error"))) return answer(message, id, has);
  const invalid = (why: string): Incoming => ({ kind: "invalid", id, why });
  if (message.jsonrpc !== "2.0") return invalid('jsonrpc is not "2.0"');
  if (typeof message.method !== "string") return invalid("method is no text");
  if (has("id") && !isId(message.id)) return invalid("id is no text, number or null");
  const { method } = message;
  const params = has("params") ? message.params : undefined;
  if (has("params") && !isParams(params)) return invalid("params is no array or object");
  const call = { method, params: params as RpcParams | undefined };
  return has("id") ? { kind: "request", id, ...call } : { kind: "notification", ...call };
}

function answer(
  message: Record<string, unknown>,
  id: RpcId,
  has: (name: string) => boolean,
): Incoming {
  const strange = (why: string): Incoming => ({ kind: "strange answer", id, why });
  if (message.jsonrpc !== "2.0") return strange('jsonrpc is not "2.0"');
  if (!has("id") || !isId(message.id)) return strange("it has no proper id");
  if (has("result") && has("error")) return strange("it has a result and an error");
  if (has("result")) return { kind: "result", id, result: message.result };
  const error = message.error as Record<string, unknown> | null;
  if (
    typeof error !== "object" || error === null || !Number.isSafeInteger(error.code) ||
    typeof error.message !== "string"
  ) return strange("its error has no code or no message");
  return {
    kind: "error",
    id,
    error: new RpcError(error.code as number, error.message, error.data),
  };
}

function isId(value: unknown): value is RpcId {
  return value === null || typeof value === "string" || typeof value === "number";
}

/** Whether a value may be the arguments of a method. */
export function isParams(value: unknown): value is RpcParams {
  return typeof value === "object" && value !== null;
}
