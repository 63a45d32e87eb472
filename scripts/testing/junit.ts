/** Reads JUnit reports, the one format that all three runtimes write. */

import { DOMParser, type Element, onErrorStopParsing } from "@xmldom/xmldom";

/** How a test ended. */
export interface Result {
  /** Its title after those around it: "suite > test". */
  name: string;
  /** "left out": an emulator cannot run it. */
  outcome: "passed" | "failed" | "skipped" | "left out";
  /** Why it did not pass, where that is known. */
  message: string;
}

/**
 * Returns how the tests in a report ended, or undefined if the report is incomplete, as it is after a crash. A test with
 * subtests is left to them, unless it failed although all of them passed.
 */
export function parseReport(xml: string): Result[] | undefined {
  let results: Result[];
  try {
    const report = new DOMParser({ onError: onErrorStopParsing }).parseFromString(xml, "text/xml");
    results = [...report.getElementsByTagName("testcase")].map(resultOf);
  } catch {
    return undefined;
  }
  return results.filter(({ name, outcome }) => {
    const subtests = results.filter((other) => other.name.startsWith(`${name} > `));
    return subtests.length === 0 || (outcome === "failed" && !subtests.some(hasFailed));
  });
}

export function hasFailed({ outcome }: Result): boolean {
  return outcome === "failed";
}

function resultOf(test: Element): Result {
  // Deno and Bun put a suite around each file.
  const name = nameOf(test).replace(/^\S+\.ts > /, "");
  const child = (tag: string) => test.getElementsByTagName(tag).item(0);
  // Node.js writes both for a todo that fails, which is no failure. Deno writes an error for a cancelled test.
  const note = child("skipped") ?? child("failure") ?? child("error");
  if (note === null) return { name, outcome: "passed", message: "" };
  const message = note.textContent?.trim() || note.getAttribute("message") || "";
  return {
    name,
    outcome: note.tagName === "skipped" ? "skipped" : "failed",
    // Node.js writes the value of `skip` and `todo`.
    message: message === "true" ? "" : message,
  };
}

/** Bun and Node.js nest suites. Deno lists subtests flat, as "test > subtest". */
function nameOf(element: Element): string {
  const title = (element.getAttribute("name") ?? "").replaceAll(/\s+/g, " ");
  const parent = element.parentNode as Element;
  return parent.tagName === "testsuite" ? `${nameOf(parent)} > ${title}` : title;
}
