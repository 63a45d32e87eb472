/**
 * Makes this process one that runs on macOS, as far as the library can tell.
 */

import { bunRuntime } from "../../../ffi/runtime/bun.ts";
import { denoRuntime } from "../../../ffi/runtime/deno.ts";
import { nativeOf, useNative } from "../../../ffi/native.ts";
import { nodeRuntime } from "../../../ffi/runtime/node.ts";
import { runtimeName } from "../../../ffi/runtime/runtime_name.ts";
import type { Runtime } from "../../../ffi/runtime/runtime.ts";
import { macLibc } from "./libc.ts";
import { linux, mac } from "./translation.ts";

/** To be called before anything else has used libc. */
export function becomeMac(): void {
  const runtime = { deno: denoRuntime, bun: bunRuntime, node: nodeRuntime }[runtimeName()]();
  const libc = macLibc(runtime);
  const onMac: Runtime = { ...runtime, bind: () => libc };
  // A thread that waits calls the C library itself.
  useNative(nativeOf(onMac, { ...mac, libraries: linux.libraries }));
}
