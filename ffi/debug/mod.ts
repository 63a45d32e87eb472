/**
 * Debug mode's checks around libc: every pointer before a call, every descriptor before close(2).
 * The library imports nothing from this folder: src/debug/mod.ts hands {@linkcode checkCalls} to
 * `installDebugging`.
 * @module
 */

import type { Abi } from "../abi/mod.ts";
import { takeControl } from "../structs/cmsg.ts";
import { checkCall } from "./calls.ts";
import { DescriptorLedger } from "./descriptors.ts";
import { tellPlacesIf } from "./errors.ts";
import { type CallContext, MemoryLedger } from "./memory.ts";
import {
  closedRing,
  madeBySystemCall,
  madeRing,
  mapped,
  systemCallOf,
  systemCalls,
} from "./syscalls.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { readField } from "../structs/field.ts";
import { type Libc, type Signature, type SymbolName, symbols } from "../libc/symbols.ts";

export { currentPlace } from "./errors.ts";
export type { DescriptorLedger } from "./descriptors.ts";

/** MAP_FAILED of mmap(2): all bits set, as a number. */
const MAP_FAILED = 2 ** 64;

type Call = (...args: unknown[]) => unknown;

/**
 * Puts the checks around a runtime and its libc, in place: code that holds them already is checked, too.
 * Returns the ledger of the descriptors that these calls make and close.
 */
export function checkCalls(runtime: Runtime, libc: Libc, abi: Abi): DescriptorLedger {
  const descriptors = new DescriptorLedger();
  const { addressOf, viewAt } = runtime;
  const memory = new MemoryLedger({ addressOf, viewAt });
  const context: CallContext = { abi, memory };
  const watch = runtime.watch.bind(runtime);
  Object.assign(runtime, {
    addressOf: (view: ArrayBufferView) => memory.addressOf(view),
    viewAt: (address: number, length: number) => memory.viewAt(address, length),
    watch(...args: Parameters<Runtime["watch"]>) {
      return descriptors.lastingWithin(() => {
        const watcher = watch(...args);
        const { arm } = watcher;
        return Object.assign(watcher, { arm: () => descriptors.lastingWithin(arm) });
      });
    },
  });
  if (runtime.name === "deno" && abi.linux !== null) {
    tellPlacesIf(freeDescriptorFinder(libc, abi.linux.EFD_CLOEXEC));
  }
  const calls = libc as unknown as Record<string, Call>;
  for (const name of Object.keys(calls) as SymbolName[]) {
    const signature: Signature = symbols[name];
    const call = calls[name];
    // Not every C library has all.
    if (call === undefined) continue;
    calls[name] = (...args) => {
      checkCall(context, name, signature, args);
      if (name === "close") descriptors.beforeClose(args[0] as number);
      const result = call(...args);
      // A call that failed says why in errno, which nothing may touch before it is read.
      if (!hasFailed(signature, result)) learn(context, descriptors, name, signature, args, result);
      else if (name === "close") {
        const why = errno[0]!;
        descriptors.closed(args[0] as number, why === abi.errno.EBADF);
        errno[0] = why;
      }
      return result;
    };
  }
  const location = abi.os === "linux" ? libc.__errno_location() : libc.__error();
  const errno = new Int32Array(runtime.viewAt(location, 4));
  return descriptors;
}

/**
 * Asks whether a descriptor is free. Deno opens files to name the places on a stack that it has not named
 * before, and ends the process where it cannot.
 */
function freeDescriptorFinder({ eventfd, close }: Libc, flags: number): () => boolean {
  return () => {
    const fd = eventfd(0, flags);
    if (fd === -1) return false;
    close(fd);
    return true;
  };
}

function hasFailed({ result: type }: Signature, result: unknown): boolean {
  return type === "pointer" ? result === 0 || result === MAP_FAILED : Number(result) < 0;
}

/** What a call that succeeded has made or ended. */
function learn(
  context: CallContext,
  descriptors: DescriptorLedger,
  name: SymbolName,
  { makes }: Signature,
  args: readonly unknown[],
  result: unknown,
): void {
  const { abi, memory } = context;
  if (makes === "descriptor" || makes === "lasting descriptor") {
    descriptors.made(result as number, makes !== "descriptor");
  } else if (makes !== undefined && "descriptorsIn" in makes) {
    const { buffer, byteOffset } = args[makes.descriptorsIn] as ArrayBufferView;
    const ends = new DataView(buffer, byteOffset, 8);
    for (const at of [0, 4]) descriptors.made(ends.getInt32(at, true));
  } else if (makes !== undefined) {
    const length = "bytes" in makes
      ? makes.bytes
      : makes.memory.reduce((product, index) => product * (args[index] as number), 1);
    memory.made(result as number, length);
  }
  switch (name) {
    case "close":
      descriptors.closed(args[0] as number);
      return closedRing(args[0] as number);
    case "fcntl":
      if (args[1] === abi.constants.F_DUPFD_CLOEXEC) descriptors.made(result as number);
      return;
    case "ioctl":
      if (args[1] === abi.linux?.SIOCUNIXFILE) descriptors.made(result as number);
      return;
    case "getsockopt":
      return learnOption(abi, descriptors, args);
    case "recvmsg":
      return learnReceived(abi, descriptors, args[1] as ArrayBufferView, 0, memory);
    case "recvmmsg":
      for (let i = 0; i < (result as number); i++) {
        const at = i * abi.layouts.mmsghdr!.size;
        learnReceived(abi, descriptors, args[1] as ArrayBufferView, at, memory);
      }
      return;
    case "mmap":
      return mapped(context, result as number, args);
    case "munmap":
      return memory.unmapped(Number(args[0]));
    case "syscall": {
      madeBySystemCall(context, args);
      const call = systemCallOf(abi, args[0])!;
      if (systemCalls[call].makes !== "descriptor") return;
      descriptors.made(Number(result));
      if (call === "io_uring_setup") madeRing(context, Number(result), args);
    }
  }
}

/** SO_PEERPIDFD makes a descriptor. */
function learnOption(abi: Abi, descriptors: DescriptorLedger, args: readonly unknown[]): void {
  const [, level, name, value] = args as [number, number, number, ArrayBufferView];
  if (level !== abi.constants.SOL_SOCKET || name !== abi.linux?.SO_PEERPIDFD) return;
  descriptors.made(new DataView(value.buffer, value.byteOffset, 4).getInt32(0, true));
}

/** Descriptors that came with a message. */
function learnReceived(
  abi: Abi,
  descriptors: DescriptorLedger,
  headers: ArrayBufferView,
  at: number,
  memory: MemoryLedger,
): void {
  const header = new DataView(headers.buffer, headers.byteOffset, headers.byteLength);
  const { fields } = abi.layouts.msghdr;
  const [offset, width] = fields.msg_controllen;
  const length = readField(header, [at + offset, width]);
  if (length === 0) return;
  const address = readField(header, [at + fields.msg_control[0], fields.msg_control[1]]);
  const { fds, pidfds } = takeControl(abi, memory.bytesAt(address, length), 0, length);
  for (const fd of [...fds, ...pidfds]) descriptors.made(fd);
}
