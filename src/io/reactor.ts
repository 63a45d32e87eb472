/**
 * Readiness: one epoll set (on macOS, one kqueue) for each thread, and what happens when something in
 * it is ready.
 *
 * A caller makes its system call first and comes here only if that would block, or if this turn has
 * done its share. No readiness
 * is remembered, and so none can be stale: the same thread, in one synchronous step, tries, is told
 * "would block" and queues; an event that arrives meanwhile stays in the epoll set until the next
 * turn reads it.
 * @module
 */

import {
  checked,
  createPoller,
  errnoNumber,
  isShortage,
  native,
  onEnding,
  type Poller,
  queueMicrotask,
  setImmediate,
  setTimeout,
  UnixSocketError,
  type Watcher,
} from "../../ffi/mod.ts";
import { now } from "../util/clock.ts";
import { waitingPoll } from "./busy_poll.ts";

/** Receives the events of one descriptor. */
export interface Registrant {
  ready(readable: boolean, writable: boolean): void;
  /** The watcher could not start, so no event will come: rejects every waiting operation. */
  fail(error: unknown): void;
}

/** Goes on when the reactor says so: a queue of operations. */
export interface Resumable {
  /** Continues with what waits. */
  ready(): void;
  /** Tries although no event came; whether anything came of it. */
  tryAnyway(): boolean;
}

/**
 * How many operations may finish at once, without waiting, before one has to let the event loop
 * turn: a loop over data that keeps coming must not starve timers and other sockets.
 */
const OPERATIONS_PER_TURN = 128;

const UNPOLLABLE = -1;

/** Whether an error is a shortage of descriptors, memory or threads, which may be over in a moment. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof UnixSocketError)) return false;
  return isShortage(-error.errno) || error.code === "EAGAIN";
}

/** The delay before the next look, in milliseconds, if the watcher cannot be armed. */
const RETRY_DELAY_MS = 10;

let budget = OPERATIONS_PER_TURN;

/**
 * Takes one from this thread's budget; false if an operation has to wait for the next turn. Operations
 * that are ready go on at the descriptor limit too, where no reactor can be made to wait with.
 */
export function takeBudget(): boolean {
  if (budget > 0) return budget-- > 0;
  try {
    reactor();
    return false;
  } catch {
    return true;
  }
}

/**
 * Takes one from the budget for an operation that has succeeded already. Fulfilled with its outcome, in
 * the next turn of the event loop if nothing is left.
 */
export function fulfilled<T>(outcome: T): Promise<T> {
  return takeBudget() ? Promise.resolve(outcome) : nextTurn().then(() => outcome);
}

/** Fulfilled in the next turn of the event loop, with a new budget. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) =>
    setImmediate(() => {
      budget = OPERATIONS_PER_TURN;
      resolve();
    })
  );
}

const postponed = new Set<Resumable>();

/** Lets a queue go on in the next turn of the event loop, ready or not. */
export function runNextTurn(queue: Resumable): void {
  if (postponed.size === 0) setImmediate(resumePostponed);
  postponed.add(queue);
}

function resumePostponed(): void {
  budget = OPERATIONS_PER_TURN;
  const queues = [...postponed];
  postponed.clear();
  for (const queue of queues) queue.ready();
}

const nothing = (): void => {};

/** A poller and a watcher that nothing comes from, for a thread that ends. */
const OVER: Poller & Watcher = {
  fd: -1,
  syscall: "",
  add: () => 0,
  change: () => 0,
  remove: nothing,
  collect: () => 0,
  arm: nothing,
  ref: nothing,
  unref: nothing,
  close: nothing,
};

class Reactor {
  readonly #busyPoll = waitingPoll();
  #poller: Poller = createPoller();
  /** Made when first needed. */
  #watcher: Watcher | null = null;
  readonly #registrants = new Map<number, Registrant>();
  #tokens = 0;
  #waiting = 0;
  /** The queue of the only operation that waits, if it is known and there is no other. */
  #only: Resumable | null = null;
  #refs = 0;
  #armed = false;
  /** When the wait began that goes on now. */
  #since = 0;
  #looking = false;

  /**
   * Adds a descriptor, once in its life. The token is never used again, unlike its number. It is
   * UNPOLLABLE for a regular file or directory, which never would block.
   */
  register(fd: number, registrant: Registrant, interest: number): number {
    const token = ++this.#tokens;
    const result = this.#poller.add(fd, token, interest);
    if (result === -errnoNumber("EPERM")) return UNPOLLABLE;
    this.#check(result, fd);
    this.#registrants.set(token, registrant);
    return token;
  }

  /** Watches a descriptor for more than it was added for. */
  extendInterest(fd: number, token: number, interest: number): void {
    if (token !== UNPOLLABLE) this.#check(this.#poller.change(fd, token, interest), fd);
  }

