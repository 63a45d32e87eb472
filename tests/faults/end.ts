/**
 * What one end of any connection under test has: an object that it acts through, and what became of each step.
 * @module
 */

import type { Counts } from "./journal.ts";
import type { Manner, Step } from "./plan.ts";
import { codeOf, isExplained, type Outcome, type World } from "./world.ts";

/** How many operations of one end wait at most. */
const MAX_PENDING = 12;

export abstract class End<Channel extends { readonly closed: boolean; close(): void }> {
  readonly name: string;
  readonly sending = new Set<Promise<void>>();
  readonly receiving = new Set<Promise<void>>();
  /** Whether this end has received all there is. */
  sawEnd = false;
  /** How often it was told what error, by code. */
  readonly errors: Counts = {};
  protected readonly world: World;
  protected readonly manner: Manner;
  /** What is to be closed some time after it was sent. */
  protected readonly later: (() => void)[] = [];
  /** Whether the web stream or iteration that it receives by has failed, which is for good. */
  protected broken = false;
  #channel: Channel;

  constructor(name: string, world: World, channel: Channel, manner: Manner) {
    this.name = name;
    this.world = world;
    this.#channel = channel;
    this.manner = manner;
  }

  get channel(): Channel {
    return this.#channel;
  }

  get full(): boolean {
    return this.sending.size + this.receiving.size >= MAX_PENDING;
  }

  /** Whether it can still tell when it has received all. */
  get reads(): boolean {
    return !this.sawEnd && !this.broken && !this.#channel.closed;
  }

  get byCalls(): boolean {
    return this.manner.reading === "calls";
  }

  /** Whether its steps may go through other objects than the first. */
  get replaceable(): boolean {
    return this.byCalls && this.manner.writing === "calls";
  }

  /** What it does goes on through another object. */
  replace(make: (channel: Channel) => Channel): void {
    this.#channel = make(this.#channel);
  }

  /** Closes the descriptors that were to be closed some time after they were sent. */
  closeLater(): void {
    for (const close of this.later.splice(0)) close();
  }

  /** Ends its sending, where the other end can be told. */
  abstract endSending(): Promise<void>;

  /** Fails the run if something is wrong that can be said when all is over. */
  check(): void {}

  /** What may be in the way of a step. */
  protected abstract obstacles(step: Step): readonly string[];

  protected now<T>(call: () => T): Outcome<T> {
    try {
      return { value: call() };
    } catch (error) {
      return { error };
    }
  }

  protected follow<T>(
    among: Set<Promise<void>>,
    step: Step,
    promise: Promise<T>,
    settle: (outcome: Outcome<T>) => void,
  ): void {
    const followed: Promise<void> = this.world
      .watched(`step ${step.id} ${this.name}.${step.what}`, promise)
      .then(settle)
      .finally(() => among.delete(followed));
    among.add(followed);
  }

  protected settled(step: Step, { value, error }: Outcome<unknown>): void {
    const { journal } = this.world;
    const what = error === undefined
      ? typeof value === "number" ? `${value}` : value === null ? "the end" : "done"
      : codeOf(error);
    journal.note(`    ${step.id} ${this.name}.${step.what}: ${what}`);
    if (error === undefined) return journal.count("operations done");
    const code = codeOf(error);
    journal.count(`error ${code}`);
    this.errors[code] = (this.errors[code] ?? 0) + 1;
    if (isExplained(error, step, this.obstacles(step)) || this.#isOfWebStreams(error)) return;
    this.world.fail(`step ${step.id} ${this.name}.${step.what} ended with ${error}`);
  }

  /** A web stream that has failed or was closed answers with an error of its own. */
  #isOfWebStreams(error: unknown): boolean {
    return error instanceof TypeError && !this.replaceable;
  }
}
