/**
 * Sending datagrams to addresses. No event tells of room at the receiver of an unconnected
 * datagram, so each destination has a line of senders, of which the first tries again after growing
 * pauses.
 * @module
 */

import { errnoNumber, failure, native, sockets } from "../../ffi/mod.ts";
import {
  type Address,
  addressKey,
  type AddressLike,
  formatAddress,
  parseAddress,
  quote,
} from "../address.ts";
import type { Descriptor } from "../io/descriptor.ts";
import { type Operation, wouldBlock, YIELD } from "../io/operation_queue.ts";
import { resized } from "./message_operations.ts";
import { Backoff, sleep } from "../io/backoff.ts";
import { fitsPlain, packPlain, withPeerSockaddr } from "../socket/long_path.ts";

/** How many packed destinations are kept, so that sending to one again need not pack it. */
const MAX_KNOWN = 64;

/** Where a message goes. */
interface Destination {
  address: Address;
  /** Null for a path that is too long: it is opened for each message. */
  packed: Uint8Array | null;
  /** The line in which messages for it wait. */
  key: string;
}

/** A sending, and the line that it waits in. */
export interface AddressedOperation extends Operation<void> {
  readonly key: string;
}

/** The destinations of one socket. */
export class Destinations {
  readonly #known = new Map<string, Destination>();
  readonly #lines = new Map<string, Promise<void>>();

  /** The sending of one message to an address. */
  sending(
    owner: object,
    descriptor: Descriptor,
    view: Uint8Array,
    to: AddressLike,
  ): AddressedOperation {
    const expected = view.byteLength;
    const { MSG_DONTWAIT } = native().abi.constants;
    return this.sendingBy("sendto", owner, to, (sockaddr) => {
      if (view.byteLength !== expected) throw resized();
      return sockets.sendto(descriptor.fd, view, expected, MSG_DONTWAIT, sockaddr);
    });
  }

  /** The same, by a call of another kind. */
  sendingBy(
    syscall: string,
    owner: object,
    to: AddressLike,
    send: (sockaddr: Uint8Array) => number,
  ): AddressedOperation {
    const { address, packed, key } = this.#find(to);
    return {
      key,
      owner,
      attempt: () => packed === null ? withPeerSockaddr(address, send) : send(packed),
      outcome: () => {},
      fail: (negated, detail) =>
        failure(negated, {
          action: `Cannot send to ${quote(address)}`,
          syscall,
          address: formatAddress(address),
          detail,
        }),
    };
  }

  /** Whether somebody waits in a line. */
  waits(key: string): boolean {
    return this.#lines.has(key);
  }

  /** One try; would block where others wait for the same destination. */
  attempt({ key, attempt }: AddressedOperation): number {
    return this.waits(key) ? wouldBlock() : attempt();
  }

  /**
   * Waits for the turn in the line, then tries until the work is done. Rejects with the reason of
   * the signal; `closing` ends the wait when the socket closes.
   */
  async wait(
    work: AddressedOperation,
    descriptor: Descriptor,
    signal: AbortSignal | undefined,
    closing: AbortSignal,
  ): Promise<void> {
    work.beginWait?.();
    try {
      await this.#waitInLine(work, descriptor, signal, closing);
    } finally {
      work.endWait?.();
    }
  }

  async #waitInLine(
    work: AddressedOperation,
    descriptor: Descriptor,
    signal: AbortSignal | undefined,
    closing: AbortSignal,
  ): Promise<void> {
    const either = signal === undefined ? closing : AbortSignal.any([signal, closing]);
    const leave = await this.#stand(work.key, either, () => closed(work, closing));
    try {
      const backoff = new Backoff();
      for (;;) {
        if (either.aborted) throw closed(work, closing) ?? either.reason;
        const before = work.progress?.();
        const result = work.attempt();
        if (work.progress?.() !== before) backoff.reset();
        if (result >= 0) return;
        if (result !== wouldBlock() && result !== YIELD) throw work.fail(result);
        const pause = result === YIELD ? 0 : backoff.next();
        await sleep(pause, either, descriptor.refd).catch((reason) => {
          throw closed(work, closing) ?? reason;
        });
      }
    } finally {
      leave();
    }
  }

  /** Takes a place in a line, and waits until all before it have left. */
  async #stand(key: string, signal: AbortSignal, closed: () => unknown): Promise<() => void> {
    const before = this.#lines.get(key);
    const { promise: gone, resolve: leave } = Promise.withResolvers<void>();
    // Whoever stands behind waits for all before him, also for those before one that gave up.
    const mine = Promise.all([before, gone]).then(() => {
      if (this.#lines.get(key) === mine) this.#lines.delete(key);
    });
    this.#lines.set(key, mine);
    if (before === undefined) return leave;
    try {
      await raced(before, signal);
    } catch (reason) {
      leave();
      throw closed() ?? reason;
    }
    return leave;
  }

  #find(to: AddressLike): Destination {
    if (typeof to === "string") {
      const known = this.#known.get(to);
      if (known !== undefined) return known;
    }
    const address = parseAddress(to, "connect");
    const packed = fitsPlain(address) ? packPlain(address) : null;
    const destination = { address, packed, key: addressKey(address) };
    if (typeof to === "string") {
      if (this.#known.size === MAX_KNOWN) this.#known.clear();
      this.#known.set(to, destination);
    }
    return destination;
  }
}

/** Tries until the work is done, with pauses that block the thread. */
export function sendBlocking(work: Operation<void>, deadline: number): void {
  const backoff = new Backoff();
  for (;;) {
    const before = work.progress?.();
    const result = work.attempt();
    if (work.progress?.() !== before) backoff.reset();
    if (result >= 0) return;
    if (result === YIELD) continue;
    if (result !== wouldBlock()) throw work.fail(result);
    if (!backoff.block(deadline)) throw work.fail(-errnoNumber("ETIMEDOUT"));
  }
}

function closed(work: Operation<void>, closing: AbortSignal): unknown {
  if (!closing.aborted) return undefined;
  return work.fail(-errnoNumber("EBADF"), "the descriptor was closed");
}

function raced(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    });
  });
}
