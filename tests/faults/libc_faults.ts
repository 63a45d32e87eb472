/**
 * Faults between the library and libc: calls that are interrupted, that find no memory, that move
 * less than asked, and amid which garbage is collected or a signal comes. The kernel does all of this,
 * but seldom when asked to.
 * @module
 */

import { errnoNumber, native } from "../../ffi/mod.ts";
import type { Random } from "../support/random.ts";

type Call = (...args: unknown[]) => number;

/** What becomes of a call. */
export interface Fault {
  readonly kind:
    | "interrupted"
    | "no memory"
    | "no connection"
    | "short"
    | "collected"
    | "signalled";
  /** Calls that pass before it. */
  skip: number;
  /** Calls that it meets. */
  left: number;
}

/** What moves bytes, or waits. */
const INTERRUPTIBLE = [
  ...["send", "recv", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "read"],
  ...["write", "accept4", "connect", "poll"],
];

/** What may find no memory, and by which errno it says so. */
const SHORT_OF_MEMORY: Readonly<Record<string, string>> = {
  send: "ENOBUFS",
  sendto: "ENOBUFS",
  sendmsg: "ENOBUFS",
  sendmmsg: "ENOBUFS",
  write: "ENOMEM",
  recv: "ENOMEM",
  read: "ENOMEM",
  recvmsg: "ENOMEM",
  accept4: "ENOMEM",
  epoll_ctl: "ENOMEM",
  socket: "ENOBUFS",
  socketpair: "ENOMEM",
};

/** What may move fewer bytes than asked; the third argument says how many. */
const SHORTENED = ["send", "recv", "read", "write"];

export class LibcFaults {
  readonly #originals = new Map<string, Call>();
  #fault: Fault | null = null;
  readonly #collect: () => void;
  readonly #raise: () => void;
  readonly #note: (what: string) => void;

  /**
   * @param collect collects all garbage
   * @param raise sends this process a signal that it handles
   * @param note hears of each fault
   */
  constructor(collect: () => void, raise: () => void, note: (what: string) => void) {
    this.#collect = collect;
    this.#raise = raise;
    this.#note = note;
  }

  /** The fault that is still to come, instead of any before it. */
  next(fault: Fault): void {
    if (this.#originals.size === 0) this.#install();
    this.#fault = fault;
  }

  /** Nothing more goes wrong, and calls go straight to libc. */
  restore(): void {
    this.#fault = null;
    const libc = native().libc as unknown as Record<string, Call>;
    for (const [name, original] of this.#originals) libc[name] = original;
    this.#originals.clear();
  }

  #install(): void {
    const libc = native().libc as unknown as Record<string, Call>;
    for (const name of new Set([...INTERRUPTIBLE, ...Object.keys(SHORT_OF_MEMORY)])) {
      const original = libc[name]!;
      this.#originals.set(name, original);
      libc[name] = (...args) => this.#call(name, original, args);
    }
  }

  #call(name: string, original: Call, args: unknown[]): number {
    const fault = this.#fault;
    if (fault === null || !meets(fault, name, args) || fault.skip-- > 0) return original(...args);
    if (--fault.left <= 0) this.#fault = null;
    this.#note(`${fault.kind}: ${name}`);
    switch (fault.kind) {
      case "interrupted":
        return name === "poll" ? this.#polling(original, args) : this.#failing("EINTR");
      case "no memory":
        return this.#failing(SHORT_OF_MEMORY[name]!);
      case "no connection":
        return this.#failing("ECONNABORTED");
      case "short":
        args[2] = 1 + (args[2] as number) % 13;
        return original(...args);
      case "signalled":
        this.#raise();
        return original(...args);
      case "collected":
        return this.#collecting(original, args);
    }
  }

  /** A signal never keeps poll(2) from telling what is ready already. */
  #polling(original: Call, args: readonly unknown[]): number {
    const ready = original(args[0], args[1], 0);
    return ready === 0 ? this.#failing("EINTR") : ready;
  }

  #failing(code: string): number {
    native().errno[0] = errnoNumber(code);
    return -1;
  }

  /** The errno has to be what the call left. */
  #collecting(original: Call, args: unknown[]): number {
    this.#collect();
    const result = original(...args);
    const [left] = native().errno;
    this.#collect();
    native().errno[0] = left!;
    return result;
  }
}

function meets({ kind }: Fault, name: string, args: readonly unknown[]): boolean {
  if (kind === "no connection") return name === "accept4";
  if (kind === "interrupted") return INTERRUPTIBLE.includes(name);
  // To take out of an epoll set needs no memory.
  if (kind === "no memory") {
    return name in SHORT_OF_MEMORY && (name !== "epoll_ctl" || args[1] !== 2);
  }
  if (kind === "short") return SHORTENED.includes(name) && (args[2] as number) > 13;
  return INTERRUPTIBLE.includes(name) && name !== "poll";
}

/** The steps that bring one. */
export type FaultStep = "interrupt" | "refuse" | "refuse an accept" | "shorten";

/** A fault to come. `messages` are never cut short by the kernel, nor here. */
export function faultFor(what: FaultStep, random: Random): Fault {
  const skip = random(3);
  if (what === "refuse an accept") return { kind: "no connection", skip, left: 1 + random(3) };
  if (what === "refuse") return { kind: "no memory", skip, left: 1 };
  if (what === "shorten") return { kind: "short", skip, left: 1 + random(6) };
  const kind = (["interrupted", "interrupted", "collected", "signalled"] as const)[random(4)]!;
  return { kind, skip, left: kind === "interrupted" ? 1 + random(5) : 1 };
}
