/**
 * Gives SIGPIPE its default effect, which is to kill, and writes where nobody reads: by the library
 * ("library") or by write(2) ("write"). Prints the codes of the errors.
 * @module
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { file, native } from "../../ffi/mod.ts";
import { UnixSocketError, UnixStream } from "../../mod.ts";

type Signal = (number: number, handler: bigint) => unknown;
const SIGPIPE = 13;
const SIG_DFL = 0n;

/** signal(2), which the library has no use for. */
function bindSignal(): Signal {
  const { name } = native().runtime;
  const libc = readFileSync("/proc/self/maps", "latin1")
    .match(/\/\S*\/(?:libc\.so(?:\.6)?|libc-2\S*\.so|ld-musl-\S+|libc\.musl-\S+)$/m)![0];
  // deno-lint-ignore no-explicit-any -- three interfaces that have no common type
  const globals = globalThis as any;
  if (name === "deno") {
    const table = { signal: { parameters: ["i32", "u64"], result: "u64" } };
    return globals.Deno.dlopen(libc, table).symbols.signal;
  }
  if (name === "bun") {
    const { dlopen } = globals.process.getBuiltinModule("bun:ffi");
    return dlopen(libc, { signal: { args: ["i32", "u64"], returns: "u64" } }).symbols.signal;
  }
  const { dlopen } = globals.process.getBuiltinModule("node:ffi");
  const table = { signal: { arguments: ["i32", "u64"], return: "u64" } };
  return dlopen(libc, table).functions.signal;
}

/** Whether the kernel's record has neither an "ignore" nor a handler for SIGPIPE. */
function hasDefaultEffect(): boolean {
  const status = readFileSync("/proc/self/status", "latin1");
  return ["SigIgn", "SigCgt"].every((field) => {
    const mask = BigInt(`0x${new RegExp(`^${field}:\\s*(\\w+)$`, "m").exec(status)![1]}`);
    return (mask & 1n << BigInt(SIGPIPE - 1)) === 0n;
  });
}

const data = new Uint8Array([1, 2, 3]);
const [stream, peer] = UnixStream.pair();
peer.close();
bindSignal()(SIGPIPE, SIG_DFL);
if (!hasDefaultEffect()) throw new Error("SIGPIPE does not have its default effect");

if (process.argv[2] === "write") {
  console.log(file.write(stream.fd, data, data.length));
} else {
  for (const method of ["write", "writeSync", "writeAll", "writeAllSync"] as const) {
    try {
      await stream[method](data);
    } catch (error) {
      console.log(error instanceof UnixSocketError ? error.code : error);
    }
  }
}
console.log("alive");
