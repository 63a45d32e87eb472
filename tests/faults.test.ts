import { test } from "node:test";
import { assertEquals, AssertionError } from "@std/assert";
import { KINDS } from "./faults/plan.ts";
import { runSeeds } from "./faults/process.ts";
import { RUNTIME } from "./support/mod.ts";

/** Seeds that run every time, from 1 on; one that nobody has seen before runs too. */
const FIXED = 3;

for (const kind of KINDS) {
  test(`random operations on a ${kind} amid faults lose nothing, repeat nothing, and leave nothing open or waiting`, async () => {
    const fresh = 1000 + Math.floor(Math.random() * 1e9);
    const { report, failure } = await runSeeds({
      runtime: RUNTIME,
      first: 1,
      seeds: FIXED,
      and: fresh,
      kind,
    });
    if (failure !== null) throw new AssertionError(failure);
    assertEquals(report!.passed, FIXED + 1);
  });
}
