/**
 * Descriptors that the service manager passed at the start: sockets it listens on, and those that an
 * earlier instance stored.
 * @module
 */

import { checked, errnoNumber, file, native, refusal, sockets } from "../../ffi/mod.ts";
import { UnixDatagram } from "../datagram.ts";
import { Fd } from "../fd/fd.ts";
import { type AdoptListenerOptions, UnixListener } from "../listener.ts";
import { UnixSeqpacket, UnixSeqpacketListener } from "../seqpacket.ts";
import { UnixStream } from "../stream.ts";
import {
  type EnvironmentOptions,
  isOwnPid,
  malformed,
  numberIn,
  withVariables,
} from "./environment.ts";

/** The number of the first descriptor that is passed. */
const FIRST_FD = 3;

/** What a descriptor without a name is called. */
const UNKNOWN = "unknown";

/**
 * What a descriptor can become: one of the Unix sockets, or `"other"` for all else, such as a TCP
 * listener, a pipe or a file.
 */
export type PassedFdKind =
  | "stream-listener"
  | "stream"
  | "seqpacket-listener"
  | "seqpacket"
  | "datagram"
  | "other";

/** The address family of a socket; `"other"` for netlink, vsock and their like. */
export type PassedFdFamily = "unix" | "inet" | "inet6" | "other";

/** The numbers that have an owner, or are closed: another {@linkcode listenFds} has them no more. */
const taken = new Set<number>();

/**
 * A descriptor that the service manager passed. It is close-on-exec and stays open until one of the
 * methods makes something of it, which then owns it, or {@linkcode close} is called; being lost does
 * not close it. Each method throws EBADF once one of them was called.
 */
export class PassedFd implements Disposable {
  readonly #fd: number;
  /** The name that the manager gave it (`FileDescriptorName=`, or FDNAME when it was stored). */
  readonly name: string;
  /** What it can become. */
  readonly kind: PassedFdKind;
  /** The address family; null where it is no socket. */
  readonly family: PassedFdFamily | null;
  /** Whether it is a socket that listens, of any family. */
  readonly listening: boolean;

  /** @ignore */
  constructor(fd: number, name: string) {
    this.#fd = fd;
    this.name = name;
    const { SOL_SOCKET, SO_TYPE } = native().abi.constants;
    const domain = sockets.familyOf(fd);
    this.listening = domain >= 0 && sockets.isListening(fd) === true;
    this.family = domain >= 0 ? familyOf(domain) : null;
    this.kind = this.family === "unix"
      ? kindOf(sockets.getsockopt(fd, SOL_SOCKET, SO_TYPE), this.listening)
      : "other";
  }

