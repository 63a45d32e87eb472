/**
 * The life of one descriptor: owned, waited for, closed once.
 * @module
 */

import { file, FOR_READING, FOR_WRITING, native, onEnding, type sockets } from "../../ffi/mod.ts";
import { OperationQueue, type QueueHost } from "./operation_queue.ts";
import { reactor, type Registrant } from "./reactor.ts";

/**
 * An open descriptor that nothing else closes. It knows no public object, so that an object that
 * the program has lost can be collected, and the descriptor closed.
 */
export class Descriptor implements QueueHost, Registrant {
  #reading: OperationQueue | null = null;
  #writing: OperationQueue | null = null;
  #retrying: Map<string, OperationQueue> | null = null;
  #beforeClose: (() => void) | null = null;
  #fd: number;
  #token = 0;
  /** What the reactor watches it for. */
  #interest = 0;
  #waiting = 0;
  #refd = true;

  /** Whether others may have its open file too, and so decide whether calls on it block. */
  readonly shared: boolean;

  constructor(fd: number, shared = false) {
    this.#fd = fd;
    this.shared = shared;
  }

  /** The operations that wait for data. Made when first used: many descriptors only pass through. */
  get reading(): OperationQueue {
    return this.#reading ??= new OperationQueue(this, "readable");
  }

  /** The operations that wait for room. */
  get writing(): OperationQueue {
    return this.#writing ??= new OperationQueue(this, "writable");
  }

  /**
   * The operations that no event wakes, for instance a datagram to a receiver that is full. Each key has
   * a queue of its own.
   */
  retrying(key: string): OperationQueue {
    this.#retrying ??= new Map();
    let queue = this.#retrying.get(key);
    if (queue === undefined) {
      for (const [other, { unused }] of this.#retrying) if (unused) this.#retrying.delete(other);
      this.#retrying.set(key, queue = new OperationQueue(this, null));
    }
    return queue;
  }

  /** Whether an operation waits in the queue of {@linkcode retrying} that `owner.key` names. */
  retries(owner: { readonly key: string }): boolean {
    return this.#retrying !== null && this.#retrying.get(owner.key)?.idle === false;
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
    if (action === null) cleanupAtExit.delete(this);
    else rememberForExit(this);
  }

  /** Does now what has to be done before closing. */
  finish(): void {
    const action = this.#beforeClose;
    this.beforeClose = null;
    action?.();
  }

  fail(error: unknown): void {
    this.#reading?.rejectAll(() => error);
    this.#writing?.rejectAll(() => error);
  }

  register(direction: sockets.Direction): void {
    const wanted = this.#interest | (direction === "readable" ? FOR_READING : FOR_WRITING);
    if (wanted === this.#interest) return;
    if (this.#token === 0) this.#token = reactor().register(this.#fd, this, wanted);
    else reactor().extendInterest(this.#fd, this.#token, wanted);
    this.#interest = wanted;
  }

  waitChanged(by: 1 | -1, queue: OperationQueue): void {
    this.#waiting += by;
    reactor().count(by, this.#refd ? by : 0, queue);
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
    const fd = this.#leave("the descriptor was given away");
    if (fd !== -1) native().debugging?.giveAway(fd);
    return fd;
  }

  #leave(detail: string): number {
    const fd = this.#fd;
    if (fd === -1) return -1;
    this.#fd = -1;
    finalizers.unregister(this);
    native().debugging?.ended(this);
    this.#reading?.evict(detail);
    this.#writing?.evict(detail);
    if (this.#retrying !== null) {
      for (const queue of this.#retrying.values()) {
        queue.evict(detail);
      }
    }
    if (this.#beforeClose !== null) this.finish();
    if (this.#token !== 0) reactor().unregister(fd, this.#token);
    return fd;
  }
}

/** The descriptors that have something to do before the process ends. */
const cleanupAtExit = new Set<Descriptor>();
let hooked = false;

function rememberForExit(descriptor: Descriptor): void {
  cleanupAtExit.add(descriptor);
  if (hooked) return;
  hooked = true;
  onEnding(() => {
    for (const left of cleanupAtExit) left.finish();
  });
}

const finalizers = new FinalizationRegistry<Descriptor>((descriptor) => {
  if (descriptor.closed) return;
  native().debugging?.lost(descriptor);
  descriptor.close();
});

/**
 * Closes the descriptor when `owner` is collected without having been closed. In debug mode a warning
 * then names the place where the owner was made.
 */
export function closeWithOwner(owner: object, descriptor: Descriptor): void {
  native().debugging?.owned(owner, descriptor);
  finalizers.register(owner, descriptor, descriptor);
}
