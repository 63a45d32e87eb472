/**
 * The operations that wait for one direction of one descriptor, first in, first out.
 * @module
 */

import { errnoNumber, now, sockets, UnixSocketError } from "../../ffi/mod.ts";
import { blockingPoll } from "./busy_poll.ts";
import { FreeList } from "./free_list.ts";
import { isShortage, nextTurn, reactor, spend } from "./reactor.ts";

/** What an attempt returns that did a part of its work and wants to go on in the next turn. */
export const YIELD = -Infinity;

/** One operation, for instance a read; `T` is what its caller gets. */
export interface Operation<T = number> {
  /** Makes the system call. 0 or more ends the work; below zero is a negated errno, or YIELD. */
  attempt(): number;
  /** What the caller gets for a result of 0 or more; asked once, and nothing is asked after it. */
  outcome(result: number): T;
  /** The error for a negated errno; `detail` says what the errno alone does not. */
  fail(negated: number, detail?: string): unknown;
  /** How far work in many steps has come; absent for work in one. */
  progress?(): number;
  /** Called before the work begins to wait without blocking; what it throws ends the work. */
  beginWait?(): void;
  /** Called when work that waited is over, however it ended. */
  endWait?(): void;
  /** What must not be collected while this waits: it, or what it holds, is whose method was called. */
  readonly owner: object | null;
}

/** The descriptor that a lane belongs to. */
export interface QueueHost {
  readonly fd: number;
  /** Readies the descriptor for waiting in one direction. */
  register(direction: sockets.Direction): void;
  /** Called when an operation of one of its lanes starts to wait, and when it stops. */
  waitChanged(by: 1 | -1, lane: OperationQueue): void;
}

/** How many operations one turn finishes for one lane, so that a busy one starves no other. */
const MAX_PER_TURN = 32;

/** A place in the line. */
class Waiter {
  next: Waiter | null = null;
  previous: Waiter | null = null;
  work: Operation<unknown> | null = null;
  resolve: (value: unknown) => void = ignore;
  reject: (reason: unknown) => void = ignore;
  stopListening: (() => void) | null = null;
  /** Why it was aborted in the midst of its own attempt, by code of the caller's. */
  aborted: { reason: unknown } | null = null;
}

function ignore(): void {}

const places = new FreeList(() => new Waiter());

function givePlaceBack(waiter: Waiter): void {
  waiter.next =
    waiter.previous =
    waiter.work =
    waiter.stopListening =
    waiter.aborted =
      null;
  waiter.resolve = waiter.reject = ignore;
  places.giveBack(waiter);
}

// What `capture` was given: a promise without a closure of its own.
let resolveLast: (value: unknown) => void = ignore;
let rejectLast: (reason: unknown) => void = ignore;

function capture(resolve: (value: unknown) => void, reject: (reason: unknown) => void): void {
  resolveLast = resolve;
  rejectLast = reject;
}

export class OperationQueue {
  readonly #host: QueueHost;
  readonly #direction: sockets.Direction;
  #first: Waiter | null = null;
  #last: Waiter | null = null;
  /** Whose attempt runs now. */
  #attempting: Waiter | null = null;

  constructor(host: QueueHost, direction: sockets.Direction) {
    this.#host = host;
    this.#direction = direction;
  }

  /** Whether nothing waits here. */
  get idle(): boolean {
    return this.#first === null;
  }

