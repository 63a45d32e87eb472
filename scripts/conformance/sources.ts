/** Which cases and programs the titles of the tests name. */

import { CASES } from "../../tests/conformance/cases.ts";
import { type Program, PROGRAMS } from "../../tests/conformance/programs.ts";

/** The text of each test file, by its path. */
export type Sources = ReadonlyMap<string, string>;

const NUMBERS = String.raw`[A-O]\d{1,3}(?:(?:, | and |\/| )[A-O]\d{1,3})*`;

/** In a test file whose literals look like titles and are none. */
const NO_TITLES = "// These titles are data";

/** The numbers that a title begins with: "B56 N242 UnixStream …" belongs to B56 and N242. */
export function numbersOfTitle(title: string): string[] {
  return split(new RegExp(`^(${NUMBERS})(?=[ :])`).exec(title)?.[1]);
}

/** The numbers with which string literals of a test file begin, those of titles in variables among them. */
export function numbersInSource(source: string): Set<string> {
  if (source.startsWith(NO_TITLES)) return new Set();
  // A title may begin with a variable, too.
  const literal = new RegExp(`["'\`](?:\\$\\{\\w+\\} )?(${NUMBERS})(?=[ :"'\`])`, "g");
  return new Set([...source.matchAll(literal)].flatMap(([, numbers]) => split(numbers)));
}

/** Whether a title in a test file speaks of a program. */
export function hasProgram(source: string, { titles }: Program): boolean {
  if (source.startsWith(NO_TITLES)) return false;
  const title = /\btest\(\s*(["'`])((?:\\.|(?!\1)[^\\])*)\1/g;
  return [...source.matchAll(title)].some(([, , text]) => titles.test(text!));
}

/** What does not fit in the cases, the programs and the tests; nothing if all does. */
export function findings(sources: Sources): string[] {
  const found: string[] = [];
  const shown = new Set<string>();
  for (const [file, source] of sources) {
    for (const number of numbersInSource(source)) {
      shown.add(number);
      if (!CASES.has(number)) found.push(`${file}: there is no case ${number}`);
    }
  }
  for (const { id, untested } of CASES.values()) {
    if (!shown.has(id) && untested === undefined) found.push(`No test has the number ${id}`);
  }
  for (const program of PROGRAMS) {
    if (![...sources.values()].some((source) => hasProgram(source, program))) {
      found.push(`No test speaks of ${program.name}`);
    }
  }
  return found;
}

function split(numbers: string | undefined): string[] {
  return numbers?.match(/[A-O]\d+/g) ?? [];
}
