/**
 * Constants and struct layouts as data, per operating system and architecture. Code that packs a
 * struct looks its offsets up here and never sums sizes.
 * @module
 */

import { darwinConstants, darwinLayouts, darwinOnly } from "./darwin.ts";
import { darwinErrno, linuxErrno } from "./errno.ts";
import { linuxCommon, linuxOnly } from "./linux.ts";
import * as linuxAarch64 from "./linux_aarch64.ts";
import * as linuxX64 from "./linux_x86_64.ts";
import type { CommonConstants, Layouts, Widen } from "./types.ts";

export type * from "./types.ts";

/** Constants that only Linux has. */
export type LinuxConstants = Widen<typeof linuxOnly>;
/** Constants that only macOS has. */
export type DarwinConstants = Widen<typeof darwinOnly>;

/** One target: everything about its C interface that this library relies on. */
export interface Abi {
  readonly os: "linux" | "darwin";
  readonly arch: "x86_64" | "aarch64";
  /** The file names of the C library, in the order in which to try them. */
  readonly libraries: readonly string[];
  readonly constants: CommonConstants;
  /** Null where the system is not Linux. */
  readonly linux: LinuxConstants | null;
  /** Null where the system is not macOS. */
  readonly darwin: DarwinConstants | null;
  /**
   * Flags that make a socket non-blocking and close-on-exec at birth; 0 where there are none, and
   * the calls that make one do it in a second step.
   */
  readonly creationFlags: number;
  /**
   * Flags for recvmsg(2): that it return a message's real length, and that descriptors arrive
   * close-on-exec. 0 where there are none.
   */
  readonly receiptFlags: number;
  readonly errno: { readonly [name: string]: number };
  readonly layouts: Layouts;
  readonly syscalls: Widen<typeof linuxX64.syscalls> | null;
}

function linux(arch: Abi["arch"]): Abi {
  const own = arch === "x86_64" ? linuxX64 : linuxAarch64;
  return {
    os: "linux",
    arch,
    // glibc first, then musl, which is named after the architecture. A name does not tell which it is:
    // musl opens itself under that of glibc, too.
    libraries: ["libc.so.6", `libc.musl-${arch}.so.1`, `ld-musl-${arch}.so.1`],
    constants: { ...linuxCommon, ...own.constants },
    linux: linuxOnly,
    darwin: null,
    creationFlags: linuxOnly.SOCK_NONBLOCK | linuxOnly.SOCK_CLOEXEC,
    receiptFlags: linuxCommon.MSG_TRUNC | linuxOnly.MSG_CMSG_CLOEXEC,
    errno: linuxErrno,
    layouts: own.layouts,
    syscalls: own.syscalls,
  };
}

/** The target for an operating system and an architecture, or null where there is none. */
export function abiFor(os: string, arch: string): Abi | null {
  const machine = arch === "x64" ? "x86_64" : arch === "arm64" ? "aarch64" : arch;
  if (machine !== "x86_64" && machine !== "aarch64") return null;
  if (os === "linux") return linux(machine);
  if (os !== "darwin") return null;
  return {
    os: "darwin",
    arch: machine,
    // Wherever the search for a name does not lead, the full one does.
    libraries: ["libSystem.B.dylib", "/usr/lib/libSystem.B.dylib"],
    constants: darwinConstants,
    linux: null,
    darwin: darwinOnly,
    creationFlags: 0,
    receiptFlags: 0,
    errno: darwinErrno,
    layouts: darwinLayouts,
    syscalls: null,
  };
}
