/** Writes docs/conformance.md. */

import { CASES, SECTIONS } from "../../tests/conformance/cases.ts";
import { PROGRAMS } from "../../tests/conformance/programs.ts";
import { type Count, nameOf, type RunCounts, sum } from "./counts.ts";

const INTRODUCTION = `# Conformance

What a library for Unix domain sockets is tried at, case by case, and which tests show it. The cases
come from the manuals, from the kernel's source and from what the test suites of other languages try.
A case is **kernel** where it says how Linux behaves, which the library relies on or hands on;
**library** where it is the library's own contract; **macOS** where that differs. The tests are in
\`tests/\`, and their titles begin with the numbers of their cases. They use real sockets, and
other processes wherever a case speaks of them.

✓ 3: three tests, and all passed. ✗ 1 of 3: one failed. Numbers are never given again, so that some are
missing. This page is made by \`npm run conformance\`, which runs the test files that have changed;
\`npm run conformance -- --all\` runs all, and \`npm run conformance -- FILE\` takes in what
\`npm test -- --results FILE\` or \`npm run test:arm64 -- --results FILE\` wrote.
`;

/** The page, of what was counted. */
export function renderPage(runs: readonly RunCounts[]): string {
  return [
    INTRODUCTION,
    "## Totals\n",
    totals(runs),
    ...SECTIONS.flatMap(({ letter, title, cases }) => [
      `## ${letter}. ${title}\n`,
      table(
        ["case", "what", "by", "tests", ...headings(runs)],
        cases.map(({ id, what, by, untested }) => [
          id,
          what,
          by,
          filesWith(runs, "cases", id).join(", ") ||
          (untested === undefined ? "none" : "see below"),
          ...runs.map((run) => cell(counted(run, "cases", id))),
        ]),
      ),
    ]),
    "## Programs\n",
    "Who talks with the library in tests, as its client or its server.\n",
    table(
      ["program", "what", "tests", ...headings(runs)],
      PROGRAMS.map(({ name, what }) => [
        name,
        what,
        filesWith(runs, "programs", name).join(", ") || "none",
        ...runs.map((run) => cell(counted(run, "programs", name))),
      ]),
    ),
    ...notes(runs),
  ].join("\n").trimEnd() + "\n";
}

function totals(runs: readonly RunCounts[]): string {
  const ids = [...CASES.keys()];
  const cases = runs.map((run) => ids.map((id) => counted(run, "cases", id)));
  const number = (count: number) => count.toLocaleString("en");
  return table(["", ...headings(runs)], [
    ["runtime", ...runs.map(({ runtime }) => runtime.split(" ")[1]!)],
    ["machine", ...runs.map(({ machine }) => machine)],
    [
      `cases that passed, of ${ids.length}`,
      ...cases.map((of) => number(of.filter(isPassed).length)),
    ],
    [
      "cases with a test that failed",
      ...cases.map((of) => number(of.filter(([, , f]) => f > 0).length)),
    ],
    ["tests of cases that passed", ...cases.map((of) => number(sum(of)[0]))],
    ...["tests of the suite that passed", "tests that were skipped", "tests that failed"].map((
      title,
      i,
    ) => [
      title,
      ...runs.map(({ files }) => number(sum(Object.values(files).map(({ all }) => all))[i]!)),
    ]),
  ]);
}

/** Why some cases have no test, and which tests were skipped. */
function notes(runs: readonly RunCounts[]): string[] {
  const untested = [...CASES.values()].filter(({ untested }) => untested !== undefined);
  const skipped = new Map<string, string[]>();
  for (const run of runs) {
    for (const { skipped: titles } of Object.values(run.files)) {
      for (const [title, reason] of Object.entries(titles)) {
        const line = reason === "" ? title : `${title}: ${reason}`;
        skipped.set(line, [...skipped.get(line) ?? [], headingOf(run, runs)]);
      }
    }
  }
  const lines: string[] = [];
  if (untested.length > 0) {
    lines.push("## What no test on Linux shows\n");
    for (const { id, what, untested: why } of untested) lines.push(`- ${id} (${what}): ${why}`);
    lines.push("");
  }
  if (skipped.size > 0) {
    lines.push("## What was skipped\n");
    for (const [line, where] of skipped) lines.push(`- ${where.join(", ")}: ${escaped(line)}`);
  }
  return lines;
}

function headings(runs: readonly RunCounts[]): string[] {
  return runs.map((run) => headingOf(run, runs));
}

/** "Deno", with the machine where there are several. */
function headingOf({ runtime, machine }: RunCounts, runs: readonly RunCounts[]): string {
  const name = { deno: "Deno", bun: "Bun", node: "Node.js" }[nameOf(runtime)] ?? runtime;
  const several = new Set(runs.map(({ machine }) => machine)).size > 1;
  return several ? `${name} ${machine.split(" ")[1]}` : name;
}

function counted(run: RunCounts, kind: "cases" | "programs", key: string): Count {
  return sum(Object.values(run.files).map((file) => file[kind][key] ?? [0, 0, 0]));
}

/** The names of the files with tests of it, on any runtime. */
function filesWith(runs: readonly RunCounts[], kind: "cases" | "programs", key: string): string[] {
  const names = runs.flatMap(({ files }) =>
    Object.entries(files).filter(([, file]) => file[kind][key] !== undefined).map(([path]) => path)
  );
  return [...new Set(names)].sort().map((path) => path.replace(/^tests\/(.*)\.test\.ts$/, "$1"));
}

function isPassed([passed, , failed]: Count): boolean {
  return passed > 0 && failed === 0;
}

function cell([passed, skipped, failed]: Count): string {
  if (failed > 0) return `✗ ${failed} of ${passed + skipped + failed}`;
  if (passed === 0) return skipped === 0 ? "" : "skipped";
  return skipped === 0 ? `✓ ${passed}` : `✓ ${passed}, ${skipped} skipped`;
}

/** As the formatter would have it: every column as wide as its widest cell. */
function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heads, ...rows.map((row) => row.map(escaped))];
  const widths = heads.map((_, i) => Math.max(3, ...all.map((row) => row[i]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((text, i) => text.padEnd(widths[i]!)).join(" | ")} |`;
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [line(all[0]!), rule, ...all.slice(1).map(line)].join("\n") + "\n";
}

function escaped(text: string): string {
  return text.replaceAll(/[|*<]/g, "\\$&");
}
