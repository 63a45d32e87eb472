/**
 * The operations that wait for one direction of one descriptor, first in, first out.
 * @module
 */

import { errnoNumber, sockets } from "../ffi/mod.ts";
import { reactor, spend } from "./reactor.ts";

/** What an attempt returns that did a part of its work and wants to go on in the next turn. */
export const YIELD = -Infinity;

/** One operation, for instance a read. */
export interface Work {
  /** Makes the system call. 0 or more ends the work; below zero is a negated errno, or YIELD. */
  attempt(): number;
  /** The error for a negated errno; `detail` says what the errno alone does not. */
  fail(negated: number, detail?: string): unknown;
  /** How far work in many steps has come; absent for work in one. */
  progress?(): number;
  /** Called before the work begins to wait without blocking; what it throws ends the work. */
  beginWait?(): void;
  /** Called when work that waited is over, however it ended. */
  endWait?(): void;
  /** What must not be collected while this waits: the object whose method was called. */
  readonly owner: object;
}

/** The descriptor that a lane belongs to. */
export interface LaneHost {
  readonly fd: number;
  /** Readies the descriptor for waiting. */
  enroll(): void;
  /** Called when an operation starts to wait, and when it stops. */
  waitChanged(by: 1 | -1): void;
}

/** How many operations one turn finishes for one lane, so that a busy one starves no other. */
const MOST_PER_TURN = 32;

class Waiter {
  next: Waiter | null = null;
  previous: Waiter | null = null;
  stopListening: (() => void) | null = null;
  readonly work: Work;
  readonly resolve: (result: number) => void;
  readonly reject: (reason: unknown) => void;

  constructor(
    work: Work,
    resolve: (result: number) => void,
    reject: (reason: unknown) => void,
  ) {
    this.work = work;
    this.resolve = resolve;
    this.reject = reject;
  }
}

export class Lane {
  readonly #host: LaneHost;
  readonly #direction: sockets.Direction;
  #first: Waiter | null = null;
  #last: Waiter | null = null;

  constructor(host: LaneHost, direction: sockets.Direction) {
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
  run(work: Work, signal?: AbortSignal): number | Promise<number> {
    if (this.#first !== null) return this.#wait(work, signal);
    if (!spend()) {
      const result = this.#wait(work, signal);
      reactor().runNextTurn(this);
      return result;
    }
    const result = work.attempt();
    if (result >= 0) return result;
    if (result !== YIELD && result !== wouldBlock()) throw work.fail(result);
    const waiting = this.#wait(work, signal);
    if (result === YIELD) reactor().runNextTurn(this);
    return waiting;
  }

  /**
   * Runs an operation while blocking the thread, after all that already wait here.
   * `expired` makes the error for a deadline that passes.
   */
  runSync(work: Work, deadline: number, expired: () => unknown): number {
    while (this.#first !== null) {
      if (!this.#step(this.#first)) this.#block(deadline, expired);
    }
    for (;;) {
      const result = work.attempt();
      if (result >= 0) return result;
      if (result === YIELD) continue;
      if (result !== wouldBlock()) throw work.fail(result);
      this.#block(deadline, expired);
    }
  }

  /** Continues with what waits, when the descriptor is ready or may be. */
  ready(): void {
    for (let budget = MOST_PER_TURN; this.#first !== null; budget--) {
      if (budget === 0) return reactor().runNextTurn(this);
      if (!this.#step(this.#first)) return;
    }
  }

  /** Lets what waits try again in the next turn, for a change that may be no event. */
  lookAgain(): void {
    if (this.#first !== null) reactor().runNextTurn(this);
  }

  /** Ends all that waits, because the descriptor closes. */
  evict(negated: number, detail: string): void {
    while (this.#first !== null) {
      const waiter = this.#first;
      this.#remove(waiter);
      waiter.reject(waiter.work.fail(negated, detail));
    }
  }

  /** Tries the first operation; true where it is over. */
  #step(waiter: Waiter): boolean {
    let result: number;
    try {
      result = waiter.work.attempt();
      if (result === wouldBlock()) return false;
      if (result === YIELD) {
        reactor().runNextTurn(this);
        return false;
      }
      if (result < 0) throw waiter.work.fail(result);
    } catch (error) {
      this.#remove(waiter);
      waiter.reject(error);
      return true;
    }
    this.#remove(waiter);
    waiter.resolve(result);
    return true;
  }

  #wait(work: Work, signal: AbortSignal | undefined): Promise<number> {
    this.#host.enroll();
    work.beginWait?.();
    return new Promise<number>((resolve, reject) => {
      const waiter = new Waiter(work, resolve, reject);
      waiter.previous = this.#last;
      if (this.#last === null) this.#first = waiter;
      else this.#last.next = waiter;
      this.#last = waiter;
      this.#host.waitChanged(1);
      if (signal === undefined) return;
      const abort = () => {
        this.#remove(waiter);
        reject(signal.reason);
        // What stood behind it need not wait for what it waited for.
        this.lookAgain();
      };
      signal.addEventListener("abort", abort, { once: true });
      waiter.stopListening = () => signal.removeEventListener("abort", abort);
    });
  }

  #remove(waiter: Waiter): void {
    const { previous, next } = waiter;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    waiter.stopListening?.();
    waiter.work.endWait?.();
    this.#host.waitChanged(-1);
  }

  #block(deadline: number, expired: () => unknown): void {
    const left = deadline - performance.now();
    if (left <= 0) throw expired();
    const timeout = left === Infinity ? -1 : Math.min(Math.ceil(left), 0x7fff_ffff);
    // Whatever poll returns, even EINTR, the attempt that follows is the judge.
    sockets.pollOne(this.#host.fd, this.#direction, timeout);
  }
}

let eagain: number | undefined;
/** The negated errno of an operation that would block. */
export function wouldBlock(): number {
  return eagain ??= -errnoNumber("EAGAIN");
}
