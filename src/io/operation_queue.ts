/**
 * The operations that wait for one direction of one descriptor, first in, first out.
 *
 * A caller makes the first attempt itself, without an operation, if {@linkcode OperationQueue.mayTry}
 * allows it. Only if that attempt does not succeed does it make an operation, and hands it over with
 * what the attempt came to.
 * @module
 */

import { clearTimeout, errnoNumber, sockets, UnixSocketError } from "../../ffi/mod.ts";
import { now } from "../util/clock.ts";
import { onAbort } from "../util/abort.ts";
import { Backoff, startTimer } from "./backoff.ts";
import { blockingPoll } from "./busy_poll.ts";
import { NOT_TRIED, type Operation, wouldBlock, YIELD } from "./operation.ts";
import { fulfilled, isTransient, nextTurn, runNextTurn, takeBudget } from "./reactor.ts";

/** The descriptor that a queue belongs to. */
export interface QueueHost {
  readonly fd: number;
  readonly refd: boolean;
  /** Readies the descriptor for waiting in one direction. */
  register(direction: sockets.Direction): void;
  /** Called when an operation of one of its queues starts to wait for an event, and when it stops. */
  waitChanged(by: 1 | -1, queue: OperationQueue): void;
}

/** The maximum number of operations that one queue finishes in a turn, so that it starves no other. */
const MAX_PER_TURN = 32;

export class OperationQueue {
  readonly #host: QueueHost;
  /** Null if no event tells when to go on: the first operation is tried again after growing delays. */
  readonly #direction: sockets.Direction | null;
  #first: Operation<unknown> | null = null;
  #last: Operation<unknown> | null = null;
  /** The operation whose attempt runs now. */
  #attempting: Operation<unknown> | null = null;
  #retries: Retries | null = null;
  /** The number of operations that are about to wait, while code of the caller's may run. */
  #joining = 0;

  constructor(host: QueueHost, direction: sockets.Direction | null) {
    this.#host = host;
    this.#direction = direction;
  }

  /** Whether nothing waits here. */
  get idle(): boolean {
    return this.#first === null;
  }

  /**
   * Whether a first attempt may be made now, without blocking; takes one from the thread's budget. Without
   * events the attempt comes first and takes from the budget if it succeeds.
   */
  mayTry(): boolean {
    return this.#first === null && (this.#direction === null || takeBudget());
  }

  /** Whether no operation waits here or is about to. */
  get unused(): boolean {
    return this.#first === null && this.#joining === 0;
  }

  /** Runs an operation whose first attempt was not made yet. */
  run<T>(
    operation: Operation<T>,
    signal: AbortSignal | undefined,
    dontWait = false,
  ): Promise<T> {
    const result = this.mayTry() ? operation.attempt() : NOT_TRIED;
    return this.goOn(result, operation, signal, dontWait);
  }

  /** Runs an operation whose first attempt was not made yet, blocking the thread. */
  runSync<T>(operation: Operation<T>, deadline: number): T {
    return this.goOnSync(this.idle ? operation.attempt() : NOT_TRIED, operation, deadline);
  }

