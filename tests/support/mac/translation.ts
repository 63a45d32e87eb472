/**
 * Numbers of macOS and the same things' numbers of Linux.
 */

import process from "node:process";
import { type Abi, abiFor } from "../../../ffi/abi/mod.ts";

export const mac: Abi = abiFor("darwin", "arm64")!;
export const linux: Abi = abiFor("linux", process.arch)!;

type Constant = keyof Abi["constants"];

/** Translates a number that names one thing. */
function numbers(names: readonly Constant[]): (value: number) => number {
  const known = new Map(names.map((name) => [mac.constants[name], linux.constants[name]]));
  return (value) => {
    const found = known.get(value);
    if (found === undefined) throw new Error(`${value} is none of ${names.join(", ")}`);
    return found;
  };
}

/** Translates bits; those without a counterpart must not be set. */
function bits(names: readonly Constant[], from: Abi, to: Abi): (value: number) => number {
  return (value) => {
    let rest = value;
    let result = 0;
    for (const name of names) {
      const bit = from.constants[name];
      if (bit === 0 || (rest & bit) !== bit) continue;
      rest &= ~bit;
      result |= to.constants[name];
    }
    if (rest !== 0) throw new Error(`no counterpart for 0x${rest.toString(16)}`);
    return result;
  };
}

const MESSAGE_FLAGS = [
  ...["MSG_OOB", "MSG_PEEK", "MSG_TRUNC", "MSG_CTRUNC", "MSG_DONTWAIT", "MSG_EOR", "MSG_WAITALL"],
  "MSG_NOSIGNAL",
] as Constant[];
const FILE_FLAGS = [
  ...["O_WRONLY", "O_RDWR", "O_CREAT", "O_EXCL", "O_TRUNC", "O_APPEND", "O_NONBLOCK", "O_CLOEXEC"],
  ...["O_DIRECTORY", "O_NOFOLLOW"],
] as Constant[];

export const messageFlags = bits(MESSAGE_FLAGS, mac, linux);
export const fileFlags = bits(FILE_FLAGS, mac, linux);

/** Flags that the kernel of Linux tells, of which those that macOS lacks are left out. */
export function told(names: "messages" | "files", value: number): number {
  const known = names === "messages" ? MESSAGE_FLAGS : FILE_FLAGS;
  const all = known.reduce((sum, name) => sum | linux.constants[name], 0);
  return bits(known, linux, mac)(value & all);
}

export const fcntlCommand = numbers([
  "F_GETFD",
  "F_SETFD",
  "F_GETFL",
  "F_SETFL",
  "F_DUPFD_CLOEXEC",
]);
export const socketOption = numbers([
  ...["SO_TYPE", "SO_ERROR", "SO_SNDBUF", "SO_RCVBUF", "SO_ACCEPTCONN"] as const,
]);

const macErrno = new Map(
  Object.entries(linux.errno).map(([name, number]) => [number, mac.errno[name]]),
);

/** The errno of macOS for one of Linux, which has some that macOS lacks. */
export function errnoOf(number: number): number {
  return macErrno.get(number) ?? mac.errno.EINVAL!;
}