  /** The number, or −1 once it was taken or closed. */
  get fd(): number {
    return taken.has(this.#fd) ? -1 : this.#fd;
  }

  /**
   * The listener, for kind `"stream-listener"`. It becomes non-blocking. The path stays when it is
   * closed: it is the manager's. So is the socket: never `shutdown` it.
   *
   * @throws {UnixSocketError} EPROTOTYPE, ENOTSOCK, EINVAL: it is something else. EBADF: it was taken
   */
  toListener(options?: AdoptListenerOptions): UnixListener {
    return this.#take((fd) => UnixListener.fromFd(fd, options));
  }

  /**
   * The listener, for kind `"seqpacket-listener"`; else as {@linkcode toListener}.
   *
   * @throws {UnixSocketError} as `toListener` does
   */
  toSeqpacketListener(options?: AdoptListenerOptions): UnixSeqpacketListener {
    return this.#take((fd) => UnixSeqpacketListener.fromFd(fd, options));
  }

  /**
   * The connection, for kind `"stream"`: of `Accept=yes`, or one that was stored.
   *
   * @throws {UnixSocketError} as `toListener` does
   */
  toStream(): UnixStream {
    return this.#take((fd) => UnixStream.fromFd(fd));
  }

  /**
   * The connection, for kind `"seqpacket"`.
   *
   * @throws {UnixSocketError} as `toListener` does
   */
  toSeqpacket(): UnixSeqpacket {
    return this.#take((fd) => UnixSeqpacket.fromFd(fd));
  }

  /**
   * The socket, for kind `"datagram"`.
   *
   * @throws {UnixSocketError} as `toListener` does
   */
  toDatagram(): UnixDatagram {
    return this.#take((fd) => UnixDatagram.fromFd(fd));
  }

  /**
   * The descriptor as such, for any kind: a file, a pipe, a memfd. Its open file may be shared, and
   * becomes non-blocking only when something is read or written.
   *
   * @throws {UnixSocketError} EBADF: it was taken
   */
  toFd(): Fd {
    return this.#take((fd) => Fd.received(fd));
  }

  /**
   * Gives the number away, to whom it then belongs: to `listen({ fd })` of a server of `node:net` or
   * `node:http`, for instance.
   *
   * @throws {UnixSocketError} EBADF: it was taken
   */
  intoFd(): number {
    return this.#take((fd) => fd);
  }

  /** Closes it, unless it was taken. */
  close(): void {
    if (this.fd === -1) return;
    taken.add(this.#fd);
    file.closeHandedOver(this.#fd);
  }

  /** Closes it at the end of a `using` scope, unless it was taken. */
  [Symbol.dispose](): void {
    this.close();
  }

  #take<T>(make: (fd: number) => T): T {
    if (this.fd === -1) {
      throw refusal("EBADF", {
        action: `Cannot take descriptor ${this.#fd}`,
        syscall: "fcntl",
        detail: "it was taken or closed before",
      });
    }
    const made = make(this.#fd);
    taken.add(this.#fd);
    return made;
  }
}

function familyOf(domain: number): PassedFdFamily {
  const { AF_UNIX, AF_INET, AF_INET6 } = native().abi.constants;
  if (domain === AF_UNIX) return "unix";
  return domain === AF_INET ? "inet" : domain === AF_INET6 ? "inet6" : "other";
}

function kindOf(type: number, listening: boolean): PassedFdKind {
  const { constants, linux } = native().abi;
  switch (type) {
    case constants.SOCK_STREAM:
      return listening ? "stream-listener" : "stream";
    case linux?.SOCK_SEQPACKET:
      return listening ? "seqpacket-listener" : "seqpacket";
    case constants.SOCK_DGRAM:
      return "datagram";
    default:
      return "other";
  }
}

const VARIABLES = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] as const;

/** Set beside them by newer managers, and removed with them. */
const REMOVED_TOO = ["LISTEN_PIDFDID"];

/**
 * The descriptors that the service manager passed (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES), in its
 * order, and makes each close-on-exec (fcntl(2)). Empty where there are none: the variables are
 * absent or empty, or LISTEN_PID names another process, whose variables these are. Those that this
 * thread has taken or closed are left out.
 *
 * Variables for this process that make no sense are an error, as they are to sd_listen_fds(3): to go
 * on would be to serve on a socket of one's own while clients wait on the manager's. LISTEN_FDS=0 is
 * one of them: who passes nothing sets no variable.
 *
 * Call it early, before anything could have closed one of the numbers and used it again. Deno needs
 * `--allow-env=LISTEN_PID,LISTEN_FDS,LISTEN_FDNAMES`.
 *
 * @throws {UnixSocketError} EINVAL: a variable is no number, or 0, or there are not as many names as
 * descriptors. EBADF: one of the descriptors is not open. EACCES: Deno may not read the variables
 *
 * @example Serve on the socket of a `.socket` unit, or on one of our own
 * ```ts
 * import { UnixListener } from "@afunix/afunix";
 * import { listenFds } from "@afunix/afunix/systemd";
 *
 * const passed = listenFds({ unsetEnvironment: true });
 * using listener = passed.find(({ kind }) => kind === "stream-listener")?.toListener() ??
 *   UnixListener.listen("/run/echo.sock");
 * for await (const stream of listener) {
 *   stream.readable.pipeTo(stream.writable).catch((error) => console.error(error.message));
 * }
 * ```
 *
 * See sd_listen_fds(3), systemd.socket(5).
 */
export function listenFds(options?: EnvironmentOptions): PassedFd[] {
  return withVariables(VARIABLES, REMOVED_TOO, options, (variables) => {
    const { LISTEN_PID: pid, LISTEN_FDS: fds, LISTEN_FDNAMES: names } = variables;
    if (pid === undefined || !isOwnPid("LISTEN_PID", pid) || fds === undefined) return [];
    const count = Number(numberIn("LISTEN_FDS", fds, 1n, BigInt(0x7fff_ffff - FIRST_FD)));
    // Before there is an array: the number may be a fantasy.
    for (let fd = FIRST_FD; fd < FIRST_FD + count; fd++) secure(fd);
    const nameOf = namesOf(names, count);
    const passed: PassedFd[] = [];
    for (let i = 0; i < count; i++) {
      if (!taken.has(FIRST_FD + i)) passed.push(new PassedFd(FIRST_FD + i, nameOf[i]!));
    }
    return passed;
  });
}

function namesOf(names: string | undefined, count: number): string[] {
  if (names === undefined) return Array<string>(count).fill(UNKNOWN);
  const list = names.split(":");
  if (list.length === count) return list;
  throw malformed("LISTEN_FDNAMES", names, `${list.length} names for ${count} descriptors`);
}

function secure(fd: number): void {
  if (taken.has(fd)) return;
  const result = file.closeOnExec(fd);
  checked(result, {
    action: `Cannot take descriptor ${fd}, which LISTEN_FDS counts`,
    syscall: "fcntl",
    detail: result === -errnoNumber("EBADF") ? "it is not open" : undefined,
  });
}
