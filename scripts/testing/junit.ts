/** Reads the JUnit reports of the three runtimes. */

import { DOMParser, type Element, type Node, onErrorStopParsing } from "@xmldom/xmldom";

/** A test, and why it failed or was skipped. */
export interface Noted {
  name: string;
  message: string;
  /** Skipped because an emulator cannot run it. */
  leftOut?: true;
}

/** How the tests of a file ended. */
export interface Report {
  /** Their titles; a title of several tests is there as often. */
  passed: string[];
  skipped: Noted[];
  failed: Noted[];
}

/**
 * Counts the tests in a report. Each leaf counts once; a suite or a test with subtests counts only if it failed although
 * everything in it passed. Returns undefined if the report is incomplete, as it is after a crash.
 */
export function parseReport(xml: string): Report | undefined {
  const root = rootOf(xml);
  if (root === undefined) return undefined;
  const entries = [...entriesIn(root, "")];
  const report: Report = { passed: [], skipped: [], failed: [] };
  for (const { name, element } of entries) {
    const inner = entries.filter((other) => other.name.startsWith(`${name} > `));
    const [skip] = childrenOf(element, /^skipped$/);
    const failure = failureOf(element);
    if (failure !== undefined) {
      if (inner.some((other) => failureOf(other.element))) continue;
      report.failed.push({ name, message: messageOf(failure) });
    } else if (inner.length > 0) continue;
    else if (skip !== undefined) report.skipped.push({ name, message: messageOf(skip) });
    else if (element.tagName === "testcase") report.passed.push(name);
  }
  return report;
}

function rootOf(xml: string): Element | undefined {
  try {
    const parser = new DOMParser({ onError: onErrorStopParsing });
    return parser.parseFromString(xml, "text/xml").documentElement ?? undefined;
  } catch {
    return undefined;
  }
}

/** Every suite and test. Deno lists subtests flat, as "test > subtest"; Bun and Node.js nest them. */
function* entriesIn(
  parent: Element,
  outer: string,
): Generator<{ name: string; element: Element }> {
  for (const element of childrenOf(parent, /^test(case|suite)$/)) {
    const title = (element.getAttribute("name") ?? "").replaceAll(/\s+/g, " ");
    // Deno and Bun have a suite for each file, which is no test's parent.
    const isFile = parent.tagName === "testsuites" && element.tagName === "testsuite" &&
      /\.ts$/.test(title);
    const name = isFile ? "" : outer === "" ? title : `${outer} > ${title}`;
    if (!isFile) yield { name, element };
    yield* entriesIn(element, name);
  }
}

/** Deno notes a cancelled test as an error; a todo that fails is noted as skipped too, and is no failure. */
function failureOf(element: Element): Element | undefined {
  if (childrenOf(element, /^skipped$/).length > 0) return undefined;
  return childrenOf(element, /^(failure|error)$/)[0];
}

function childrenOf(element: Element, tag: RegExp): Element[] {
  return [...element.childNodes].filter((node: Node): node is Element => tag.test(node.nodeName));
}

function messageOf(element: Element): string {
  const message = element.getAttribute("message") ?? "";
  const text = (element.textContent ?? "").trim();
  if (text === "") return message === "true" ? "" : message;
  return text.includes(message) ? text : `${message}\n${text}`;
}
