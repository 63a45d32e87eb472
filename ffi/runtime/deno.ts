/**
 * Deno: `Deno.dlopen`, which needs `--allow-ffi`.
 * @module
 */

import { type PollLater, relayByAio, watchByThread } from "./watch_deno.ts";
import { bindLibc, openFirst } from "../libc/load.ts";
import { watchByRelay } from "./relay.ts";
import type { Runtime } from "./runtime.ts";
import type { NativeType, Signature } from "../libc/symbols.ts";
import { relayByUring } from "../linux/relay_uring.ts";

/** The part of Deno that is used, so that this room compiles under every type-checker. */
interface DenoFfi {
  dlopen(name: string, symbols: Record<string, DenoSymbol>): {
    symbols: Record<string, (...args: unknown[]) => unknown>;
  };
  errors: { NotCapable: ErrorConstructor };
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

/**
 * Opens a library by its name. Where only some files are allowed, Deno takes the name for a file in the
 * working directory, which is not there: a refusal, though Deno does not say so.
 */
function openLibrary(deno: DenoFfi, name: string, table: Record<string, DenoSymbol>) {
  try {
    return deno.dlopen(name, table).symbols;
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes(`/${name}:`)) throw error;
    throw new deno.errors.NotCapable(
      `Requires ffi access to "${name}" by its name, run again with the --allow-ffi flag, without ` +
        "a list of files",
      { cause: error },
    );
  }
}

/** poll(2), in another thread. */
const POLL_LATER: Record<string, DenoSymbol> = {
  poll: { parameters: ["u64", "u32", "i32"], result: "i32", nonblocking: true },
};

export function denoRuntime(): Runtime {
  const deno = denoFfi();
  const addressOfPointer = (pointer: unknown) => Number(deno.UnsafePointer.value(pointer));
  const open = (name: string, table: Record<string, DenoSymbol>) => openLibrary(deno, name, table);
  let pollLater: PollLater | undefined;

  const runtime: Runtime = {
    name: "deno",
    prefersFewArguments: false,

    bind(abi) {
      return bindLibc(abi, { describe: denoSymbol, open, address: addressOfPointer });
    },

    addressOf: (view) => addressOfPointer(deno.UnsafePointer.of(view)),

    viewAt(address, length) {
      const pointer = deno.UnsafePointer.create(BigInt(address));
      if (pointer === null) throw new RangeError("Cannot view memory at address 0");
      return deno.UnsafePointerView.getArrayBuffer(pointer, length);
    },

    // Of both kinds.
    isWorker: () => globalThis.constructor.name === "DedicatedWorkerGlobalScope",

    watch(fd, onReadable, libc, abi) {
      const parts = { runtime, libc, abi, from: fd };
      for (const make of abi.os === "linux" ? [relayByUring, relayByAio] : []) {
        const watcher = watchByRelay(make, parts, onReadable);
        if (watcher !== null) return watcher;
      }
      // Once: where the watcher then finds no descriptor, this is asked for again and again.
      pollLater ??= openFirst(abi.libraries, (name) => open(name, POLL_LATER)).poll as PollLater;
      return watchByThread(runtime, libc, pollLater, abi, fd, onReadable);
    },
  };
  return runtime;
}
