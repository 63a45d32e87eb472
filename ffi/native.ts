/**
 * The one place that picks the runtime and opens libc, both at first use and never at import.
 * @module
 */

import { type Abi, abiFor } from "./abi/mod.ts";
import { bunRuntime } from "./runtime/bun.ts";
import { darwinLibc } from "./darwin/libc.ts";
import { denoRuntime } from "./runtime/deno.ts";
import { UnixSocketError } from "./errors.ts";
import { nodeRuntime } from "./runtime/node.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { runtimeName } from "./runtime/runtime_name.ts";
import { gatedCalls } from "./libc/calls.ts";
import type { Calls } from "./libc/errno_gate.ts";
import { statxBy } from "./libc/statx_fallback.ts";
import type { Libc } from "./libc/symbols.ts";

/** What everything on this floor works with. */
export interface Native {
  readonly runtime: Runtime;
  readonly abi: Abi;
  /** The functions as C has them: −1, and the reason in errno. */
  readonly libc: Libc;
  /** The same functions, which return a result or a negated errno. */
  readonly calls: Calls;
  /** This thread's errno; element 0. */
  readonly errno: Int32Array;
  /** Null unless debug mode is on. */
  readonly debugging: Debugging | null;
}

/** What debug mode is told about descriptors. */
export interface Debugging {
  /** The library takes ownership of a descriptor that came from outside. */
  own(fd: number): void;
  /** The library releases ownership of an open descriptor. */
  giveAway(fd: number): void;
  /** `owner` will close `descriptor`. */
  owned(owner: object, descriptor: OwnedDescriptor): void;
  /** `descriptor` is about to be closed or given away. */
  ended(descriptor: OwnedDescriptor): void;
  /** The owner was collected while `descriptor` was open; it is closed next. */
  lost(descriptor: OwnedDescriptor): void;
}

/** A descriptor that an object owns. */
export interface OwnedDescriptor {
  readonly fd: number;
  /** False if it does not keep the process alive. */
  readonly refd: boolean;
}

/** Puts debug mode's checks around a runtime and its libc, in place. */
export type MakeDebugging = (runtime: Runtime, libc: Libc, abi: Abi) => Debugging;

interface Globals {
  process?: { platform: string; arch: string };
}

const runtimes = { deno: denoRuntime, bun: bunRuntime, node: nodeRuntime };

let loaded: Native | undefined;
let makeDebugging: MakeDebugging | null = null;

/**
 * The bound C library of this thread.
 *
 * On macOS, which is an experiment, it has the functions of Linux as well: see ffi/darwin/libc.ts.
 *
 * @throws {UnixSocketError} ENOTSUP on a system or architecture without support, on a runtime
 * without FFI, and where no C library opens.
 */
export function native(): Native {
  return loaded ??= load(globalThis as Globals);
}

function load(globals: Globals): Native {
  const { platform = "unknown", arch = "unknown" } = globals.process ?? {};
  const abi = abiFor(platform, arch);
  if (abi === null) {
    throw new UnixSocketError({
      action: `Cannot use afunix on ${platform} ${arch}`,
      code: "ENOTSUP",
      errno: 0,
      syscall: "dlopen",
      detail: "Linux and macOS on x86_64 and aarch64 are supported",
    });
  }
  return nativeOf(runtimes[runtimeName()](), abi);
}

/** What a runtime and a target make. */
export function nativeOf(runtime: Runtime, abi: Abi): Native {
  const bound = runtime.bind(abi);
  const debugging = makeDebugging?.(runtime, bound, abi) ?? null;
  const location = abi.os === "linux" ? bound.__errno_location() : bound.__error();
  const errno = new Int32Array(runtime.viewAt(location, 4));
  const libc = completed(runtime, abi, bound, errno);
  return { runtime, abi, libc, calls: gatedCalls(abi, libc, errno), errno, debugging };
}

/** libc, with what it lacks made of what it has. */
function completed(runtime: Runtime, abi: Abi, libc: Libc, errno: Int32Array): Libc {
  if (abi.os === "darwin") return darwinLibc({ abi, libc, errno, runtime });
  if (libc.statx !== undefined) return libc;
  const { fstatat } = libc;
  return {
    ...libc,
    statx: statxBy(abi, (at, path, stat, flags) => fstatat(at, path, stat, flags)),
  };
}

/**
 * Switches debug mode on for this thread; null switches it off.
 *
 * @throws {Error} if this thread has opened libc already
 */
export function installDebugging(make: MakeDebugging | null): void {
  if (loaded !== undefined) {
    throw new Error("Cannot switch debug mode on or off: afunix has opened the C library already");
  }
  makeDebugging = make;
}

/** For tests alone: puts another in the place of this thread's, before its first use. */
export function useNative(other: Native): void {
  if (loaded !== undefined) throw new Error("Cannot replace what was used already");
  loaded = other;
}
