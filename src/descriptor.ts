/**
 * The life of one descriptor: owned, waited for, closed once.
 * @module
 */

import {
  environmentVariable,
  file,
  FOR_READING,
  FOR_WRITING,
  onExit,
  type sockets,
} from "../ffi/mod.ts";
import { Lane, type LaneHost } from "./lane.ts";
import { reactor, type Registrant } from "./reactor.ts";

/**
 * An open descriptor that nothing else closes. It knows no public object, so that an object that
 * the program has lost can be collected, and the descriptor closed.
 */
export class Descriptor implements LaneHost, Registrant {
  #reading: Lane | null = null;
  #writing: Lane | null = null;
  #beforeClose: (() => void) | null = null;
  #fd: number;
  #token = 0;
  /** What the reactor watches it for. */
  #interest = 0;
  #waiting = 0;
  #refd = true;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Made when first asked for: many descriptors only pass through. */
  get reading(): Lane {
    return this.#reading ??= new Lane(this, "readable");
  }

  get writing(): Lane {
    return this.#writing ??= new Lane(this, "writable");
  }

  /** The number, or −1 once closed or given away. */
  get fd(): number {
    return this.#fd;
  }

  /** Whether it was closed or given away. */
  get closed(): boolean {
    return this.#fd === -1;
  }

  /**
   * What to do once before the descriptor closes, or when the process ends with it open: for
   * instance, to remove a path. Null for nothing.
   */
  set beforeClose(action: (() => void) | null) {
    this.#beforeClose = action;
    if (action === null) leftBehind.delete(this);
    else rememberForExit(this);
  }

  /** Does now what has to be done before closing. */
  finish(): void {
    const action = this.#beforeClose;
    this.beforeClose = null;
    action?.();
  }

  enroll(direction: sockets.Direction): void {
    const wanted = this.#interest | (direction === "readable" ? FOR_READING : FOR_WRITING);
    if (wanted === this.#interest) return;
    if (this.#token === 0) this.#token = reactor().register(this.#fd, this, wanted);
    else reactor().widen(this.#fd, this.#token, wanted);
    this.#interest = wanted;
  }

  waitChanged(by: 1 | -1, lane: Lane): void {
    this.#waiting += by;
    reactor().count(by, this.#refd ? by : 0, lane);
  }

  ready(readable: boolean, writable: boolean): void {
    if (readable) this.#reading?.ready();
    if (writable) this.#writing?.ready();
  }

  /** Whether pending operations keep the process alive. */
  setRef(refd: boolean): void {
    if (refd === this.#refd) return;
    this.#refd = refd;
    if (this.#waiting > 0) reactor().countRefs(refd ? this.#waiting : -this.#waiting);
  }

  get refd(): boolean {
    return this.#refd;
  }

  /**
   * Closes, in this order: refuse new work, wake what waits, remove what was bound, leave the
   * epoll set, close. A second call does nothing.
   */
  close(): void {
    const fd = this.#leave("the descriptor was closed");
    if (fd !== -1) file.close(fd);
  }

  /** Ends the ownership without closing; the number, or −1 where there was none. What was bound stays. */
  release(): number {
    this.beforeClose = null;
    return this.#leave("the descriptor was given away");
  }

  #leave(detail: string): number {
    const fd = this.#fd;
    if (fd === -1) return -1;
    this.#fd = -1;
    lastNet.unregister(this);
    this.#reading?.evict(detail);
    this.#writing?.evict(detail);
    if (this.#beforeClose !== null) this.finish();
    if (this.#token !== 0) reactor().unregister(fd, this.#token);
    return fd;
  }
}

/** The descriptors that have something to do before the process ends. */
const leftBehind = new Set<Descriptor>();
let hooked = false;

function rememberForExit(descriptor: Descriptor): void {
  leftBehind.add(descriptor);
  if (hooked) return;
  hooked = true;
  onExit(() => {
    for (const left of leftBehind) left.finish();
  });
}

/** In debug mode, where the owner of each descriptor was made. */
const origins = new WeakMap<Descriptor, string>();

const lastNet = new FinalizationRegistry<Descriptor>((descriptor) => {
  const { fd } = descriptor;
  if (fd === -1) return;
  descriptor.close();
  const made = origins.get(descriptor);
  if (made !== undefined) {
    console.warn(`afunix: descriptor ${fd} was never closed; it was made here:\n${made}`);
  }
});

let debugging: boolean | undefined;

/**
 * Closes the descriptor when `owner` is collected without having been closed. With AFUNIX_DEBUG=1
 * a warning then names the place where the owner was made.
 */
export function closeWithOwner(owner: object, descriptor: Descriptor): void {
  debugging ??= environmentVariable("AFUNIX_DEBUG") === "1";
  // As text: the error itself would keep the objects alive whose methods stand on its stack.
  if (debugging) origins.set(descriptor, new Error(owner.constructor.name).stack ?? "");
  lastNet.register(owner, descriptor, descriptor);
}
