/**
 * One run of the command line: what its command works with, and how it ends.
 * @module
 */

import { constants } from "node:os";
import process from "node:process";
import { Fd } from "../mod.ts";
import type { Arguments } from "./arguments.ts";
import { EXIT, Failure } from "./failures.ts";
import { Output } from "./terminal/output.ts";
import { BrokenPipe, errWritten } from "./terminal/writing.ts";

const SIGNALS = [
  ["SIGINT", EXIT.interrupted],
  ["SIGTERM", EXIT.terminated],
  ["SIGHUP", EXIT.hangUp],
] as const;

/** The longest time that a timer can have, in milliseconds. */
export const MAX_TIMEOUT_MS = 0x7fff_ffff;

/** Milliseconds that after a signal, or at the end of `--timeout`, are left for what was said before, if somebody reads it. */
const FLUSH_TIMEOUT_MS = 1000;

/** What a command works with. */
export class Session {
  readonly args: Arguments;
  readonly output: Output;
  /** The code of an end that came from outside: a signal, a closed pipe, the time limit. */
  readonly ended: Promise<number>;
  /** The code of the last signal that came while signals were somebody else's; null for none. */
  signalled: number | null = null;
  #end!: (code: number) => void;
  #fail!: (error: unknown) => void;
  /** Nobody waits any longer for what is still to be written. */
  readonly #impatient = Promise.withResolvers<void>();
  /** Nor for what is still to be said on stderr. */
  readonly #silenced = Promise.withResolvers<void>();
  readonly #timeout: number | undefined;
  #timer: ReturnType<typeof setTimeout> | null = null;
  readonly #endings: (() => void)[] = [];
  #onSignal: ((signal: NodeJS.Signals) => void) | null = null;

  constructor(args: Arguments) {
    this.args = args;
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
    this.output = new Output(
      { json: args.has("json"), verbose: args.has("verbose"), quiet: args.has("quiet") },
      (error) => {
        if (error instanceof BrokenPipe) this.#end(EXIT.brokenPipe);
        else this.#fail(error);
      },
    );
    this.#timeout = args.integer("timeout", 1, MAX_TIMEOUT_MS);
    // As nohup(1) has it. (Node.js undoes that before any program runs, Deno with the first listener.)
    const hangUpIgnored = isIgnored("SIGHUP");
    for (const [signal, code] of SIGNALS) {
      process.on(signal, () => {
        if (signal === "SIGHUP" && hangUpIgnored) return;
        if (this.#onSignal === null) {
          this.#giveUpWriting();
          return this.#end(code);
        }
        this.signalled = code;
        this.#onSignal(signal);
      });
    }
  }

  /** Something went on: the time of `--timeout` begins anew. */
  alive(): void {
    if (this.#timeout === undefined) return;
    if (this.#timer === null) {
      this.#timer = setTimeout(() => {
        // Perhaps just because nobody reads the output.
        this.#giveUpWriting();
        this.#fail(new Failure(`Timed out: nothing happened for ${this.#timeout} ms`));
      }, this.#timeout);
    } else {
      this.#timer.refresh();
    }
  }

  /** Waits for no reader of what was written, and not long for one of what was said. */
  #giveUpWriting(): void {
    this.#impatient.resolve();
    setTimeout(() => this.#silenced.resolve(), FLUSH_TIMEOUT_MS);
  }

  /** From now on nothing is a matter of time, and signals are somebody else's. */
  handOver(onSignal: (signal: NodeJS.Signals) => void): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#onSignal = onSignal;
  }

  /** Takes time and signals back. */
  takeBack(): void {
    this.#onSignal = null;
    this.alive();
  }

  /** What to do at the end, however it comes. */
  atEnd(action: () => void): void {
    this.#endings.push(action);
  }

  /** The end of the run. */
  async finish(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const action of this.#endings.splice(0).reverse()) action();
    await Promise.race([this.output.finish(), this.#impatient.promise]);
  }

  /** What was said on stderr is on its way, or nothing waits for that any longer. */
  async told(): Promise<void> {
    await Promise.race([errWritten(), this.#silenced.promise]);
  }
}

/** Whether this process ignores a signal; false where the system does not tell. */
function isIgnored(signal: NodeJS.Signals): boolean {
  try {
    // Not by node:fs, for which Deno would want a permission.
    using file = Fd.open("/proc/self/status", "read");
    const buffer = new Uint8Array(65536);
    const text = new TextDecoder().decode(buffer.subarray(0, file.preadSync(buffer, 0) ?? 0));
    const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(text)?.[1];
    return mask !== undefined &&
      (BigInt(`0x${mask}`) >> BigInt(constants.signals[signal] - 1) & 1n) === 1n;
  } catch {
    return false;
  }
}
