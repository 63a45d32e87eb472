import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { join } from "@std/path";
import { type Limit, limits } from "../../scripts/arm64/limits.ts";
import { withLeftOut } from "../../scripts/testing/emulation.ts";
import type { Result } from "../../scripts/testing/junit.ts";
import { ROOT } from "../support/mod.ts";

const known: Limit[] = [
  { reason: "no socket", symptom: /Cannot open: ENOSYS/ },
  { reason: "no luck", tests: { a: ["fails"] }, runtimes: ["bun"] },
];

function passed(name: string): Result {
  return { name, outcome: "passed", message: "" };
}

function failed(name: string, message = "Error: no"): Result {
  return { name, outcome: "failed", message };
}

test("withLeftOut() names the failures that a limit of the emulator explains, with the reason", () => {
  const results = [
    failed("opens", "Error: Cannot open: ENOSYS"),
    failed("fails"),
    failed("other"),
    passed("passes"),
  ];
  assertEquals(withLeftOut(results, "bun", "tests/a.test.ts", known), [
    { name: "opens", outcome: "left out", message: "no socket" },
    { name: "fails", outcome: "left out", message: "no luck" },
    failed("other"),
    passed("passes"),
  ]);
});

test("withLeftOut() looks at titles in their file and on their runtime alone", () => {
  const results = [failed("fails")];
  for (const [runtime, file] of [["node", "a"], ["bun", "b"]] as const) {
    assertEquals(withLeftOut(results, runtime, `tests/${file}.test.ts`, known), results);
  }
});

test("withLeftOut() counts a test that is on the list and passes as a failure", () => {
  const [result] = withLeftOut([passed("fails")], "bun", "tests/a.test.ts", known);
  assertEquals([result!.name, result!.outcome], ["fails", "failed"]);
});

test("withLeftOut() explains nothing away where nothing is emulated", () => {
  const results = [failed("any", "Cannot set the marks of records: ENOPROTOOPT")];
  assertEquals(withLeftOut(results, "bun", "tests/a.test.ts", []), results);
});

test("every file that the limits of the emulator name is there", () => {
  const names = limits.flatMap(({ tests = {} }) => Object.keys(tests));
  const missing = names.filter((name) => !existsSync(join(ROOT, "tests", `${name}.test.ts`)));
  assertEquals(missing, []);
});
