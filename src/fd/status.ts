/**
 * What is behind a descriptor, and what of it may change.
 * @module
 */

import { failure, file, linuxConstants, native } from "../../ffi/mod.ts";
import { checkFlag, checkOptions } from "../util/validate.ts";

/**
 * What is behind a descriptor. `"anonymous"` is what has no place in a file system: epoll sets,
 * eventfds, pidfds and the like.
 */
export type FdKind =
  | "file"
  | "directory"
  | "pipe"
  | "socket"
  | "character-device"
  | "block-device"
  | "symlink"
  | "anonymous";

/** The state of what is behind a descriptor (statx(2)). */
export interface FdStatus {
  /** What it is. */
  kind: FdKind;
  /** Its length in bytes; 0 where that means nothing. */
  size: number;
  /** Its permissions, from 0 to 0o7777. */
  permissions: number;
  /** The owner's user id. */
  uid: number;
  /** The owner's group id. */
  gid: number;
  /** How many names it has; 0 for a file in memory, or one that was removed. */
  links: number;
  /** When its contents were last changed. */
  modified: Date;
  /** Device and inode: equal for two descriptors of one file. */
  identity: string;
}

/** Which changes of a file in memory are forbidden. */
export interface Seals {
  /** It cannot become shorter (F_SEAL_SHRINK). */
  shrink?: boolean | undefined;
  /** It cannot become longer (F_SEAL_GROW). */
  grow?: boolean | undefined;
  /** Its bytes cannot change (F_SEAL_WRITE). */
  write?: boolean | undefined;
  /** No further seal can be added (F_SEAL_SEAL). */
  seal?: boolean | undefined;
}

/** The status of an open descriptor. */
export function readStatus(fd: number): FdStatus {
  const status = file.status(fd);
  if (typeof status === "number") {
    throw failure(status, { action: "Cannot get the status", syscall: "statx" });
  }
  const { mode, size, uid, gid, links, identity } = status;
  const modified = new Date(status.modified);
  return {
    kind: kindOf(mode),
    size,
    permissions: mode & 0o7777,
    uid,
    gid,
    links,
    modified,
    identity,
  };
}

function kindOf(mode: number): FdKind {
  const { S_IFMT, S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, S_IFLNK } =
    native().abi.constants;
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "file";
    case S_IFDIR:
      return "directory";
    case S_IFIFO:
      return "pipe";
    case S_IFSOCK:
      return "socket";
    case S_IFCHR:
      return "character-device";
    case S_IFBLK:
      return "block-device";
    case S_IFLNK:
      return "symlink";
    default:
      return "anonymous";
  }
}

/** The seals of F_ADD_SEALS, checked. */
export function bitsOfSeals(seals: Seals): number {
  checkOptions(seals);
  let bits = 0;
  for (const [name, bit] of sealBits()) if (checkFlag(seals[name], name)) bits |= bit;
  return bits;
}

/** The seals that F_GET_SEALS reports. */
export function sealsOfBits(bits: number): Required<Seals> {
  const isSet = ([name, bit]: [keyof Seals, number]) => [name, (bits & bit) !== 0];
  return Object.fromEntries(sealBits().map(isSet)) as Required<Seals>;
}

/** The seals and their bits. */
function sealBits(): [keyof Seals, number][] {
  const { F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SEAL } = linuxConstants(
    "seals",
    "fcntl",
  );
  return [
    ["shrink", F_SEAL_SHRINK],
    ["grow", F_SEAL_GROW],
    ["write", F_SEAL_WRITE],
    ["seal", F_SEAL_SEAL],
  ];
}
