/**
 * An operation that waits, and the results of its attempts.
 * @module
 */

import { errnoNumber, failure } from "../../ffi/mod.ts";

/** The result of an attempt that did a part of its work and wants to go on in the next turn. */
export const YIELD = -Infinity;

/** Stands for the result of a first attempt that was not made: others wait, or the budget is spent. */
export const NOT_TRIED = -1e9;

/** The promise of every operation that succeeds at once and has no value. */
export const DONE: Promise<void> = Promise.resolve();

/**
 * One operation that waits, for instance a read; `T` is what its caller gets. It is its own place in
 * the queue.
 */
export abstract class Operation<T = number> {
  next: Operation<unknown> | null = null;
  previous: Operation<unknown> | null = null;
  resolve: (value: unknown) => void = ignore;
  reject: (reason: unknown) => void = ignore;
  /** Ends the listening to the signal; null if there is none. */
  stopListening: (() => void) | null = null;
  /** The signal's reason, if code of the caller's aborted the operation within its own attempt. */
  aborted: { reason: unknown } | null = null;
  /** Keeps the caller's socket alive while the operation waits. */
  readonly owner: object;
  /** The beginning of the error's message, "Cannot read". */
  readonly action: string;
  readonly syscall: string;

  constructor(owner: object, action: string, syscall: string) {
    this.owner = owner;
    this.action = action;
    this.syscall = syscall;
  }

  /** Makes the system call. 0 or more ends the operation; below zero is a negated errno, or YIELD. */
  abstract attempt(): number;

  /** Turns a result of 0 or more into the value that the caller gets. */
  abstract outcome(result: number): T;

  /** The error for a negated errno; `detail` says what the errno alone does not. */
  fail(negated: number, detail?: string): Error {
    return failure(negated, { action: this.action, syscall: this.syscall, detail });
  }

  /** How far an operation of many steps has come; 0 for one of a single step. */
  progress(): number {
    return 0;
  }

  /** Called before the operation waits without blocking the thread; what it throws ends it. */
  beginWait(): void {}

  /** Called when an operation that waited is over, however it ended. */
  endWait(): void {}
}

/** An operation of one system call, which two functions describe. */
export class SingleCall<T = number> extends Operation<T> {
  readonly #attempt: () => number;
  readonly #outcome: (result: number) => T;

  constructor(
    owner: object,
    action: string,
    syscall: string,
    attempt: () => number,
    outcome: (result: number) => T,
  ) {
    super(owner, action, syscall);
    this.#attempt = attempt;
    this.#outcome = outcome;
  }

  attempt(): number {
    return this.#attempt();
  }

  outcome(result: number): T {
    return this.#outcome(result);
  }
}

/** The outcome of an operation without a value. */
export function ignore(): void {}

let eagain: number | undefined;
/** The negated errno of an operation that would block. */
export function wouldBlock(): number {
  return eagain ??= -errnoNumber("EAGAIN");
}