  /**
   * Goes on with an operation whose first attempt came to `result`: waits if it would block, or fails
   * with EAGAIN if `dontWait`, and throws the error if the attempt failed. Rejects with what `fail`
   * makes of an errno, or with the signal's reason.
   */
  goOn<T>(
    result: number,
    operation: Operation<T>,
    signal: AbortSignal | undefined,
    dontWait = false,
  ): Promise<T> {
    if (result >= 0) {
      const outcome = operation.outcome(result);
      return this.#direction === null ? fulfilled(outcome) : Promise.resolve(outcome);
    }
    if (dontWait) return this.#goOnAtOnce(result, operation);
    if (result === NOT_TRIED) return this.#postpone(operation, signal);
    if (result !== YIELD && result !== wouldBlock()) throw operation.fail(result);
    const waiting = this.#wait(operation, signal);
    if (result === YIELD) runNextTurn(this);
    else if (this.#direction === null) this.#retryLater();
    return waiting;
  }

  /**
   * {@linkcode goOn}, blocking the thread, after all that already wait here. Throws ETIMEDOUT after
   * the deadline.
   */
  goOnSync<T>(result: number, operation: Operation<T>, deadline: number): T {
    const backoff = this.#direction === null ? new Backoff() : null;
    if (result === NOT_TRIED) {
      this.#finishWaiting(operation, deadline, backoff);
      result = operation.attempt();
    }
    return operation.outcome(
      result >= 0 ? result : this.#attemptBlocking(operation, result, deadline, backoff),
    );
  }

  /** Continues with what waits, when the descriptor is ready or may be. */
  ready(): void {
    for (let budget = MAX_PER_TURN; this.#first !== null; budget--) {
      if (budget === 0) return runNextTurn(this);
      if (this.#step(this.#first) !== "over") return;
    }
  }

  /** Tries the first operation although no event came; whether anything came of it. */
  tryAnyway(): boolean {
    const first = this.#first;
    if (first === null) return false;
    const before = first.progress();
    this.ready();
    return this.#first !== first || first.progress() !== before;
  }

  /** Tries again in the next turn, after a change that may be no event. */
  lookAgain(): void {
    if (this.#first !== null) runNextTurn(this);
  }

  /** Rejects everything that waits with EBADF, because the descriptor closes. */
  evict(detail: string): void {
    const closed = -errnoNumber("EBADF");
    this.rejectAll((operation) => operation.fail(closed, detail));
  }

  /** Rejects everything that waits. */
  rejectAll(reasonOf: (operation: Operation<unknown>) => unknown): void {
    let operation = this.#first;
    while (operation !== null) {
      const { next } = operation;
      if (operation !== this.#attempting) {
        this.#remove(operation);
        operation.reject(reasonOf(operation));
      }
      operation = next;
    }
  }

  /** Goes on with an operation that must not wait. */
  #goOnAtOnce<T>(result: number, operation: Operation<T>): Promise<T> {
    if (result === NOT_TRIED) result = this.idle ? operation.attempt() : wouldBlock();
    while (result === YIELD) result = operation.attempt();
    if (result < 0) throw operation.fail(result);
    return fulfilled(operation.outcome(result));
  }

  /**
   * Leaves an operation to its turn: when those before it are over, or in the next turn of the event
   * loop. One that cannot be kept until then (at the descriptor limit its descriptors cannot be
   * duplicated) is tried now, after all that wait here: what could leave at once must not fail because
   * it was to wait. Its caller waits for the next turn all the same.
   */
  #postpone<T>(operation: Operation<T>, signal: AbortSignal | undefined): Promise<T> {
    const alone = this.#first === null;
    let waiting: Promise<T>;
    try {
      waiting = this.#wait(operation, signal);
    } catch (error) {
      if (signal?.aborted || !isTransient(error) || !this.#runDry()) throw error;
      const result = operation.attempt();
      if (result < 0) return this.goOn(result, operation, signal);
      const outcome = operation.outcome(result);
      return nextTurn().then(() => outcome);
    }
    if (alone) runNextTurn(this);
    return waiting;
  }

  /** Finishes what waits here and can go on now; whether that was all. */
  #runDry(): boolean {
    while (this.#first !== null) {
      if (this.#attempting !== null || this.#step(this.#first) !== "over") return false;
    }
    return this.#attempting === null;
  }

  /** Blocks the thread until nothing waits here. */
  #finishWaiting(
    operation: Operation<unknown>,
    deadline: number,
    backoff: Backoff | null,
  ): void {
    if (this.#attempting !== null) {
      throw operation.fail(-errnoNumber("EBUSY"), "called from within the operation before it");
    }
    while (this.#first !== null) {
      const outcome = this.#step(this.#first);
      if (outcome === "blocked") this.#block(operation, deadline, backoff);
      else if (outcome === "yielded") timeLeft(operation, deadline);
      else backoff?.reset();
    }
  }

  /** Goes on, after a first attempt, until the operation is done: looks for a while, then blocks. */
  #attemptBlocking(
    operation: Operation<unknown>,
    first: number,
    deadline: number,
    backoff: Backoff | null,
  ): number {
    // Looking again at once finds nothing if only time helps.
    const busyPoll = backoff === null ? blockingPoll() : null;
    let since = now();
    let before = operation.progress();
    for (let result = first;; result = operation.attempt()) {
      const at = now();
      const progress = operation.progress();
      if (result >= 0 || progress !== before) {
        busyPoll?.learn(at - since);
        if (result >= 0) return result;
        since = at;
        before = progress;
        backoff?.reset();
      }
      if (result === YIELD) timeLeft(operation, deadline);
      else if (result !== wouldBlock()) throw operation.fail(result);
      else if (at - since >= (busyPoll?.window ?? 0) || at >= deadline) {
        this.#block(operation, deadline, backoff);
      }
    }
  }

