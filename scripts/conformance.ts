/**
 * Makes docs/conformance.md: which tests show which case, and on which runtimes it passed.
 *
 *     npm run conformance                  writes the page anew
 *     npm run conformance -- FILE…         takes in what `npm test -- --results FILE` wrote, then writes
 *     npm run conformance -- --check       only says what does not fit
 *
 * What is kept of the runs is in tests/conformance/seen.json.
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { renderPage } from "./conformance/page.ts";
import { replaced, type Seen, summarize } from "./conformance/seen.ts";
import { findings } from "./conformance/sources.ts";
import type { Run } from "./run_tests.ts";
import { findTestFiles } from "./testing/suite.ts";

const SEEN = "tests/conformance/seen.json";
const PAGE = "docs/conformance.md";

const { values, positionals } = parseArgs({
  options: { check: { type: "boolean" } },
  allowPositionals: true,
});
const sources = new Map(findTestFiles().map((file) => [file, readFileSync(file, "utf8")]));
let seen: Seen[] = JSON.parse(readFileSync(SEEN, "utf8"));
if (positionals.length > 0) {
  const runs: Run[] = positionals.flatMap((file) => JSON.parse(readFileSync(file, "utf8")).runs);
  seen = replaced(seen, summarize(runs, sources.size));
  writeFileSync(SEEN, JSON.stringify(seen, null, 2) + "\n");
}
const page = renderPage(sources, seen);
if (!values.check) writeFileSync(PAGE, page);
else if (page !== readFileSync(PAGE, "utf8")) {
  console.log(`${PAGE} is out of date: npm run conformance`);
}
const found = findings(sources);
for (const finding of found) console.error(`✗ ${finding}`);
if (found.length === 0) console.log(`✓ ${PAGE}`);
process.exitCode = found.length === 0 ? 0 : 1;
