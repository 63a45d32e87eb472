import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { join } from "@std/path";
import { type Limit, limits } from "../../scripts/arm64/limits.ts";
import { withLeftOut } from "../../scripts/testing/emulation.ts";
import { ROOT } from "../support/mod.ts";

const known: Limit[] = [
  { reason: "no socket", symptom: /Cannot open: ENOSYS/ },
  { reason: "no luck", tests: { a: ["fails"] }, runtimes: ["bun"] },
];

function report(passed: string[], failed: { name: string; message: string }[]) {
  return { passed, skipped: [], failed };
}

test("withLeftOut() names the failures that a limit of the emulator explains, with the reason", () => {
  const failed = [
    { name: "opens", message: "Error: Cannot open: ENOSYS" },
    { name: "fails", message: "Error: no" },
    { name: "other", message: "Error: no" },
  ];
  const left = (name: string, message: string) => ({ name, message, leftOut: true as const });
  const here = withLeftOut(report(["passes"], failed), "bun", "tests/a.test.ts", known);
  assertEquals(here.skipped, [left("opens", "no socket"), left("fails", "no luck")]);
  assertEquals(here.failed, [failed[2]!]);
  assertEquals(here.passed, ["passes"]);
});

test("withLeftOut() looks at titles in their file and on their runtime alone", () => {
  const failed = [{ name: "fails", message: "Error: no" }];
  for (const [runtime, file] of [["node", "a"], ["bun", "b"]] as const) {
    const there = withLeftOut(report([], failed), runtime, `tests/${file}.test.ts`, known);
    assertEquals([there.skipped, there.failed], [[], failed]);
  }
});

test("withLeftOut() counts a test that is on the list and passes as a failure", () => {
  const { failed } = withLeftOut(report(["fails"], []), "bun", "tests/a.test.ts", known);
  assertEquals(failed.map(({ name }) => name), ["fails"]);
});

test("withLeftOut() explains nothing away where nothing is emulated", () => {
  const failed = [{ name: "any", message: "Cannot set the marks of records: ENOPROTOOPT" }];
  assertEquals(withLeftOut(report([], failed), "bun", "tests/a.test.ts", []).failed, failed);
});

test("every file that the limits of the emulator name is there", () => {
  const names = limits.flatMap(({ tests = {} }) => Object.keys(tests));
  const missing = names.filter((name) => !existsSync(join(ROOT, "tests", `${name}.test.ts`)));
  assertEquals(missing, []);
});
