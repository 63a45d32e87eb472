/**
 * A server of JSON-RPC 2.0 over a Unix socket, framed by `Content-Length` as editors and language
 * servers do it, or by lines.
 *
 *     node examples/json_rpc_server.ts /tmp/rpc.sock --lines
 *     echo '{"jsonrpc":"2.0","id":1,"method":"add","params":[1,2]}' | nc -NU /tmp/rpc.sock
 *
 * Methods: `add` of numbers, `whoami`, and `countdown` from a number, which notifies at each step
 * and can be cancelled with `$/cancelRequest`. Ctrl-C ends it.
 */

import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { UnixListener, type UnixStream } from "../mod.ts";
import {
  ContentLengthFraming,
  LineFraming,
  RpcCode,
  RpcConnection,
  RpcError,
  type RpcHandler,
} from "../framing.ts";

const [path, flag] = process.argv.slice(2);
if (path === undefined || (flag !== undefined && flag !== "--lines")) {
  console.error("Usage: json_rpc_server.ts PATH [--lines]");
  process.exit(2);
}

/** The arguments of a method that takes numbers. */
function numbers(params: unknown): number[] {
  if (Array.isArray(params) && params.every((value) => typeof value === "number")) return params;
  throw new RpcError(RpcCode.InvalidParams, "Expected an array of numbers");
}

function serve(stream: UnixStream): void {
  const handlers: Record<string, RpcHandler> = {
    add: (params) => numbers(params).reduce((sum, value) => sum + value, 0),
    whoami: () => stream.peerCredentials(),
    async countdown(params, { signal, connection }) {
      const [from = 3] = numbers(params);
      for (let left = Math.min(from, 10); left > 0; left--) {
        await connection.notify("left", [left]);
        await setTimeout(100, undefined, { signal });
      }
      return "done";
    },
  };
  const framing = flag === "--lines"
    ? new LineFraming(stream)
    : new ContentLengthFraming(stream, { maxLength: 65536 });
  const rpc = new RpcConnection(framing, { handlers, onError: (error) => console.error(error) });
  rpc.finished.catch((error) => console.error(error.message));
}

try {
  using listener = UnixListener.listen(path, { mode: 0o600 });
  process.once("SIGINT", () => listener.close());
  process.once("SIGTERM", () => listener.close());
  console.log(`Listening on ${path}`);
  for await (const stream of listener) serve(stream);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
