/**
 * Which servers a client talks to.
 * @module
 */

import { type AllowedPeers, gateOf } from "../authorize.ts";
import { type Credentials, peerCredentials, peerPidfd } from "../credentials.ts";
import { Fd } from "../fd/fd.ts";
import type { UnixStream } from "../stream.ts";
import { abortable } from "../util/abort.ts";
import { checkInteger } from "../util/validate.ts";

/** The server at the other end: the process that called listen(2), by the kernel's word. */
export interface ServerPeer extends Credentials {
  /**
   * A pidfd of the process (SO_PEERPIDFD, Linux 6.5), to be closed by the caller; null where the kernel
   * knows no peer.
   *
   * @throws {UnixSocketError} as `UnixStream.peerPidfd` does; EBADF once the answer was given
   */
  pidfd(): Fd | null;
}

/** Decides about a server: true, also by a promise, goes on. */
export type AuthorizeServer = (server: ServerPeer) => boolean | Promise<boolean>;

/** The servers that are allowed. Each list that is given has to name the server. */
export interface AllowedServers extends AllowedPeers {
  /**
   * Process ids. The process is looked up by its pidfd, so that none that has got its number later is
   * taken for it, and has to live still (Linux 6.5).
   */
  pid?: readonly number[] | undefined;
}

/** Whether a client may go on with a fresh connection. */
export type ServerGate = (stream: UnixStream, signal: AbortSignal | undefined) => Promise<boolean>;

/** The gate that an option asks for; null for none. */
export function serverGate(
  authorize: AllowedServers | AuthorizeServer | undefined,
): ServerGate | null {
  if (authorize === undefined) return null;
  if (typeof authorize === "function") {
    return async (stream, signal) => {
      const credentials = peerCredentials(stream);
      if (credentials === null) return false;
      const server = { ...credentials, pidfd: () => peerPidfd(stream) };
      const answer: unknown = await abortable(Promise.resolve(authorize(server)), signal);
      if (typeof answer === "boolean") return answer;
      throw new TypeError("Cannot authorize a server: the function has to return true or false");
    };
  }
  const { pid, ...ids } = authorize ?? {};
  const pids = pidsOf(pid);
  const others = pids !== null && ids.uid === undefined && ids.gid === undefined;
  const gate = others ? null : gateOf(authorize);
  return (stream) => {
    const allowed = gate === null || gate(stream.fd);
    return Promise.resolve(allowed && (pids === null || pids.has(livingPid(stream))));
  };
}

function pidsOf(pids: readonly number[] | undefined): ReadonlySet<number> | null {
  if (pids === undefined) return null;
  if (!Array.isArray(pids)) throw new TypeError("Cannot use this as pid: expected an array");
  return new Set(pids.map((pid) => checkInteger(pid, "a pid", 1, 0x7fff_ffff)));
}

/** The number of the server's process, which lives; −1 where it does not. */
function livingPid(stream: UnixStream): number {
  using pidfd = peerPidfd(stream);
  if (pidfd === null) return -1;
  using info = Fd.open(`/proc/self/fdinfo/${pidfd.fd}`);
  const buffer = new Uint8Array(4096);
  const count = info.readSync(buffer) ?? 0;
  const found = /^Pid:\s*(\d+)$/m.exec(new TextDecoder().decode(buffer.subarray(0, count)));
  return found === null ? -1 : Number(found[1]);
}
