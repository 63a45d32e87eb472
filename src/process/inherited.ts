/**
 * What this process was given when it was started.
 * @module
 */

import { checked, environmentWith, file, native, refusal, sockets } from "../../ffi/mod.ts";
import { UnixDatagram } from "../datagram.ts";
import { Fd } from "../fd/fd.ts";
import { UnixSeqpacket } from "../seqpacket.ts";
import {
  checkName,
  type Entry,
  formatEntries,
  isThere,
  LIST_VARIABLE,
  parseEntries,
  SOCKET_VARIABLE,
} from "./environment.ts";
import type { SocketType, SocketTypes } from "./options.ts";
import { UnixStream } from "../stream.ts";
import { checkFlag, checkOptions, checkWord } from "../util/validate.ts";

/** Options of {@linkcode inheritedFds}. */
export interface InheritedOptions {
  /**
   * Leaves the environment as it is. Without it, what is taken is removed from `AFUNIX_FDS` and
   * `AFUNIX_SOCKET_FD`, so that children of this process do not see it.
   */
  keepEnvironment?: boolean | undefined;
}

/** Options of {@linkcode inheritedSocket}. */
export interface InheritedSocketOptions<T extends SocketType = SocketType>
  extends InheritedOptions {
  /** The type that is expected: EPROTOTYPE where the socket is of another. Without it, any. */
  type?: T | undefined;
}

const ACTION = "Cannot take what was inherited";

/**
 * The socket that {@linkcode spawnWithSocket} gave to this process, close-on-exec and non-blocking.
 * The caller owns it; it has got another number than `AFUNIX_SOCKET_FD` says, which is closed. So
 * only the first call gets it, of whichever thread: another returns null.
 *
 * A variable that is not meant for this process does no harm: what is open under the number has to
 * be what was handed on, by device and inode.
 *
 * On Deno it needs `--allow-env=AFUNIX_SOCKET_FD,AFUNIX_FDS`, and never asks for it.
 *
 * @param name the `name` of the socket, or of one of the `fds` that is a connected Unix socket;
 * without it, the socket whatever its name
 * @returns null where there is none: this process was started otherwise, or the socket was taken
 * @throws {UnixSocketError} EACCES: the environment may not be read. ENOTSOCK, EPROTOTYPE: what has
 * this name is no Unix socket, or not of the `type`. EINVAL: it listens; take it with
 * {@linkcode inheritedFds}. EMFILE. It stays where it was then.
 *
 * @example
 * ```ts
 * import { inheritedSocket } from "@afunix/afunix/process";
 *
 * using socket = inheritedSocket(undefined, { type: "stream" });
 * if (socket === null) throw new Error("Not started by spawnWithSocket()");
 * await socket.writeAll(new TextEncoder().encode("ready\n"));
 * ```
 */
export function inheritedSocket<T extends SocketType = SocketType>(
  name?: string,
  options?: InheritedSocketOptions<T>,
): SocketTypes[T] | null {
  if (name !== undefined) checkName(name);
  const inheritance = new Inheritance(options);
  const type = options?.type;
  if (type !== undefined) {
    checkWord(type, "a type of socket", ["stream", "datagram", "seqpacket"]);
  }
  const entry = inheritance.entries.find((entry) =>
    name === undefined ? entry.fd === inheritance.socketFd : entry.name === name
  );
  if (entry === undefined) return null;
  return inheritance.take(entry, (fd) => socketFrom(fd, type) as SocketTypes[T]);
}

/**
 * The descriptors that {@linkcode spawnWithSocket} gave to this process beside the socket (its
 * option `fds`), by name and in their order, close-on-exec. The caller owns them. Each is got once,
 * as with {@linkcode inheritedSocket}. Sockets are taken over from here: `UnixListener.fromFd`.
 *
 * Of files without an inode of their own, as eventfds and pidfds on older kernels are, the check
 * sees only that it is such a file.
 *
 * @returns an empty Map where there are none
 * @throws {UnixSocketError} EACCES: the environment may not be read. EMFILE; what was not taken then
 * stays where it was
 *
 * @example
 * ```ts
 * import { inheritedFds } from "@afunix/afunix/process";
 *
 * using log = inheritedFds().get("log");
 * await log?.writeAll(new TextEncoder().encode("started\n"));
 * ```
 */
export function inheritedFds(options?: InheritedOptions): Map<string, Fd> {
  const inheritance = new Inheritance(options);
  const found = new Map<string, Fd>();
  try {
    for (const entry of inheritance.entries) {
      if (entry.fd === inheritance.socketFd) continue;
      const fd = inheritance.take(entry, Fd.received);
      if (fd !== null) found.set(entry.name, fd);
    }
  } catch (error) {
    for (const fd of found.values()) fd.close();
    throw error;
  }
  return found;
}

/** What the environment tells, as it is now. */
class Inheritance {
  readonly entries: Entry[];
  readonly socketFd: number;
  readonly #variables: Record<string, string | undefined>;
  readonly #keep: boolean;

  constructor(options: InheritedOptions | undefined) {
    checkOptions(options);
    this.#keep = checkFlag(options?.keepEnvironment, "keepEnvironment");
    const variables = environmentWith([SOCKET_VARIABLE, LIST_VARIABLE]);
    if (variables === null) {
      throw refusal("EACCES", {
        action: ACTION,
        syscall: "getenv",
        detail: `needs --allow-env=${SOCKET_VARIABLE},${LIST_VARIABLE}`,
      });
    }
    this.#variables = variables;
    this.entries = parseEntries(variables[LIST_VARIABLE]);
    const number = variables[SOCKET_VARIABLE];
    this.socketFd = number !== undefined && /^\d{1,9}$/.test(number) ? Number(number) : -1;
  }

  /** Moves a descriptor to a number of its own and makes something of it; null where it is not there. */
  take<R>(entry: Entry, make: (fd: number) => R): R | null {
    let made: R | null = null;
    if (isThere(entry)) {
      const fd = checked(file.duplicate(entry.fd), { action: ACTION, syscall: "fcntl" });
      try {
        made = make(fd);
      } catch (error) {
        file.close(fd);
        throw error;
      }
      file.closeHandedOver(entry.fd);
    }
    if (!this.#keep) this.#forget(entry);
    return made;
  }

  #forget(entry: Entry): void {
    const left = parseEntries(this.#variables[LIST_VARIABLE]).filter(({ name }) =>
      name !== entry.name
    );
    if (left.length > 0) this.#variables[LIST_VARIABLE] = formatEntries(left);
    else delete this.#variables[LIST_VARIABLE];
    if (entry.fd === this.socketFd) delete this.#variables[SOCKET_VARIABLE];
  }
}

/** The socket of the class that fits, which owns the descriptor. */
function socketFrom(fd: number, wanted: SocketType | undefined): SocketTypes[SocketType] {
  const { constants, linux } = native().abi;
  const type = checked(sockets.getsockopt(fd, constants.SOL_SOCKET, constants.SO_TYPE), {
    action: ACTION,
    syscall: "getsockopt",
  });
  const is = wanted ??
    (type === constants.SOCK_DGRAM
      ? "datagram"
      : type === linux?.SOCK_SEQPACKET
      ? "seqpacket"
      : "stream");
  if (is === "datagram") return UnixDatagram.fromFd(fd);
  return is === "seqpacket" ? UnixSeqpacket.fromFd(fd) : UnixStream.fromFd(fd);
}
