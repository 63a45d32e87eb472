/**
 * A run of steps over a connection whose two ends are in this process, until both have come to their end.
 * @module
 */

import type { End } from "./end.ts";
import { describe, type Plan, type Step } from "./plan.ts";
import type { World } from "./world.ts";

// deno-lint-ignore no-explicit-any -- whatever it acts through
export abstract class TwoEnds<E extends End<any>> {
  protected readonly world: World;
  protected readonly plan: Plan;
  protected readonly ends: readonly [E, E];
  /** Whether an end was closed before it had received all. */
  protected readonly closed: [boolean, boolean] = [false, false];

  constructor(world: World, plan: Plan, ends: readonly [E, E]) {
    this.world = world;
    this.plan = plan;
    this.ends = ends;
  }

  async run(): Promise<void> {
    for (const step of this.plan.steps) await this.#step(step);
    await this.#finish();
  }

  /** Does a step at an end; whether that closed it. */
  protected abstract act(step: Step, end: E, other: E): boolean | Promise<boolean>;

  /** Receives all that an end can still get. */
  protected abstract drain(index: 0 | 1): Promise<void>;

  /** Which end does a step. */
  protected endFor(step: Step): 0 | 1 {
    return step.end;
  }

  async #step(step: Step): Promise<void> {
    const { world, ends } = this;
    world.journal.note(describe(step));
    world.journal.count("operations");
    if (await world.disturb(step)) return;
    const index = this.endFor(step);
    const [end, other] = [ends[index], ends[index === 0 ? 1 : 0]];
    if (end.full) await world.turns(20);
    if (!end.full && await this.act(step, end, other)) this.closed[index] = true;
    await world.turns(step.turns);
    if (step.choice % 3 === 0) { for (const one of ends) one.closeLater(); }
  }

  /** Lets everything come to its end: what waits, what is under way, and both ends. */
  async #finish(): Promise<void> {
    const { world, ends } = this;
    world.quieten();
    const ending = ends.map(async (end) => {
      if (!this.plan.hasty) await Promise.all(end.sending);
      await end.endSending();
    });
    await Promise.all([...ending, this.drain(0), this.drain(1)]);
    for (const end of ends) end.channel.close();
    await Promise.all(ends.flatMap((end) => [...end.sending, ...end.receiving]));
    for (const end of ends) {
      end.closeLater();
      end.check();
    }
  }
}
