import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { ROOT } from "../support/mod.ts";

const document = readFileSync(join(ROOT, "docs", "security.md"), "utf8");

/** What a test's title is in the source: text, and what is only known when it runs. */
interface Title {
  source: string;
  pattern: RegExp;
}

/** The titles of the tests in a file. */
function titlesIn(file: string): Title[] {
  const source = readFileSync(join(ROOT, "tests", `${file}.test.ts`), "utf8");
  const literal = /\btest\(\s*("(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`)/g;
  return Array.from(source.matchAll(literal), ([, quoted]) => {
    const parts = quoted!.slice(1, -1).split(quoted!.startsWith("`") ? /\$\{[^}]*\}/ : /$^/);
    const escaped = parts.map((part) => RegExp.escape(part.replaceAll(/\\(.)/g, "$1")));
    return { source: quoted!, pattern: new RegExp(`^${escaped.join(".+?")}$`) };
  });
}

/** The tests that a text names: its files' names and their titles. */
function namedIn(text: string): [file: string, title: string][] {
  return Array.from(text.matchAll(/^- `([\w/]+)`: (.+)$/gm), ([, file, title]) => [file!, title!]);
}

test("docs/security.md names tests that exist, by their file and their title", () => {
  const named = namedIn(document);
  assert(named.length > 50, `${named.length} are named`);
  const missing = named.filter(([file, title]) =>
    !titlesIn(file).some(({ pattern }) => pattern.test(title))
  );
  assertEquals(missing, []);
});

test("docs/security.md names every test of an attack", () => {
  const named = namedIn(document);
  const files = readdirSync(join(ROOT, "tests", "security"))
    .filter((name) => name !== "document.test.ts")
    .map((name) => `security/${name.slice(0, -".test.ts".length)}`);
  assert(files.length >= 5);
  for (const file of files) {
    const unnamed = titlesIn(file).filter(({ pattern }) =>
      !named.some(([in_, title]) => in_ === file && pattern.test(title))
    );
    assertEquals(unnamed.map(({ source }) => source), [], file);
  }
});

test("docs/security.md has for each threat what the kernel, the library and its user do, and a test", () => {
  const chapters = document.split(/^## /m).slice(1).filter((text) => text.includes("**Threat.**"));
  assert(chapters.length >= 15, `${chapters.length} threats`);
  for (const chapter of chapters) {
    const title = chapter.slice(0, chapter.indexOf("\n"));
    assert(namedIn(chapter).length > 0, title);
    assert(/^\*\*The (kernel|runtimes)/m.test(chapter), title);
    assert(/^\*\*The library\*\*/m.test(chapter), title);
    assert(/^\*\*You\*\*/m.test(chapter) || title === "Control messages that lie", title);
  }
});

test("docs/security.md and its guide lead to each other", () => {
  const guide = readFileSync(join(ROOT, "docs", "guides", "security.md"), "utf8");
  assert(document.includes("](guides/security.md)"));
  assert(guide.includes("](../security.md)"));
});
