/** Which cases a test belongs to: the numbers that its title begins with. */

import { PROGRAMS } from "../../tests/conformance/programs.ts";

const NUMBERS = String.raw`[A-O]\d{1,3}(?:(?:, | and |\/| )[A-O]\d{1,3})*`;

/** "B56 N242 UnixStream …" belongs to B56 and N242. */
export function numbersOfTitle(title: string): string[] {
  return split(new RegExp(`^(${NUMBERS})(?=[ :])`).exec(title)?.[1]);
}

/** The programs of which a title speaks, by their names. */
export function programsOfTitle(title: string): string[] {
  return PROGRAMS.filter(({ titles }) => titles.test(title)).map(({ name }) => name);
}

/** In a test file whose literals look like titles and are none. */
const NO_TITLES = "// These titles are data";

/** The numbers with which string literals of a test file begin, those of titles in variables among them. */
export function numbersInSource(source: string): Set<string> {
  const found = new Set<string>();
  if (source.startsWith(NO_TITLES)) return found;
  // A title may begin with a variable, too.
  const literal = new RegExp(`["'\`](?:\\$\\{\\w+\\} )?(${NUMBERS})(?=[ :"'\`])`, "g");
  for (const [, numbers] of source.matchAll(literal)) {
    for (const number of split(numbers)) found.add(number);
  }
  return found;
}

function split(numbers: string | undefined): string[] {
  return numbers?.match(/[A-O]\d+/g) ?? [];
}
