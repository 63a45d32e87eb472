/**
 * Reports the descriptors that a program leaves open, or loses without closing them, and the place
 * where each was made.
 * @module
 */

import { currentPlace, type DescriptorLedger } from "../../ffi/debug/mod.ts";
import { type Debugging, failAtEnd, onExit, onIdle, type OwnedDescriptor } from "../../ffi/mod.ts";

interface Origin {
  /** The name of the owner's class. */
  readonly what: string;
  readonly place: string;
}

/** The maximum of places that one report names. */
const MAX_PLACES = 20;

/** Standard error, the last number that a process has from its start. */
const MAX_STANDARD = 2;

/** The descriptors of one thread. */
export class LeakReport implements Debugging {
  readonly #ledger: DescriptorLedger;
  readonly #origins = new Map<OwnedDescriptor, Origin>();
  readonly #reports: boolean;
  readonly #strict: boolean;
  /** Whether the process ends because nothing is left to do, and not by process.exit(). */
  #idle = false;

  /**
   * @param mode "pointers" reports nothing, "strict" also reports at process.exit() and makes the
   * process fail, anything else reports what is lost and what is open when all is done
   */
  constructor(ledger: DescriptorLedger, mode: string | undefined) {
    this.#ledger = ledger;
    this.#reports = mode !== "pointers";
    this.#strict = mode === "strict";
    if (!this.#reports) return;
    onIdle(() => this.#idle = true);
    onExit(() => this.#reportAtEnd());
  }

  own(fd: number): void {
    this.#ledger.own(fd);
  }

  giveAway(fd: number): void {
    this.#ledger.giveAway(fd);
  }

  owned(owner: object, descriptor: OwnedDescriptor): void {
    this.#ledger.own(descriptor.fd);
    if (!this.#reports) return;
    // Without this method and the function that calls it.
    const place = currentPlace(2);
    this.#origins.set(descriptor, { what: owner.constructor.name, place });
  }

  ended(descriptor: OwnedDescriptor): void {
    this.#origins.delete(descriptor);
  }

  lost(descriptor: OwnedDescriptor): void {
    const origin = this.#origins.get(descriptor);
    if (origin === undefined) return;
    const { what, place } = origin;
    const { fd } = descriptor;
    this.#warn(`${what} ${fd} was lost and never closed; it was made here:\n${place}`);
  }

  /** Says nothing at process.exit() unless strict: such a program leaves open what it has on purpose. */
  #reportAtEnd(): void {
    if (!this.#idle && !this.#strict) return;
    const groups = new Map<string, number[]>();
    let count = 0;
    const add = (what: string, place: string, fd: number) => {
      const title = `${what}, made here:\n${place}`;
      const numbers = groups.get(title);
      if (numbers === undefined) groups.set(title, [fd]);
      else numbers.push(fd);
      count++;
    };
    for (const [{ fd, refd }, { what, place }] of this.#origins) {
      if (refd && fd > MAX_STANDARD) add(what, place, fd);
    }
    for (const [fd, place] of this.#ledger.loose()) add("Nobody's", place, fd);
    if (count === 0) return;
    const lines = [...groups].slice(0, MAX_PLACES).map(([title, fds]) =>
      `Descriptor ${fds.join(", ")}: ${title}`
    );
    if (groups.size > MAX_PLACES) lines.push(`and from ${groups.size - MAX_PLACES} more places`);
    const noun = count === 1 ? "descriptor is" : "descriptors are";
    this.#warn(`${count} ${noun} still open at the end:\n${lines.join("\n")}`);
  }

  #warn(text: string): void {
    console.warn(`afunix: ${text}`);
    if (this.#strict) failAtEnd();
  }
}
