import { test } from "node:test";
import { assertEquals, AssertionError } from "@std/assert";
import { shrink } from "../../scripts/faults/shrinking.ts";
import { type Kind, KINDS } from "./plan.ts";
import { type Outcome, runSeeds } from "./process.ts";
import { RUNTIME } from "../support/mod.ts";

/** Seeds that run every time, from 1 on; one that nobody has seen before runs too. */
const FIXED = 2;

const runs = new Map<Kind, Promise<Outcome>>();

function begun(kind: Kind): Promise<Outcome> {
  const running = runs.get(kind) ?? runSeeds({
    runtime: RUNTIME,
    first: 1,
    seeds: FIXED,
    and: 1000 + Math.floor(Math.random() * 1e9),
    kind,
  });
  runs.set(kind, running);
  return running;
}

for (const [index, kind] of KINDS.entries()) {
  test(`random operations on a ${kind} amid faults lose nothing, repeat nothing, and leave nothing open or waiting`, async () => {
    const mine = begun(kind);
    // Most of the time a process starts, and the next can do that meanwhile.
    const next = KINDS[index + 1];
    if (next !== undefined) begun(next).catch(() => {});
    const { report, failure } = await mine;
    if (failure !== null) throw new AssertionError(failure);
    assertEquals(report!.passed, FIXED + 1);
  });
}

const HUNDRED = Array.from({ length: 100 }, (_, id) => id);
const never = () => false;

/** A list that fails when it has all of these steps, in this order. */
function failsWith(...needed: readonly number[]): (steps: readonly number[]) => Promise<boolean> {
  return (steps) => Promise.resolve(needed.every((id) => steps.includes(id)));
}

test("a failing list of steps is made as short as it can be, whichever steps are needed", async () => {
  for (const needed of [[], [0], [99], [17], [3, 97], [40, 41, 42], [0, 33, 66, 99]]) {
    const { steps, outOfTime } = await shrink(HUNDRED, failsWith(...needed), never);
    assertEquals({ steps, outOfTime }, { steps: needed, outOfTime: false });
  }
  const { steps, tries } = await shrink(HUNDRED, failsWith(...HUNDRED), never);
  assertEquals(steps, HUNDRED);
  assertEquals(tries <= 300, true, `${tries} lists were tried`);
});

test("a failing list of steps stays as it is when it does not fail again, and when there is no time", async () => {
  const passes = () => Promise.resolve(false);
  assertEquals(await shrink(HUNDRED, passes, never), { steps: null, tries: 1, outOfTime: false });
  let tries = 0;
  const late = await shrink(HUNDRED, (steps) => {
    tries++;
    return failsWith(5, 60)(steps);
  }, () => tries === 4);
  assertEquals(late.outOfTime, true);
  assertEquals(late.tries, 4);
  assertEquals(late.steps!.includes(5) && late.steps!.includes(60), true);
  assertEquals(late.steps!.length < 100, true);
});
