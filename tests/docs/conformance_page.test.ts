// These titles are data: scripts/conformance looks for none in here.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { test } from "node:test";
import { renderPage } from "../../scripts/conformance/page.ts";
import { replaced, summarize } from "../../scripts/conformance/seen.ts";
import {
  findings,
  hasProgram,
  numbersInSource,
  numbersOfTitle,
} from "../../scripts/conformance/sources.ts";
import type { Run } from "../../scripts/run_tests.ts";
import type { Result } from "../../scripts/testing/junit.ts";
import { CASES, SECTIONS } from "../conformance/cases.ts";
import { PROGRAMS } from "../conformance/programs.ts";

const FILE = "tests/room/some.test.ts";

function skipped(name: string, message: string): Result {
  return { name, outcome: "skipped", message };
}

function failed(name: string): Result {
  return { name, outcome: "failed", message: "no" };
}

/** A run of one file. */
function run(runtime: string, passed: string[], others: Result[] = [], file = FILE): Run {
  const results = passed.map((name): Result => ({ name, outcome: "passed", message: "" }));
  const files = { [file]: [...results, ...others] };
  return { runtime, machine: "linux x64", date: "2026-01-02", files };
}

test("every case has a number of its own, which begins with the letter of its section", () => {
  assertEquals(CASES.size, SECTIONS.flatMap(({ cases }) => cases).length);
  for (const { letter, cases } of SECTIONS) {
    for (const { id } of cases) assert(id.startsWith(letter), id);
  }
});

test("numbersOfTitle() takes the numbers before the sentence, however they are joined", () => {
  assertEquals(numbersOfTitle("A1 UnixListener binds"), ["A1"]);
  assertEquals(numbersOfTitle("B56 N242 UnixStream carries"), ["B56", "N242"]);
  assertEquals(numbersOfTitle("B34/B35, C1 and D2: pieces"), ["B34", "B35", "C1", "D2"]);
  for (const title of ["UnixListener binds A1 too", "A1UnixListener", "P1 no section", "A1"]) {
    assertEquals(numbersOfTitle(title), [], title);
  }
});

test("numbersInSource() finds numbers of titles, also of those in variables", () => {
  const source = [
    'test("A1 a title", () => {});',
    "test(`A2 A4 of ${each}`, () => {});",
    'const titles = { one: "B32 later", number: "B34" };',
    "test('C58: quoted', () => {});",
    'const text = "see A5, and Q1 B9"; // "no number": A7',
  ].join("\n");
  assertEquals([...numbersInSource(source)], ["A1", "A2", "A4", "B32", "B34", "C58"]);
});

test("hasProgram() tells apart programs whose names begin alike, in titles alone", () => {
  const programsIn = (source: string) =>
    PROGRAMS.filter((program) => hasProgram(source, program)).map(({ name }) => name);
  assertEquals(programsIn('test("O248 UnixListener answers ssh-add as an agent", () => {});'), [
    "ssh-agent, ssh-add",
  ]);
  assertEquals(programsIn("test(\n  `O248 passes ssh the ${connection}`,"), ["ssh"]);
  assertEquals(programsIn('const text = "socat"; test("a thing of its own", () => {});'), []);
});

test("summarize() counts how the tests and cases of a run ended, of all its pieces", () => {
  const others = [failed("A1 a"), skipped("A2 Python b", ""), skipped("c", "")];
  const [deno, node] = summarize([
    run("deno 2.9.5", ["A1 a", "A2 c", "A4 d"], others),
    run("deno 2.9.5", ["A5 e"], [], "tests/other.test.ts"),
    run("node 26.1.0", [], [skipped("A2 Python b", "why")]),
  ], 3);
  assertEquals(deno, {
    runtime: "deno 2.9.5",
    machine: "linux x64",
    date: "2026-01-02",
    files: [2, 3],
    passed: 4,
    skipped: 2,
    failed: 1,
    cases: "A2 A4 A5",
    failedCases: "A1",
    reasons: { "A2 Python b: why": 1, c: 1 },
  });
  assertEquals([node!.cases, node!.reasons], ["", { "A2 Python b: why": 1 }]);
});

test("replaced() takes the last run of a runtime on a machine, whatever its version", () => {
  const seen = (runtime: string) => summarize([run(runtime, ["A1 a"])], 1)[0]!;
  const before = [seen("deno 2.9.5"), { ...seen("deno 2.9.5"), machine: "linux arm64" }];
  const after = [seen("deno 3.0.0"), seen("bun 1.4.5")];
  assertEquals(replaced(before, after), [after[0]!, before[1]!, after[1]!]);
});

test("renderPage() shows for each case its tests, and where it passed", () => {
  const sources = new Map([[FILE, 'test("A1 a"); test("A2 b"); test("A4 c");']]);
  const without = skipped("A4 c", "needs a | b");
  const runs = [
    run("deno 2.9.5", ["A1 a", "A2 b"], [without]),
    run("node 26.1.0", ["A1 a"], [without, failed("A2 b")]),
  ];
  const page = renderPage(sources, summarize(runs, 1));
  const row = (id: string) => page.split("\n").find((line) => line.startsWith(`| ${id} `))!;
  const cells = (id: string) => row(id).split("|").slice(4, -1).map((cell) => cell.trim());
  assertEquals(cells("A1"), ["room/some", "all"]);
  assertEquals(cells("A2"), ["room/some", "Deno"]);
  assertEquals(cells("A4"), ["room/some", ""]);
  assertEquals(cells("A5"), ["none", ""]);
  assertEquals(cells("H185"), ["see below", ""]);
  assertStringIncludes(page, "- H185 (");
  assertStringIncludes(page, "| A4 c: needs a \\| b ");
  const emulated = { ...runs[0]!, machine: "linux arm64" };
  const both = renderPage(sources, summarize([...runs, emulated], 1));
  assertStringIncludes(both, "| passed on linux x64 | passed on linux arm64 |");
});

test("findings() says which case and program has no test, and which number no case", () => {
  const titles = [...CASES.keys()].map((id) => `"${id} title"`).join("\n");
  const programs = 'test("Python, a C program, socat, nc -, redis-, nginx, a bus, ssh-add, ssh");' +
    'test("systemd-socket-activate, systemd-notify, rsyslogd, strace, network namespace");';
  const found = (source: string) => findings(new Map([[FILE, source]]));
  assertEquals(found(titles + programs), []);
  assertEquals(found(titles.replace("A1 ", "") + programs), ["No test has the number A1"]);
  assertEquals(found(`${titles}"A999 title"${programs}`), [`${FILE}: there is no case A999`]);
  assertEquals(found(titles + programs.replace("socat", "")), ["No test speaks of socat"]);
});
