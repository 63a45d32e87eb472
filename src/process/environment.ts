/**
 * How a child learns which descriptors it was given: two variables in its environment.
 *
 * `AFUNIX_SOCKET_FD` is the number of the socket, for any program. `AFUNIX_FDS` lists all that was
 * handed on, `NAME=FD@MAJOR:MINOR:INODE` with commas between: a number alone says nothing where a
 * variable is older than the process that reads it, device and inode do.
 * @module
 */

import { file } from "../../ffi/mod.ts";

/** The variable with the socket's number. */
export const SOCKET_VARIABLE = "AFUNIX_SOCKET_FD";
/** The variable that lists everything. */
export const LIST_VARIABLE = "AFUNIX_FDS";

/** One descriptor that was handed on. */
export interface Entry {
  name: string;
  fd: number;
  /** Device and inode, as `file.status` shows them. */
  identity: string;
}

/** A name that can stand in the list. */
export function checkName(name: unknown): string {
  if (typeof name !== "string") {
    throw new TypeError(`Cannot use ${typeof name} as a name of a descriptor: expected a string`);
  }
  if (/^[\w.-]{1,255}$/.test(name)) return name;
  throw new RangeError(
    `Cannot use ${JSON.stringify(name)} as a name of a descriptor: expected 1 to 255 letters, ` +
      'digits, "_", "-" and "."',
  );
}

/** The list as text. */
export function formatEntries(entries: readonly Entry[]): string {
  return entries.map(({ name, fd, identity }) => `${name}=${fd}@${identity}`).join(",");
}

/** The entries of a list; none where it is not all well-formed. */
export function parseEntries(list: string | undefined): Entry[] {
  const entries: Entry[] = [];
  for (const part of list === undefined || list === "" ? [] : list.split(",")) {
    const match = /^([\w.-]{1,255})=(\d{1,9})@(\d+:\d+:\d+)$/.exec(part);
    if (match === null) return [];
    entries.push({ name: match[1]!, fd: Number(match[2]), identity: match[3]! });
  }
  return entries;
}

/** Whether what was handed on is still what is open under its number. */
export function isThere({ fd, identity }: Entry): boolean {
  const status = file.status(fd);
  return typeof status !== "number" && status.identity === identity;
}
