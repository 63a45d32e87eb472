/**
 * The one place that picks the runtime and opens libc, both at first use and never at import.
 * @module
 */

import { type Abi, abiFor } from "./abi/mod.ts";
import { bunRuntime } from "./runtime/bun.ts";
import { type Debugging, debuggingIfAsked } from "./debug/mod.ts";
import { darwinLibc } from "./darwin/libc.ts";
import { denoRuntime } from "./runtime/deno.ts";
import { UnixSocketError } from "./errors.ts";
import { nodeRuntime } from "./runtime/node.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { runtimeName } from "./runtime/runtime_name.ts";
import { statxBy } from "./libc/statx_fallback.ts";
import type { Libc } from "./libc/symbols.ts";

/** What everything on this floor works with. */
export interface Native {
  readonly runtime: Runtime;
  readonly abi: Abi;
  readonly libc: Libc;
  /** This thread's errno; element 0. */
  readonly errno: Int32Array;
  /** Null unless AFUNIX_DEBUG asks for it. */
  readonly debugging: Debugging | null;
}

interface Globals {
  process?: { platform: string; arch: string };
}

const runtimes = { deno: denoRuntime, bun: bunRuntime, node: nodeRuntime };

let loaded: Native | undefined;

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
  const debugging = debuggingIfAsked(runtime, bound, abi);
  const location = abi.os === "linux" ? bound.__errno_location() : bound.__error();
  const errno = new Int32Array(runtime.viewAt(location, 4));
  return { runtime, abi, libc: completed(runtime, abi, bound, errno), errno, debugging };
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

/** For tests alone: puts another in the place of this thread's, before its first use. */
export function useNative(other: Native): void {
  if (loaded !== undefined) throw new Error("Cannot replace what was used already");
  loaded = other;
}
