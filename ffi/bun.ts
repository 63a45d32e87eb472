/**
 * Bun: `bun:ffi`.
 * @module
 */

import type { Abi } from "./abi/mod.ts";
import { builtinModule } from "./adoption.ts";
import { watchByRelayToSocket, watchBySocket } from "./bun_watch.ts";
import { libcNames, openFirst } from "./libraries.ts";
import type { Runtime } from "./runtime.ts";
import { type Libc, type NativeType, onTheStack, type Signature, symbolsFor } from "./symbols.ts";
import { relayByUring } from "./uring.ts";

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
  let libc: Libc;
  let abiInUse: Abi;
  const runtime: Runtime = {
    name: "bun",
    prefersFewArguments: false,

    bind(abi) {
      abiInUse = abi;
      const onStack = abi.os === "darwin" && abi.arch === "aarch64";
      const table: Record<string, BunSymbol> = {};
      for (const [name, signature] of symbolsFor(abi.os)) {
        table[name] = bunSymbol(onStack ? onTheStack(signature) : signature);
      }
      const { symbols } = openFirst(libcNames(abi), (name) => ffi.dlopen(name, table));
      const bound = { ...symbols };
      for (const [name, signature] of symbolsFor(abi.os)) {
        if (signature.result !== "pointer") continue;
        // NULL comes back as null, and what no number holds exactly as a BigInt.
        bound[name] = (...args) => Number(symbols[name]!(...args) ?? 0);
      }
      return libc = bound as unknown as Libc;
    },

    addressOf: (view) => ffi.ptr(view),

    viewAt(address, length) {
      if (address === 0) throw new RangeError("Cannot view memory at address 0");
      return ffi.toArrayBuffer(address, 0, length);
    },

    watch(fd, onReadable) {
      const parts = { runtime, libc, abi: abiInUse, from: fd };
      return watchByRelayToSocket(relayByUring, parts, onReadable) ??
        watchBySocket(libc, abiInUse, fd, onReadable);
    },
  };
  return runtime;
}
