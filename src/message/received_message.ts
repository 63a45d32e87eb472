/**
 * A message with all that came along.
 * @module
 */

import type { Address } from "../address.ts";
import type { Ancillary } from "./ancillary.ts";
import type { Credentials } from "../credentials.ts";
import type { Fd } from "../fd/fd.ts";
import type { Message } from "./message.ts";

/**
 * A message as `receiveMessage` returns it: its bytes, and the descriptors and credentials that
 * came along.
 *
 * The descriptors are the message's until they are taken out of {@linkcode fds}. Closing it, or
 * leaving the scope of a `using`, closes what was not taken.
 *
 * @example
 * ```ts
 * import { Fd, UnixStream } from "@afunix/afunix";
 *
 * const [a, b] = UnixStream.pair();
 * const file = Fd.open("/etc/hostname");
 * await a.sendMessage(new TextEncoder().encode("a file"), { fds: [file] });
 * using message = await b.receiveMessage();
 * using received = message!.fds.shift()!;
 * const buffer = new Uint8Array(64);
 * console.log(await received.read(buffer));
 * ```
 */
export class ReceivedMessage implements Message, Ancillary, Disposable {
  /** The bytes, in memory of their own. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** Who sent it: its address, unnamed where it did not bind. */
  readonly from: Address;
  /** How long the message really was; on a stream, how many bytes these are. */
  readonly length: number;
  /** Whether the data are only its beginning; never on a stream. */
  readonly truncated: boolean;
  /** Whether the data reach the end of the record; never on a stream. */
  readonly endOfRecord: boolean;
  /**
   * The descriptors, in the order they were sent, close-on-exec. Take one by removing it:
   * `fds.shift()`, or all with {@linkcode takeFds}. Those that are left are closed with the message.
   */
  readonly fds: Fd[];
  /**
   * Who sent it, as the kernel checked (SCM_CREDENTIALS, Linux). Null where `passCredentials` was
   * off, and where the kernel recorded nobody: it was off on both sides when this was sent.
   */
  readonly credentials: Credentials | null;
  /**
   * A pidfd of the process that sent it (SCM_PIDFD, Linux 6.5): unlike its pid, never anybody
   * else's. Null where `passPidfd` was off. Closed with the message unless taken with
   * {@linkcode takePidfd}.
   */
  pidfd: Fd | null;
  /** The sender's security context (SCM_SECURITY); null where `passSecurityContext` was off. */
  readonly securityContext: string | null;
  /**
   * Whether something that was sent along is missing: no descriptor was free here (then all of the
   * message's are closed and {@linkcode fds} is empty), or more came than `maxFds` (then those beyond
   * it are closed). It cannot be had again.
   */
  readonly controlTruncated: boolean;

  /** @ignore */
  constructor(message: Message, ancillary: Ancillary) {
    this.data = message.data;
    this.from = message.from;
    this.length = message.length;
    this.truncated = message.truncated;
    this.endOfRecord = message.endOfRecord;
    this.fds = ancillary.fds;
    this.credentials = ancillary.credentials;
    this.pidfd = ancillary.pidfd;
    this.securityContext = ancillary.securityContext;
    this.controlTruncated = ancillary.controlTruncated;
  }

  /** Takes all descriptors out of the message. */
  takeFds(): Fd[] {
    return this.fds.splice(0);
  }

  /** Takes the pidfd out of the message; null where there is none. */
  takePidfd(): Fd | null {
    const { pidfd } = this;
    this.pidfd = null;
    return pidfd;
  }

  /** Closes the descriptors that were not taken. A second call does nothing. */
  close(): void {
    for (const fd of this.fds) fd.close();
    this.pidfd?.close();
  }

  /** Closes the descriptors that were not taken. */
  [Symbol.dispose](): void {
    this.close();
  }
}
