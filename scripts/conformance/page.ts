/** Writes docs/conformance.md. */

import { CASES, SECTIONS } from "../../tests/conformance/cases.ts";
import { PROGRAMS } from "../../tests/conformance/programs.ts";
import { nameOf, type Seen } from "./seen.ts";
import { hasProgram, numbersInSource, type Sources } from "./sources.ts";

const INTRODUCTION = `# Conformance

The cases that a library for Unix domain sockets is tried at, the tests that show each case, and where the case passed.
The cases come from the manuals, from the kernel's source and from what the test suites of other languages try.
A case is **kernel** if it says how Linux behaves, which the library relies on or hands on;
**library** if it is the library's own contract; **macOS** where that differs. The tests are in
\`tests/\`, and their titles begin with the numbers of their cases. They use real sockets, and
other processes wherever a case speaks of them.

A case has passed on a runtime if a test of it passed there and none failed. Numbers are never given again, so that
some are missing. \`npm run conformance\` writes this page from the tests and from \`tests/conformance/seen.json\`;
\`npm run conformance -- FILE\` first takes in what \`npm test -- --results FILE\` or
\`npm run test:arm64 -- --results FILE\` wrote.
`;

const NAMES: Record<string, string> = { deno: "Deno", bun: "Bun", node: "Node.js" };

/** The page, of the sources of the tests and of what was seen when they ran. */
export function renderPage(sources: Sources, seen: readonly Seen[]): string {
  const filesWith = (fits: (source: string) => boolean) =>
    [...sources].filter(([, source]) => fits(source)).map(([path]) =>
      path.replace(/^tests\/(.*)\.test\.ts$/, "$1")
    ).sort().join(", ");
  const machines = [...Map.groupBy(seen, ({ machine }) => machine)];
  return [
    INTRODUCTION,
    "## Totals\n",
    totals(seen),
    "Programs for arm64 ran under emulation: see [aarch64](guides/platforms.md#aarch64).\n",
    ...SECTIONS.flatMap(({ letter, title, cases }) => [
      `## ${letter}. ${title}\n`,
      table(
        ["case", "what", "by", "tests", ...machines.map(([machine]) => `passed on ${machine}`)],
        cases.map(({ id, what, by, untested }) => [
          id,
          what,
          by,
          filesWith((source) => numbersInSource(source).has(id)) ||
          (untested === undefined ? "none" : "see below"),
          ...machines.map(([, runs]) => passedOn(id, runs)),
        ]),
      ),
    ]),
    "## Programs\n",
    "Who talks with the library in tests, as its client or its server.\n",
    table(
      ["program", "what", "tests"],
      PROGRAMS.map((program) => [
        program.name,
        program.what,
        filesWith((source) => hasProgram(source, program)) || "none",
      ]),
    ),
    "## What no test on Linux shows\n",
    ...[...CASES.values()].filter(({ untested }) => untested !== undefined)
      .map(({ id, what, untested }) => `- ${id} (${what}): ${untested}`),
    "\n## What was skipped\n",
    skips(seen),
  ].join("\n");
}

function totals(seen: readonly Seen[]): string {
  const row = (title: string, cell: (run: Seen) => string | number) => [
    title,
    ...seen.map((run) => cell(run).toLocaleString("en")),
  ];
  return table(["", ...seen.map((run) => NAMES[nameOf(run)]!)], [
    row("runtime", ({ runtime }) => runtime.split(" ")[1]!),
    row("machine", ({ machine }) => machine),
    row("seen on", ({ date }) => date),
    row("test files that ran", ({ files: [ran, of] }) => `${ran} of ${of}`),
    row(`cases that passed, of ${CASES.size}`, ({ cases }) => words(cases).length),
    row("cases with a test that failed", ({ failedCases }) => words(failedCases).length),
    row("tests that passed", ({ passed }) => passed),
    row("tests that were skipped", ({ skipped }) => skipped),
    row("tests that failed", ({ failed }) => failed),
  ]);
}

/** The runtimes of one kind of machine on which a case passed. */
function passedOn(id: string, runs: readonly Seen[]): string {
  const passed = runs.filter(({ cases }) => words(cases).includes(id));
  if (passed.length === runs.length) return "all";
  return passed.map((run) => NAMES[nameOf(run)]!).join(", ");
}

/** How many tests each runtime skipped, by the reason. */
function skips(seen: readonly Seen[]): string {
  const reasons = [...new Set(seen.flatMap(({ reasons }) => Object.keys(reasons)))];
  return table(
    ["reason, or the test", ...seen.map((run) => `${NAMES[nameOf(run)]}, ${run.machine}`)],
    reasons.map((reason) => [reason, ...seen.map((run) => String(run.reasons[reason] ?? ""))]),
  );
}

function words(text: string): string[] {
  return text.split(" ").filter(Boolean);
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
