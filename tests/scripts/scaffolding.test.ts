import { assert, assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { parseReport } from "../../scripts/testing/junit.ts";
import { parseOptions } from "../../scripts/testing/options.ts";
import { findTestFiles, judge } from "../../scripts/testing/suite.ts";

const passedOne = { passed: ["a"], skipped: [], failed: [] };
const ended = { code: 0, signal: null, timedOut: false, output: "" };

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
    assertEquals(parseReport(xml), {
      passed: ["a > c"],
      skipped: [{ name: "d", message: "" }],
      failed: [{ name: "a > b", message: "Error: no" }],
    });
  }
});

test("parseReport() refuses a report that a crash cut off", () => {
  assertEquals(parseReport(""), undefined);
  assertEquals(parseReport('<testsuites><testcase name="a"/>'), undefined);
  assertEquals(parseReport('<testsuites><testcase name="a'), undefined);
});

test("judge() counts a crash, a hang, a stray error and a file without a test as failures", () => {
  const count = (...args: Parameters<typeof judge>) => judge(...args).failed.length;
  assertEquals(count(ended, passedOne, [], 1000), 0);
  assertEquals(count({ ...ended, code: null, signal: "SIGSEGV" }, undefined, [], 1000), 1);
  assertEquals(count({ ...ended, code: 3 }, passedOne, [], 1000), 1);
  assertEquals(count({ ...ended, code: null, timedOut: true }, passedOne, [], 1000), 1);
  assertEquals(count(ended, { ...passedOne, passed: [] }, [], 1000), 1);
  assertEquals(count(ended, passedOne, ["Error: stray"], 1000), 1);
  const failed = { ...passedOne, failed: [{ name: "a", message: "Error: known\n  at a" }] };
  assertEquals(count({ ...ended, code: 1 }, failed, ["Error: known\n  at b"], 1000), 1);
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
