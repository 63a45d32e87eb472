/** Which file becomes which page, and where each stands in the navigation. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A page of the site. */
export interface Page {
  /** Its file, from the project's root. */
  source: string;
  /** Its place in the site. */
  output: string;
  /** Its first heading. */
  title: string;
  /** Its text: Markdown, or a program. */
  text: string;
  /** The part of the navigation that it is in; null for one that other pages link to. */
  section: string | null;
}

/** The guides in the order in which they are read; those that are not named here come after. */
const READING_ORDER = [
  "quick-start",
  "streams",
  "datagrams",
  "descriptors",
  "credentials",
  "http",
  "framing",
  "processes",
  "shared-memory",
  "hot-restart",
  "systemd",
  "command-line",
  "security",
  "platforms",
];

const BACKGROUND = ["migrating", "performance"];

const INTERNALS = [
  "README",
  "ffi",
  "waiting",
  "operations",
  "messages",
  "paths",
  "lifecycle",
  "tests",
];

function markdownIn(root: string, folder: string, first: readonly string[]): string[] {
  const place = (name: string) => {
    const index = first.indexOf(name);
    return index === -1 ? first.length : index;
  };
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => name.slice(0, -3))
    .sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
}

/** Every page, in the order of the navigation. */
export function findPages(root: string): Page[] {
  const pages: Page[] = [];
  const add = (source: string, output: string, section: string | null, name?: string) => {
    const text = readFileSync(join(root, source), "utf8");
    const heading = /^# (.+)$/m.exec(text)?.[1];
    if (heading === undefined && source.endsWith(".md")) {
      throw new Error(`Cannot make a page of ${source}: it has no heading`);
    }
    pages.push({ source, output, title: name ?? heading ?? source, text, section });
  };
  add("README.md", "index.html", "afunix", "Overview");
  for (const name of markdownIn(root, "docs/guides", READING_ORDER)) {
    add(`docs/guides/${name}.md`, `guides/${name}.html`, "Guides");
  }
  for (const name of markdownIn(root, "docs", BACKGROUND)) {
    add(`docs/${name}.md`, `${name}.html`, "Background");
  }
  add("examples/README.md", "examples/index.html", "Background");
  for (const name of markdownIn(root, "docs/internals", INTERNALS)) {
    const output = name === "README" ? "index" : name;
    add(`docs/internals/${name}.md`, `internals/${output}.html`, "Internals");
  }
  add("CONTRIBUTING.md", "contributing.html", "Project");
  add("CHANGELOG.md", "changelog.html", "Project");
  for (const name of readdirSync(join(root, "examples")).sort()) {
    if (name.endsWith(".ts")) add(`examples/${name}`, `examples/${name}.html`, null);
  }
  return pages;
}
