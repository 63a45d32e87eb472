import { assert, assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { hasFailed, parseReport, type Result } from "../../scripts/testing/junit.ts";
import { parseOptions } from "../../scripts/testing/options.ts";
import { findTestFiles, judge, runFile } from "../../scripts/testing/suite.ts";
import { RUNTIME, withTempDir } from "../support/mod.ts";

test("findTestFiles() finds every file in tests/ that is named *.test.ts", () => {
  const onDisk = readdirSync("tests", { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.ts"))
    .map((path) => join("tests", path));
  assertEquals(findTestFiles(), onDisk.sort());
  assert(onDisk.includes("tests/scripts/scaffolding.test.ts"));
  assertEquals(findTestFiles(["scripts/scaff", "no such file"]), [
    "tests/scripts/scaffolding.test.ts",
  ]);
});

test("parseReport() counts the leaves of each runtime's report", () => {
  const deno = `<testsuites name="deno test"><testsuite name="./tests/a.test.ts">
    <testcase name="a"><failure message="1 test step failed">1 test step failed.</failure></testcase>
    <testcase name="a &gt; b"><failure message="no">Error: no</failure></testcase>
    <testcase name="a &gt; c"></testcase><testcase name="d"><skipped/></testcase></testsuite></testsuites>`;
  const bun = `<testsuites name="bun test"><testsuite name="tests/a.test.ts"><testsuite name="a">
    <testcase name="b"><failure type="Error" message="no">Error: no</failure></testcase>
    <testcase name="c" /></testsuite><testcase name="d"><skipped /></testcase></testsuite></testsuites>`;
  const node = `<?xml version="1.0"?><testsuites><testsuite name="a"><testcase name="b">
    <failure message="no">Error: no</failure></testcase><testcase name="c"/></testsuite>
    <testcase name="d"><skipped type="skipped"/></testcase><!-- tests 4 --></testsuites>`;
  for (const xml of [deno, bun, node]) {
    assertEquals(parseReport(xml), [
      { name: "a > b", outcome: "failed", message: "Error: no" },
      { name: "a > c", outcome: "passed", message: "" },
      { name: "d", outcome: "skipped", message: "" },
    ]);
  }
});

test("parseReport() refuses a report that a crash cut off", () => {
  assertEquals(parseReport(""), undefined);
  assertEquals(parseReport('<testsuites><testcase name="a"/>'), undefined);
  assertEquals(parseReport('<testsuites><testcase name="a'), undefined);
});

test("judge() counts a crash, a hang and a file without a test as failures", () => {
  const failures = (code: number | null, report?: Result[]) =>
    judge({ code, end: "ended", output: "" }, report).filter(hasFailed).length;
  const passed: Result = { name: "a", outcome: "passed", message: "" };
  const failed: Result = { name: "b", outcome: "failed", message: "Error: no" };
  assertEquals(failures(0, [passed]), 0);
  assertEquals(failures(1, [passed, failed]), 1);
  assertEquals(failures(3, [passed]), 1);
  assertEquals(failures(null, [passed]), 1);
  assertEquals(failures(null), 1);
  assertEquals(failures(0), 1);
  assertEquals(failures(0, []), 1);
});

test("runFile() counts an error outside a test as a failure", async () => {
  const file = "tests/programs/throws_outside.ts";
  const results = await withTempDir((folder) => runFile(RUNTIME, file, 60_000, folder));
  assertEquals(results.filter(hasFailed).length, 1);
  assert(results.some(({ message }) => message.includes("outside a test")));
});

test("parseOptions() refuses options that leave nothing to do", () => {
  const parts = (...args: string[]) => {
    const { checks, suite } = parseOptions(args);
    return [checks, suite];
  };
  assertEquals(parts(), [true, true]);
  assertEquals(parts("--skip-checks"), [false, true]);
  assertEquals(parts("--only-checks"), [true, false]);
  assertThrows(() => parts("--skip-checks", "--only-checks"), Error, "leave nothing to do");
});
