/**
 * Node.js: `node:ffi`, from 26.1 on.
 * @module
 */

import { builtinModule } from "./builtin_module.ts";
import { UnixSocketError } from "../errors.ts";
import { bindLibc } from "../libc/load.ts";
import { watchByPipe } from "./watch_node.ts";
import { watchByRelay } from "./relay.ts";
import { relayByThread } from "../darwin/relay_thread.ts";
import type { Runtime } from "./runtime.ts";
import type { NativeType, Signature } from "../libc/symbols.ts";
import { relayByUring } from "../linux/relay_uring.ts";

/** The part of `node:ffi` that is used. */
interface NodeFfi {
  dlopen(name: string, symbols: Record<string, NodeSymbol>): {
    functions: Record<string, (...args: unknown[]) => unknown>;
  };
  getRawPointer(view: ArrayBufferView): bigint;
  toArrayBuffer(address: bigint, length: number, copy: boolean): ArrayBuffer;
}

interface NodeSymbol {
  arguments: readonly string[];
  return: string;
}

function nodeType(type: NativeType): string {
  return type === "nullable" ? "pointer" : type;
}

function nodeSymbol(signature: Signature): NodeSymbol {
  return { arguments: signature.args.map(nodeType), return: nodeType(signature.result) };
}

export function nodeRuntime(): Runtime {
  const ffi = builtinModule<NodeFfi>("node:ffi");
  if (ffi === undefined) {
    throw new UnixSocketError({
      action: "Cannot call the C library",
      code: "ENOTSUP",
      errno: 0,
      syscall: "dlopen",
      detail: "this runtime has no node:ffi; use Node.js 26.1 or later, Bun or Deno",
    });
  }
  const runtime: Runtime = {
    name: "node",
    prefersFewArguments: true,

    bind(abi) {
      return bindLibc(abi, {
        describe: nodeSymbol,
        open: (name, table) => ffi.dlopen(name, table).functions,
        address: Number,
      });
    },

    addressOf: (view) => Number(ffi.getRawPointer(view)),

    viewAt(address, length) {
      if (address === 0) throw new RangeError("Cannot view memory at address 0");
      return ffi.toArrayBuffer(BigInt(address), length, false);
    },

    isWorker: () =>
      builtinModule<{ isMainThread: boolean }>("node:worker_threads")?.isMainThread === false,

    watch(fd, onReadable, libc, abi) {
      const parts = { runtime, libc, abi, from: fd };
      const make = abi.os === "linux" ? relayByUring : relayByThread;
      return watchByRelay(make, parts, onReadable) ?? watchByPipe(libc, abi, fd, onReadable);
    },
  };
  return runtime;
}
