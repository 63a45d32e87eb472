/**
 * Datagrams to addresses. No event tells of room at the receiver of an unconnected datagram, so each
 * destination has a queue whose first sender tries again after growing delays.
 * @module
 */

import { errnoNumber, failure, native, sockets } from "../../ffi/mod.ts";
import {
  addressKey,
  type AddressLike,
  formatAddress,
  parseAddress,
  type ParsedAddress,
  quote,
} from "../address.ts";
import type { Outgoing } from "./ancillary.ts";
import { SendingMessage, sendMessageNow } from "./message_operations.ts";
import { packPlain, withPeerSockaddr } from "../socket/long_path.ts";

/** The maximum number of destinations that stay packed for another message. */
const MAX_KNOWN = 64;

/** The destination of datagrams. */
export class Destination {
  readonly #parsed: ParsedAddress;
  /** Null for a path that is too long: it is opened for each message. */
  readonly #packed: Uint8Array | null;
  #key: string | null = null;

  constructor(to: AddressLike) {
    this.#parsed = parseAddress(to, "connect");
    const { raw } = this.#parsed;
    if (raw.kind === "unnamed") {
      throw this.failure(-errnoNumber("EINVAL"), "sendto", "it has no name to send to");
    }
    this.#packed = packPlain(raw);
  }

  /** Names the queue in which messages for it wait. */
  get key(): string {
    return this.#key ??= addressKey(this.#parsed.address);
  }

  /** Calls `send` with the sockaddr; what that returns, or the negated errno of opening a long path. */
  reach(send: (sockaddr: Uint8Array) => number): number {
    return this.#packed === null ? withPeerSockaddr(this.#parsed.raw, send) : send(this.#packed);
  }

  failure(negated: number, syscall: string, detail: string | undefined): Error {
    const { address } = this.#parsed;
    return failure(negated, {
      action: `Cannot send to ${quote(address)}`,
      syscall,
      address: formatAddress(address),
      detail,
    });
  }
}

/** The destinations of one socket. */
export class Destinations {
  readonly #known = new Map<string, Destination>();

  /** Finds a destination among those that are remembered, or parses it. */
  find(to: AddressLike): Destination {
    if (typeof to !== "string") return new Destination(to);
    let found = this.#known.get(to);
    if (found === undefined) {
      if (this.#known.size === MAX_KNOWN) this.#known.clear();
      this.#known.set(to, found = new Destination(to));
    }
    return found;
  }
}

/** Sends one message to an address. */
export function sendToNow(fd: number, view: Uint8Array, to: Destination): number {
  const { MSG_DONTWAIT } = native().abi.constants;
  return to.reach((sockaddr) => sockets.sendto(fd, view, view.byteLength, MSG_DONTWAIT, sockaddr));
}

/** Sends one message with its ancillary data to an address. */
export function sendMessageToNow(
  fd: number,
  view: Uint8Array,
  to: Destination,
  outgoing: Outgoing,
): number {
  return to.reach((sockaddr) => sendMessageNow(fd, view, outgoing, sockaddr));
}

/** A message to an address that waits for room. */
export class SendingTo<T> extends SendingMessage<T> {
  readonly #to: Destination;

  constructor(
    owner: object,
    to: Destination,
    attempt: () => number,
    outcome: (result: number) => T,
    outgoing: Outgoing | null = null,
  ) {
    super(owner, outgoing === null ? "sendto" : "sendmsg", attempt, outcome, outgoing);
    this.#to = to;
  }

  override fail(negated: number, detail?: string): Error {
    return this.#to.failure(negated, this.syscall, detail);
  }
}
