/**
 * Deno: `Deno.dlopen`, which needs `--allow-ffi`.
 * @module
 */

import type { Abi } from "./abi/mod.ts";
import { type PollLater, relayByAio, watchByThread } from "./deno_watch.ts";
import { bindLibc, libcNames, openFirst } from "./libraries.ts";
import { watchByRelay } from "./relay.ts";
import type { Runtime } from "./runtime.ts";
import type { Libc, NativeType, Signature } from "./symbols.ts";
import { relayByUring } from "./uring.ts";

/** The part of Deno that is used, so that this room compiles under every type-checker. */
interface DenoFfi {
  dlopen(name: string, symbols: Record<string, DenoSymbol>): {
    symbols: Record<string, (...args: unknown[]) => unknown>;
  };
  UnsafePointer: {
    of(view: ArrayBufferView): object | null;
    value(pointer: unknown): bigint | number;
    create(address: bigint): object | null;
  };
  UnsafePointerView: { getArrayBuffer(pointer: object, length: number): ArrayBuffer };
}

interface DenoSymbol {
  parameters: readonly string[];
  result: string;
  nonblocking?: boolean;
}

function denoFfi(): DenoFfi {
  return (globalThis as unknown as { Deno: DenoFfi }).Deno;
}

function denoType(type: NativeType): string {
  return type === "nullable" ? "buffer" : type;
}

function denoSymbol(signature: Signature): DenoSymbol {
  return { parameters: signature.args.map(denoType), result: denoType(signature.result) };
}

export function denoRuntime(): Runtime {
  const deno = denoFfi();
  const addressOfPointer = (pointer: unknown) => Number(deno.UnsafePointer.value(pointer));
  let libc: Libc;
  let abiInUse: Abi;

  const runtime: Runtime = {
    name: "deno",
    prefersFewArguments: false,

    bind(abi) {
      abiInUse = abi;
      const open = (name: string, table: Record<string, DenoSymbol>) =>
        deno.dlopen(name, table).symbols;
      return libc = bindLibc(abi, { describe: denoSymbol, open, address: addressOfPointer });
    },

    addressOf: (view) => addressOfPointer(deno.UnsafePointer.of(view)),

    viewAt(address, length) {
      const pointer = deno.UnsafePointer.create(BigInt(address));
      if (pointer === null) throw new RangeError("Cannot view memory at address 0");
      return deno.UnsafePointerView.getArrayBuffer(pointer, length);
    },

    // Of both kinds.
    isWorker: () => globalThis.constructor.name === "DedicatedWorkerGlobalScope",

    watch(fd, onReadable) {
      const parts = { runtime, libc, abi: abiInUse, from: fd };
      const watcher = watchByRelay(relayByUring, parts, onReadable) ??
        watchByRelay(relayByAio, parts, onReadable);
      if (watcher !== null) return watcher;
      const parameters = ["u64", "u32", "i32"];
      const table = { poll: { parameters, result: "i32", nonblocking: true } };
      const later = openFirst(libcNames(abiInUse), (name) => deno.dlopen(name, table).symbols);
      const poll = later.poll as PollLater;
      return watchByThread(runtime, libc, poll, abiInUse, fd, onReadable);
    },
  };
  return runtime;
}