  /** Tries the first operation. */
  #step(operation: Operation<unknown>): "over" | "blocked" | "yielded" {
    const before = operation.progress();
    let outcome: unknown;
    try {
      const result = this.#attempt(operation);
      if (result < 0 && operation.aborted !== null) throw operation.aborted.reason;
      if (this.#retries !== null && operation.progress() !== before) this.#retries.backoff.reset();
      if (result === wouldBlock()) {
        if (this.#direction === null) this.#retryLater();
        return "blocked";
      }
      if (result === YIELD) {
        runNextTurn(this);
        return "yielded";
      }
      if (result < 0) throw operation.fail(result);
      outcome = operation.outcome(result);
    } catch (error) {
      this.#remove(operation);
      operation.reject(error);
      return "over";
    }
    this.#remove(operation);
    operation.resolve(outcome);
    return "over";
  }

  /**
   * One attempt, which may run code of the caller's. If that closes the descriptor or aborts this very
   * operation, it counts only if the attempt does not succeed.
   */
  #attempt(operation: Operation<unknown>): number {
    this.#attempting = operation;
    try {
      const result = operation.attempt();
      return result === wouldBlock() && this.#host.fd === -1 ? -errnoNumber("EBADF") : result;
    } finally {
      this.#attempting = null;
    }
  }

  #wait<T>(operation: Operation<T>, signal: AbortSignal | undefined): Promise<T> {
    // The attempt before may have run code that closed the descriptor or aborted this.
    this.#assertStillWanted(operation, signal);
    this.#joining++;
    try {
      if (this.#direction !== null) this.#host.register(this.#direction);
      operation.beginWait();
    } catch (error) {
      // The bytes that have left already must not be forgotten over the reason why the rest cannot wait.
      if (!(error instanceof UnixSocketError) || operation.progress() === 0) throw error;
      throw operation.fail(-error.errno, error.message);
    } finally {
      this.#joining--;
    }
    try {
      // So may beginWait().
      this.#assertStillWanted(operation, signal);
    } catch (error) {
      operation.endWait();
      throw error;
    }
    const promise = new Promise<T>((resolve, reject) => {
      operation.resolve = resolve as (value: unknown) => void;
      operation.reject = reject;
    });
    operation.previous = this.#last;
    if (this.#last === null) this.#first = operation;
    else this.#last.next = operation;
    this.#last = operation;
    if (this.#direction !== null) this.#host.waitChanged(1, this);
    if (signal !== undefined) this.#listen(operation, signal);
    return promise;
  }

  #assertStillWanted(operation: Operation<unknown>, signal: AbortSignal | undefined): void {
    if (this.#host.fd === -1) {
      throw operation.fail(-errnoNumber("EBADF"), "the descriptor was closed");
    }
    signal?.throwIfAborted();
  }

  #listen(operation: Operation<unknown>, signal: AbortSignal): void {
    operation.stopListening = onAbort(signal, () => {
      if (operation === this.#attempting) {
        operation.aborted = { reason: signal.reason };
        return;
      }
      this.#remove(operation);
      operation.reject(signal.reason);
      // Operations behind it may not have to wait for what it waited for.
      this.lookAgain();
    });
  }

  #remove(operation: Operation<unknown>): void {
    const { previous, next } = operation;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    operation.next = operation.previous = null;
    operation.stopListening?.();
    operation.endWait();
    if (this.#direction !== null) this.#host.waitChanged(-1, this);
    else if (previous === null) this.#retries?.startAgain();
  }

  /** Tries again after a delay, because no event will come. */
  #retryLater(): void {
    this.#retries ??= new Retries();
    this.#retries.start(() => this.ready(), this.#host.refd);
  }

  #block(operation: Operation<unknown>, deadline: number, backoff: Backoff | null): void {
    const left = timeLeft(operation, deadline);
    const timeout = left === Infinity ? -1 : Math.min(Math.ceil(left), 0x7fff_ffff);
    if (backoff !== null) sockets.sleepBlocking(Math.min(backoff.next(), Math.ceil(left)));
    // Whatever poll returns, even EINTR, the attempt that follows is the judge.
    else sockets.pollOne(this.#host.fd, this.#direction!, timeout);
  }
}

/** The delays of a queue without events. */
class Retries {
  readonly backoff: Backoff = new Backoff();
  #timer: unknown = null;

  start(action: () => void, refd: boolean): void {
    if (this.#timer !== null) return;
    this.#timer = startTimer(
      () => {
        this.#timer = null;
        action();
      },
      this.backoff.next(),
      refd,
    );
  }

  /** The first operation has left: the next one is tried at once, and begins with the shortest delay. */
  startAgain(): void {
    this.backoff.reset();
    clearTimeout(this.#timer as number);
    this.#timer = null;
  }
}

/** The milliseconds that are left; throws ETIMEDOUT if there are none. */
function timeLeft(operation: Operation<unknown>, deadline: number): number {
  const left = deadline - now();
  if (left <= 0) throw operation.fail(-errnoNumber("ETIMEDOUT"));
  return left;
}
