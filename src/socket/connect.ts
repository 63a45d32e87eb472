/**
 * Connecting, with a wait that no readiness can end: a full backlog answers EAGAIN, and only trying
 * again shows whether there is room.
 * @module
 */

import { errnoNumber, failure, refusal, sockets } from "../../ffi/mod.ts";
import { type Address, type AddressLike, formatAddress, parseAddress, quote } from "../address.ts";
import { bindSocket, removePath } from "./bind.ts";
import { Descriptor } from "../io/descriptor.ts";
import { Backoff, sleep } from "../io/backoff.ts";
import { spendOrTurn } from "../io/reactor.ts";
import { withPeerSockaddr } from "./long_path.ts";
import { createSocket } from "./socket.ts";

/** A connected descriptor and its addresses. */
export interface Connected {
  descriptor: Descriptor;
  localAddr: Address | null;
  remoteAddr: Address | null;
}

/** A connection that is being made. */
class Attempt {
  readonly #remote: Address;
  readonly #local: Address | null;
  readonly #type: number;
  #descriptor: Descriptor | null = null;
  readonly backoff: Backoff = new Backoff();

  constructor(address: AddressLike, from: AddressLike | undefined, type: number) {
    this.#remote = parseAddress(address, "connect");
    this.#local = from === undefined ? null : parseAddress(from, "bind");
    this.#type = type;
  }

  get action(): string {
    return `Cannot connect to ${quote(this.#remote)}`;
  }

  /** Tries once; true when connected. Throws what trying again cannot mend. */
  tryOnce(): boolean {
    if (this.#descriptor === null) this.#create();
    const fd = this.#descriptor!.fd;
    const result = this.#remote.kind === "unnamed"
      ? -errnoNumber("EINVAL")
      : withPeerSockaddr(this.#remote, (packed) => sockets.connect(fd, packed));
    if (result >= 0) return true;
    if (result === -errnoNumber("EAGAIN")) return false;
    throw failure(result, {
      action: this.action,
      syscall: "connect",
      address: formatAddress(this.#remote),
    });
  }

  #create(): void {
    const descriptor = new Descriptor(createSocket(this.#type, this.action, this.#remote));
    this.#descriptor = descriptor;
    if (this.#local === null) return;
    const bound = bindSocket(descriptor.fd, this.#local, { stale: "replace", type: this.#type });
    if (bound !== null) descriptor.beforeClose = () => removePath(bound);
  }

  connected(): Connected {
    const local = this.#local?.kind === "unnamed" ? null : this.#local;
    return { descriptor: this.#descriptor!, localAddr: local, remoteAddr: this.#remote };
  }

  giveUp(): void {
    this.#descriptor?.close();
  }
}

/** Connects, waiting for room in the backlog without blocking. */
export async function connectAsync(
  address: AddressLike,
  from: AddressLike | undefined,
  type: number,
  signal: AbortSignal | undefined,
): Promise<Connected> {
  const attempt = new Attempt(address, from, type);
  try {
    while (!attempt.tryOnce()) await sleep(attempt.backoff.next(), signal);
    await spendOrTurn();
    return attempt.connected();
  } catch (error) {
    attempt.giveUp();
    throw error;
  }
}

/** Connects, waiting for room in the backlog while it blocks the thread. */
export function connectBlocking(
  address: AddressLike,
  from: AddressLike | undefined,
  type: number,
  deadline: number,
): Connected {
  const attempt = new Attempt(address, from, type);
  try {
    while (!attempt.tryOnce()) {
      if (attempt.backoff.block(deadline)) continue;
      throw refusal("ETIMEDOUT", { action: attempt.action, syscall: "connect" });
    }
    return attempt.connected();
  } catch (error) {
    attempt.giveUp();
    throw error;
  }
}
