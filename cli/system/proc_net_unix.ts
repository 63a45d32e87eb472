/**
 * The kernel's table of Unix sockets, `/proc/net/unix`, see proc_net(5).
 * @module
 */

import { readFileSync } from "node:fs";
import { formatAddress } from "../../mod.ts";
import { pathnameAddress } from "../addresses.ts";
import type { SocketType } from "../arguments.ts";
import { Failure, reasonOf } from "../failures.ts";

/** What a socket is doing. `"waiting"` is a connection that nobody has accepted yet. */
export type SocketState = "listening" | "connected" | "unconnected" | "waiting" | "closing";

/** A line of the table. */
export interface SocketRow {
  type: SocketType | `type-${number}`;
  state: SocketState;
  /** What `/proc/PID/fd` calls it; 0 for a connection that waits. */
  inode: number;
  /** How many references the kernel counts. */
  references: number;
  /**
   * The address as text: a path, `@name` for an abstract name (and for a relative path that begins
   * with `@`, which the table does not tell apart), null without one.
   */
  path: string | null;
  /** The bytes of that path as the table has them. */
  bytes: Uint8Array | null;
}

/** SO_ACCEPTCONN among the flags. */
const LISTENS = 0x10000;

const TYPES: Record<number, SocketType> = { 1: "stream", 2: "datagram", 5: "seqpacket" };
const STATES: Record<number, SocketState> = {
  1: "unconnected",
  2: "waiting",
  3: "connected",
  4: "closing",
};

const ROW =
  /^[0-9a-f]+: ([0-9A-F]{8}) [0-9A-F]{8} ([0-9A-F]{8}) ([0-9A-F]{4}) ([0-9A-F]{2}) +(\d+)(?: ([^]*))?$/;

/** Reads the table of this network namespace. */
export function readTable(): SocketRow[] {
  let text;
  try {
    text = readFileSync("/proc/net/unix", "latin1");
  } catch (error) {
    throw new Failure(`Cannot read /proc/net/unix: ${reasonOf(error)}`);
  }
  return parseTable(text);
}

/** Parses the table, each of whose characters is a byte. */
export function parseTable(text: string): SocketRow[] {
  const rows: SocketRow[] = [];
  // A path may have a newline: what is no row goes on with the path before.
  const lines: string[] = [];
  for (const line of text.replace(/\n$/, "").split("\n").slice(1)) {
    if (ROW.test(line) || lines.length === 0) lines.push(line);
    else lines[lines.length - 1] += `\n${line}`;
  }
  for (const line of lines) {
    const match = ROW.exec(line);
    if (match === null) continue;
    const [, references, flags, type, state, inode, path] = match;
    const number = parseInt(type!, 16);
    const listens = (parseInt(flags!, 16) & LISTENS) !== 0;
    rows.push({
      type: TYPES[number] ?? `type-${number}`,
      state: listens ? "listening" : STATES[parseInt(state!, 16)] ?? "unconnected",
      inode: Number(inode),
      references: parseInt(references!, 16),
      ...(path === undefined ? { path: null, bytes: null } : pathOf(path)),
    });
  }
  return rows;
}

function pathOf(path: string): { path: string; bytes: Uint8Array } {
  const bytes = Uint8Array.from(path, (character) => character.charCodeAt(0));
  const shown = formatAddress(pathnameAddress(bytes));
  return { path: path.startsWith("@") ? shown.slice(2) : shown, bytes };
}
