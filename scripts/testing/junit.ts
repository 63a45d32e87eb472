/** Reads the JUnit reports of the three runtimes, as far as they agree. */

import { type Element, parseXml } from "./xml.ts";

/** A test, and why it failed or was skipped. */
export interface Noted {
  name: string;
  message: string;
  /** Skipped because an emulator cannot run it. */
  leftOut?: true;
}

export interface Report {
  passed: number;
  /** Their titles. */
  passedNames: string[];
  skipped: Noted[];
  failed: Noted[];
}

interface Entry {
  /** The titles from the outermost suite or test inwards, joined by the report's separator. */
  path: string;
  element: Element;
}

/**
 * Counts the tests in a report. Each leaf counts once; a suite or a test with subtests counts only if it failed although
 * everything in it passed. Undefined if the report is incomplete, as it is after a crash.
 */
export function parseReport(xml: string): Report | undefined {
  const root = parseXml(xml);
  if (root === undefined) return undefined;
  // Deno lists subtests flat, as "test > subtest"; Bun and Node nest them.
  const separator = root.attributes["name"] === "deno test" ? " > " : "\0";
  const entries = [...entriesIn(root, [], separator)];
  const report: Report = { passed: 0, passedNames: [], skipped: [], failed: [] };
  for (const { path, element } of entries) {
    const inner = entries.filter((other) => other.path.startsWith(path + separator));
    const name = path.replaceAll("\0", " > ").replaceAll(/\s+/g, " ");
    const skip = child(element, "skipped");
    const failure = failureOf(element);
    if (skip !== undefined) {
      if (inner.length === 0) report.skipped.push({ name, message: messageOf(skip) });
    } else if (failure !== undefined) {
      if (inner.some((other) => failureOf(other.element))) continue;
      report.failed.push({ name, message: messageOf(failure) });
    } else if (inner.length === 0 && element.tag === "testcase") {
      report.passed++;
      report.passedNames.push(name);
    }
  }
  return report;
}

function* entriesIn(parent: Element, path: readonly string[], separator: string): Generator<Entry> {
  for (const element of parent.children) {
    if (element.tag !== "testcase" && element.tag !== "testsuite") continue;
    const title = element.attributes["name"] ?? "";
    // Deno and Bun have a suite for each file, which is no test's parent.
    const isFile = parent.tag === "testsuites" && element.tag === "testsuite" &&
      /\.ts$/.test(title);
    const inside = isFile ? path : [...path, title];
    if (!isFile) yield { path: inside.join(separator), element };
    yield* entriesIn(element, inside, separator);
  }
}

/** Deno notes a cancelled test as an error; a todo that fails is noted as skipped too, and is no failure. */
function failureOf(element: Element): Element | undefined {
  if (child(element, "skipped")) return undefined;
  return child(element, "failure") ?? child(element, "error");
}

function child(element: Element, tag: string): Element | undefined {
  return element.children.find((each) => each.tag === tag);
}

function messageOf(element: Element): string {
  const message = element.attributes["message"] ?? "";
  const text = element.text.trim();
  if (text === "") return message === "true" ? "" : message;
  return text.includes(message) ? text : `${message}\n${text}`;
}
