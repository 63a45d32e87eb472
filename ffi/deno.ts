/**
 * Deno: `Deno.dlopen`, which needs `--allow-ffi`.
 * @module
 */

import type { Abi } from "./abi/mod.ts";
import { type PollLater, relayByAio, watchByThread } from "./deno_watch.ts";
import { libcNames, openFirst } from "./libraries.ts";
import { watchByRelay } from "./relay.ts";
import type { Runtime } from "./runtime.ts";
import { type Libc, type NativeType, onTheStack, type Signature, symbolsFor } from "./symbols.ts";
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
  const open = (abi: Abi, table: Record<string, DenoSymbol>) =>
    openFirst(libcNames(abi), (name) => deno.dlopen(name, table).symbols);
  let libc: Libc;
  let abiInUse: Abi;

  const runtime: Runtime = {
    name: "deno",
    prefersFewArguments: false,

    bind(abi) {
      abiInUse = abi;
      const onStack = abi.os === "darwin" && abi.arch === "aarch64";
      const wanted = symbolsFor(abi.os);
      const table: Record<string, DenoSymbol> = {};
      for (const [name, signature] of wanted) {
        table[name] = denoSymbol(onStack ? onTheStack(signature) : signature);
      }
      const bound = { ...open(abi, table) };
      for (const [name, signature] of wanted) {
        if (signature.result !== "pointer") continue;
        const call = bound[name]!;
        bound[name] = (...args) => addressOfPointer(call(...args));
      }
      return libc = bound as unknown as Libc;
    },

    addressOf: (view) => addressOfPointer(deno.UnsafePointer.of(view)),

    viewAt(address, length) {
      const pointer = deno.UnsafePointer.create(BigInt(address));
      if (pointer === null) throw new RangeError("Cannot view memory at address 0");
      return deno.UnsafePointerView.getArrayBuffer(pointer, length);
    },

    watch(fd, onReadable) {
      const parts = { runtime, libc, abi: abiInUse, from: fd };
      const watcher = watchByRelay(relayByUring, parts, onReadable) ??
        watchByRelay(relayByAio, parts, onReadable);
      if (watcher !== null) return watcher;
      const parameters = ["u64", "u32", "i32"];
      const later = open(abiInUse, { poll: { parameters, result: "i32", nonblocking: true } });
      const poll = later.poll as PollLater;
      return watchByThread(runtime, libc, poll, abiInUse, fd, onReadable);
    },
  };
  return runtime;
}
