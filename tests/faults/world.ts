/**
 * What surrounds a run: garbage collection, a descriptor table that can be full, signals, promises
 * that are watched until they settle, and descriptors with a number to pass on.
 * @module
 */

import { closeSync, openSync, readlinkSync } from "node:fs";
import process from "node:process";
import { configure, Fd, UnixSocketError } from "../../mod.ts";
import {
  type DescriptorTable,
  descriptorTable,
  tableChanges,
} from "../support/descriptor_table.ts";
import { collectNow } from "../support/garbage.ts";
import { generator, type Random } from "../support/random.ts";
import type { Journal } from "./journal.ts";
import { faultFor, LibcFaults } from "./libc_faults.ts";
import type { Plan, Step } from "./plan.ts";

/** The reason of every abort here. */
export const GIVEN_UP: Error = new Error("given up");

/** The signal that interrupts: the library and the runtimes leave it alone. */
export const INTERRUPTION = "SIGUSR2";

/** How many files in memory, each with its number in it, can be passed on; then comes the witness. */
const FILES = 4;
/** The number of the writing end of a pipe, by which is seen whether anybody still holds one. */
export const WITNESS: number = FILES;

/** What an operation ended with. */
export type Outcome<T> = { value: T; error?: undefined } | { value?: undefined; error: unknown };

/** Sends a burst of signals from outside. */
export type Burst = (count: number) => void;

export class World {
  readonly journal: Journal;
  readonly faults: LibcFaults;
  readonly #burst: Burst;
  #random: Random = generator(0);
  #files: Fd[] = [];
  #reader: Fd | null = null;
  #fillers: number[] = [];
  #before: DescriptorTable = new Map();
  readonly #aborts = { data: new Set<AbortController>(), later: new Set<AbortController>() };
  readonly #pending = new Map<Promise<unknown>, string>();
  #failure: Error | null = null;
  /** What the descriptors to pass on lead to. */
  #ours: ReadonlySet<string> = new Set();
  #collects = true;
  #held = "";

