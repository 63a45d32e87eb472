/**
 * A process that connects as other users would, and what descriptors of processes tell.
 * @module
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { assertEquals } from "@std/assert";
import type { Address, Fd } from "../../mod.ts";
import { addressBytes, hex, type Peer, python } from "./interop.ts";
import { unlessProgram } from "./runtime.ts";
import { openDescriptors } from "./sockets.ts";

/** A reason to skip what needs a peer with other ids than this process has, or false. */
export const unlessOthers: string | false = process.getuid!() === 0
  ? unlessProgram("python3")
  : "needs root to become another user";

/** A user and a group that this process is not. */
export const STRANGER = 65533;

/** The ids of this process as the kernel records them of a peer: the effective ones. */
export const OWN = { pid: process.pid, uid: process.geteuid!(), gid: process.getegid!() };

/** Effective ids and supplementary groups; those of the process where they are left out. */
export interface Identity {
  uid?: number;
  gid?: number;
  groups?: readonly number[];
}

/** What a visit consists of. */
export interface Visit extends Identity {
  /** How many connections to make; 1 without it. */
  times?: number;
  /** What to send on each at once. */
  send?: string;
  /** Closes each at once. */
  leave?: boolean;
}

const SCRIPT = `
clients = []
seen = []

def visit(order):
    groups = os.getgroups()
    if "groups" in order:
        os.setgroups(order["groups"])
    if "gid" in order:
        os.setegid(order["gid"])
    if "uid" in order:
        os.seteuid(order["uid"])
    try:
        for _ in range(order.get("times", 1)):
            client = socket.socket(socket.AF_UNIX, getattr(socket, args[0]))
            client.connect(bytes.fromhex(order["address"]))
            if "send" in order:
                client.send(order["send"].encode())
            if order.get("leave"):
                client.close()
            else:
                clients.append(client)
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
    say("done")

def see():
    try:
        seen.append(clients.pop(0))
        data = seen[-1].recv(100)
        say(data.decode() if data else "the end")
    except ConnectionResetError:
        say("ECONNRESET")

while line := sys.stdin.readline():
    order = json.loads(line)
    see() if order == "see" else visit(order)
`;

/** A process that connects when it is told to, with effective ids as it is told. */
export class Visitor implements AsyncDisposable {
  readonly peer: Peer;

  constructor(type: "SOCK_STREAM" | "SOCK_SEQPACKET" = "SOCK_STREAM") {
    this.peer = python(SCRIPT, [type]);
  }

  get pid(): number {
    return this.peer.pid;
  }

  /** Connects to an address. */
  async visit(address: Address, visit: Visit = {}): Promise<void> {
    this.peer.tell(JSON.stringify({ ...visit, address: hex(addressBytes(address)) }));
    assertEquals(await this.peer.line(), "done");
  }

  /** What arrives on its oldest connection that was not looked at yet. */
  sees(): Promise<string> {
    this.peer.tell('"see"');
    return this.peer.line();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.peer[Symbol.asyncDispose]();
  }
}

/** Whose a pidfd of this process is: a pid, or −1 where that one has ended and been waited for. */
export function pidOf(pidfd: Fd | number): number {
  const fd = typeof pidfd === "number" ? pidfd : pidfd.fd;
  const info = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
  return Number(/^Pid:\s*(-?\d+)$/m.exec(info)![1]);
}

/** The supplementary groups of a process. */
export function groupsOf(pid: number | "self"): number[] {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const words = /^Groups:(.*)$/m.exec(status)![1]!.trim();
  return words === "" ? [] : words.split(/\s+/).map(Number);
}

/** Runs a body and asserts that it leaves no socket and no pidfd behind. */
export async function assertLeavesNone(body: () => unknown): Promise<void> {
  const open = () =>
    [...openDescriptors()].filter(([, target]) => /^socket:|pidfd/.test(target)).sort();
  const before = open();
  await body();
  assertEquals(open(), before);
}
