/**
 * What goes along with a message besides its bytes: open descriptors and credentials (ancillary
 * data, control messages).
 * @module
 */

import {
  checked,
  cmsg,
  errnoNumber,
  file,
  linuxConstants,
  type MessageBlock,
  native,
  sockets,
} from "../../ffi/mod.ts";
import type { Credentials } from "../credentials.ts";
import { Fd } from "../fd/fd.ts";
import { type FdLike, fdOf, openFdOf } from "../fd/fd_like.ts";
import { checkFd, checkFlag, checkInteger, checkOptions } from "../util/validate.ts";

/** An object that owns its descriptor. */
interface Owner {
  readonly fd: number;
  intoFd(): number;
}

/** What to send along with a message. */
export interface AncillaryOptions {
  /**
   * Descriptors for the receiver, at most 253 (SCM_RIGHTS). It gets duplicates: these here stay
   * open, and may be closed as soon as the call has returned, also while the promise is pending.
   */
  fds?: readonly FdLike[] | undefined;
  /**
   * Closes the descriptors here once the kernel has taken the message that carries them; until then,
   * and for ever where sending fails, they stay open and the caller's. Only for objects that own
   * their descriptor ({@linkcode Fd} and sockets), not for numbers. The path of a listener that is
   * transferred stays.
   */
  transfer?: boolean | undefined;
  /**
   * Who sends this (SCM_CREDENTIALS, Linux): `true` for this process, or the ids to claim, of which
   * those that are left out are this process's own. Delivered if the receiver asked with
   * `passCredentials`.
   */
  credentials?: boolean | Partial<Credentials> | undefined;
}

/** The largest id; −1 means "no change" to the kernel. */
const MAX_ID = 0xffff_fffe;

function checkCredentials(wanted: AncillaryOptions["credentials"]): Credentials | null {
  if (wanted === undefined || wanted === false) return null;
  linuxConstants("credentials of messages", "sendmsg");
  const own = sockets.ownCredentials();
  if (wanted === true) return own;
  checkOptions(wanted);
  const id = (name: "uid" | "gid") =>
    wanted[name] === undefined ? own[name] : checkInteger(wanted[name], `a ${name}`, 0, MAX_ID);
  const pid = wanted.pid === undefined
    ? own.pid
    : checkInteger(wanted.pid, "a pid", 1, 0x7fff_ffff);
  return { pid, uid: id("uid"), gid: id("gid") };
}

function isOwner(descriptor: unknown): descriptor is Owner {
  return typeof (descriptor as Partial<Owner>).intoFd === "function";
}

function checkDescriptors(
  descriptors: readonly FdLike[] | undefined,
  transfer: boolean,
): readonly FdLike[] {
  if (descriptors === undefined) return [];
  if (!Array.isArray(descriptors)) {
    throw new TypeError("Cannot send these descriptors: expected an array");
  }
  if (descriptors.length > cmsg.MAX_DESCRIPTORS) {
    throw new RangeError(
      `Cannot send ${descriptors.length} descriptors: one message carries at most ` +
        `${cmsg.MAX_DESCRIPTORS}`,
    );
  }
  return Array.from(descriptors, (descriptor) => {
    const isObject = typeof descriptor === "object" && descriptor !== null;
    if (transfer && !(isObject && isOwner(descriptor))) {
      throw new TypeError("Cannot transfer this: expected an Fd or a socket, which own theirs");
    }
    if (typeof descriptor === "number") return checkFd(descriptor);
    openFdOf(descriptor, "Cannot send a descriptor", "sendmsg");
    return descriptor;
  });
}

/**
 * Ancillary data on their way out: packed once, and held by duplicates of their own while they
 * wait, because the numbers may be closed and used again by then.
 */
export class Outgoing {
  readonly #descriptors: readonly FdLike[];
  readonly #credentials: Credentials | null;
  readonly #transfer: boolean;
  /** Objects, so that a batch that the program has lost loses no descriptor. */
  #held: Fd[] = [];
  /** What to send; null where nothing goes along. */
  control: cmsg.ControlToSend | null;

