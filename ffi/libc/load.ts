/**
 * Opening libc, and binding its functions: what not every one has, and what to say when none opens.
 * @module
 */

import type { Abi } from "../abi/mod.ts";
import { UnixSocketError } from "../errors.ts";
import type { NativeType, Signature } from "./signature.ts";
import { type Libc, type SymbolName, symbols } from "./symbols.ts";

/** The part of the table that exists on one operating system. */
export function symbolsFor(os: "linux" | "darwin"): Map<SymbolName, Signature> {
  const chosen = new Map<SymbolName, Signature>();
  for (const [name, signature] of Object.entries(symbols) as [SymbolName, Signature][]) {
    if (signature.os === undefined || signature.os === os) chosen.set(name, signature);
  }
  return chosen;
}

/**
 * What to bind on one operating system, in the order in which to try it: not every C library has all.
 * musl before 1.2.5 lacks `statx`, and glibc before 2.33 what takes its place.
 */
export function symbolTables(os: "linux" | "darwin"): Map<SymbolName, Signature>[] {
  if (os === "darwin") return [symbolsFor(os)];
  return (["fstatat", "statx"] as const).map((left) => {
    const table = symbolsFor(os);
    table.delete(left);
    return table;
  });
}

/** On Intel, macOS has these twice: without a suffix, `struct stat` is one of before 2007. */
const WITH_SUFFIX: ReadonlySet<SymbolName> = new Set(["lstat", "fstat"]);

/** The name of a function inside the C library. */
export function linkName(
  name: SymbolName,
  { os, arch }: { readonly os: string; readonly arch: string },
): string {
  return os === "darwin" && arch === "x86_64" && WITH_SUFFIX.has(name) ? `${name}$INODE64` : name;
}

/**
 * A variadic call as Apple's arm64 wants it: the registers are filled with zeros, so that what
 * stands after the `...` lands on the stack.
 */
export function onTheStack(signature: Signature): Signature {
  const fixed = signature.variadicAfter;
  if (fixed === undefined) return signature;
  const filling = new Array<NativeType>(8 - fixed).fill("i32");
  return {
    ...signature,
    args: [...signature.args.slice(0, fixed), ...filling, ...signature.args.slice(fixed)],
  };
}

/**
 * Opens the first name that opens. A refusal by the runtime's permissions is passed on as it is,
 * since its message names the flag to use.
 */
export function openFirst<T>(names: readonly string[], open: (name: string) => T): T {
  const failures: unknown[] = [];
  for (const name of names) {
    try {
      return open(name);
    } catch (error) {
      if (isPermissionError(error)) throw error;
      failures.push(error);
    }
  }
  throw new UnixSocketError({
    action: `Cannot load the C library (tried ${names.join(", ")})`,
    code: "ENOTSUP",
    errno: 0,
    syscall: "dlopen",
  }, { cause: failures[0] });
}

function isPermissionError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: unknown }).code;
  return error.name === "NotCapable" || error.name === "PermissionDenied" ||
    code === "ERR_ACCESS_DENIED";
}

type Call = (...args: unknown[]) => unknown;

/** How a runtime opens a library. `T` is its own description of a function. */
export interface Binder<T> {
  describe(signature: Signature): T;
  open(name: string, table: Record<string, T>): Record<string, Call>;
  /** The address in a result of the type `pointer`; 0 for NULL. */
  address(result: unknown): number;
}

/** Binds libc: all functions of the first table that one of its names has. */
export function bindLibc<T>(abi: Abi, binder: Binder<T>): Libc {
  const tables = symbolTables(abi.os);
  const last = tables.pop()!;
  for (const table of tables) {
    try {
      return bindTable(abi, binder, table);
    } catch (error) {
      // Without one of the functions: the next table has another in its place.
      if (isPermissionError(error)) throw error;
    }
  }
  return bindTable(abi, binder, last);
}

function bindTable<T>(
  abi: Abi,
  { describe, open, address }: Binder<T>,
  wanted: ReadonlyMap<SymbolName, Signature>,
): Libc {
  const onStack = abi.os === "darwin" && abi.arch === "aarch64";
  const table: Record<string, T> = {};
  for (const [name, signature] of wanted) {
    table[linkName(name, abi)] = describe(onStack ? onTheStack(signature) : signature);
  }
  const opened = openFirst(abi.libraries, (name) => open(name, table));
  const bound: Record<string, Call> = {};
  for (const [name, { result, variadicAfter }] of wanted) {
    const call = opened[linkName(name, abi)]!;
    if (result === "pointer") bound[name] = (...args) => address(call(...args));
    else bound[name] = onStack && variadicAfter !== undefined ? fillRegisters(call) : call;
  }
  // The copy is what engines keep in their fast form; one that grew name by name is a slow dictionary.
  return { ...bound } as unknown as Libc;
}

/** Three arguments, the third of them after the `...`: see {@linkcode onTheStack}. */
function fillRegisters(call: Call): Call {
  return (first, second, third) => call(first, second, 0, 0, 0, 0, 0, 0, third);
}