  /**
   * Runs an operation: at once where nothing waits before it and the descriptor is ready, else
   * when its turn comes. Throws or rejects with what `fail` makes of an errno, or with the
   * signal's reason.
   */
  run<T>(work: Operation<T>, signal?: AbortSignal): Promise<T> {
    if (this.#first !== null || !spend()) return this.#postpone(work, signal);
    return this.#start(work, signal);
  }

  /**
   * Runs an operation while blocking the thread, after all that already wait here. Throws ETIMEDOUT
   * after the deadline.
   */
  runSync<T>(work: Operation<T>, deadline: number): T {
    if (this.#attempting !== null) {
      throw work.fail(-errnoNumber("EBUSY"), "called from within the operation before it");
    }
    while (this.#first !== null) {
      const outcome = this.#step(this.#first);
      if (outcome === "blocked") this.#block(work, deadline);
      else if (outcome === "yielded") inTime(work, deadline);
    }
    const result = work.attempt();
    return work.outcome(result >= 0 ? result : this.#goOnBlocking(work, result, deadline));
  }

  /** Continues with what waits, when the descriptor is ready or may be. */
  ready(): void {
    for (let budget = MAX_PER_TURN; this.#first !== null; budget--) {
      if (budget === 0) return reactor().runNextTurn(this);
      if (this.#step(this.#first) !== "over") return;
    }
  }

  /** Tries what waits without having been told that it is ready; whether anything came of it. */
  tryAnyway(): boolean {
    const first = this.#first;
    if (first === null) return false;
    const work = first.work!;
    const before = work.progress?.();
    this.ready();
    return this.#first !== first || work.progress?.() !== before;
  }

  /** Lets what waits try again in the next turn, for a change that may be no event. */
  lookAgain(): void {
    if (this.#first !== null) reactor().runNextTurn(this);
  }

  /** Goes on, after a first attempt, until the work is done: looking for a while, then blocked. */
  #goOnBlocking(work: Operation<unknown>, first: number, deadline: number): number {
    const busyPoll = blockingPoll();
    let since = now();
    let before = work.progress?.();
    for (let result = first;; result = work.attempt()) {
      const at = now();
      const progress = work.progress?.();
      if (result >= 0 || progress !== before) {
        busyPoll.learn(at - since);
        if (result >= 0) return result;
        since = at;
        before = progress;
      }
      if (result === YIELD) inTime(work, deadline);
      else if (result !== wouldBlock()) throw work.fail(result);
      else if (at - since >= busyPoll.window || at >= deadline) this.#block(work, deadline);
    }
  }

  /** Ends all that waits, because the descriptor closes. */
  evict(detail: string): void {
    const closed = -errnoNumber("EBADF");
    this.rejectAll((work) => work.fail(closed, detail));
  }

  /** Rejects everything that waits, for a reason that each has of its own. */
  rejectAll(reasonOf: (work: Operation<unknown>) => unknown): void {
    let waiter = this.#first;
    while (waiter !== null) {
      const { next } = waiter;
      if (waiter !== this.#attempting) {
        const { work, reject } = waiter;
        this.#remove(waiter);
        reject(reasonOf(work!));
      }
      waiter = next;
    }
  }

  /**
   * Leaves an operation to its turn: when those before it are over, or in the next of the event loop.
   * One that cannot be kept until then, at the descriptor limit for instance, where its descriptors
   * cannot be duplicated, is tried now, after all that waits here: what could leave at once must not
   * fail because it was to wait. Its caller waits for the next turn all the same.
   */
  #postpone<T>(work: Operation<T>, signal: AbortSignal | undefined): Promise<T> {
    const alone = this.#first === null;
    let waiting: Promise<T>;
    try {
      waiting = this.#wait(work, signal);
    } catch (error) {
      if (signal?.aborted || !isShortage(error) || !this.#runDry()) throw error;
      return this.#start(work, signal).then((outcome) => nextTurn().then(() => outcome));
    }
    if (alone) reactor().runNextTurn(this);
    return waiting;
  }

  /** Makes the first attempt. */
  #start<T>(work: Operation<T>, signal: AbortSignal | undefined): Promise<T> {
    const result = work.attempt();
    if (result >= 0) return Promise.resolve(work.outcome(result));
    if (result !== YIELD && result !== wouldBlock()) throw work.fail(result);
    const waiting = this.#wait(work, signal);
    if (result === YIELD) reactor().runNextTurn(this);
    return waiting;
  }

  /** Finishes what waits here and could go on; whether that is all. */
  #runDry(): boolean {
    while (this.#first !== null) {
      if (this.#attempting !== null || this.#step(this.#first) !== "over") return false;
    }
    return this.#attempting === null;
  }

  /** Tries the first operation. */
  #step(waiter: Waiter): "over" | "blocked" | "yielded" {
    const { resolve, reject } = waiter;
    const work = waiter.work!;
    let result: number;
    try {
      result = this.#attempt(waiter, work);
      if (result < 0 && waiter.aborted !== null) throw waiter.aborted.reason;
      if (result === wouldBlock()) return "blocked";
      if (result === YIELD) {
        reactor().runNextTurn(this);
        return "yielded";
      }
      if (result < 0) throw work.fail(result);
    } catch (error) {
      this.#remove(waiter);
      reject(error);
      return "over";
    }
    this.#remove(waiter);
    resolve(work.outcome(result));
    return "over";
  }

  /**
   * One attempt, which may run code of the caller's: what that does to this very work, closing its
   * descriptor or aborting it, counts only if the attempt does not succeed.
   */
  #attempt(waiter: Waiter, work: Operation<unknown>): number {
    this.#attempting = waiter;
    try {
      const result = work.attempt();
      return result === wouldBlock() && this.#host.fd === -1 ? -errnoNumber("EBADF") : result;
    } finally {
      this.#attempting = null;
    }
  }