  constructor(options: AncillaryOptions | undefined) {
    checkOptions(options);
    const transfer = checkFlag(options?.transfer, "transfer");
    this.#transfer = transfer;
    this.#descriptors = checkDescriptors(options?.fds, transfer);
    this.#credentials = checkCredentials(options?.credentials);
    this.control = this.#sending(this.#descriptors.map(fdOf));
  }

  /** How many descriptors go along. */
  get count(): number {
    return this.#descriptors.length;
  }

  /** Duplicates the descriptors; from now on these are what is sent. */
  duplicate(): void {
    if (this.count === 0 || this.#held.length > 0) return;
    const context = { action: "Cannot keep a descriptor to send it later", syscall: "fcntl" };
    try {
      for (const descriptor of this.#descriptors) {
        const fd = fdOf(descriptor);
        const copy = fd === -1 ? -errnoNumber("EBADF") : file.duplicate(fd);
        this.#held.push(Fd.received(checked(copy, context)));
      }
    } catch (error) {
      this.closeDuplicates();
      throw error;
    }
    this.control = this.#sending(this.#held.map((fd) => fd.fd));
  }

  /** Closes the duplicates. */
  closeDuplicates(): void {
    for (const fd of this.#held) fd.close();
    this.#held = [];
  }

  /** The kernel has them: a transfer is complete. */
  sent(): void {
    if (!this.#transfer) return;
    for (const descriptor of this.#descriptors) {
      // One that was closed or given away meanwhile is not ours to close.
      if (fdOf(descriptor) !== -1) file.closeHandedOver((descriptor as Owner).intoFd());
    }
  }

  #sending(fds: readonly number[]): cmsg.ControlToSend | null {
    const credentials = this.#credentials;
    return fds.length === 0 && credentials === null ? null : { fds, credentials };
  }
}

/** What came along with a message. */
export interface Ancillary {
  /** The descriptors, which belong to whoever takes them out of the array. */
  fds: Fd[];
  /** Who sent it, by the kernel's check; null where that was not asked for, or nobody is known. */
  credentials: Credentials | null;
  /** A descriptor of the process that sent it; null where that was not asked for. */
  pidfd: Fd | null;
  /** The sender's security context (SELinux, AppArmor, …); null where that was not asked for. */
  securityContext: string | null;
  /** Whether something is missing that was sent, descriptors for instance. */
  controlTruncated: boolean;
}

/** The ids of an unmapped user or group, as the kernel's default has them. */
const OVERFLOW_ID = 65534;

/** The ancillary data of message `index` of a block, owned from now on. */
export function takeAncillary(block: MessageBlock, index: number, maxFds: number): Ancillary {
  const cut = (block.flags(index) & native().abi.constants.MSG_CTRUNC) !== 0;
  const found = block.controlMessages(index);
  const { fds, pidfds } = found;
  // Of a set with a gap nobody can tell which is which.
  const most = cut ? 0 : maxFds;
  const beyond = fds.length > most;
  if (beyond) closeAll(fds.splice(most));
  if (pidfds.length > 1) closeAll(pidfds.splice(1));
  let { credentials } = found;
  if (
    credentials?.pid === 0 && credentials.uid === OVERFLOW_ID && credentials.gid === OVERFLOW_ID
  ) {
    credentials = null;
  }
  return {
    fds: fds.map(Fd.received),
    credentials,
    pidfd: pidfds.length === 0 ? null : Fd.received(pidfds[0]!),
    // Cut off, it would be the context of somebody else.
    securityContext: found.securityContext === null || cut
      ? null
      : new TextDecoder().decode(found.securityContext),
    controlTruncated: cut || found.malformed || beyond,
  };
}

function closeAll(fds: readonly number[]): void {
  for (const fd of fds) file.close(fd);
}

/** The limit of descriptors in a receipt, checked. */
export function checkMaxFds(maxFds: number | undefined): number {
  if (maxFds === undefined) return cmsg.MAX_DESCRIPTORS;
  return checkInteger(maxFds, "a number of descriptors", 0, cmsg.MAX_DESCRIPTORS);
}
