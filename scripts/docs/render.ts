/** Markdown as HTML: headings that can be linked to, links between pages, code in colours. */

import { posix } from "node:path";
import { Marked } from "marked";
import { type Names, pageOf } from "./api.ts";
import { escapeHtml, highlight } from "./highlight.ts";
import type { Page } from "./pages.ts";

/** A heading of a page. */
export interface Heading {
  level: number;
  id: string;
  text: string;
}

/** A page's text, and what was found in it. */
export interface Rendered {
  html: string;
  headings: Heading[];
  /** Files that it shows or links to, which are no pages, from the project's root. */
  assets: string[];
}

/** What links can lead to. */
export interface Targets {
  pages: readonly Page[];
  names: Names;
}

/** From one page to another place of the site. */
export function relativeLink(from: string, to: string): string {
  return encodeURI(posix.relative(posix.dirname(from), to) || posix.basename(to));
}

/** The name of a heading in links, as GitHub makes it. */
function idOf(text: string, taken: ReadonlySet<string>): string {
  const plain = text.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replace(/\s/g, "-");
  let id = plain;
  for (let i = 1; taken.has(id); i++) id = `${plain}-${i}`;
  return id;
}

/** Where a link of a page leads to; a file that is no page becomes an asset. */
function follow(page: Page, href: string, { pages }: Targets, assets: string[]): string {
  if (/^(?:[a-z]+:|#)/i.test(href)) return href;
  const [path = "", anchor] = href.split("#");
  const source = posix.join(posix.dirname(page.source), path);
  const target = pages.find((other) => other.source === source);
  if (target === undefined) assets.push(source);
  const output = target?.output ?? source;
  return relativeLink(page.output, output) + (anchor === undefined ? "" : `#${anchor}`);
}

/** Renders the text of a page. */
export function render(page: Page, targets: Targets): Rendered {
  const headings: Heading[] = [];
  const assets: string[] = [];
  const taken = new Set<string>();
  if (!page.source.endsWith(".md")) {
    const html = `<h1>${escapeHtml(page.title)}</h1>\n` +
      `<pre><code>${highlight(page.text, "ts")}</code></pre>\n`;
    return { html, headings, assets };
  }
  const marked = new Marked({
    gfm: true,
    renderer: {
      html: ({ text }) => text.startsWith("<!--") ? "" : text,
      heading({ tokens, depth, text }) {
        const plain = text.replace(/[`*]/g, "");
        const id = idOf(plain, taken);
        taken.add(id);
        headings.push({ level: depth, id, text: plain });
        const inner = this.parser.parseInline(tokens);
        const label = `Link to ${escapeHtml(plain)}`;
        const anchor = depth === 1
          ? ""
          : ` <a class="anchor" href="#${id}" aria-label="${label}">#</a>`;
        return `<h${depth} id="${id}">${inner}${anchor}</h${depth}>\n`;
      },
      code: ({ text, lang }) => {
        const language = (lang ?? "").split(/\s/)[0]!;
        return `<pre><code>${highlight(text, language)}</code></pre>\n`;
      },
      codespan: ({ text }) => {
        const code = `<code>${escapeHtml(text)}</code>`;
        const target = pageOf(targets.names, text);
        return target === undefined
          ? code
          : `<a class="name" href="${relativeLink(page.output, target)}">${code}</a>`;
      },
      link({ href, tokens }) {
        const text = tokens.map((token) =>
          token.type === "codespan"
            ? `<code>${escapeHtml(token.text)}</code>`
            : this.parser.parseInline([token])
        ).join("");
        return `<a href="${escapeHtml(follow(page, href, targets, assets))}">${text}</a>`;
      },
      image({ href, text }) {
        const source = escapeHtml(follow(page, href, targets, assets));
        return `<img src="${source}" alt="${escapeHtml(text)}">`;
      },
      table(token) {
        const row = (cells: typeof token.header, name: string) =>
          `<tr>${
            cells.map(({ tokens }) => `<${name}>${this.parser.parseInline(tokens)}</${name}>`)
              .join("")
          }</tr>\n`;
        const body = token.rows.map((cells) => row(cells, "td")).join("");
        const head = row(token.header, "th");
        return `<div class="table"><table><thead>${head}</thead><tbody>${body}</tbody></table></div>\n`;
      },
    },
  });
  const html = marked.parse(page.text, { async: false });
  return { html, headings, assets };
}
