/**
 * Which processes have a socket open, as far as this one may see: `/proc/PID/fd`.
 * @module
 */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** A process that has a socket open. */
export interface Owner {
  pid: number;
  /** Its command line; its name in brackets where it has none. */
  command: string;
  /** Under which numbers. */
  fds: number[];
}

/** Who owns what. */
export interface Owners {
  /** The owners of each socket, by its inode. */
  byInode: Map<number, Owner[]>;
  /** How many processes may not be looked into. */
  hidden: number;
}

/** Looks into all processes. */
export function readOwners(): Owners {
  const byInode = new Map<number, Owner[]>();
  let hidden = 0;
  for (const name of entries("/proc") ?? []) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    const fds = entries(`/proc/${pid}/fd`);
    if (fds === null) {
      hidden++;
      continue;
    }
    const owned = new Map<number, Owner>();
    for (const fd of fds) {
      const inode = socketInode(`/proc/${pid}/fd/${fd}`);
      if (inode === null) continue;
      const owner = owned.get(inode);
      if (owner !== undefined) {
        owner.fds.push(Number(fd));
        continue;
      }
      const first = { pid, command: "", fds: [Number(fd)] };
      owned.set(inode, first);
      const owners = byInode.get(inode);
      if (owners === undefined) byInode.set(inode, [first]);
      else owners.push(first);
    }
    if (owned.size === 0) continue;
    const command = commandOf(pid);
    for (const owner of owned.values()) owner.command = command;
  }
  return { byInode, hidden };
}

/** The command line of a process; empty where it is gone or hidden. */
export function commandOf(pid: number): string {
  const line = contents(`/proc/${pid}/cmdline`)?.replace(/\0+$/, "").replaceAll("\0", " ");
  if (line) return line;
  const name = contents(`/proc/${pid}/comm`)?.trimEnd();
  return name ? `[${name}]` : "";
}

/** The name of a process, at most 15 bytes; null where it is gone or hidden. */
export function processName(pid: number): string | null {
  return contents(`/proc/${pid}/comm`)?.trimEnd() ?? null;
}

function socketInode(link: string): number | null {
  try {
    const match = /^socket:\[(\d+)\]$/.exec(readlinkSync(link));
    return match === null ? null : Number(match[1]);
  } catch {
    return null; // It was closed meanwhile.
  }
}

function entries(directory: string): string[] | null {
  try {
    return readdirSync(directory);
  } catch (error) {
    // A process that has ended meanwhile hides nothing.
    return (error as { code?: string }).code === "ENOENT" ? [] : null;
  }
}

function contents(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
