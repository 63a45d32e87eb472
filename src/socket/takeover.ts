/**
 * Is anybody behind a socket's path?
 * @module
 */

import { boundInodes, errnoNumber, file, isShortage, native, sockets } from "../../ffi/mod.ts";
import { fromLatin1, toLatin1 } from "../util/latin1.ts";
import { splitPath, withPeerSockaddr } from "./long_path.ts";

/** What the look at a path came to; `"unknown"` is a lack of descriptors or memory to look with. */
export type ProbeResult =
  | { is: "served" | "stale" }
  | { is: "unknown"; negated: number; syscall: string };

const SERVED: ProbeResult = { is: "served" };
const STALE: ProbeResult = { is: "stale" };

/**
 * Whether a socket lives at a pathname. A listener answers a connection, which it will see come
 * and go. A socket that is bound but does not listen yet refuses as a dead one does, so the
 * kernel's tables are asked as well, and then the socket again: it may have begun to listen in
 * between. In doubt it is served.
 *
 * macOS has no such tables, and a full backlog refuses there, too. It looks at the type of what is bound
 * before all else (unp_connect in xnu's uipc_usrreq.c): a socket of another type is told EPROTOTYPE by
 * whoever is there, and refused where nobody is.
 */
export function probePath(path: Uint8Array, type: number): ProbeResult {
  const { os, constants: { SOCK_STREAM, SOCK_DGRAM } } = native().abi;
  if (os === "darwin") return answers(path, type === SOCK_STREAM ? SOCK_DGRAM : SOCK_STREAM);
  const first = answers(path, type);
  if (first.is !== "stale") return first;
  const bound = isBound(path, type);
  return bound.is === "stale" ? answers(path, type) : bound;
}

/** In doubt it is served, but a lack of means is no doubt about the path. */
function unsure(negated: number, syscall: string): ProbeResult {
  return isShortage(negated) ? { is: "unknown", negated, syscall } : SERVED;
}

function answers(path: Uint8Array, type: number): ProbeResult {
  const probe = sockets.socket(type);
  if (probe < 0) return unsure(probe, "socket");
  try {
    const address = { kind: "pathname", bytes: path } as const;
    const answer = withPeerSockaddr(address, (packed) => sockets.connect(probe, packed));
    if (answer === -errnoNumber("ECONNREFUSED") || answer === -errnoNumber("ENOENT")) return STALE;
    // All else says that somebody is there, or may be: taken, backlog full, another type, not ours
    // to ask.
    return unsure(answer, "connect");
  } finally {
    file.close(probe);
  }
}

/**
 * Whether a socket of this type is bound here and neither connected nor listening. (One of another
 * type would have answered EPROTOTYPE.) The kernel's list of inodes knows it under any name; the
 * table of names helps on file systems that show other inode numbers than they use (overlayfs).
 */
function isBound(path: Uint8Array, type: number): ProbeResult {
  const target = file.status(path);
  if (typeof target === "number") return STALE;
  const inodes = boundInodes();
  if (typeof inodes !== "number") {
    const bound = inodes.some((socket) =>
      socket.unconnected && socket.type === type && socket.inode === target.inode
    );
    if (bound) return SERVED;
  } else if (isShortage(inodes)) return unsure(inodes, "socket");
  const table = readWhole("/proc/net/unix");
  if (typeof table === "number") {
    if (isShortage(table)) return unsure(table, "open");
    return typeof inodes === "number" ? SERVED : STALE;
  }
  return isNamed(table, path, target, type, typeof inodes === "number") ? SERVED : STALE;
}

/**
 * Whether the text of `/proc/net/unix` names this path. An absolute name there counts when it leads
 * to the same file; a relative one, whose directory nobody can know, when its last part is ours and
 * the table stands `alone`, without the list of inodes.
 */
function isNamed(
  table: string,
  path: Uint8Array,
  target: file.FileStatus,
  type: number,
  alone: boolean,
): boolean {
  const ours = fromLatin1(splitPath(path).name);
  for (const line of table.split("\n")) {
    const entry = parseLine(line);
    if (entry === null || entry.type !== type || entry.connected || entry.listening) continue;
    const theirs = entry.path.slice(entry.path.lastIndexOf("/") + 1);
    const elsewhere = !entry.path.startsWith("/") || entry.path.startsWith("/proc/self/fd/");
    if (elsewhere) {
      // Nobody can know where this leads: it counts only where the list of inodes is missing.
      if (alone && (theirs === ours || theirs.startsWith(".afunix-"))) return true;
    } else if (theirs === ours) {
      const other = file.status(toLatin1(entry.path));
      if (typeof other !== "number" && other.identity === target.identity) return true;
    }
  }
  return false;
}

interface TableEntry {
  type: number;
  connected: boolean;
  listening: boolean;
  path: string;
}

const SO_ACCEPTCON = 0x10000;
const SS_UNCONNECTED = 1;

/** A line is `Num: RefCount Protocol Flags Type St Inode Path`, all but the inode in hexadecimal. */
function parseLine(line: string): TableEntry | null {
  const match = /^[0-9a-f]+: \S+ \S+ ([0-9A-F]+) ([0-9A-F]+) ([0-9A-F]+) +\d+ (.+)$/.exec(line);
  if (match === null || match[4]!.startsWith("@")) return null;
  return {
    listening: (parseInt(match[1]!, 16) & SO_ACCEPTCON) !== 0,
    type: parseInt(match[2]!, 16),
    connected: parseInt(match[3]!, 16) !== SS_UNCONNECTED,
    path: match[4]!,
  };
}

/** The content of a file, or a negated errno. */
function readWhole(path: string): string | number {
  const fd = file.open(new TextEncoder().encode(path), native().abi.constants.O_RDONLY, 0);
  if (fd < 0) return fd;
  try {
    const chunk = new Uint8Array(new ArrayBuffer(65536));
    let text = "";
    for (;;) {
      const count = file.read(fd, chunk, chunk.length);
      if (count < 0) return count;
      if (count === 0) return text;
      text += fromLatin1(chunk.subarray(0, count));
    }
  } finally {
    file.close(fd);
  }
}
