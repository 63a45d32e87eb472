/** What `npm test` checks before it runs the suite. */

import { readFileSync } from "node:fs";
import { run } from "./process.ts";

export interface Check {
  title: string;
  command: string;
  args: readonly string[];
}

export const checks: readonly Check[] = [
  { title: "formatting (deno fmt)", command: "deno", args: ["fmt", "--check"] },
  {
    title: "lint and the rules of the house (deno lint)",
    command: "deno",
    args: ["lint", "--quiet"],
  },
  { title: "types (deno check)", command: "deno", args: ["check", "--quiet"] },
  { title: "types (tsc)", command: "tsc", args: ["--pretty", "false"] },
  {
    title: "cases and their tests (scripts/conformance.ts --check)",
    command: "node",
    args: ["scripts/conformance.ts", "--check"],
  },
  {
    title: "documentation comments (deno doc --lint)",
    command: "deno",
    args: ["doc", "--lint", ...entryPoints()],
  },
  {
    title: "JSR package (deno publish --dry-run)",
    command: "deno",
    args: ["publish", "--dry-run", "--allow-dirty", "--quiet"],
  },
  {
    title: "npm package (scripts/build_npm.ts)",
    command: "node",
    args: ["scripts/build_npm.ts"],
  },
];

function entryPoints(): string[] {
  const { exports } = JSON.parse(readFileSync("deno.json", "utf8"));
  return Object.values(exports);
}

/** Runs one check; returns what it found, or undefined if it found nothing. */
export async function runCheck({ command, args }: Check): Promise<string | undefined> {
  try {
    const { code, signal, timedOut, output } = await run(command, args, { timeout: 300_000 });
    if (code === 0) return undefined;
    const end = timedOut ? "It took too long" : signal === null ? "" : `It was killed by ${signal}`;
    return `${output.trim()}\n${end}`.trim() || `It exited with code ${code}`;
  } catch (error) {
    return `It cannot be run: ${error}`;
  }
}
