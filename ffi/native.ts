/**
 * The one place that picks the runtime and opens libc, both at first use and never at import.
 * @module
 */

import { type Abi, abiFor } from "./abi/mod.ts";
import { bunRuntime } from "./bun.ts";
import { denoRuntime } from "./deno.ts";
import { UnixSocketError } from "./errors.ts";
import { nodeRuntime } from "./node.ts";
import type { Runtime } from "./runtime.ts";
import type { Libc } from "./symbols.ts";

/** What everything on this floor works with. */
export interface Native {
  readonly runtime: Runtime;
  readonly abi: Abi;
  readonly libc: Libc;
  /** This thread's errno; element 0. */
  readonly errno: Int32Array;
}

/** What each of the three runtimes calls itself, in the order of asking: two imitate the third. */
interface Globals {
  Deno?: unknown;
  Bun?: unknown;
  process?: { platform: string; arch: string };
}

let loaded: Native | undefined;

/**
 * The bound C library of this thread.
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
  // macOS has its layouts, but no poller yet.
  if (abi?.os !== "linux") {
    throw new UnixSocketError({
      action: `Cannot use afunix on ${platform} ${arch}`,
      code: "ENOTSUP",
      errno: 0,
      syscall: "dlopen",
      detail: "Linux on x86_64 and aarch64 is supported",
    });
  }
  const runtime = globals.Deno !== undefined
    ? denoRuntime()
    : globals.Bun !== undefined
    ? bunRuntime()
    : nodeRuntime();
  const libc = runtime.bind(abi);
  const location = abi.os === "linux" ? libc.__errno_location() : libc.__error();
  return { runtime, abi, libc, errno: new Int32Array(runtime.viewAt(location, 4)) };
}