  #wait<T>(work: Operation<T>, signal: AbortSignal | undefined): Promise<T> {
    // The attempt before may have run code that closed the descriptor or aborted this.
    this.#assertStillWanted(work, signal);
    try {
      this.#host.register(this.#direction);
      work.beginWait?.();
    } catch (error) {
      // What has left already must not be forgotten over the reason why the rest cannot wait.
      if (!(error instanceof UnixSocketError) || !work.progress?.()) throw error;
      throw work.fail(-error.errno, error.message);
    }
    try {
      // So may this.
      this.#assertStillWanted(work, signal);
    } catch (error) {
      work.endWait?.();
      throw error;
    }
    const promise = new Promise<unknown>(capture);
    const waiter = places.take();
    waiter.work = work;
    waiter.resolve = resolveLast;
    waiter.reject = rejectLast;
    // They would keep the promise, and with it what it is resolved to.
    resolveLast = rejectLast = ignore;
    waiter.previous = this.#last;
    if (this.#last === null) this.#first = waiter;
    else this.#last.next = waiter;
    this.#last = waiter;
    this.#host.waitChanged(1, this);
    if (signal !== undefined) this.#listen(waiter, signal);
    return promise as Promise<T>;
  }

  #assertStillWanted(work: Operation<unknown>, signal: AbortSignal | undefined): void {
    if (this.#host.fd === -1) throw work.fail(-errnoNumber("EBADF"), "the descriptor was closed");
    signal?.throwIfAborted();
  }

  #listen(waiter: Waiter, signal: AbortSignal): void {
    const abort = () => {
      if (waiter === this.#attempting) {
        waiter.aborted = { reason: signal.reason };
        return;
      }
      const { reject } = waiter;
      this.#remove(waiter);
      reject(signal.reason);
      // What stood behind it need not wait for what it waited for.
      this.lookAgain();
    };
    signal.addEventListener("abort", abort, { once: true });
    waiter.stopListening = () => signal.removeEventListener("abort", abort);
  }

  /** Takes it out of the line; its place may be another's at once. */
  #remove(waiter: Waiter): void {
    const { previous, next, work } = waiter;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    waiter.stopListening?.();
    givePlaceBack(waiter);
    work!.endWait?.();
    this.#host.waitChanged(-1, this);
  }

  #block(work: Operation<unknown>, deadline: number): void {
    const left = inTime(work, deadline);
    const timeout = left === Infinity ? -1 : Math.min(Math.ceil(left), 0x7fff_ffff);
    // Whatever poll returns, even EINTR, the attempt that follows is the judge.
    sockets.pollOne(this.#host.fd, this.#direction, timeout);
  }
}

/** How many milliseconds are left; throws where none are. */
function inTime(work: Operation<unknown>, deadline: number): number {
  const left = deadline - now();
  if (left <= 0) throw work.fail(-errnoNumber("ETIMEDOUT"));
  return left;
}

let eagain: number | undefined;
/** The negated errno of an operation that would block. */
export function wouldBlock(): number {
  return eagain ??= -errnoNumber("EAGAIN");
}
