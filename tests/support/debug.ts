/**
 * The C library with debug mode's checks around it, for a test that runs without debug mode.
 * @module
 */

import type { Abi } from "../../ffi/abi/mod.ts";
import { bunRuntime } from "../../ffi/runtime/bun.ts";
import process from "node:process";
import { checkCalls, type DescriptorLedger } from "../../ffi/debug/mod.ts";
import { denoRuntime } from "../../ffi/runtime/deno.ts";
import { installDebugging, native } from "../../ffi/mod.ts";
import { nodeRuntime } from "../../ffi/runtime/node.ts";
import type { Runtime } from "../../ffi/runtime/runtime.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import { RUNTIME } from "./runtime.ts";

function runtimeOfItsOwn(): Runtime {
  return { deno: denoRuntime, bun: bunRuntime, node: nodeRuntime }[RUNTIME]();
}

/** What the library itself would work with in debug mode. */
export interface Checked {
  readonly runtime: Runtime;
  readonly libc: Libc;
  readonly abi: Abi;
  readonly descriptors: DescriptorLedger;
}

/** A C library of its own, with the checks, and with ledgers in which nothing is written yet. */
export function checkedLibc(): Checked {
  const runtime = runtimeOfItsOwn();
  const { abi } = native();
  const libc = runtime.bind(abi);
  return { runtime, libc, abi, descriptors: checkCalls(runtime, libc, abi) };
}

/** The C library without the checks, for calls that are wrong on purpose. */
export function uncheckedLibc(): Omit<Checked, "descriptors"> {
  const runtime = runtimeOfItsOwn();
  const { abi } = native();
  return { runtime, libc: runtime.bind(abi), abi };
}

/** Switches the suite's debug mode off, for this file and the programs that it starts. */
export function withoutDebugging(): void {
  delete process.env.AFUNIX_DEBUG;
  installDebugging(null);
}
