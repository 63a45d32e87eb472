/**
 * Keeps the three floors: `mod.ts` and its siblings stand on `src/`, `src/` on `ffi/`, imports point down only, and `src/`
 * names no runtime. Run by `npm test`.
 * @module
 */

import { globSync, readFileSync } from "node:fs";
import process from "node:process";
import { dirname, join } from "@std/path";
import { maskSource } from "./mask_source.ts";

const floorNames = ["ffi/", "src/", "the top floor"] as const;
type Floor = 0 | 1 | 2;

/** What is wrong in one file, whose path is relative to the project's root; each entry is "line N: what". */
export function checkFile(path: string, source: string): string[] {
  const floor = floorOf(path);
  if (floor === undefined) return [];
  const found: { index: number; what: string }[] = [];
  for (const { index, specifier } of importsIn(source)) {
    const what = wrongImport(path, floor, specifier);
    if (what !== undefined) found.push({ index, what });
  }
  if (floor === 1) {
    for (const { index, name } of runtimeNamesIn(source)) {
      found.push({ index, what: `src/ names no runtime, but this says ${name}` });
    }
  }
  found.sort((a, b) => a.index - b.index);
  return found.map(({ index, what }) =>
    `line ${source.slice(0, index).split("\n").length}: ${what}`
  );
}

/** 0 is the ground floor; undefined is outside the house, where everything is allowed. */
function floorOf(path: string): Floor | undefined {
  if (path.startsWith("ffi/")) return 0;
  if (path.startsWith("src/")) return 1;
  // A program over the library, on top as the entries are.
  if (path.startsWith("cli/")) return 2;
  return /^[^/]+\.ts$/.test(path) ? 2 : undefined;
}

function wrongImport(path: string, floor: Floor, specifier: string): string | undefined {
  if (/^(node|bun):/.test(specifier)) {
    return floor === 1 ? `src/ names no runtime, but this imports "${specifier}"` : undefined;
  }
  if (!/^\.\.?\//.test(specifier)) {
    return `the library has no dependency, but imports "${specifier}"`;
  }
  const target = join(dirname(path), specifier);
  const targetFloor = floorOf(target);
  if (targetFloor === undefined) return `the library imports ${target}, which is no part of it`;
  if (targetFloor <= floor) return undefined;
  return `${floorNames[floor]} imports ${target}, which is a floor above it`;
}

/** Static and dynamic imports, re-exports, `import()` types and `require()`. */
function* importsIn(source: string): Generator<{ index: number; specifier: string }> {
  const code = maskSource(source, { strings: false });
  const bare = maskSource(source, { strings: true });
  const pattern = /\b(?:from|import|require)\s*\(?\s*(["'`])([^"'`\n]*)\1/g;
  for (const match of code.matchAll(pattern)) {
    const inCode = bare.startsWith(match[0].slice(0, 4), match.index);
    if (inCode) yield { index: match.index, specifier: match[2]! };
  }
}

/** `Deno` and `Bun` anywhere, `process` where it is used as the global object. */
function* runtimeNamesIn(source: string): Generator<{ index: number; name: string }> {
  const bare = maskSource(source, { strings: true });
  const pattern = /(?<![\w$])(?:Deno|Bun)(?![\w$])|(?<![\w$.]|\?\.)process(?=\s*(?:\.|\?\.|\[))/g;
  for (const match of bare.matchAll(pattern)) yield { index: match.index, name: match[0] };
  for (const match of bare.matchAll(/(?<=\bglobalThis\s*\??\.\s*)process\b/g)) {
    yield { index: match.index, name: match[0] };
  }
}

/** Checks the files on disk; returns "path, line N: what" for each violation. */
export function checkFloors(): string[] {
  const files = globSync(["*.ts", "src/**/*.ts", "ffi/**/*.ts"]).sort();
  return files.flatMap((path) =>
    checkFile(path, readFileSync(path, "utf8")).map((what) => `${path}, ${what}`)
  );
}

if (import.meta.main) {
  const violations = checkFloors();
  for (const violation of violations) console.error(violation);
  process.exitCode = violations.length === 0 ? 0 : 1;
}
