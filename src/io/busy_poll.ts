/**
 * Whether to look again for a while before parking, and for how long.
 *
 * To be woken takes longer than many a peer takes to answer. So a thread that has to wait may first
 * look, again and again, between turns of its event loop. That pays while answers come quickly, and
 * burns a core for nothing where they do not. The window learns from each wait, as that of KVM's
 * `halt_poll_ns` does: it grows while a longer look would have found the answer, and closes where even
 * the longest would not. Unlike KVM's, it also closes where looking never finds what comes as soon as
 * the thread is parked.
 * @module
 */

import { environmentVariable } from "../../ffi/mod.ts";
import { checkInteger, checkOptions } from "../util/validate.ts";

/** How long to look for an answer before parking. */
export interface BusyPollOptions {
  /** The most microseconds for one wait, from 1 to 10,000. */
  max: number;
}

/** What {@linkcode configure} takes. */
export interface Configuration {
  /**
   * For this thread: looks again for up to `max` microseconds before it parks, as long as that pays;
   * `false` parks at once. Without a call, 100 microseconds, or what the environment variable
   * AFUNIX_BUSY_POLL says (a number of microseconds, 0 for never). Deno needs
   * `--allow-env=AFUNIX_BUSY_POLL` to read that, and goes without it unasked.
   */
  busyPoll?: BusyPollOptions | false | undefined;
}

/** The most microseconds without a wish. */
const DEFAULT_MAX_US = 100;

/** The longest that can be wished for, in microseconds. */
const MAX_WINDOW_US = 10_000;

/** Where a window begins to grow, in microseconds. */
const MIN_WINDOW_US = 25;

/** After so many windows in a row that passed in vain, looking is given up for a while. */
const MAX_VAIN = 4;

/** For how many waits, the first time and at most: the pause doubles while nothing changes. */
const MIN_REST = 32;
const MAX_REST = 1024;

/** The window of one thread, in milliseconds as `performance.now()` counts. */
export class BusyPoll {
  #max: number;
  #window = 0;
  /** How many windows passed in vain since the last that paid. */
  #vain = 0;
  /** How many waits still pass without a look, and how many will the next time. */
  #resting = 0;
  #rest = MIN_REST;

  constructor(max: number = usualMax()) {
    this.#max = max / 1000;
  }

  /** Sets the longest window, in microseconds; 0 for none. */
  set max(microseconds: number) {
    this.#max = microseconds / 1000;
    this.#window = Math.min(this.#window, this.#max);
  }

  /** For how many milliseconds to look before parking; 0 to park at once. */
  get window(): number {
    return this.#window;
  }

  /** Learns from a wait that ended after so many milliseconds, looking and parked. */
  learn(waited: number): void {
    if (this.#window > 0 && waited <= this.#window) {
      this.#vain = 0;
      this.#rest = MIN_REST;
    } else if (this.#resting > 0) this.#resting--;
    else if (waited > this.#max) this.#window = 0;
    else if (this.#window > 0 && ++this.#vain === MAX_VAIN) this.#giveUp();
    else this.#window = Math.min(this.#max, Math.max(MIN_WINDOW_US / 1000, this.#window * 2));
  }

  /**
   * The answers come soon after parking, and never while looking: the processor that would make them
   * is perhaps the one that looks.
   */
  #giveUp(): void {
    this.#window = 0;
    this.#vain = 0;
    this.#resting = this.#rest;
    this.#rest = Math.min(MAX_REST, this.#rest * 2);
  }
}

let waiting: BusyPoll | undefined;
let blocking: BusyPoll | undefined;

/** The window of what this thread waits for without blocking. */
export function waitingPoll(): BusyPoll {
  return waiting ??= new BusyPoll();
}

/** The window of this thread's blocking calls, which look by trying again. */
export function blockingPoll(): BusyPoll {
  return blocking ??= new BusyPoll();
}

let warned = false;

function usualMax(): number {
  const wanted = environmentVariable("AFUNIX_BUSY_POLL");
  if (wanted === undefined || wanted === "") return DEFAULT_MAX_US;
  const max = Number(wanted);
  if (Number.isInteger(max) && max >= 0 && max <= MAX_WINDOW_US) return max;
  if (!warned) {
    warned = true;
    const shown = JSON.stringify(wanted);
    console.warn(`afunix: AFUNIX_BUSY_POLL=${shown} is ignored: expected 0 to ${MAX_WINDOW_US}`);
  }
  return DEFAULT_MAX_US;
}

function checkBusyPoll(wanted: BusyPollOptions | false): number {
  if (wanted === false) return 0;
  checkOptions(wanted);
  return checkInteger(wanted.max, "a number of microseconds", 1, MAX_WINDOW_US);
}

/**
 * Configures this thread.
 *
 * @throws {TypeError|RangeError} if a value is invalid
 *
 * @example Park at once, as a process does that must not burn any time
 * ```ts
 * import { configure } from "@afunix/afunix";
 *
 * configure({ busyPoll: false });
 * ```
 */
export function configure(configuration: Configuration): void {
  checkOptions(configuration);
  const { busyPoll } = configuration;
  if (busyPoll === undefined) return;
  const max = checkBusyPoll(busyPoll);
  waitingPoll().max = max;
  blockingPoll().max = max;
}
