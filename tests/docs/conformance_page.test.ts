// These titles are data: scripts/conformance looks for none in here.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { join } from "@std/path";
import {
  merged,
  readCounts,
  withoutMissing,
  writeCounts,
} from "../../scripts/conformance/counts.ts";
import { findings, outdated, staleFiles } from "../../scripts/conformance/findings.ts";
import {
  numbersInSource,
  numbersOfTitle,
  programsOfTitle,
} from "../../scripts/conformance/numbers.ts";
import { renderPage } from "../../scripts/conformance/page.ts";
import type { Run } from "../../scripts/testing/results.ts";
import { CASES, SECTIONS } from "../conformance/cases.ts";

const FILE = "tests/some.test.ts";

/** A run of one file. */
function run(runtime: string, passed: string[], rest: Partial<Run["files"][string]> = {}): Run {
  const files = { [FILE]: { passed, skipped: [], failed: [], ...rest } };
  return { runtime, machine: "linux x64", files };
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

test("programsOfTitle() tells apart programs whose names begin alike", () => {
  assertEquals(programsOfTitle("O248 UnixListener answers ssh-add as an agent"), [
    "ssh-agent, ssh-add",
  ]);
  assertEquals(programsOfTitle("O248 passes ssh the connection"), ["ssh"]);
  assertEquals(programsOfTitle("a thing of its own"), []);
});

test("merged() replaces what the same version made of a file, and all of another version", () => {
  const first = merged([], { runs: [run("node 26.1.0", ["A1 a"]), run("deno 2.9.5", ["A1 a"])] });
  assertEquals(first.map(({ runtime }) => runtime), ["deno 2.9.5", "node 26.1.0"]);
  const failed = [{ name: "A1 a", message: "no" }];
  const skipped = [{ name: "A2 Python b", message: "why" }];
  const second = merged(first, { runs: [run("deno 2.9.5", ["c"], { failed, skipped })] });
  assertEquals(second[0]!.files[FILE], {
    all: [1, 1, 1],
    cases: { A1: [0, 0, 1], A2: [0, 1, 0] },
    programs: { Python: [0, 1, 0] },
    skipped: { "A2 Python b": "why" },
  });
  assertEquals(second[1], first[1]);
  assertEquals(first[0]!.files[FILE]!.all, [1, 0, 0]);
  const other = { ...run("deno 3.0.0", []), files: {} };
  assertEquals(merged(second, { runs: [other] })[0], other);
});

test("readCounts() reads what writeCounts() wrote, and withoutMissing() drops files", () => {
  const directory = mkdtempSync(join(tmpdir(), "afunix-"));
  try {
    const path = join(directory, "results.jsonl");
    assertEquals(readCounts(path), []);
    const runs = merged([], { runs: [run("bun 1.4.5", ["A1 a"]), run("deno 2.9.5", ["b"])] });
    writeCounts(path, runs);
    assertEquals(readCounts(path), runs);
    assertEquals(withoutMissing(runs, [FILE]), runs);
    assertEquals(withoutMissing(runs, []).map(({ files }) => files), [{}, {}]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("renderPage() shows for each case how its tests ended", () => {
  const failed = [{ name: "A2 b", message: "" }];
  const skipped = [{ name: "A4 c", message: "needs a | b" }];
  const passed = ["A1 a", "A1 again", "A2 c", "d"];
  const x64 = run("deno 2.9.5", passed, { failed, skipped });
  const page = renderPage(merged([], { runs: [x64] }));
  const row = (id: string) => page.split("\n").find((line) => line.startsWith(`| ${id} `))!;
  const cells = (id: string) => row(id).split("|").slice(4, -1).map((cell) => cell.trim());
  assertEquals(cells("A1"), ["some", "✓ 2"]);
  assertEquals(cells("A2"), ["some", "✗ 1 of 2"]);
  assertEquals(cells("A4"), ["some", "skipped"]);
  assertEquals(cells("A5"), ["none", ""]);
  assertEquals(cells("H185"), ["see below", ""]);
  assertStringIncludes(page, "- H185 (");
  assertStringIncludes(page, "- Deno: A4 c: needs a \\| b");
  const both = renderPage(merged([], { runs: [x64, { ...x64, machine: "linux arm64" }] }));
  assertStringIncludes(both, "| Deno x64 | Deno arm64 |");
});

test("findings() says which case has no test and which number no case, outdated() what has changed", () => {
  const titles = [...CASES.keys()].map((id) => `"${id} title"`);
  const sources = new Map([[FILE, titles.join("\n")]]);
  const runs = merged([], { runs: [run("deno 2.9.5", titles.map((title) => title.slice(1, -1)))] });
  const page = renderPage(runs);
  const old = (state: Partial<Parameters<typeof outdated>[0]>) =>
    outdated({ sources, runs, page, ...state }).filter((each) => !/^No test speaks of/.test(each));
  assertEquals([findings({ sources }), old({})], [[], []]);
  assertEquals(old({ page: "" }).length, 1);
  const without = new Map([[FILE, titles.slice(1).join("\n")]]);
  assertEquals(findings({ sources: without }), ["No test has the number A1"]);
  assertStringIncludes(old({ sources: without })[0]!, `${FILE} has other numbers`);
  const unknown = new Map([[FILE, `${titles.join("\n")}\n"A999 title"`]]);
  assertEquals(findings({ sources: unknown }), [`${FILE}: there is no case A999`]);
  assertEquals(staleFiles({ sources, runs }), []);
  assertEquals(staleFiles({ sources: new Map(), runs }), [FILE]);
  assertEquals(staleFiles({ sources: new Map([...sources, ["tests/new.test.ts", ""]]), runs }), [
    "tests/new.test.ts",
  ]);
});
