/**
 * Signs of life for the service manager's watchdog.
 * @module
 */

import type { Address } from "../address.ts";
import { UnixDatagram } from "../datagram.ts";
import { type EnvironmentOptions, isOwnPid, numberIn, withVariables } from "./environment.ts";
import { managerAddress } from "./manager.ts";
import { checkOptions } from "../util/validate.ts";

/** One less than what the manager takes for "never". */
const MAX_MICROSECONDS = 2n ** 64n - 2n;

/** The longest pause of a timer, in milliseconds. */
const MAX_PAUSE_MS = 0x7fff_ffff;

/**
 * How often the service manager wants a sign of life (WATCHDOG_USEC), in milliseconds; it acts when
 * none came for so long. Half of it is a good pause between two.
 *
 * Deno needs `--allow-env=WATCHDOG_USEC,WATCHDOG_PID`.
 *
 * @returns null where it wants none: the variable is absent or empty, or WATCHDOG_PID names another
 * process
 * @throws {UnixSocketError} EINVAL: a variable is no such number, as sd_watchdog_enabled(3) has it.
 * EACCES: Deno may not read the variables
 *
 * @example
 * ```ts
 * import { watchdogInterval } from "@afunix/afunix/systemd";
 *
 * console.log(watchdogInterval()); // 30000 with WatchdogSec=30
 * ```
 */
export function watchdogInterval(options?: EnvironmentOptions): number | null {
  return withVariables(["WATCHDOG_USEC", "WATCHDOG_PID"], [], options, (variables) => {
    const { WATCHDOG_USEC: interval, WATCHDOG_PID: pid } = variables;
    if (interval === undefined) return null;
    const microseconds = numberIn("WATCHDOG_USEC", interval, 1n, MAX_MICROSECONDS);
    if (pid !== undefined && !isOwnPid("WATCHDOG_PID", pid)) return null;
    return Number(microseconds) / 1000;
  });
}

/** Options of {@linkcode startWatchdog}. */
export interface WatchdogOptions extends EnvironmentOptions {
  /**
   * Asked before each sign of life, which is left out unless the answer is true, or as long as it does not
   * come: so that the manager acts on a service that runs but does not work.
   */
  healthy?: (() => boolean | PromiseLike<boolean>) | undefined;
  /**
   * Told what went wrong: `healthy` threw, or the manager could not be told. Without it nobody
   * hears of that; the timer goes on in both cases.
   */
  onError?: ((error: unknown) => void) | undefined;
}

function checkFunction(value: unknown, what: string): void {
  if (value === undefined || typeof value === "function") return;
  throw new TypeError(`Cannot use this as ${what}: expected a function`);
}

/** A timer that sends signs of life; {@linkcode startWatchdog} makes one. */
export class Watchdog implements Disposable {
  /** The manager's interval in milliseconds; signs of life are sent twice as often. */
  readonly interval: number;
  readonly #address: Address;
  readonly #options: WatchdogOptions;
  readonly #stopping = new AbortController();
  readonly #timer: unknown;
  #busy = false;

  /** @ignore */
  constructor(interval: number, address: Address, options: WatchdogOptions) {
    this.interval = interval;
    this.#address = address;
    this.#options = options;
    const pause = Math.min(Math.max(1, Math.floor(interval / 2)), MAX_PAUSE_MS);
    this.#timer = setInterval(() => void this.#beat(), pause);
    (this.#timer as { unref?(): void }).unref?.();
    void this.#beat();
  }

  /** Whether it was stopped. */
  get stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Sends no more. The manager goes on waiting for signs of life. A second call does nothing. */
  stop(): void {
    clearInterval(this.#timer as ReturnType<typeof setInterval>);
    this.#stopping.abort();
  }

  /** Stops at the end of a `using` scope. */
  [Symbol.dispose](): void {
    this.stop();
  }

  /** One sign of life, unless the last is still on its way. */
  async #beat(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    const { healthy, onError } = this.#options;
    try {
      if (healthy === undefined || await healthy() === true) await this.#send();
    } catch (error) {
      if (!this.stopped) onError?.(error);
    } finally {
      this.#busy = false;
    }
  }

  async #send(): Promise<void> {
    const { signal } = this.#stopping;
    // A socket of its own, which does not keep the process alive.
    using socket = UnixDatagram.unbound().unref();
    socket.connect(this.#address);
    await socket.send(new TextEncoder().encode("WATCHDOG=1"), { signal });
  }
}

/**
 * Sends a sign of life (WATCHDOG=1) now and then twice in each interval that the service manager set
 * (WATCHDOG_USEC). The timer does not keep the process alive, and a thread that hangs sends nothing:
 * that is the purpose.
 *
 * Deno needs `--allow-env=WATCHDOG_USEC,WATCHDOG_PID,NOTIFY_SOCKET`.
 *
 * @returns null where the manager wants no signs of life from this process, or there is none
 * @throws {UnixSocketError} as `watchdogInterval` does; EINVAL, EAFNOSUPPORT: NOTIFY_SOCKET is no
 * address of a Unix socket
 *
 * @example
 * ```ts
 * import { startWatchdog } from "@afunix/afunix/systemd";
 *
 * using watchdog = startWatchdog({ onError: (error) => console.error(error) });
 * console.log(watchdog?.interval);
 * ```
 *
 * See sd_watchdog_enabled(3).
 */
export function startWatchdog(options?: WatchdogOptions): Watchdog | null {
  checkOptions(options);
  checkFunction(options?.healthy, "healthy");
  checkFunction(options?.onError, "onError");
  const interval = watchdogInterval(options);
  if (interval === null) return null;
  const address = managerAddress();
  return address === null ? null : new Watchdog(interval, address, { ...options });
}
