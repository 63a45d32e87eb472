/**
 * The errno gate, which every call of libc passes that failed: it makes a negated errno of it, or
 * repeats it.
 *
 * The gate reads errno in the statement after the call. It makes the call again after EINTR, and up to
 * three times after an errno that the function cannot leave: code of the runtime then ran between the
 * call and the reading of errno.
 * @module
 */

import type { Abi } from "../abi/mod.ts";
import {
  type Libc,
  MAP_FAILED,
  type Signature,
  type SymbolName,
  symbols,
  type SymbolTable,
} from "./symbols.ts";

/** The maximum number of repeats of one call whose errno cannot be its own. */
const MAX_REPEATS = 3;

/** The functions that pass the gate. */
export type Gated = {
  [Name in SymbolName]: SymbolTable[Name] extends { gated: false } ? never : Name;
}[SymbolName];

/** A function of libc that returns a result, or a negated errno. */
type Call<Name extends Gated> = (...args: Parameters<Libc[Name]>) => number;

/** All functions that pass the gate. */
export type Calls =
  & { readonly [Name in Gated]: Call<Name> }
  & {
    /** read(2) from a socket, which leaves no other errno than recv(2). */
    readonly readSocket: Call<"read">;
    /** write(2) to a socket, which leaves no other errno than send(2). */
    readonly writeSocket: Call<"write">;
  };

/** The result of a call, or null if the call failed. */
export function ok(result: number): number | null {
  return result === -1 ? null : result;
}

/** The address that a call returned, or null if the call failed: with NULL, or with MAP_FAILED. */
export function okAddress(result: number): number | null {
  return result === 0 || result === MAP_FAILED ? null : result;
}

/** Decides about a call that failed, given its errno and its arguments. */
type FailedCalls = {
  readonly [Name in keyof Calls]: (errno: number, ...args: Parameters<Calls[Name]>) => number;
};

/**
 * For each function, what to do after a call that failed. `errno` is this thread's; element 0.
 */
export function failedCalls(abi: Abi, libc: Libc, errno: Int32Array): FailedCalls {
  const functions = libc as unknown as Record<SymbolName, (...args: unknown[]) => unknown>;
  const gate = (name: SymbolName, signature: Signature) => {
    const judge = judgeOf(abi, signature);
    return (first: number, ...args: unknown[]): number => {
      let repeats = judge(first, 0);
      while (repeats >= 0) {
        const result = functions[name](...args);
        const left = errno[0]!;
        if (!hasFailed(signature, result)) return Number(result);
        repeats = judge(left, repeats);
      }
      return repeats;
    };
  };
  const gates: Record<string, (errno: number, ...args: unknown[]) => number> = {};
  for (const name of Object.keys(symbols) as SymbolName[]) gates[name] = gate(name, symbols[name]);
  gates.readSocket = gate("read", { ...symbols.read, errnos: symbols.recv.errnos });
  gates.writeSocket = gate("write", { ...symbols.write, errnos: symbols.send.errnos });
  return gates as unknown as FailedCalls;
}

function hasFailed({ result: type }: Signature, result: unknown): boolean {
  return (type === "pointer" ? okAddress : ok)(Number(result)) === null;
}

/**
 * Decides about a call that failed: a negated errno ends it. Anything else repeats it, and says how
 * often the call was repeated because of an errno that was not its own.
 */
type Judge = (errno: number, repeats: number) => number;

function judgeOf(abi: Abi, { errnos, repeats: mayRepeat }: Signature): Judge {
  const { EINTR, EIO } = abi.errno;
  // An errno of 0 would read as a success.
  if (mayRepeat === false) return (errno) => -(errno || EIO!);
  const known = errnos && new Set(errnos.map((name) => abi.errno[name]));
  return (errno, repeats) => {
    if (errno === EINTR) return repeats;
    if (known === undefined ? errno !== 0 : known.has(errno)) return -errno;
    return repeats < MAX_REPEATS ? repeats + 1 : -(errno || EIO!);
  };
}
