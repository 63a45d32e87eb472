/**
 * What the public API does not show: raw sockets, the kernel's names, and which calls were made.
 * @module
 */

import { execFileSync } from "node:child_process";
import process from "node:process";
import { type Address, UnixStream } from "../../mod.ts";
import { file, native, sockaddr, sockets } from "../../ffi/mod.ts";
import { type ProcessOptions, run } from "./process.ts";
import { commandFor, ROOT, RUNTIME } from "./runtime.ts";
import { join } from "@std/path";

/** A new descriptor, or the throw of what the raw wrapper returned. */
export function succeed(result: number): number {
  if (result < 0) throw new Error(`A raw call returned ${result}`);
  return result;
}

/** A raw socket for the time of a body. */
export async function withRawSocket<T>(
  type: "SOCK_STREAM" | "SOCK_DGRAM" | "SOCK_SEQPACKET",
  body: (fd: number) => T | Promise<T>,
): Promise<T> {
  const { constants, linux } = native().abi;
  const number = type === "SOCK_SEQPACKET" ? linux!.SOCK_SEQPACKET : constants[type];
  const fd = succeed(sockets.socket(number));
  try {
    return await body(fd);
  } finally {
    file.close(fd);
  }
}

/** The packed address of a pathname. */
export function packedPath(path: string | Uint8Array): Uint8Array {
  const bytes = typeof path === "string" ? new TextEncoder().encode(path) : path;
  return sockaddr.packPathname(native().abi.layouts.sockaddr_un, bytes);
}

/** The packed address of an abstract name. */
export function packedName(name: Uint8Array): Uint8Array {
  return sockaddr.packAbstract(native().abi.layouts.sockaddr_un, name);
}

/** What getsockname(2) or getpeername(2) reports: the length, and the address. */
export function kernelName(
  fd: number,
  which: "getsockname" | "getpeername" = "getsockname",
): { length: number; address: sockaddr.RawAddress } {
  const buffer = new Uint8Array(new ArrayBuffer(256));
  const length = succeed(sockets.socketName(which, fd, buffer));
  const layout = native().abi.layouts.sockaddr_un;
  return { length, address: sockaddr.unpackSockaddr(layout, buffer, length) };
}

let names = 0;

/** An abstract name that nobody else has, with this at its end. */
export function uniqueName(end = ""): string {
  const random = Math.random().toString(36).slice(2);
  return `afunix-test-${process.pid}-${++names}-${random}${end}`;
}

/** The names of the libc functions that a body calls, in order. */
export async function callsMade(body: () => unknown): Promise<string[]> {
  const libc = native().libc as unknown as Record<string, (...args: unknown[]) => unknown>;
  const originals = { ...libc };
  const calls: string[] = [];
  for (const [name, original] of Object.entries(originals)) {
    libc[name] = (...args) => {
      calls.push(name);
      return original(...args);
    };
  }
  try {
    await body();
  } finally {
    Object.assign(libc, originals);
  }
  return calls;
}

/** The command line that runs another without the rights of root, where this process has them. */
export function withoutRoot(command: readonly string[]): string[] {
  if (process.getuid!() !== 0) return [...command];
  return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...command];
}

/** Whether this command ends well: for what a machine may forbid. */
export function works(command: readonly string[]): boolean {
  try {
    execFileSync(command[0]!, command.slice(1), { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** One thing for `programs/attempts.ts` to do. Addresses as strings: a path, or "\0name". */
export type Attempt =
  | { chdir: string }
  | { close: true }
  | { connect: string; from?: string }
  | { listen: string; stale?: "replace" | "fail" }
  | { open: string; mode?: "read" | "write" };

/** How it ended. */
export type Outcome = "ok" | {
  code: string;
  errno: number;
  syscall: string;
  address: string | null;
  message: string;
};

/** Does these things in a process of this runtime, one after another. */
export async function attemptElsewhere(
  attempts: readonly Attempt[],
  wrap: (command: string[]) => string[] = (command) => command,
  options: ProcessOptions = {},
): Promise<Outcome[]> {
  const program = join(ROOT, "tests", "programs", "attempts.ts");
  const command = wrap([...commandFor(RUNTIME, program), JSON.stringify(attempts)]);
  const { code, signal, stdout, stderr } = await run(command, options);
  if (code !== 0) throw new Error(`attempts.ts ended with ${code ?? signal}\n${stdout}\n${stderr}`);
  return JSON.parse(stdout);
}

/** The code of an outcome, or "ok". */
export function codeOf(outcome: Outcome | undefined): string | undefined {
  return typeof outcome === "object" ? outcome.code : outcome;
}

/** Whether somebody answers at an address. */
export async function answers(address: string | Uint8Array | Address): Promise<boolean> {
  try {
    (await UnixStream.connect(address)).close();
    return true;
  } catch {
    return false;
  }
}
