/**
 * In debug mode: which descriptors of this thread are the library's, and what became of them.
 * @module
 */

import { currentPlace, DescriptorError } from "./errors.ts";

/**
 * `loose`: made, and nobody's yet. `owned`: an object's, which closes it. `lasting`: as long as the
 * thread. `given`: to the program or to the runtime. `closed`.
 */
export type DescriptorState = "loose" | "owned" | "lasting" | "given" | "closed";

interface Entry {
  state: DescriptorState;
  /** Where it was made or taken over. */
  readonly place: string;
  /** Where it was closed or given away. */
  ended: string;
}

/** All descriptors of one thread that the library has ever had. */
export class DescriptorLedger {
  readonly #entries = new Map<number, Entry>();
  #lasting = false;

  /** A call made a descriptor. */
  made(fd: number, lasting = false): void {
    const state = lasting || this.#lasting ? "lasting" : "loose";
    this.#entries.set(fd, { state, place: currentPlace(), ended: "" });
  }

  /** Runs something whose descriptors live as long as the thread, or are for the runtime to close. */
  lastingWithin<T>(body: () => T): T {
    const before = this.#lasting;
    this.#lasting = true;
    try {
      return body();
    } finally {
      this.#lasting = before;
    }
  }

  /** An object closes it from now on, whoever made it. */
  own(fd: number): void {
    const entry = this.#entries.get(fd);
    if (entry?.state === "loose") entry.state = "owned";
    else this.#entries.set(fd, { state: "owned", place: currentPlace(), ended: "" });
  }

  /** It is no longer the library's. */
  giveAway(fd: number): void {
    this.#end(fd, "given");
  }

  /** @throws {DescriptorError} for what is not the library's to close */
  beforeClose(fd: number): void {
    const entry = this.#entries.get(fd);
    if (entry === undefined) {
      throw new DescriptorError(fd, "afunix has neither made it nor been given it");
    }
    const { state, place, ended } = entry;
    if (state !== "given" && state !== "closed") return;
    const what = state === "closed" ? "it was closed before" : "it was given away before";
    throw new DescriptorError(fd, `${what}, here:\n${ended}\nand made here:\n${place}`);
  }

  /** It is no more, or was `gone` before. Linux releases a number whatever else close(2) reports. */
  closed(fd: number, gone = false): void {
    this.#end(fd, "closed");
    if (!gone) return;
    const { place, ended } = this.#entries.get(fd)!;
    const said = "somebody else had closed it before afunix did";
    console.warn(`afunix: descriptor ${fd}: ${said}, here:\n${ended}\nmade here:\n${place}`);
  }

  /** What is open and nobody's: the number, and the place where it was made. */
  loose(): [fd: number, place: string][] {
    const found: [number, string][] = [];
    for (const [fd, { state, place }] of this.#entries) {
      if (state === "loose") found.push([fd, place]);
    }
    return found;
  }

  #end(fd: number, state: "given" | "closed"): void {
    const entry = this.#entries.get(fd);
    if (entry === undefined) return;
    entry.state = state;
    entry.ended = currentPlace();
  }
}
