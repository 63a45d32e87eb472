/**
 * `afunix who`: who serves at an address.
 * @module
 */

import {
  type Address,
  type Credentials,
  Fd,
  formatAddress,
  type Socket,
  UnixDatagram,
  UnixSeqpacket,
  UnixStream,
} from "../../mod.ts";
import { SOCKET_TYPES, type SocketType } from "../arguments.ts";
import { codeOf, EXIT, Failure, printable } from "../failures.ts";
import { joined } from "../terminal/input.ts";
import { groupName, userName } from "../system/names.ts";
import { commandOf, type Owner, processName, readOwners } from "../system/owners.ts";
import { readTable } from "../system/proc_net_unix.ts";
import type { Session } from "../session.ts";

const encoder = new TextEncoder();

/** Opens a path without opening what is there, a socket for instance (Linux). */
const O_PATH = 0x20_0000;

/** Runs the command. */
export async function runWho(session: Session): Promise<number> {
  const { args, output } = session;
  const wanted = args.word("type", SOCKET_TYPES);
  const address = args.takeAddress(false);
  args.finish();
  session.alive();
  const { type, socket } = await connectAs(wanted, address);
  let credentials, groups, context;
  try {
    credentials = socket.peerCredentials();
    groups = orNull(() => socket.peerGroups());
    context = orNull(() => socket.peerSecurityContext());
  } finally {
    socket.close();
  }
  const owners = ownersOf(address, type);
  if (credentials === null && owners.length === 0) {
    throw new Failure(
      `The kernel does not know who receives at ${formatAddress(address)}, and ` +
        "no process that may be looked into has it open",
    );
  }
  if (output.json) {
    await output.record({
      address: formatAddress(address),
      type,
      ...(credentials === null ? { pid: null } : {
        ...credentials,
        user: userName(credentials.uid),
        group: groupName(credentials.gid),
        process: processName(credentials.pid),
        command: commandOf(credentials.pid) || null,
      }),
      groups: groups?.map((gid) => ({ gid, name: groupName(gid) })) ?? null,
      securityContext: context,
      owners,
    });
    return EXIT.fine;
  }
  const lines: [string, string][] = [["address", formatAddress(address)], ["type", type]];
  if (credentials !== null) lines.push(...describe(credentials));
  if (groups !== null && groups.length > 0) {
    lines.push(["groups", groups.map((gid) => named(gid, groupName(gid))).join(", ")]);
  }
  if (context !== null) lines.push(["security context", context]);
  for (const { pid, command } of owners) lines.push(["open in", `${pid} ${command}`]);
  for (const [name, value] of lines) {
    await output.line(`${output.style("bold", name.padEnd(17))} ${printable(value)}`);
  }
  return EXIT.fine;
}

/** Connects as the type that is there, or as the one that is wanted. */
async function connectAs(
  wanted: SocketType | undefined,
  address: Address,
): Promise<{ type: SocketType; socket: Socket }> {
  for (const type of wanted === undefined ? SOCKET_TYPES : [wanted]) {
    try {
      if (type === "stream") return { type, socket: await UnixStream.connect(address) };
      if (type === "seqpacket") return { type, socket: await UnixSeqpacket.connect(address) };
      using socket = UnixDatagram.unbound();
      return { type, socket: UnixDatagram.fromFd(socket.connect(address).intoFd()) };
    } catch (error) {
      // Abstract names are apart for each type: there, nobody is another type's somebody.
      const elsewhere = codeOf(error) === "EPROTOTYPE" ||
        (address.kind === "abstract" && codeOf(error) === "ECONNREFUSED");
      if (wanted !== undefined || !elsewhere || type === SOCKET_TYPES.at(-1)) throw error;
    }
  }
  throw new Failure(`Nobody serves at ${formatAddress(address)}`);
}

function describe({ pid, uid, gid }: Credentials): [string, string][] {
  const command = commandOf(pid);
  const name = processName(pid);
  return [
    ["pid", pid === 0 ? "0 (of another pid namespace)" : String(pid)],
    ["process", name ?? "(has ended, or is hidden)"],
    ...(command === "" ? [] : [["command", command] satisfies [string, string]]),
    ["user", named(uid, userName(uid))],
    ["group", named(gid, groupName(gid))],
  ];
}

function named(id: number, name: string | null): string {
  return name === null ? String(id) : `${id} (${name})`;
}

/** Processes that have the socket at this address open: they may be others than the one that made it. */
function ownersOf(address: Address, type: SocketType): Owner[] {
  const text = formatAddress(address);
  const wanted = address.kind === "pathname" ? identity(address.bytes ?? address.path) : null;
  const { byInode } = readOwners();
  // Without the table, there is still what the kernel tells of the connection.
  return (orNull(readTable) ?? [])
    .filter((row) => row.type === type && row.path !== null)
    .filter((row) => type === "datagram" || row.state === "listening")
    .flatMap(({ path, bytes, inode }) => {
      const owners = byInode.get(inode) ?? [];
      if (address.kind !== "pathname") return path === text ? owners : [];
      if (path!.startsWith("/")) return path === text || isAt(wanted, bytes!) ? owners : [];
      // The table has the path as it was given: relative to wherever the process was then.
      return owners.filter(({ pid }) => {
        return isAt(wanted, joined([encoder.encode(`/proc/${pid}/cwd/`), bytes!]));
      });
    });
}

function isAt(wanted: string | null, path: Uint8Array): boolean {
  return wanted !== null && identity(path) === wanted;
}

/** Device and inode of what is at a path; null where nothing is. */
function identity(path: string | Uint8Array): string | null {
  return orNull(() => {
    // Not by node:fs, which on Deno knows no path that is not UTF-8.
    using file = Fd.open(path, O_PATH);
    return file.stat().identity;
  });
}

/** Null where the kernel has no such thing. */
function orNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
