/**
 * Debug mode: what a program leaves open, or loses without closing it, and where that was made.
 * @module
 */

import { currentPlace, type Debugging, failAtEnd, onExit, onIdle } from "../../ffi/mod.ts";

/** What is kept of a descriptor: it must keep nothing else alive. */
interface Watched {
  readonly fd: number;
  /** False for what its program leaves to the end of the process, by `unref()`. */
  readonly refd: boolean;
}

interface Origin {
  /** The name of the class. */
  readonly what: string;
  readonly place: string;
}

const origins = new Map<Watched, Origin>();
let hooked: Debugging | null = null;
/** Whether the process ends because nothing is left to do, and not by process.exit(). */
let idle = false;

/** An object was made that owns a descriptor. */
export function noteOwner(owner: object, descriptor: Watched, debugging: Debugging): void {
  debugging.descriptors.own(descriptor.fd);
  if (debugging.mode === "pointers") return;
  if (hooked === null) {
    hooked = debugging;
    onIdle(() => idle = true);
    onExit(reportAtEnd);
  }
  // Without this function and the one that calls it.
  origins.set(descriptor, { what: owner.constructor.name, place: currentPlace(2) });
}

/** A descriptor was closed or given away. */
export function noteGone(descriptor: Watched): void {
  origins.delete(descriptor);
}

/** The owner was lost. To be called before the descriptor is closed. */
export function noteLost(descriptor: Watched): void {
  const origin = origins.get(descriptor);
  if (origin === undefined) return;
  const { what, place } = origin;
  const { fd } = descriptor;
  console.warn(`afunix: ${what} ${fd} was lost and never closed; it was made here:\n${place}`);
  if (hooked!.mode === "strict") failAtEnd();
}

/** The most places that one report names. */
const MAX_PLACES = 20;

/** The last number that a process has by itself: standard error. */
const MAX_STANDARD = 2;

/** A program that calls process.exit() leaves open what it has on purpose, unless it is strict. */
function reportAtEnd(): void {
  if (!idle && hooked!.mode !== "strict") return;
  const groups = new Map<string, number[]>();
  let count = 0;
  const add = (what: string, place: string, fd: number) => {
    const title = `${what}, made here:\n${place}`;
    const numbers = groups.get(title);
    if (numbers === undefined) groups.set(title, [fd]);
    else numbers.push(fd);
    count++;
  };
  for (const [{ fd, refd }, { what, place }] of origins) {
    if (refd && fd > MAX_STANDARD) add(what, place, fd);
  }
  for (const [fd, place] of hooked!.descriptors.loose()) add("Nobody's", place, fd);
  if (count === 0) return;
  const lines = [...groups].slice(0, MAX_PLACES).map(([title, fds]) =>
    `Descriptor ${fds.join(", ")}: ${title}`
  );
  if (groups.size > MAX_PLACES) lines.push(`and from ${groups.size - MAX_PLACES} more places`);
  const noun = count === 1 ? "descriptor is" : "descriptors are";
  console.warn(`afunix: ${count} ${noun} still open at the end:\n${lines.join("\n")}`);
  if (hooked!.mode === "strict") failAtEnd();
}
