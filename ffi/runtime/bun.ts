/**
 * Bun: `bun:ffi`.
 * @module
 */

import { builtinModule } from "./builtin_module.ts";
import { watchByRelayToSocket, watchBySocket } from "./watch_bun.ts";
import { bindLibc } from "../libc/load.ts";
import { relayByThread } from "../darwin/relay_thread.ts";
import type { Runtime } from "./runtime.ts";
import type { NativeType, Signature } from "../libc/symbols.ts";
import { relayByUring } from "../linux/relay_uring.ts";

/** The part of `bun:ffi` that is used. */
interface BunFfi {
  dlopen(name: string, symbols: Record<string, BunSymbol>): {
    symbols: Record<string, (...args: unknown[]) => unknown>;
  };
  ptr(view: ArrayBufferView): number;
  toArrayBuffer(address: number, offset: number, length: number): ArrayBuffer;
}

interface BunSymbol {
  args: readonly string[];
  returns: string;
}

function bunType(type: NativeType): string {
  return type === "nullable" || type === "pointer" ? "ptr" : type;
}

function bunSymbol(signature: Signature): BunSymbol {
  return { args: signature.args.map(bunType), returns: bunType(signature.result) };
}

export function bunRuntime(): Runtime {
  const ffi = builtinModule<BunFfi>("bun:ffi")!;
  const runtime: Runtime = {
    name: "bun",
    prefersFewArguments: false,

    bind(abi) {
      return bindLibc(abi, {
        describe: bunSymbol,
        open: (name, table) => ffi.dlopen(name, table).symbols,
        // NULL comes back as null, and what no number holds exactly as a BigInt.
        address: (result) => Number(result ?? 0),
      });
    },

    addressOf: (view) => ffi.ptr(view),

    viewAt(address, length) {
      if (address === 0) throw new RangeError("Cannot view memory at address 0");
      return ffi.toArrayBuffer(address, 0, length);
    },

    isWorker: () => !(globalThis as unknown as { Bun: { isMainThread: boolean } }).Bun.isMainThread,

    watch(fd, onReadable, libc, abi) {
      const parts = { runtime, libc, abi, from: fd };
      const make = abi.os === "linux" ? relayByUring : relayByThread;
      return watchByRelayToSocket(make, parts, onReadable) ??
        watchBySocket(libc, abi, fd, onReadable);
    },
  };
  return runtime;
}