  constructor(journal: Journal, burst: Burst) {
    this.journal = journal;
    this.#burst = burst;
    this.faults = new LibcFaults(
      () => {
        if (this.#collects) collectNow();
      },
      () => process.kill(process.pid, INTERRUPTION),
      (what) => {
        journal.count(`libc ${what.split(":")[0]}`);
        journal.note(`    ${what}`);
      },
    );
    process.on(INTERRUPTION, () => journal.count("signals received"));
  }

  /** Begins with a run: nothing is open that was not open before the last. */
  begin(plan: Plan): void {
    this.#random = generator(plan.seed ^ 0x5eed);
    this.#failure = null;
    this.#collects = plan.collects;
    this.#before = descriptorTable();
    this.#files = Array.from({ length: FILES }, (_, number) => {
      const file = Fd.memfd(`number ${number}`);
      file.pwriteSync(Uint32Array.of(number), 0);
      return file;
    });
    const [reader, writer] = Fd.pipe();
    this.#reader = reader;
    this.#files.push(writer);
    this.#ours = new Set(this.#files.map(({ fd }) => readlinkSync(`/proc/self/fd/${fd}`)));
    this.#held = this.#heldNow();
    configure({
      busyPoll: plan.busyPoll === 0 ? false : { max: plan.busyPoll === -1 ? 100 : plan.busyPoll },
    });
  }

  /** Disturbs no more, so that everything can come to its end. */
  quieten(): void {
    this.journal.note("the end");
    this.abort("all");
    this.faults.restore();
    this.giveBack();
  }

  /** Ends a run: everything that it opened has to be closed by now, here and in the kernel. */
  async end(): Promise<void> {
    this.faults.restore();
    this.giveBack();
    // Before garbage is collected, which would close what was forgotten.
    const held = this.#heldNow();
    if (held !== this.#held) this.fail(`${held} are open instead of ${this.#held}`);
    for (const file of this.#files) file.close();
    const end = await this.watched("the witness", this.#reader!.read(new Uint8Array(1)));
    this.#reader!.close();
    if (end.value !== null) this.fail("somebody still holds a descriptor that was passed");
    const changes = () => tableChanges(this.#before, descriptorTable());
    // A runtime closes what is its own a little later.
    for (let tries = 0; changes().length > 0 && tries < 200; tries++) {
      await new Promise((resolve) => setTimeout(resolve, tries < 20 ? 0 : 10));
    }
    if (changes().length > 0) this.fail(`descriptors are left:\n${changes().join("\n")}`);
    if (this.#pending.size > 0) {
      this.fail(`these never settled: ${[...this.#pending.values()].join(", ")}`);
    }
    if (this.#failure !== null) throw this.#failure;
  }

  /** What each file that is passed on is open as, one name for each descriptor. */
  #heldNow(): string {
    const open = [...descriptorTable().values()].filter((target) => this.#ours.has(target));
    return open.toSorted().join(", ");
  }

  /** Keeps the first failure; the run goes to its end, so that the next begins with nothing open. */
  fail(message: string): void {
    this.journal.note(`FAILED: ${message}`);
    this.#failure ??= new Error(message);
  }

  /** What an operation comes to; until then it counts as pending. */
  async watched<T>(name: string, promise: Promise<T>): Promise<Outcome<T>> {
    this.#pending.set(promise, name);
    try {
      return { value: await promise };
    } catch (error) {
      return { error };
    } finally {
      this.#pending.delete(promise);
    }
  }

  /** What nobody has heard of yet, for a watchdog. */
  get pending(): string[] {
    return [...this.#pending.values()];
  }

  async turns(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  /**
   * The signal of a step, where it has one; `before` is called right before it is aborted, and never
   * when the step's operation is over by then.
   */
  signalFor(step: Step, before: () => void): { signal?: AbortSignal; called(): void } {
    if (step.abort === "none") return { called() {} };
    const controller = new AbortController();
    controller.signal.addEventListener("abort", before, { once: true });
    this.journal.count(`aborts ${step.abort}`);
    if (step.abort === "before") controller.abort(GIVEN_UP);
    else if (step.abort === "with data") this.#aborts.data.add(controller);
    else if (step.abort === "later") this.#aborts.later.add(controller);
    const called = () => {
      if (step.abort === "at once") controller.abort(GIVEN_UP);
    };
    return { signal: controller.signal, called };
  }

  /** Aborts what waits to be aborted with data, or all that is left. */
  abort(which: "data" | "later" | "all"): void {
    const sets = which === "all" ? Object.values(this.#aborts) : [this.#aborts[which]];
    for (const set of sets) {
      const controllers = [...set];
      set.clear();
      for (const controller of controllers) controller.abort(GIVEN_UP);
    }
  }

  /** Does a step that is a fault, and not an operation; false for any other. */
  async disturb(step: Step): Promise<boolean> {
    const { journal } = this;
    switch (step.what) {
      case "collect":
        if (!this.#collects) return true;
        collectNow();
        journal.count("garbage collected");
        return true;
      case "shortage":
        this.takeAll();
        return true;
      case "enough":
        this.giveBack();
        return true;
      case "interrupt":
      case "refuse":
      case "refuse an accept":
      case "shorten":
        this.faults.next(faultFor(step.what, this.#random));
        return true;
      case "signals":
        this.#burst(1 + step.choice % 20);
        return true;
      case "busy poll":
        configure({ busyPoll: step.choice % 2 === 0 ? false : { max: 1 + step.choice % 10_000 } });
        return true;
      case "abort":
        this.abort("later");
        return true;
      case "turns":
        await this.turns(1 + step.choice % 8);
        return true;
    }
    return false;
  }

  /** Takes every descriptor there is. */
  takeAll(): void {
    if (this.#fillers.length > 0) return;
    this.journal.count("descriptor table full");
    for (;;) {
      try {
        this.#fillers.push(openSync("/dev/null", "r"));
      } catch {
        return;
      }
    }
  }

  get isShort(): boolean {
    return this.#fillers.length > 0;
  }

  giveBack(): void {
    for (const fd of this.#fillers.splice(0)) closeSync(fd);
  }

  /** Which descriptors a step passes on, by their numbers. */
  numbersFor(step: Step): number[] {
    return Array.from({ length: step.fds }, (_, i) => (step.choice + i * 7) % (FILES + 1));
  }

  /** The descriptors of these numbers, duplicated; null where none is free. */
  duplicates(numbers: readonly number[]): Fd[] | null {
    const made: Fd[] = [];
    try {
      for (const number of numbers) made.push(this.#files[number]!.dup());
      return made;
    } catch (error) {
      for (const fd of made) fd.close();
      if ((error as UnixSocketError).code === "EMFILE") return null;
      throw error;
    }
  }

  /** The descriptors of these numbers themselves. */
  originals(numbers: readonly number[]): Fd[] {
    return numbers.map((number) => this.#files[number]!);
  }

  /** The number of a descriptor that came; −1 for one that is none of ours. */
  numberOf(fd: Fd): number {
    if (fd.kind === "pipe") return WITNESS;
    const content = new Uint32Array(1);
    return fd.preadSync(content, 0) === 4 ? content[0]! : -1;
  }
}

/** What an error is called in journals and counts. */
export function codeOf(error: unknown): string {
  if (error === GIVEN_UP) return "given up";
  return error instanceof UnixSocketError ? error.code : String(error);
}

/** What may go wrong in any call when faults are about. */
const BY_FAULTS = ["EMFILE", "ENOMEM", "ENOBUFS"];

/** Whether an error is explained by what the run did, where these codes are expected besides. */
export function isExplained(error: unknown, step: Step, expected: readonly string[]): boolean {
  if (error === GIVEN_UP) return step.abort !== "none";
  if (!(error instanceof UnixSocketError)) return false;
  if (error.code === "ETIMEDOUT") return step.what.endsWith("Sync");
  return BY_FAULTS.includes(error.code) || expected.includes(error.code);
}