  #check(result: number, fd: number): void {
    checked(result, { action: `Cannot wait for descriptor ${fd}`, syscall: this.#poller.syscall });
  }

  /** Takes a descriptor out, before it is closed. */
  unregister(fd: number, token: number): void {
    if (token === UNPOLLABLE) return;
    this.#registrants.delete(token);
    this.#poller.remove(fd);
  }

  /** Counts operations that wait in a queue, and among them those that keep the process alive. */
  count(waiting: 1 | -1, refs: number, queue: Resumable): void {
    this.#waiting += waiting;
    this.#only = waiting > 0 && this.#waiting === 1 ? queue : null;
    if (refs !== 0) this.countRefs(refs);
    if (waiting > 0) this.#wait();
  }

  /** Counts what keeps the process alive. */
  countRefs(refs: number): void {
    const kept = this.#refs > 0;
    this.#refs += refs;
    if (kept !== this.#refs > 0) {
      if (kept) this.#watcher?.unref();
      else this.#watcher?.ref();
    }
  }

  /** Begins to wait for events: looking for a while where that pays, then parked. */
  #wait(): void {
    if (this.#looking || this.#armed) return;
    this.#since = now();
    // What looks keeps the process alive, so it may only where something that waits does.
    if (this.#busyPoll.window === 0 || this.#refs === 0) return this.#arm();
    this.#looking = true;
    setImmediate(this.#look);
  }

  /** Looks once; what else the event loop has to do comes in between. */
  #look = (): void => {
    this.#looking = false;
    if (this.#waiting === 0) return;
    if (this.#lookOnce()) {
      this.#busyPoll.learn(now() - this.#since);
      if (this.#waiting > 0) this.#wait();
    } else if (this.#refs > 0 && now() - this.#since < this.#busyPoll.window) {
      this.#looking = true;
      setImmediate(this.#look);
    } else {
      // Trying leaves the events in the set, where they would wake at once.
      if (this.#only !== null) this.#collect();
      if (this.#waiting > 0) this.#arm();
    }
  };

  /** Whether anything was ready. What waits alone is tried: it may succeed before an event says so. */
  #lookOnce(): boolean {
    if (this.#only === null) return this.#collect();
    // Goes on by itself, and not twice in one turn.
    if (postponed.has(this.#only)) return false;
    budget = OPERATIONS_PER_TURN;
    return this.#only.tryAnyway();
  }

  /** Parks: the watcher calls when there are events. */
  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    // Making a watcher may run the caller's code, which must not be in the midst of an operation.
    if (this.#watcher === null) queueMicrotask(this.#start);
    else this.#armWatcher(this.#watcher);
  }

  /** Makes what waiting takes once, descriptors for instance, unless that was made already. */
  prepare(): Watcher {
    if (this.#watcher !== null) return this.#watcher;
    const { runtime, libc, abi } = native();
    const watcher = runtime.watch(this.#poller.fd, () => this.#turn(), libc, abi);
    if (this.#refs === 0) watcher.unref();
    return this.#watcher = watcher;
  }

  #start = (): void => {
    let watcher;
    try {
      watcher = this.prepare();
    } catch (error) {
      if (isTransient(error)) return this.#lookLater();
      // Of a permission that was taken back, for instance.
      this.#armed = false;
      for (const registrant of [...this.#registrants.values()]) registrant.fail(error);
      return;
    }
    this.#armWatcher(watcher);
  };

  #armWatcher(watcher: Watcher): void {
    try {
      watcher.arm();
    } catch {
      this.#lookLater();
    }
  }

  /** Short of memory or descriptors: a timer looks, so that no wait is forgotten. */
  #lookLater(): void {
    const timer: unknown = setTimeout(() => this.#turn(), RETRY_DELAY_MS);
    if (this.#refs === 0) (timer as { unref?(): void }).unref?.();
  }

  #turn(): void {
    this.#armed = false;
    this.#busyPoll.learn(now() - this.#since);
    this.#collect();
    // More than one look takes shows again at once: the watcher tells the level, not the edge.
    if (this.#waiting > 0) this.#wait();
  }

  /**
   * Gives up what is its own. To be called as the thread ends, when no event will come any more: what
   * the program still closes then, in its own listeners, leaves nothing behind.
   */
  close(): void {
    this.#watcher?.close();
    this.#poller.close();
    this.#watcher = OVER;
    this.#poller = OVER;
  }

  /** Tells the queues what is ready; whether anything was. */
  #collect(): boolean {
    budget = OPERATIONS_PER_TURN;
    return this.#poller.collect(this.#dispatch) > 0;
  }

  #dispatch = (token: number, readable: boolean, writable: boolean): void => {
    // Absent: closed since the kernel queued this event.
    this.#registrants.get(token)?.ready(readable, writable);
  };
}

let instance: Reactor | undefined;

/** This thread's reactor. */
export function reactor(): Reactor {
  return instance ??= newReactor();
}

function newReactor(): Reactor {
  const made = new Reactor();
  if (native().runtime.isWorker()) onEnding(() => made.close());
  return made;
}
