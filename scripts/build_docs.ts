/**
 * Builds the documentation site: the guides, what else is written in Markdown, and the API from the
 * docstrings. It needs no network, and what it makes needs none either.
 *
 *     node scripts/build_docs.ts [--output FOLDER]
 *     deno run -A scripts/build_docs.ts
 */

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { buildApi, ICON } from "./docs/api.ts";
import { escapeHtml } from "./docs/highlight.ts";
import { findPages, type Page } from "./docs/pages.ts";
import { type Heading, relativeLink, render } from "./docs/render.ts";

const root = resolve(import.meta.dirname!, "..");
const parts = join(import.meta.dirname!, "docs");

/** What tells a folder that this made from one that somebody else did. */
const MARK = ".afunix-site";

function navigation(page: Page, pages: readonly Page[]): string {
  let html = "";
  for (const section of new Set(pages.map((other) => other.section))) {
    if (section === null) continue;
    html += `<h2>${section}</h2>\n<ul>\n`;
    for (const { section: where, title, output } of pages) {
      if (where !== section) continue;
      const current = output === page.output ? ` aria-current="page"` : "";
      const href = relativeLink(page.output, output);
      html += `<li><a href="${href}"${current}>${escapeHtml(title)}</a></li>\n`;
    }
    if (section === "afunix") {
      html += `<li><a href="${relativeLink(page.output, "api/index.html")}">API</a></li>\n`;
    }
    html += "</ul>\n";
  }
  return html;
}

/** The headings of a page, beside it. */
function contents(headings: readonly Heading[]): string {
  const shown = headings.filter(({ level }) => level === 2 || level === 3);
  if (shown.length < 2) return "";
  const items = shown.map(({ level, id, text }) =>
    `<li${level === 3 ? ` class="inner"` : ""}><a href="#${id}">${escapeHtml(text)}</a></li>\n`
  );
  return `<aside aria-label="On this page">\n<h2>On this page</h2>\n<ul>\n${
    items.join("")
  }</ul>\n</aside>`;
}

/** The pages before and after it. */
function neighbours(page: Page, pages: readonly Page[]): string {
  const listed = pages.filter(({ section }) => section !== null);
  const index = listed.indexOf(page);
  if (index === -1) return "";
  const link = (other: Page | undefined, text: (title: string) => string) =>
    other === undefined
      ? "<span></span>"
      : `<a href="${relativeLink(page.output, other.output)}">${text(escapeHtml(other.title))}</a>`;
  const before = link(listed[index - 1], (title) => `← ${title}`);
  const after = link(listed[index + 1], (title) => `${title} →`);
  return `<div class="neighbours">${before}${after}</div>`;
}

function fill(template: string, values: Record<string, string>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => values[name]!);
}

/** An empty folder; one with files that this script did not make is left alone. */
function prepare(site: string): void {
  if (existsSync(site) && readdirSync(site).length > 0 && !existsSync(join(site, MARK))) {
    throw new Error(`Cannot build into "${site}": there are other files in it`);
  }
  rmSync(site, { recursive: true, force: true });
  mkdirSync(site, { recursive: true });
  writeFileSync(join(site, MARK), "");
}

/** Builds everything; returns how many pages were written. */
function build(site: string): number {
  prepare(site);
  const names = buildApi(root, site);
  const pages = findPages(root);
  const template = readFileSync(join(parts, "template.html"), "utf8");
  cpSync(join(parts, "style.css"), join(site, "style.css"));
  for (const page of pages) {
    const { html, headings, assets } = render(page, { pages, names });
    for (const asset of new Set(assets)) {
      const file = join(root, asset);
      if (asset.startsWith("..") || !existsSync(file)) {
        throw new Error(`Cannot follow a link of ${page.source}: there is no ${asset}`);
      }
      cpSync(file, join(site, asset), { recursive: true });
    }
    const target = join(site, page.output);
    mkdirSync(dirname(target), { recursive: true });
    const title = page.title === "Overview" ? "afunix" : `${page.title} · afunix`;
    const values = {
      title: escapeHtml(title),
      icon: ICON,
      style: relativeLink(page.output, "style.css"),
      navigation: navigation(page, pages),
      text: html,
      neighbours: neighbours(page, pages),
      contents: contents(headings),
    };
    writeFileSync(target, fill(template, values));
  }
  return pages.length;
}

try {
  const { values } = parseArgs({ options: { output: { type: "string", default: "site" } } });
  const site = resolve(values.output === "site" ? root : "", values.output);
  console.log(`Wrote ${build(site)} pages, and those of the API, to ${site}`);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
