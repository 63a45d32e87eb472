/** What `npm test` checks before it runs the suite. */

import { readFileSync } from "node:fs";

const { exports } = JSON.parse(readFileSync("deno.json", "utf8"));
const entries = Object.values(exports).join(" ");

/** Commands without spaces in their arguments, by title. */
export const checks: Readonly<Record<string, string>> = {
  "formatting (deno fmt)": "deno fmt --check",
  "lint and the rules of the house (deno lint)": "deno lint --quiet",
  "types (deno check)": "deno check --quiet",
  "types (tsc)": "tsc --pretty false",
  "cases and their tests (scripts/conformance.ts --check)": "node scripts/conformance.ts --check",
  "documentation comments (deno doc --lint)": `deno doc --lint ${entries}`,
  "JSR package (deno publish --dry-run)": "deno publish --dry-run --allow-dirty --quiet",
  "npm package (scripts/build_npm.ts)": "node scripts/build_npm.ts",
};
